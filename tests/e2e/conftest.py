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

from asyncjobs.clock import epoch_milliseconds, utc_now
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


# ── What takes a minute or more is begun first of all, and goes on while the other tests run ──


@pytest.fixture(scope="session", autouse=True)
def begun_early(request: pytest.FixtureRequest) -> None:
    """By those tests only that will be run."""
    used = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    for name in ("killing", "dying", "widowed", "overdue", "first_look"):
        if name in used:
            request.getfixturevalue(name)


@pytest.fixture(scope="session")
def killing(alice: Caller) -> Killing:
    job = alice.submit("zoo.works", {"seconds": 12})
    running = alice.wait_for(job, lambda found: found["progress"] > 0)
    pid = int(running["message"].split()[1])
    os.kill(pid, signal.SIGKILL)
    return Killing(running, pid, time.monotonic())


@pytest.fixture(scope="session")
def dying(caller: Callable[[str], Caller]) -> tuple[Caller, dict[str, Any]]:
    """A job that takes its process along."""
    mallory = caller("mallory")
    return mallory, mallory.submit("zoo.dies_once")


@pytest.fixture(scope="session")
def widowed(caller: Callable[[str], Caller]) -> tuple[Caller, dict[str, Any], dict[str, Any], float]:
    """Whose holder's worker was killed, and when: the holder of a lock, and who waits for it."""
    carol = caller("carol")
    holder = carol.submit("zoo.takes_turns", {"seconds": 3})
    running = carol.wait_for(holder, lambda found: found["status"] == "IN_PROGRESS" and found["progress"] > 0)
    heir = carol.submit("zoo.takes_turns", {"seconds": 0})
    os.kill(int(running["message"].split()[1]), signal.SIGKILL)
    return carol, holder, heir, time.time()


@pytest.fixture(scope="session")
def overdue(caller: Callable[[str], Caller], stack: LocalStack, outputs: Outputs) -> tuple[Caller, list[dict[str, Any]]]:
    """Two tracked jobs whose deadline is over: one waits, one runs."""
    trent = caller("trent")
    jobs = [trent.post("/jobs", json={}).json() for _ in range(2)]
    assert trent.http.patch(f"/jobs/{jobs[1]['asyncJobId']}", json={"progress": 45}).is_success
    dynamodb = stack.session.client("dynamodb", endpoint_url=outputs.endpoint_url)
    for job in jobs:
        dynamodb.update_item(
            TableName=outputs.table_name,
            Key={"pk": {"S": f"J#{trent.owner}#{job['asyncJobId']}"}},
            UpdateExpression="SET deadlineAt = :past, dueAt = :past",
            ExpressionAttributeValues={":past": {"N": str(epoch_milliseconds(utc_now()))}},
        )
    return trent, jobs


@pytest.fixture(scope="session")
def first_look(caller: Callable[[str], Caller]) -> tuple[httpx.Response, float]:
    """What is told of the first job of a type, and when: the function that tells it learns no better for a minute."""
    erin = caller("erin")
    job = erin.submit("zoo.returns_async", {"seconds": 5})
    erin.wait_for(job, lambda found: found["status"] == "IN_PROGRESS")
    return erin.get(f"/jobs/{job['asyncJobId']}"), time.monotonic()


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
