"""POST /jobs/{asyncJobId}/retry: a failed or cancelled job starts again with the same id."""

from __future__ import annotations

import httpx
import pytest

from tests.deployed.http.conftest import Later
from tests.support.deployed import Caller, Job


def retry(caller: Caller, job: Job) -> httpx.Response:
    return caller.post(f"/jobs/{job['asyncJobId']}/retry")


def test_retry_of_a_failed_job_is_202_and_has_all_its_attempts(alice: Caller) -> None:
    problem = alice.post("/jobs", json={"jobType": "sample.is_quick", "input": {"turn": "gives up"}}).json()
    failed = alice.job(problem)
    answer = retry(alice, failed)
    again = answer.json()
    assert answer.status_code == httpx.codes.ACCEPTED
    assert int(answer.headers["retry-after"]) > 0
    assert (again["asyncJobId"], again["createdAt"]) == (failed["asyncJobId"], failed["createdAt"])
    assert (again["status"], again["attempt"], again["maxAttempts"], again["progress"]) == ("PENDING", 0, 3, 0)
    assert [again[name] for name in ("startedAt", "endedAt", "error")] == [None, None, None]
    ended = alice.wait_for(again)
    assert (ended["status"], ended["attempt"], ended["startedAt"] > failed["endedAt"]) == ("FAILED", 1, True)


def test_retry_of_a_cancelled_job_is_202_and_runs(alice: Caller, later: Later) -> None:
    job = later()
    alice.post(f"/jobs/{job['asyncJobId']}/cancel")
    answer = retry(alice, job)
    assert (answer.status_code, answer.json()["status"]) == (httpx.codes.ACCEPTED, "PENDING")
    assert alice.wait_for(job)["status"] == "COMPLETED"


@pytest.mark.parametrize("state", ["waiting", "running", "completed"])
def test_retry_of_any_other_job_is_409(alice: Caller, request: pytest.FixtureRequest, state: str) -> None:
    answer = retry(alice, request.getfixturevalue(state))
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.CONFLICT, "JOB_NOT_RETRYABLE")
