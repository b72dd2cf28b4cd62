"""Call the API of a deployed stack as its users do. Every answer is checked against the OpenAPI document that the stack serves."""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import boto3
import httpx

from local import users
from local.process import REGION
from local.stack import LocalStack, Outputs
from tests.deployed.openapi.contract import Contract
from tests.support.pace import SLOWNESS

TLS = ssl.create_default_context()
"""For all clients: to read this machine's certificates takes longer than most requests, none of which needs them."""
FINISHED = {"COMPLETED", "FAILED", "CANCELLED"}
UNKNOWN = "00000000-0000-4000-8000-000000000000"
Job = dict[str, Any]


@dataclass(frozen=True)
class Given:
    """An answer that the API gave. `code` is the problem's; None for other answers."""

    operation: str
    status: int
    code: str | None


class AnswerChecker:
    """Checks each answer of an API, as an event hook of its clients, and keeps a set of them."""

    _TRANSPORT = re.compile("date|server|connection|keep-alive|content-length|access-control-.*|x-amzn?-.*|apigw-requestid")
    """Headers that a gateway adds to any answer."""

    def __init__(self, document: dict[str, Any], base_url: str) -> None:
        self.document = document
        self.seen: set[Given] = set()
        self._contract = Contract(document)
        self._base_path = httpx.URL(base_url).path
        # If two paths match, the one with fewer parameters wins, as in the gateway.
        paths = sorted(document["paths"], key=lambda path: (path.count("{"), path))
        self._paths = {path: re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))) for path in paths}

    def matches(self, template: str, path: str) -> bool:
        """Return whether the path is an instance of the document's path template."""
        return self._paths[template].fullmatch(path) is not None

    def __call__(self, answer: httpx.Response) -> None:
        path = answer.request.url.raw_path.decode().partition("?")[0].removeprefix(self._base_path)
        method = answer.request.method.lower()  # HEAD is not documented: its answers have no body to check
        paths = self.document["paths"]
        route = next((named for named in self._paths if method in paths[named] and self.matches(named, path)), None)
        if route is None:
            return
        answer.read()
        headers = {name: value for name, value in answer.headers.items() if not self._TRANSPORT.fullmatch(name)}
        self._contract.check(f"{method.upper()} {route}", answer.status_code, headers, answer.text)
        is_problem = answer.headers.get("content-type") == "application/problem+json"
        operation = paths[route][method]["operationId"]
        self.seen.add(Given(operation, answer.status_code, answer.json()["code"] if is_problem else None))


