"""The Lambda handlers, with the sample events, the template's variables and moto."""

from __future__ import annotations

import importlib.util
import inspect
import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from asyncjobs.aws.lambda_continuations import LambdaContinuations, event_of
from asyncjobs.core.administration import BulkTask
from asyncjobs.core.errors import InvocationFailed
from tests.adapters.conftest import create_table
from tests.support.events import LambdaContext, sample
from tests.support.lines import unconfigured_logger
from tests.template.source import ROOT, resources, variables

Handler = Callable[[dict[str, Any], Any], Any]


@dataclass
class Stack:
    """The functions and the queue between them."""

    queue_url: str
    handlers: dict[str, Handler]
    log: io.StringIO

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        return self.handlers[function](event, LambdaContext())

    def call(self, function: str, event: dict[str, Any], async_job_id: str | None = None) -> tuple[int, Any]:
        if async_job_id is not None:
            event["pathParameters"]["asyncJobId"] = async_job_id
        answer = self.invoke(function, event)
        return answer["statusCode"], json.loads(answer["body"])

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]

    def delivered(self) -> dict[str, Any]:
        """Return the SQS event with the oldest message of the queue."""
        event, client = sample("worker-sqs"), boto3.client("sqs")
        (message,) = client.receive_message(QueueUrl=self.queue_url)["Messages"]
        event["Records"][0] |= {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:{self.queue_url.rpartition('/')[2]}",
            "body": message["Body"],
        }
        return event


