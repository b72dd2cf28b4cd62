"""The real template, with the zoo among its jobs, deployed by the real `sam deploy` on an engine of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from local import users
from local.stack import LocalStack, Outputs

ROOT = Path(__file__).parents[2]
DEPLOYED = ("template.yaml", "samconfig.toml", "functions", "layers")
FINISHED = {"COMPLETED", "FAILED", "CANCELLED"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("e2e")


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as a user has it who added one file of jobs: the zoo."""
    tree = tmp_path_factory.mktemp("tree")
    for name in DEPLOYED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree / name)
    shutil.copy(ROOT / "tests/zoo.py", tree / "layers/jobs/jobs/zoo.py")
    subprocess.run(
        [sys.executable, "-m", "asyncjobs.generate"],
        check=True,
        env={**os.environ, "PYTHONPATH": f"{tree}/layers/asyncjobs:{tree}/layers/jobs"},
    )
    return tree


@pytest.fixture(scope="session")
def stack(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    stack = LocalStack(tree, tmp_path_factory.mktemp("state"))
    stack.start(env={"AUTH": "true"})  # permissions are enforced: a missing one fails here as it would on AWS
    with stack:
        stack.deploy()
        yield stack


@pytest.fixture(scope="session")
def outputs(stack: LocalStack) -> Outputs:
    return stack.outputs


@dataclass(frozen=True)
class Caller:
    """A user of the API."""

    http: httpx.Client
    owner: str

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.http.post(path, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.http.get(path, **options)

    def delete(self, path: str) -> httpx.Response:
        return self.http.delete(path)

    def submit(self, job_type: str, input: Any = None, **headers: str) -> dict[str, Any]:
        answer = self.post("/jobs", json={"jobType": job_type, "input": input or {}}, headers=headers)
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        job: dict[str, Any] = answer.json()
        return job

    def job(self, job: dict[str, Any]) -> dict[str, Any]:
        answer = self.get(f"/jobs/{job['asyncJobId']}")
        assert answer.status_code == httpx.codes.OK, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def wait_for(
        self, job: dict[str, Any], until: Callable[[dict[str, Any]], bool] | None = None, *, seconds: float = 30
    ) -> dict[str, Any]:
        """Poll until the job has ended, or until it is as it should be."""
        end = time.monotonic() + seconds
        while True:
            found = self.job(job)
            if until(found) if until else found["status"] in FINISHED:
                return found
            assert time.monotonic() < end, f"still {found}"
            assert found["status"] not in FINISHED, f"ended before: {found}"
            time.sleep(0.1)


@pytest.fixture(scope="session")
def caller(stack: LocalStack, outputs: Outputs) -> Iterator[Callable[[str], Caller]]:
    """Signs a user in, by name."""
    callers: dict[str, Caller] = {}

    def sign_in(name: str) -> Caller:
        if name not in callers:
            token = users.token(outputs, stack.session, name)
            http = httpx.Client(
                base_url=f"{outputs.api_url}/api/v1", headers={"authorization": f"Bearer {token}"}, timeout=30, trust_env=False
            )
            callers[name] = Caller(http, users.subject(token))
        return callers[name]

    yield sign_in
    for signed_in in callers.values():
        signed_in.http.close()


@pytest.fixture(scope="session")
def alice(caller: Callable[[str], Caller]) -> Caller:
    return caller("alice")


@pytest.fixture(scope="session")
def bob(caller: Callable[[str], Caller]) -> Caller:
    return caller("bob")


@pytest.fixture
def key() -> str:
    """An idempotency key that no other test uses."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Killing:
    """A worker that was killed in the middle of a job."""

    job: dict[str, Any]
    pid: int
    at: float


@pytest.fixture(scope="session", autouse=True)
def killing(alice: Caller) -> Killing:
    """Done first of all: the takeover takes up to a minute and a half, and the other tests run meanwhile."""
    job = alice.submit("zoo.works", {"seconds": 12})
    running = alice.wait_for(job, lambda found: found["progress"] > 0)
    pid = int(running["message"].split()[1])
    os.kill(pid, signal.SIGKILL)
    return Killing(running, pid, time.monotonic())


def pid_is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return state != "Z"


def log_events(stack: LocalStack, job: dict[str, Any], *, until: str) -> list[dict[str, Any]]:
    """Every line that any function logged about the job, once that one is there: a line comes after the write that it tells of."""
    end = time.monotonic() + 10
    while True:
        lines = _log_events(stack, job)
        if until in [line["message"] for line in lines] or time.monotonic() > end:
            return lines
        time.sleep(0.2)


def _log_events(stack: LocalStack, job: dict[str, Any]) -> list[dict[str, Any]]:
    logs = stack.session.client("logs", endpoint_url=stack.endpoint_url)
    lines: list[dict[str, Any]] = []
    for group in logs.describe_log_groups()["logGroups"]:
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"]):
            lines += [json.loads(event["message"]) for event in page["events"] if event["message"].startswith("{")]
    return [line for line in lines if line.get("asyncJobId") == job["asyncJobId"]]
