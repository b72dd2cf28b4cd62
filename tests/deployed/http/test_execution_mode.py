"""Synchronous and asynchronous execution, and the Prefer header (RFC 7240)."""

from __future__ import annotations

import httpx
import pytest

from tests.support.deployed import Api, Caller
from tests.support.prefetch import Timed, answered_within, prefetch

QUICK = {"jobType": "sample.is_quick"}
SLOW = {"jobType": "sample.returns"}
WAITS = {"jobType": "sample.returns", "delaySeconds": 600}


@pytest.mark.parametrize("job_type", ["sample.is_quick", "text.search"])
def test_quick_job_is_200_with_its_result(alice: Caller, job_type: str) -> None:
    answer = alice.post("/jobs", json={"jobType": job_type, "input": {"query": "lease"} if job_type == "text.search" else {}})
    job = answer.json()
    assert (answer.status_code, job["status"], job["attempt"], job["progress"]) == (httpx.codes.OK, "COMPLETED", 1, 100)
    assert (job["resultType"], job["result"] is not None) == ("INLINE", True)
    assert answer.headers["location"] == f"jobs/{job['asyncJobId']}"
    assert "retry-after" not in answer.headers
    assert alice.job(job) == job


@pytest.mark.parametrize(
    "job_type", ["sample.returns", "sample.is_quick_elsewhere"], ids=["not quick", "quick, and forbids it"]
)
def test_other_job_is_202_and_runs_in_a_worker(alice: Caller, job_type: str) -> None:
    answer = alice.post("/jobs", json={"jobType": job_type})
    assert (answer.status_code, answer.json()["status"]) == (httpx.codes.ACCEPTED, "PENDING")
    assert "preference-applied" not in answer.headers


@pytest.mark.parametrize(("seconds", "status"), [(0.2, 200), (2, 202)])
def test_callers_estimate_decides_between_200_and_202(alice: Caller, seconds: float, status: int) -> None:
    answer = alice.post("/jobs", json={**QUICK, "estimatedSeconds": seconds})
    assert answer.status_code == status


def test_delayed_quick_job_is_202(alice: Caller) -> None:
    answer = alice.post("/jobs", json={**QUICK, "delaySeconds": 600})
    assert (answer.status_code, answer.json()["status"]) == (httpx.codes.ACCEPTED, "PENDING")


def test_respond_async_is_202_with_preference_applied(alice: Caller) -> None:
    """RFC 7240 4.1, 3."""
    answer = alice.post("/jobs", json=QUICK, headers={"prefer": "respond-async"})
    assert (answer.status_code, answer.json()["status"]) == (httpx.codes.ACCEPTED, "PENDING")
    assert answer.headers["preference-applied"] == "respond-async"


def test_wait_returns_the_finished_job_with_preference_applied(alice: Caller) -> None:
    """RFC 7240 4.3, 3."""
    answer = alice.post("/jobs", json=SLOW, headers={"prefer": "wait=15"})
    assert (answer.status_code, answer.json()["status"]) == (httpx.codes.OK, "COMPLETED")
    assert answer.headers["preference-applied"] == "wait=15"
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("wait=600", "wait=20"),
        ("Wait=4;foo=bar", "wait=4"),
        ('wait="4"', "wait=4"),
        ("wait=4, wait=9", "wait=4"),
        ("handling=lenient, wait=4", "wait=4"),
        ("wait=soon", None),
        ("wait=-1", None),
        ("wait=", None),
        ("handling=lenient", None),
        (",;=,", None),
    ],
)
def test_preference_applied_shows_what_was_applied(alice: Caller, prefer: str, applied: str | None) -> None:
    """RFC 7240 2, 3: a wait is limited to 20 s, of two the first one counts, and an invalid one is ignored."""
    answer = alice.post("/jobs", json=QUICK, headers={"prefer": prefer})
    assert (answer.status_code, answer.headers.get("preference-applied")) == (httpx.codes.OK, applied)


