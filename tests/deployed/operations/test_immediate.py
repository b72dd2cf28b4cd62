"""Quick jobs in the submit function: their attempts after each end of the first one."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import httpx
import pytest

from asyncjobs.aws.dynamodb_history import DynamoHistory
from asyncjobs.core.durations import Durations
from local.stack import LocalStack
from tests.support.deployed import Caller, log_events
from tests.support.pace import SLOWNESS


def quick(caller: Caller, turn: str = "returns", job_type: str = "sample.is_quick", **headers: str) -> httpx.Response:
    return caller.post("/jobs", json={"jobType": job_type, "input": {"turn": turn}}, headers=headers)


@pytest.mark.parametrize("job_type", ["sample.is_quick", "sample.is_quick_async"])
def test_quick_job_is_accepted_started_and_completed_once(alice: Caller, stack: LocalStack, job_type: str) -> None:
    job = quick(alice, job_type=job_type).json()
    names = [line["message"] for line in log_events(stack, job, until="JOB_COMPLETED")]
    assert names == ["JOB_ACCEPTED", "JOB_STARTED", "JOB_COMPLETED"]


def test_quick_job_that_raises_is_retried_in_the_queue(alice: Caller, stack: LocalStack) -> None:
    answer = quick(alice, "raises")
    assert (answer.status_code, answer.json()["status"], answer.json()["attempt"]) == (httpx.codes.ACCEPTED, "PENDING", 1)
    assert alice.wait_for(answer.json())["result"] == 2
    lines = log_events(stack, answer.json(), until="JOB_COMPLETED")
    assert sorted(line["attempt"] for line in lines if line["message"] == "JOB_STARTED") == [1, 2]


def test_quick_job_that_kills_its_process_goes_to_a_worker(alice: Caller) -> None:
    answer = quick(alice, "dies")
    assert (answer.status_code, answer.json()["status"], answer.json()["attempt"]) == (httpx.codes.ACCEPTED, "PENDING", 1)
    assert alice.wait_for(answer.json())["result"] == 2


@pytest.mark.parametrize("turn", ["dawdles", "hangs"])
def test_quick_job_that_does_not_end_is_answered_in_time(alice: Caller, turn: str) -> None:
    quick(alice)  # a warm function
    began = time.monotonic()
    answer = quick(alice, turn)
    assert time.monotonic() - began < 5 + 5 * SLOWNESS
    assert (answer.status_code, answer.json()["status"], answer.json()["attempt"]) == (httpx.codes.ACCEPTED, "PENDING", 1)
    assert alice.wait_for(answer.json())["result"] == 2


def test_quick_job_that_leaves_a_thread_is_answered_when_it_ends(alice: Caller) -> None:
    quick(alice, job_type="sample.is_quick_async")  # a warm function
    began = time.monotonic()
    answer = quick(alice, "leaves a thread", job_type="sample.is_quick_async")
    assert time.monotonic() - began < 4 * SLOWNESS
    assert (answer.status_code, answer.json()["status"]) == (httpx.codes.OK, "COMPLETED")


def test_size_of_the_input_decides_between_now_and_later(alice: Caller, stack: LocalStack) -> None:
    history = DynamoHistory(stack.outputs.table_name, stack.session.client("dynamodb", endpoint_url=stack.endpoint_url))
    history.add("sample.grows#1", Durations.of([0.1] * 30), datetime.now(UTC))
    history.add("sample.grows#3", Durations.of([3] * 30), datetime.now(UTC))
    answers = {rows: alice.post("/jobs", json={"jobType": "sample.grows", "input": {"rows": rows}}) for rows in (12, 99, 1000)}
    assert {rows: answer.status_code for rows, answer in answers.items()} == {12: 200, 99: 200, 1000: 202}
    assert alice.wait_for(answers[1000].json())["attempt"] == 1
