"""Errors become problems (RFC 9457) with a status, a code and headers."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from asyncjobs.core.errors import AnotherIsRunning, AsyncJobsError, IllegalMove, InputProblem, NotAdmitted, Unavailable
from asyncjobs.core.job import AsyncJob
from asyncjobs.core.rate import SubmitRate
from asyncjobs.http.problems import invalid_request, to_problem
from tests.support.factories import JOB_ID
from tests.support.http_events import CANCEL, JOB
from tests.unit.http.in_memory_api import BODY, InMemoryApi


def test_invalid_request_names_each_place() -> None:
    problem = invalid_request(InputProblem("/a", "is required"), InputProblem("/b", "is not a known field"))
    assert problem.extensions == {
        "errors": [{"pointer": "/a", "detail": "is required"}, {"pointer": "/b", "detail": "is not a known field"}]
    }


SIX_A_MINUTE = {"rate": SubmitRate(per_minute=6, burst=2)}


def test_exceeded_rate_is_429_with_retry_after() -> None:
    api = InMemoryApi(limits=SIX_A_MINUTE)
    assert [api.submit(BODY).status for _ in range(2)] == [202, 202]
    api.clock.advance(seconds=1.5)
    answer = api.submit(BODY)
    assert (answer.status, answer.body["code"]) == (429, "SUBMIT_RATE_EXCEEDED")
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.body["type"], answer.body["status"]) == ("urn:asyncjobs:problem:SUBMIT_RATE_EXCEEDED", 429)
    assert answer.headers["retry-after"] == "9"
    assert (answer.headers["ratelimit-policy"], answer.headers["ratelimit"]) == ('"submit";q=2;w=20', '"submit";r=0;t=9')
    api.clock.advance(seconds=9)
    assert api.submit(BODY).status == 202


def test_too_many_unfinished_jobs_are_429_until_one_is_cancelled() -> None:
    api = InMemoryApi(limits={"max_live": 1})
    job = api.submit(BODY).body
    answer = api.submit(BODY)
    assert (answer.status, answer.body["code"], answer.headers["retry-after"]) == (429, "TOO_MANY_LIVE_JOBS", "10")
    api.call(CANCEL, async_job_id=job["asyncJobId"])
    assert api.submit(BODY).status == 202


def test_full_queue_is_503_but_a_replay_is_accepted() -> None:
    api = InMemoryApi(limits={"max_backlog": 1})
    assert api.submit(BODY, key="k").status == 202
    api.clock.advance(seconds=5)
    answer = api.submit(BODY)
    assert (answer.status, answer.body["code"], answer.headers["retry-after"]) == (503, "BUSY", "10")
    assert api.submit(BODY, key="k").headers["idempotency-replayed"] == "true"


def test_unavailable_table_is_503_with_retry_after(api: InMemoryApi) -> None:
    api.store.failures.append(Unavailable("throttled"))
    answer = api.call(JOB, async_job_id=JOB_ID)
    assert (answer.status, answer.body["code"], answer.headers["retry-after"]) == (503, "UNAVAILABLE", "2")


def test_unavailable_says_that_a_submit_without_a_key_may_create_a_second_job(api: InMemoryApi) -> None:
    """An applied put whose answer was lost looks like a failed one: only a key makes the repeated submit find its job."""
    api.store.failures.append(Unavailable("answer lost"))
    detail = api.submit(BODY).body["detail"]
    assert "same Idempotency-Key" in detail
    assert "without a key, a repeated submit may create a second job" in detail


def test_submit_whose_outcome_is_unknown_names_the_job_to_look_for(api: InMemoryApi) -> None:
    add = api.store.add_if_absent

    def put_and_lose_the_answer(job: AsyncJob, now: datetime) -> AsyncJob | None:
        add(job, now)
        raise Unavailable("answer lost")

    api.store.add_if_absent = put_and_lose_the_answer  # type: ignore[method-assign]  # for this test
    lost = api.submit(BODY)
    assert (lost.status, lost.body["code"], "`asyncJobId`" in lost.body["detail"]) == (503, "UNAVAILABLE", True)
    assert api.call(JOB, async_job_id=lost.body["asyncJobId"]).status == 200


@pytest.mark.parametrize("error", NotAdmitted.__subclasses__(), ids=lambda error: error.__name__)
def test_each_refusal_has_a_problem_with_retry_after(error: type[NotAdmitted]) -> None:
    options = {"async_job_id": None} if error is AnotherIsRunning else {"message": ""}
    problem = to_problem(error(retry_after=timedelta(seconds=1.5), **options))
    assert problem is not None
    assert problem.headers["retry-after"] == "2"


@pytest.mark.parametrize("error", [IllegalMove("x"), AsyncJobsError("x"), ValueError("x")], ids=repr)
def test_error_that_only_a_bug_raises_has_no_problem(error: Exception) -> None:
    assert to_problem(error) is None


def test_exclusive_job_is_409_with_the_id_of_the_callers_running_job(api: InMemoryApi) -> None:
    running = api.submit({"jobType": "api.is_alone"})
    refused = api.submit({"jobType": "api.is_alone"})
    assert (running.status, refused.status, refused.body["code"]) == (202, 409, "JOB_CREATION_FAILED")
    assert refused.body["title"] == "Another operation is already running"
    assert (refused.body["asyncJobId"], refused.headers["retry-after"]) == (running.body["asyncJobId"], "10")
    stranger = api.submit({"jobType": "api.is_alone"}, owner="bob")
    assert (stranger.status, stranger.body["code"], "asyncJobId" in stranger.body) == (409, "JOB_CREATION_FAILED", False)
    assert running.body["asyncJobId"] not in json.dumps(stranger.body)


def test_problem_has_the_members_of_rfc_9457_a_code_and_the_request_id(api: InMemoryApi) -> None:
    answer = api.call(JOB, async_job_id="no id")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body == {
        "type": "urn:asyncjobs:problem:JOB_NOT_FOUND",
        "title": "Job not found",
        "status": 404,
        "code": "JOB_NOT_FOUND",
        "detail": "Check the id. The job does not exist, belongs to another owner, or has expired.",
        "requestId": "JKJaXmPLvHcESHA=",
    }