def load(function: str) -> Handler:
    spec = importlib.util.spec_from_file_location(f"{function}_app", ROOT / "functions" / function / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    handler: Handler = module.handler
    return handler


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Create an empty table, queue and bucket, and load the functions with their names."""
    request.getfixturevalue("aws_account")
    queue_url = boto3.client("sqs").create_queue(QueueName="functions")["QueueUrl"]
    boto3.client("s3").create_bucket(Bucket="functions")
    made = {"AWS::StackName": "orders", "Table": create_table(boto3.client("dynamodb")), "Bucket": "functions"}
    with unconfigured_logger(), pytest.MonkeyPatch.context() as patch:
        for name, value in variables(
            {**made, **dict.fromkeys(("HighQueue", "Queue", "LowQueue", "DeliveryQueue", "DeadLetterQueue"), queue_url)}
        ).items():
            patch.setenv(name, value)
        patch.setenv("DIALECTS", "daemon,entity,tracking")
        patch.setenv("IMMEDIATE_MILLISECONDS", "-1")  # the worker runs every job
        patch.setenv("WEBHOOKS", "ON")
        patch.setenv("WEB_SOCKET", "ON")
        patch.setenv("JWT_ISSUER", "https://id.example")  # whose document the console reads
        patch.setenv("CONSOLE_CLIENT_ID", "web")
        with redirect_stdout(io.StringIO()) as log:  # where the functions log
            handlers = {path.parent.name: load(path.parent.name) for path in sorted(ROOT.glob("functions/*/app.py"))}
        yield Stack(queue_url, handlers, log)


def test_job_is_submitted_run_and_read(stack: Stack) -> None:
    status, accepted = stack.call("submit", sample("submit"))
    assert (status, accepted["status"]) == (202, "PENDING")
    assert stack.invoke("worker", stack.delivered()) == {"batchItemFailures": []}
    status, job = stack.call("status", sample("status"), accepted["asyncJobId"])
    assert (status, job["status"], job["attempt"]) == (200, "COMPLETED", 1)
    assert job["result"]["matchCount"] > 0
    given = json.loads(sample("submit")["body"])["input"]
    assert stack.call("status", sample("status-input"), accepted["asyncJobId"]) == (200, given)


@pytest.mark.parametrize(("function", "event"), [("status", "status"), ("submit", "cancel")])
def test_request_id_of_a_problem_is_in_the_functions_log(stack: Stack, function: str, event: str) -> None:
    _, problem = stack.call(function, sample(event))
    line = stack.lines()[-1]
    assert line["message"] == "PROBLEM_ANSWERED"
    assert (line["requestId"], line["errorCode"]) == (problem["requestId"], problem["code"])


def breaks(*_args: Any, **_options: Any) -> Any:
    raise RuntimeError("canary")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, stack: Stack) -> Stack:
    """Return functions whose calls of other services fail by a bug, which an adapter does not translate."""
    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", breaks)
    monkeypatch.setitem(inspect.unwrap(stack.handlers["console"]).__globals__, "urlopen", breaks)
    return stack


BUGS = [
    ("submit", "submit"),
    ("submit", "cancel"),
    ("submit", "ticket"),
    ("submit", "create-webhook"),
    ("status", "status"),
    ("status", "status-list"),
    ("status", "status-ticket"),
    ("dialects", "compat-submit"),
    ("dialects", "compat-status"),
    ("admin", "admin-job"),
    ("admin", "admin-bulk"),
    ("console", "console-page"),
    ("socket", "socket-connect"),
    ("socket", "socket-message"),
    ("socket", "socket-disconnect"),
]
"""For each function behind an API, events by which it calls another service."""


def test_each_function_behind_an_api_is_tried_with_a_bug() -> None:
    sockets = json.dumps(resources("AWS::Serverless::WebSocketApi"))
    behind = {
        function["Properties"]["CodeUri"].removeprefix("functions/")
        for name, function in resources("AWS::Serverless::Function").items()
        if any(event["Type"] == "HttpApi" for event in function["Properties"].get("Events", {}).values())
        or f'["{name}", "Arn"]' in sockets
    }
    assert behind == {function for function, _ in BUGS}


@pytest.mark.parametrize(("function", "name"), BUGS)
def test_bug_is_answered_with_the_id_of_the_request_and_logged_without_its_text(
    broken: Stack, function: str, name: str
) -> None:
    event, before = sample(name), len(broken.lines())
    answer = broken.invoke(function, event)  # an error raised here is one whose text Lambda logs, and the gateway's answer
    request_id = event["requestContext"]["requestId"]
    (line,) = [line for line in broken.lines()[before:] if line["message"] == "REQUEST_FAILED"]
    assert (line["requestId"], line["errorType"]) == (request_id, "RuntimeError")
    assert "canary" not in json.dumps(broken.lines()[before:])
    assert "canary" not in json.dumps(answer)
    body = json.loads(answer.get("body") or "{}")
    if function == "dialects":
        assert (answer["statusCode"], answer["headers"]["x-request-id"]) == (500, request_id)
    elif name == "socket-message":
        assert (body["problem"]["code"], body["problem"]["requestId"]) == ("INTERNAL_ERROR", request_id)
    elif function == "socket":  # the client of a handshake reads nothing but its status (docs/notifications.md)
        assert answer == {"statusCode": 500}
    else:
        assert (answer["statusCode"], body["code"], body["requestId"]) == (500, "INTERNAL_ERROR", request_id)


def test_sample_cancel_ends_the_job(stack: Stack) -> None:
    event = sample("submit")
    event["headers"]["idempotency-key"] = "to-be-cancelled"
    _, accepted = stack.call("submit", event)
    status, job = stack.call("submit", sample("cancel"), accepted["asyncJobId"])
    assert (status, job["status"]) == (200, "CANCELLED")
    assert stack.invoke("worker", stack.delivered()) == {"batchItemFailures": []}


@pytest.mark.parametrize(
    ("function", "event"),
    [
        ("status", "status"),
        ("status", "status-input"),
        ("status", "status-result"),
        ("submit", "cancel"),
        ("submit", "retry"),
        ("submit", "delete"),
        ("submit", "update"),
        *(
            ("admin", f"admin-{name}")
            for name in ("job", "events", "input", "result", "cancel", "retry", "delete", "bulk-outcomes")
        ),
    ],
)
def test_samples_for_an_unknown_job_are_404(stack: Stack, function: str, event: str) -> None:
    status, problem = stack.call(function, sample(event))
    assert (status, problem["code"]) == (404, "JOB_NOT_FOUND")


@pytest.mark.parametrize(
    ("function", "event", "expected"),
    [
        ("status", "status-list", 200),
        ("status", "status-job-types", 200),
        ("status", "status-health", 200),
        ("status", "status-openapi", 200),
        ("submit", "upload", 201),
        ("submit", "delete-upload", 204),
        ("submit", "report", 401),
        ("submit", "create-webhook", 201),
        ("submit", "list-webhooks", 200),
        ("submit", "delete-webhook", 404),
        ("submit", "rotate-webhook", 404),
        ("submit", "test-webhook", 404),
        ("admin", "admin-rights", 200),
        ("admin", "admin-live-jobs", 200),
        ("admin", "admin-jobs", 200),
        # The queues have pollers in a deployment only: tests/deployed/http.
        *(("admin", f"admin-{name}", 200) for name in ("failed-groups", "failed-jobs", "types", "bulk", "audit")),
        ("dialects", "compat-submit", 202),
        ("dialects", "compat-status", 404),
        ("dialects", "compat-report", 404),
        ("dialects", "compat-put", 404),
        ("dialects", "compat-delete", 405),
    ],
)
def test_samples_of_the_other_routes_are_answered(stack: Stack, function: str, event: str, expected: int) -> None:
    assert stack.invoke(function, sample(event))["statusCode"] == expected


def test_action_on_many_jobs_goes_on_by_events_of_the_function_itself(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    event = sample("submit")
    event["headers"]["idempotency-key"] = "to-be-cancelled-with-others"
    _, accepted = stack.call("submit", event)
    tasks = list[BulkTask]()
    monkeypatch.setattr(LambdaContinuations, "go_on", lambda _, task: tasks.append(task))
    request = sample("admin-bulk")
    request["headers"]["prefer"] = "respond-async"
    named = {"asyncJobId": accepted["asyncJobId"], "owner": request["requestContext"]["authorizer"]["jwt"]["claims"]["sub"]}
    request["body"] = json.dumps({"action": "cancel", "jobs": [named]})
    status, action = stack.call("admin", request)
    assert (status, action["status"]) == (202, "PENDING")
    assert stack.invoke("admin", dict(event_of(tasks.pop()))) == {}
    owned = stack.call("status", sample("status"), action["asyncJobId"])[1]
    assert (owned["status"], owned["result"]["outcomes"]) == ("COMPLETED", {"DONE": 1})
    assert stack.call("status", sample("status"), accepted["asyncJobId"])[1]["status"] == "CANCELLED"
    _, outcomes = stack.call("admin", sample("admin-bulk-outcomes"), action["asyncJobId"])
    assert outcomes["outcomes"] == [{**named, "outcome": "DONE"}]
    assert stack.invoke("worker", stack.delivered()) == {"batchItemFailures": []}


def test_action_on_many_jobs_that_was_deleted_does_nothing(stack: Stack) -> None:
    task = BulkTask(owner="ops", async_job_id="none", request_id="r", request={"action": "cancel", "live": {}})
    assert stack.invoke("admin", dict(event_of(task))) == {}


def test_action_on_many_jobs_without_the_permission_to_go_on_fails_visibly(stack: Stack) -> None:
    # Here the account has no function of this name.
    request = sample("admin-bulk")
    request["headers"]["prefer"] = "respond-async"
    request["body"] = json.dumps({"action": "cancel", "live": {"owner": "nobody"}})
    status, problem = stack.call("admin", request)
    assert (status, problem["code"]) == (503, "UNAVAILABLE")
    jobs = stack.call("status", {**sample("status-list"), "rawQueryString": "status=FAILED"})[1]["jobs"]
    assert ("admin.action", "FAILED", "NOT_STARTED") in [
        (job["jobType"], job["status"], (job["error"] or {}).get("code")) for job in jobs
    ]


def test_message_of_an_unknown_job_is_acknowledged(stack: Stack) -> None:
    assert stack.invoke("worker", sample("worker-sqs")) == {"batchItemFailures": []}


def test_sample_schedule_runs_one_sweep(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(logging.getLogger("asyncjobs"), "handlers", [Collected(lines)])
    stack.invoke("sweeper", sample("sweeper-schedule"))
    assert lines == ["SWEPT"]


def test_durations_from_the_stream_set_the_retry_after_of_status(stack: Stack) -> None:
    submit = sample("submit")
    submit["headers"]["idempotency-key"] = "to-be-waited-for"
    _, accepted = stack.call("submit", submit)
    event = sample("stream-changes")
    event["Records"] *= 40
    stack.invoke("stream", event)
    other = load("status")  # the first one caches what it read
    answer = other({**sample("status"), "pathParameters": {"asyncJobId": accepted["asyncJobId"]}}, LambdaContext())
    assert 12 <= int(answer["headers"]["retry-after"]) <= 14
    assert stack.invoke("worker", stack.delivered()) == {"batchItemFailures": []}


@pytest.mark.parametrize("function", ["worker", "stream"])
def test_failed_invocation_names_only_the_type_of_its_error(stack: Stack, function: str) -> None:
    with pytest.raises(InvocationFailed, match=r"^KeyError$"):
        stack.invoke(function, {"Records": [{}]})


class Collected(logging.Handler):
    """Keeps the message of each log line."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())
