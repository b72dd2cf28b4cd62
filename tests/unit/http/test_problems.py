"""Errors become problems (RFC 9457) with a status, a code and headers."""

from __future__ import annotations

import json

from asyncjobs.core.errors import Unavailable
from asyncjobs.core.rate import SubmitRate
from tests.support.factories import JOB_ID
from tests.unit.http.in_memory_api import BODY, CANCEL, JOB, InMemoryApi

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


def test_unavailable_table_is_503(api: InMemoryApi) -> None:
    api.store.failures.append(Unavailable("throttled"))
    assert api.call(JOB, async_job_id=JOB_ID).status == 503


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
        "title": "There is no such job",
        "status": 404,
        "code": "JOB_NOT_FOUND",
        "detail": "It does not exist, is not yours, or has expired.",
        "requestId": "JKJaXmPLvHcESHA=",
    }
