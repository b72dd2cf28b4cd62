"""Quick jobs in the submit function: their attempts after each end of the first one."""

from __future__ import annotations

import httpx
import pytest

from local.stack import LocalStack
from tests.support.deployed import Caller, log_events


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


def test_quick_job_that_kills_its_process_is_accepted(alice: Caller, key: str) -> None:
    assert quick(alice, "dies", **{"idempotency-key": key}).status_code >= 500
    again = quick(alice, "dies", **{"idempotency-key": key})
    assert (again.status_code, again.headers["idempotency-replayed"]) == (httpx.codes.ACCEPTED, "true")
    assert (again.json()["status"], again.json()["attempt"]) == ("IN_PROGRESS", 1)
    assert alice.post(f"/jobs/{again.json()['asyncJobId']}/cancel").status_code == httpx.codes.OK