@dataclass(frozen=True)
class Caller:
    """A user of the API."""

    http: httpx.Client
    owner: str

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.http.post(path, **options)

    def get(self, path: str | httpx.URL, **options: Any) -> httpx.Response:
        return self.http.get(path, **options)

    def patch(self, path: str, **options: Any) -> httpx.Response:
        return self.http.patch(path, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        return self.http.delete(path, **options)

    def submit(self, job_type: str, input: Any = None, *, priority: str = "standard", **headers: str) -> Job:
        body = {"jobType": job_type, "input": input or {}, "priority": priority}
        answer = self.post("/jobs", json=body, headers=headers)
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        job: Job = answer.json()
        return job

    def upload(self, data: bytes, content_type: str = "application/octet-stream") -> str:
        """Upload the bytes and return their key."""
        answer = self.post("/uploads", json={"contentType": content_type, "contentLength": len(data)})
        assert answer.status_code == httpx.codes.CREATED, answer.text
        upload = answer.json()
        stored = httpx.put(upload["url"], content=data, headers=upload["headers"], trust_env=False, verify=TLS, timeout=60)
        assert stored.status_code == httpx.codes.OK, stored.text
        key: str = upload["key"]
        return key

    def job(self, job: Job) -> Job:
        answer = self.get(f"/jobs/{job['asyncJobId']}")
        assert answer.status_code == httpx.codes.OK, answer.text
        found: Job = answer.json()
        return found

    def wait_for(self, job: Job, until: Callable[[Job], bool] | None = None, *, seconds: float = 300) -> Job:
        """Poll until the job has ended, or until `until` is true. A cold start takes long on a busy machine."""
        end = time.monotonic() + seconds
        while True:
            found = self.job(job)
            if until(found) if until else found["status"] in FINISHED:
                return found
            assert time.monotonic() < end, f"not reached: {found}"
            assert found["status"] not in FINISHED, f"ended early: {found}"
            time.sleep(0.1)


def followed(answer: httpx.Response) -> httpx.URL:
    """Return the URL of an answer's `Location`, which is relative to the request's URL (RFC 9110 10.2.2)."""
    return answer.url.join(answer.headers["location"])


@dataclass(frozen=True)
class Api:
    """The API of one deployment and its users."""

    outputs: Outputs
    checker: AnswerChecker
    stack: LocalStack
    _clients: list[httpx.Client] = field(default_factory=list)
    _callers: dict[str, Caller] = field(default_factory=dict)
    _signing_in: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    @contextmanager
    def of(cls, stack: LocalStack, outputs: Outputs) -> Iterator[Api]:
        """Open the API of the stack. All its clients are closed at the end."""
        base_url = f"{outputs.api_url}/api/v1"
        document = httpx.get(f"{base_url}/openapi.json", timeout=120, trust_env=False, verify=TLS).raise_for_status().json()
        api = cls(outputs, AnswerChecker(document, base_url), stack)
        yield api
        for client in api._clients:
            client.close()

    def caller(self, name: str) -> Caller:
        """Sign the user in, once."""
        with self._signing_in:
            if name not in self._callers:
                token = users.token(self.outputs, self._session, name)
                self._callers[name] = Caller(self.client_with_token(token), users.subject(token))
            return self._callers[name]

    @cached_property
    def _session(self) -> boto3.Session:
        """Return one session for all users. Each new one reads the models of AWS's services again."""
        return self.stack.session

    def client_with_token(self, token: str) -> httpx.Client:
        """Return a client that sends this token, valid or not."""
        return self.client(authorization=f"Bearer {token}")

    def client(self, **headers: str) -> httpx.Client:
        """Return a client that sends these headers and no token."""
        self._clients.append(
            httpx.Client(
                base_url=f"{self.outputs.api_url}/api/v1",
                headers=headers,
                timeout=120,
                trust_env=False,
                verify=TLS,
                event_hooks={"response": [self.checker]},
            )
        )
        return self._clients[-1]


@dataclass(frozen=True)
class LimitedDeployment:
    """A second deployment of the same build, with every limit and the event bus on."""

    api: Api
    worker_name: str


def deploy_again(stack: LocalStack, name: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """Deploy the stack's build under another name, and return the physical IDs of its resources by their logical ones.

    CloudFormation gets the stack's own template, which names what `sam deploy` has uploaded: another one would upload it again.
    """
    cloudformation = stack.session.client("cloudformation", endpoint_url=stack.endpoint_url)
    deployed = stack.outputs.stack_name
    template = cloudformation.get_template(StackName=deployed, TemplateStage="Original")["TemplateBody"]
    ((own,), (sams,)) = (
        cloudformation.describe_stacks(StackName=each)["Stacks"] for each in (deployed, "aws-sam-cli-managed-default")
    )
    known = {each["ParameterKey"]: each["ParameterValue"] for each in own["Parameters"]}
    given = {**{key: known[key] for key in ("PythonRuntime", "Architecture")}, **parameters}
    (bucket,) = (each["OutputValue"] for each in sams["Outputs"] if each["OutputKey"] == "SourceBucket")
    s3 = stack.session.client("s3", endpoint_url=stack.endpoint_url)
    s3.put_object(Bucket=bucket, Key="again.template", Body=json.dumps(template).encode())
    cloudformation.create_stack(
        StackName=name,
        TemplateURL=f"https://s3.{REGION}.amazonaws.com/{bucket}/again.template",
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    resources = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
    return {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}


def wait_until(condition: Callable[[], bool], *, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not true after {seconds} s"
        time.sleep(0.1)


@contextmanager
def worker_paused(stack: LocalStack, queue_url: str, *, worker_name: str) -> Iterator[None]:
    """Stop the worker from reading the queue inside the `with` block."""
    functions: Any = stack.session.client("lambda", endpoint_url=stack.endpoint_url)
    name = queue_url.rpartition("/")[2]
    mappings = functions.list_event_source_mappings(FunctionName=worker_name)["EventSourceMappings"]
    (mapping,) = (found["UUID"] for found in mappings if found["EventSourceArn"].endswith(f":{name}"))

    def switch(*, on: bool) -> None:
        functions.update_event_source_mapping(UUID=mapping, Enabled=on)
        state = "Enabled" if on else "Disabled"
        wait_until(lambda: functions.get_event_source_mapping(UUID=mapping)["State"] == state)

    switch(on=False)
    try:
        yield
    finally:
        switch(on=True)


def log_events(stack: LocalStack, job: Job, *, until: str) -> list[dict[str, Any]]:
    """Return every log line about the job, from all functions, once `until` is logged: a line follows the write that it reports."""
    end = time.monotonic() + 10 * SLOWNESS
    while True:
        lines = _log_events(stack, job)
        if until in [line["message"] for line in lines] or time.monotonic() > end:
            return lines
        time.sleep(0.2)


def _log_events(stack: LocalStack, job: Job) -> list[dict[str, Any]]:
    logs = stack.session.client("logs", endpoint_url=stack.endpoint_url)
    lines: list[dict[str, Any]] = []
    for group in logs.describe_log_groups()["logGroups"]:
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=group["logGroupName"], filterPattern=f'"{job["asyncJobId"]}"'
        )
        for page in pages:
            lines += [json.loads(event["message"]) for event in page["events"] if event["message"].startswith("{")]
    return [line for line in lines if line.get("asyncJobId") == job["asyncJobId"]]
