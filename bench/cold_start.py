"""How long a cold start of `submit` and `status` takes, as a ratio to a bare handler that makes the same boto3 calls.

A fresh process each time, from its start to the first answered request, on what `sam build` made; AWS is a stub on this
machine, so that only our own code differs. The two alternate, so that a machine that slows down slows both.

    make bench            # or: python -m bench.cold_start [runs]
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from local.sam import Sam, Tools, architecture

ROOT = Path(__file__).parents[1]
STATE = ROOT / ".local" / "bench"
BUILD = STATE / "build"
TOOLS = Tools()
BUDGET = 1.30
JOB_ID = "3f2b8c1e-4d5a-4b6c-8d7e-9f0a1b2c3d4e"

ITEM: dict[str, Any] = {
    "pk": {"S": f"J#alice#{JOB_ID}"},
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

HISTORY: dict[str, Any] = {
    "pk": {"S": "D#text.search"},
    "durations": {"S": json.dumps({str(bucket): 5 for bucket in range(20, 80)})},
    "revision": {"N": "7"},
}

BARE = {
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

RUN = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
import app
answer = app.handler(json.loads(sys.argv[2]), None)
assert answer["statusCode"] in (200, 202), answer
"""


def event(function: str) -> dict[str, Any]:
    """The request, as the HTTP API hands it over."""
    route = {"submit": "POST /api/v1/jobs", "status": "GET /api/v1/jobs/{asyncJobId}"}[function]
    return {
        "routeKey": route,
        "headers": {"content-type": "application/json"},
        "pathParameters": {"asyncJobId": JOB_ID},
        "requestContext": {"requestId": "r", "authorizer": {"jwt": {"claims": {"sub": "alice"}}}},
        "body": json.dumps({"jobType": "text.search", "input": {"query": "lease"}}),
        "isBase64Encoded": False,
    }


class Stub(BaseHTTPRequestHandler):
    """The least that boto3 takes for DynamoDB and SQS."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        answers = {
            "GetItem": {"Item": next((item for item in (ITEM, HISTORY) if item["pk"] == body.get("Key", {}).get("pk")), ITEM)},
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
        """Say nothing."""


@contextmanager
def stub() -> Iterator[str]:
    """The stub's address, while it runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class Cost:
    """Of one cold start: seconds on the clock, and of processor time, which a busy machine disturbs less."""

    wall: float
    cpu: float


def cold_start(path: list[str], request: dict[str, Any], endpoint: str) -> Cost:
    """One."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [TOOLS.lambda_python, "-c", RUN, json.dumps(path), json.dumps(request)],
        check=True,
        stdout=subprocess.DEVNULL,
        env={
            "PATH": os.environ["PATH"],
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "APPLICATION": "bench",
            "TABLE_NAME": "jobs",
            "QUEUE_URL": f"{endpoint}/queue",
            "BUCKET_NAME": "jobs",
            # So that submit asks what jobs of the type took. They took long, so this one goes to the queue.
            "IMMEDIATE_MILLISECONDS": "500",
            # A layer is mounted read-only: what it does not ship compiled is compiled at each cold start.
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main(runs: int) -> None:
    """Measure and print."""
    STATE.mkdir(parents=True, exist_ok=True)
    Sam(ROOT, STATE, TOOLS).build({"PythonRuntime": TOOLS.runtime(), "Architecture": architecture()})
    layers = [str(BUILD / layer / "python") for layer in ("JobsLayer", "AsyncjobsLayer")]
    with stub() as endpoint, tempfile.TemporaryDirectory() as folder:
        for function, logical_id in (("submit", "SubmitFunction"), ("status", "StatusFunction")):
            bare = Path(folder) / function
            bare.mkdir()
            (bare / "app.py").write_text(BARE[function])
            pairs = [
                (
                    cold_start([*layers, str(BUILD / logical_id)], event(function), endpoint),
                    cold_start([str(bare)], event(function), endpoint),
                )
                for _ in range(runs + 1)
            ][1:]  # the first pair warms the file cache
            print(f"{function:7}", *(_row(kind, pairs) for kind in ("cpu", "wall")), f"budget {BUDGET:.2f}", sep="   ")


def _row(kind: str, pairs: list[tuple[Cost, Cost]]) -> str:
    ours, floor = ([getattr(cost, kind) for cost in costs] for costs in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in zip(ours, floor, strict=True))
    return f"{kind} {statistics.median(ours) * 1000:4.0f} ms, bare {statistics.median(floor) * 1000:4.0f} ms, ratio {ratio:.2f}"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
