"""Priorities: none waits for another, and each message is in its own queue with its owner's group.

SQS shares a queue fairly between groups; the emulator keeps the group but does not share.
"""

from __future__ import annotations

import hashlib
import threading
import time
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from asyncjobs.aws.items import milliseconds_value, primary_key
from asyncjobs.core.job import JobKey
from asyncjobs.core.message import JobMessage
from local.stack import LocalStack
from tests.conftest import WORKERS
from tests.support.deployed import Caller, wait_until, worker_paused
from tests.support.pace import SLOWNESS

Job = dict[str, Any]


class Queues:
    """The stack's queues, by priority, and the mappings that read them."""

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack
        names = {"high": "HighQueue", "standard": "Queue", "low": "LowQueue"}
        self._urls = {priority: self.physical(name) for priority, name in names.items()}

    def client(self, service: Any) -> Any:
        return self._stack.session.client(service, endpoint_url=self._stack.endpoint_url)

    def physical(self, name: str) -> str:
        answer = self.client("cloudformation").describe_stack_resource(
            StackName=self._stack.outputs.stack_name, LogicalResourceId=name
        )
        return str(answer["StackResourceDetail"]["PhysicalResourceId"])

    def backlog(self, priority: str) -> int:
        answer = self.client("sqs").get_queue_attributes(
            QueueUrl=self._urls[priority], AttributeNames=["ApproximateNumberOfMessages"]
        )
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def groups(self, priority: str, count: int) -> dict[str, str]:
        """Return the group of each job's message when there are that many. The messages stay in the queue."""
        found: dict[str, str] = {}
        end = time.monotonic() + 120
        while len(found) < count:
            assert time.monotonic() < end, found
            answer = self.client("sqs").receive_message(
                QueueUrl=self._urls[priority],
                MaxNumberOfMessages=10,
                VisibilityTimeout=0,
                MessageSystemAttributeNames=["MessageGroupId"],
            )
            for message in answer.get("Messages", []):
                found[JobMessage.parse(message["Body"]).key.async_job_id] = message["Attributes"]["MessageGroupId"]
            time.sleep(1)  # each receive counts as a delivery, and a message may have twenty
        return found

    def worker_paused(self, priority: str) -> AbstractContextManager[None]:
        """Stop the worker from reading that queue inside the `with` block."""
        return worker_paused(self._stack, self._urls[priority], worker_name=self.physical("WorkerFunction"))

    def sweep(self) -> None:
        answer = self.client("lambda").invoke(FunctionName=self.physical("SweeperFunction"))
        assert "FunctionError" not in answer, answer["Payload"].read()


@pytest.fixture(scope="module")
def queues(stack: LocalStack) -> Queues:
    return Queues(stack)


def submit(caller: Caller, seconds: float, **fields: Any) -> Job:
    answer = caller.post("/jobs", json={"jobType": "sample.works", "input": {"seconds": seconds}, **fields})
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    job: Job = answer.json()
    return job


def cancel(caller: Caller, jobs: list[Job]) -> None:
    for job in jobs:
        caller.post(f"/jobs/{job['asyncJobId']}/cancel")


def runs(job: Job) -> bool:
    return bool(job["status"] == "IN_PROGRESS")


def test_invalid_priority_is_400_with_its_place(alice: Caller) -> None:
    answer = alice.post("/jobs", json={"jobType": "sample.returns", "priority": "urgent"})
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/priority"]


def test_other_priorities_run_while_every_standard_worker_is_busy(alice: Caller, bob: Caller, queues: Queues) -> None:
    busy = [submit(alice, 60 * SLOWNESS) for _ in range(WORKERS)]
    for job in busy:
        alice.wait_for(job, runs)
    behind = [submit(alice, 0) for _ in range(3)]
    others = [submit(bob, 0.5, priority=priority) for priority in ("high", "low")]
    done = [bob.wait_for(job) for job in others]
    assert [(job["status"], job["priority"]) for job in done] == [("COMPLETED", "high"), ("COMPLETED", "low")]
    # The workers were busy the whole time.
    assert [alice.job(job)["status"] for job in busy] == ["IN_PROGRESS"] * WORKERS
    assert [alice.job(job)["status"] for job in behind] == ["PENDING"] * 3
    assert queues.backlog("standard") >= 3
    cancel(alice, busy)
    assert [alice.wait_for(job)["status"] for job in behind] == ["COMPLETED"] * 3


def test_low_job_ends_in_time_under_an_overload_of_high_ones(alice: Caller, bob: Caller, queues: Queues) -> None:
    stream: list[Job] = []
    stopping = threading.Event()

    def submit_repeatedly() -> None:
        while not stopping.is_set():
            stream.append(submit(alice, 5, priority="high"))
            stopping.wait(0.3)

    submitting = threading.Thread(target=submit_repeatedly)
    submitting.start()
    try:
        wait_until(lambda: queues.backlog("high") >= 3)
        low = [submit(bob, 0.5, priority="low") for _ in range(3)]
        done = [bob.wait_for(job) for job in low]
        behind = queues.backlog("high")
    finally:
        stopping.set()
        submitting.join()
        cancel(alice, stream)
    assert [job["status"] for job in done] == ["COMPLETED"] * 3
    assert behind >= 3, "the stream of jobs did not overload its workers"


def test_submit_and_sweeper_send_low_jobs_to_the_low_queue_in_their_owners_groups(
    alice: Caller, bob: Caller, stack: LocalStack, queues: Queues
) -> None:
    with queues.worker_paused("low"):
        # Submit leaves a job that starts in an hour to the sweeper.
        swept = [(caller, submit(caller, 0, priority="low", delaySeconds=3600)) for caller in (alice, bob)]
        sent = [(caller, submit(caller, 0, priority="low")) for caller in (alice, bob)]
        now = milliseconds_value(datetime.now(UTC))
        for caller, job in swept:
            queues.client("dynamodb").update_item(
                TableName=stack.outputs.table_name,
                Key=primary_key(JobKey(caller.owner, job["asyncJobId"])),
                UpdateExpression="SET notBefore = :now, dueAt = :now",
                ExpressionAttributeValues={":now": now},
            )
        queues.sweep()
        assert queues.groups("low", 4) == {
            job["asyncJobId"]: hashlib.sha256(caller.owner.encode()).hexdigest() for caller, job in (*swept, *sent)
        }
        assert {caller.job(job)["status"] for caller, job in (*swept, *sent)} == {"PENDING"}
    assert {caller.wait_for(job)["status"] for caller, job in (*swept, *sent)} == {"COMPLETED"}


def test_retried_low_job_returns_from_its_own_queue(bob: Caller) -> None:
    answer = bob.post("/jobs", json={"jobType": "sample.succeeds_at_last", "priority": "low"})
    # A message that was not returned there would arrive after an hour and a half, or earlier by a sweep.
    done = bob.wait_for(answer.json(), seconds=25 * SLOWNESS)
    assert (done["status"], done["attempt"]) == ("COMPLETED", 3)
