"""POST /jobs/{asyncJobId}/cancel: immediate and final."""

from __future__ import annotations

import httpx
import pytest

from tests.deployed.http.conftest import Later
from tests.support.deployed import Caller, Job


def cancel(caller: Caller, job: Job) -> httpx.Response:
    return caller.post(f"/jobs/{job['asyncJobId']}/cancel")


def test_waiting_job_is_cancelled_immediately(alice: Caller, later: Later) -> None:
    job = later()
    answer = cancel(alice, job)
    assert (answer.status_code, answer.json()["status"]) == (httpx.codes.OK, "CANCELLED")
    assert answer.json()["endedAt"] == answer.json()["updatedAt"] >= job["createdAt"]
    assert alice.job(job) == answer.json()


def test_running_job_is_cancelled_immediately(alice: Caller) -> None:
    job = alice.submit("sample.works", {"seconds": 60})
    running = alice.wait_for(job, lambda found: found["progress"] > 0)
    answer = cancel(alice, job)
    assert (answer.status_code, answer.json()["status"]) == (httpx.codes.OK, "CANCELLED")
    assert answer.json()["startedAt"] == running["startedAt"]
    assert alice.job(job) == answer.json()


def test_second_cancel_is_200_and_changes_nothing(alice: Caller, cancelled: Job) -> None:
    again = cancel(alice, cancelled)
    assert (again.status_code, again.json()) == (httpx.codes.OK, cancelled)


@pytest.mark.parametrize("state", ["completed", "failed"])
def test_cancel_of_a_completed_or_failed_job_is_409(alice: Caller, request: pytest.FixtureRequest, state: str) -> None:
    job = request.getfixturevalue(state)
    answer = cancel(alice, job)
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.CONFLICT, "JOB_ALREADY_FINISHED")
    assert alice.job(job) == job
