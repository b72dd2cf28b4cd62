"""The two API functions as the benchmarks call them: ours as `sam build` made it, a bare boto3 handler, and AWS as a stub."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from local.sam import Sam, Tools, architecture
from tests.template.source import variables

ROOT = Path(__file__).parents[1]
STATE = ROOT / ".local" / "bench"
"""The build is kept here, so that a second run only builds what has changed."""
_BUILD = STATE / "build"
TOOLS = Tools()
FUNCTIONS = {"submit": "SubmitFunction", "status": "StatusFunction"}
"""What the template calls each function."""
BUDGET = 1.15
"""How much of the bare handler's processor time a function may take, in a cold start and in a warm call."""
_JOB_ID = "3f2b8c1e-4d5a-4b6c-8d7e-9f0a1b2c3d4e"

_ITEM: dict[str, Any] = {
    "pk": {"S": f"J#alice#{_JOB_ID}"},
    "jobType": {"S": "text.search"},
    "status": {"S": "IN_PROGRESS"},
    "gen": {"S": "0" * 32},
    "requestHash": {"B": "aGFzaA=="},
    "attempt": {"N": "1"},
    "maxAttempts": {"N": "3"},
    "createdAt": {"S": "2026-11-21T12:00:00.000Z"},
    "updatedAt": {"S": "2026-11-21T12:00:00.000Z"},
    "deadlineAt": {"N": "4102444800000"},
    "recordExpiresAt": {"N": "4102444800"},
    "retentionSeconds": {"N": "604800"},
    "progress": {"N": "45"},
}

_HISTORY: dict[str, Any] = {
    "pk": {"S": "D#text.search"},
    "durations": {"S": json.dumps({str(bucket): 5 for bucket in range(20, 80)})},
    "revision": {"N": "7"},
}

_BARE = {
    "submit": """
import json, os, boto3
dynamodb, sqs = boto3.client("dynamodb"), boto3.client("sqs")
def handler(event, context):
    body = json.loads(event["body"])
    dynamodb.put_item(TableName=os.environ["TABLE_NAME"], Item={"pk": {"S": body["jobType"]}}, ConditionExpression="attribute_not_exists(pk)")
    sqs.send_message(QueueUrl=os.environ["QUEUE_URL"], MessageBody=body["jobType"])
    return {"statusCode": 202, "body": "{}"}
""",
    "status": """
import json, os, boto3
dynamodb = boto3.client("dynamodb")
def handler(event, context):
    item = dynamodb.get_item(TableName=os.environ["TABLE_NAME"], Key={"pk": {"S": event["pathParameters"]["asyncJobId"]}}, ConsistentRead=True)["Item"]
    return {"statusCode": 200, "body": json.dumps(item["status"])}
""",
}

CONTEXT = """
class Context:
    function_name = "bench"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:bench"
    aws_request_id = "8f507cfc-xmpl-4697-b07a-ac58fc914c95"
    def get_remaining_time_in_millis(self):
        return 25000
"""
"""Lambda's context, as source for the process that is measured."""


def build() -> None:
    """Build what would be deployed."""
    STATE.mkdir(parents=True, exist_ok=True)
    Sam(ROOT, STATE, TOOLS).build({"PythonRuntime": TOOLS.runtime(), "Architecture": architecture()})


def ours(function: str) -> list[str]:
    """Return the path on which Lambda would import the function."""
    return [str(_BUILD / "JobsLayer" / "python"), str(_BUILD / "AsyncjobsLayer" / "python"), str(_BUILD / FUNCTIONS[function])]


def bare(function: str, folder: Path) -> list[str]:
    """Write the bare handler into the folder, and return its path."""
    place = folder / function
    place.mkdir()
    (place / "app.py").write_text(_BARE[function])
    return [str(place)]


def environment(endpoint: str) -> dict[str, str]:
    """Return the variables that the template gives the functions by default, and Lambda's own."""
    queues = {name: f"{endpoint}/{name}" for name in ("HighQueue", "Queue", "LowQueue")}
    return {
        # By default submit reads how long jobs of the type took. They took long, so this one goes to the queue.
        **variables({"AWS::StackName": "bench", "Table": "jobs", "Bucket": "jobs", **queues}),
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        # A layer is mounted read-only: a module that it does not hold compiled is compiled at each cold start.
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def event(function: str) -> dict[str, Any]:
    """Return the request as the HTTP API passes it on."""
    route = {"submit": "POST /api/v1/jobs", "status": "GET /api/v1/jobs/{asyncJobId}"}[function]
    return {
        "routeKey": route,
        "headers": {"content-type": "application/json"},
        "pathParameters": {"asyncJobId": _JOB_ID},
        "requestContext": {"requestId": "r", "authorizer": {"jwt": {"claims": {"sub": "alice"}}}},
        "body": json.dumps({"jobType": "text.search", "input": {"query": "lease"}}),
        "isBase64Encoded": False,
    }


class _Stub(BaseHTTPRequestHandler):
    """Answers for DynamoDB and SQS, with no more than boto3 needs."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Answer a call."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answers = {
            "GetItem": {
                "Item": next((item for item in (_ITEM, _HISTORY) if item["pk"] == body.get("Key", {}).get("pk")), _ITEM)
            },
            "SendMessage": {
                "MessageId": "m",
                "MD5OfMessageBody": hashlib.md5(body.get("MessageBody", "").encode(), usedforsecurity=False).hexdigest(),
            },
        }
        answer = json.dumps(answers.get(self.headers["x-amz-target"].partition(".")[2], {})).encode()
        self.send_response(200)
        self.send_header("content-type", "application/x-amz-json-1.0")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def stub() -> Iterator[str]:
    """Run the stub, and yield its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Stub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