@prefetch
def wait_shorter_than_the_job(api: Api) -> Timed:
    return Timed.call(lambda: api.caller("alice").post("/jobs", json=WAITS, headers={"prefer": "wait=2"}))


def test_wait_that_ends_before_the_job_is_202() -> None:
    waited = answered_within(18, wait_shorter_than_the_job)
    assert (waited.answer.status_code, waited.answer.json()["status"]) == (httpx.codes.ACCEPTED, "PENDING")
    assert waited.answer.headers["preference-applied"] == "wait=2"
    assert int(waited.answer.headers["retry-after"]) > 0
    assert 2 <= waited.seconds < 18  # and not the maximum of 20 s


@prefetch
def respond_async_with_wait(api: Api) -> Timed:
    return Timed.call(lambda: api.caller("alice").post("/jobs", json=WAITS, headers={"prefer": "respond-async, wait=1"}))


def test_respond_async_with_wait_waits_first_and_is_then_202() -> None:
    """RFC 7240 4.3: wait is the time until the client prefers an asynchronous answer."""
    waited = respond_async_with_wait.result()
    assert (waited.answer.status_code, waited.answer.headers["preference-applied"]) == (httpx.codes.ACCEPTED, "wait=1")
    assert waited.seconds >= 1


@pytest.mark.parametrize("body", [QUICK, WAITS], ids=["200", "202"])
@pytest.mark.parametrize("headers", [{}, {"prefer": "wait=0"}], ids=["no preference", "preference"])
def test_answer_varies_by_prefer(alice: Caller, body: dict[str, object], headers: dict[str, str]) -> None:
    """RFC 7240 2, RFC 9110 12.5.5."""
    assert alice.post("/jobs", json=body, headers=headers).headers["vary"] == "Prefer"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"jobType": "sample.is_quick", "input": {"turn": "gives up"}}, {}),
        ({"jobType": "sample.gives_up"}, {"prefer": "wait=15"}),
    ],
    ids=["quick job", "wait"],
)
def test_job_that_fails_during_the_wait_is_500_with_its_id_and_error(
    alice: Caller, body: dict[str, object], headers: dict[str, str]
) -> None:
    answer = alice.post("/jobs", json=body, headers=headers)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (httpx.codes.INTERNAL_SERVER_ERROR, "JOB_FAILED")
    assert problem["error"] == {
        "code": "HOPELESS",
        "message": "This will never work: change the input.",
        "type": "Fatal",
        "retryable": False,
    }
    assert answer.headers["location"] == f"jobs/{problem['asyncJobId']}"
    assert answer.headers["vary"] == "Prefer"


def test_input_that_the_job_rejects_during_the_wait_is_400(alice: Caller) -> None:
    answer = alice.post("/jobs", json={"jobType": "sample.halves", "input": {"number": 7}}, headers={"prefer": "wait=15"})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["error"]["code"]) == (400, "INVALID_INPUT", "INVALID_INPUT")
    assert alice.job(problem)["status"] == "FAILED"
    assert (alice.job(problem)["status"], alice.job(problem)["error"]) == ("FAILED", problem["error"])


@prefetch
def slow_job_of_a_quick_type(api: Api) -> Timed:
    # No other test needs this type to be quick: durations are learned.
    body = {"jobType": "sample.is_quick_async", "input": {"turn": "dawdles"}}
    return Timed.call(lambda: api.caller("alice").post("/jobs", json=body))


def test_slow_job_of_a_quick_type_is_202_after_5_seconds_and_retried(alice: Caller) -> None:
    slow = answered_within(18, slow_job_of_a_quick_type)
    job = slow.answer.json()
    assert (slow.answer.status_code, job["status"], job["attempt"]) == (httpx.codes.ACCEPTED, "PENDING", 1)
    assert job["error"]["code"] == "HANDED_OVER"
    assert 5 <= slow.seconds < 18  # and not the 20 s of the job
    done = alice.wait_for(job)
    assert (done["status"], done["result"], done["attempt"], done["error"]) == ("COMPLETED", 2, 2, None)
