"""Routes of a job type's own: path, query and body become its input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from asyncjobs.core.job import AsyncJob, JobFailure, Result, job_id_for
from tests.support.factories import NOW, OWNER, new_job
from tests.support.http_events import JOB, Answer
from tests.unit.http.in_memory_api import FAILURE, SEARCH, SEARCH_SYNCHRONOUS, InMemoryApi, SimulatedWait


def search(api: InMemoryApi, route: str = SEARCH, query: Mapping[str, str] | None = None, **event: Any) -> Answer:
    event.setdefault("body", "")
    return api.call(route, query=query, path={"subject": "war & peace"}, **event)


def stored_input(api: InMemoryApi) -> Any:
    (job,) = api.store.jobs.values()
    assert job.job_type == "api.searches"
    return json.loads(job.input or "null")


def test_path_and_query_are_read_as_their_schema_types(api: InMemoryApi) -> None:
    query = {"limit": "10", "ratio": "0.5", "exact": "true", "tags": "a,b"}
    answer = search(api, query=query)
    assert (answer.status, answer.body["jobType"], answer.headers["vary"]) == (202, "api.searches", "Prefer")
    assert stored_input(api) == {"subject": "war & peace", "limit": 10, "ratio": 0.5, "exact": True, "tags": ["a", "b"]}


def test_body_fields_are_not_converted(api: InMemoryApi) -> None:
    assert search(api, body='{"limit": 3, "tags": ["a,b"]}').status == 202
    assert stored_input(api) == {"subject": "war & peace", "limit": 3, "tags": ["a,b"]}


@pytest.mark.parametrize(
    ("query", "body", "pointers"),
    [
        ({"limit": "ten"}, "", ["/limit"]),
        ({"limit": "1000"}, "", ["/limit"]),
        ({"limit": "1.5"}, "", ["/limit"]),
        ({"ratio": "nan"}, "", ["/ratio"]),
        ({"exact": "yes"}, "", ["/exact"]),
        ({"colour": "red"}, "", ["/colour"]),
        ({"limit": "1"}, '{"limit": 2}', ["/limit"]),
        ({}, '{"subject": "peace"}', ["/subject"]),
        ({"subject": "peace"}, "", ["/subject"]),
        ({}, "[]", [""]),
    ],
)
def test_invalid_field_is_named_where_the_caller_put_it(
    api: InMemoryApi, query: dict[str, str], body: str, pointers: list[str]
) -> None:
    answer = search(api, query=query, body=body)
    assert (answer.status, sorted(set(answer.pointers))) == (400, pointers)
    assert api.store.jobs == {}


def test_route_accepts_an_idempotency_key_and_a_preference(api: InMemoryApi, wait: SimulatedWait) -> None:
    headers = {"idempotency-key": "k", "prefer": "wait=3"}
    first, again = search(api, headers=headers), search(api, headers=headers)
    assert first.headers["preference-applied"] == "wait=3"
    assert wait.elapsed == pytest.approx(6, abs=0.2)
    assert (again.body["asyncJobId"], again.headers["idempotency-replayed"]) == (first.body["asyncJobId"], "true")


def finished_search(**end: Any) -> AsyncJob:
    job = new_job(job_type="api.searches", async_job_id=job_id_for(OWNER, "k"))
    running = job.claimed(by="w", now=NOW, lease_until=NOW)
    return running.completed(now=NOW, **end) if "result" in end else running.failed(now=NOW, **end)


def search_synchronously(api: InMemoryApi, wait: SimulatedWait, *end: AsyncJob) -> Answer:
    wait.events = [(2, job) for job in end]
    return search(api, SEARCH_SYNCHRONOUS, headers={"idempotency-key": "k"})


def test_synchronous_route_returns_the_bare_result(api: InMemoryApi, wait: SimulatedWait) -> None:
    answer = search_synchronously(api, wait, finished_search(result=Result(text='["found"]')))
    assert (answer.status, answer.text) == (200, '["found"]')
    assert answer.headers["location"].endswith(job_id_for(OWNER, "k"))


def test_synchronous_route_redirects_to_a_large_result(api: InMemoryApi, wait: SimulatedWait) -> None:
    answer = search_synchronously(api, wait, finished_search(result=Result(location="results/x")))
    assert (answer.status, answer.headers["location"]) == (303, f"/api/v1/jobs/{job_id_for(OWNER, 'k')}/result")


def test_synchronous_route_is_500_when_the_job_fails(api: InMemoryApi, wait: SimulatedWait) -> None:
    answer = search_synchronously(api, wait, finished_search(error=FAILURE))
    assert (answer.status, answer.body["code"], answer.body["error"]["code"]) == (500, "JOB_FAILED", "HOPELESS")


def test_synchronous_route_is_400_when_the_job_rejects_its_input(api: InMemoryApi, wait: SimulatedWait) -> None:
    error = JobFailure(code="INVALID_INPUT", message="/: must be even", type="Fatal", retryable=False)
    answer = search_synchronously(api, wait, finished_search(error=error))
    assert (answer.status, answer.body["code"], answer.body["error"]["code"]) == (400, "INVALID_INPUT", "INVALID_INPUT")


def test_synchronous_route_is_409_when_the_job_is_cancelled(api: InMemoryApi, wait: SimulatedWait) -> None:
    waiting = new_job(job_type="api.searches", async_job_id=job_id_for(OWNER, "k"))
    answer = search_synchronously(api, wait, waiting.cancelled(now=NOW))
    assert (answer.status, answer.body["code"]) == (409, "JOB_CANCELLED")
    assert answer.headers["location"].endswith(answer.body["asyncJobId"])


def test_synchronous_route_is_504_after_20_seconds_with_the_jobs_location(api: InMemoryApi, wait: SimulatedWait) -> None:
    answer = search_synchronously(api, wait)
    assert (answer.status, answer.body["code"]) == (504, "JOB_NOT_COMPLETED")
    assert answer.body["asyncJobId"] == job_id_for(OWNER, "k")
    assert wait.elapsed == pytest.approx(20, abs=0.2)
    assert "retry-after" in answer.headers
    assert api.call(JOB, async_job_id=job_id_for(OWNER, "k")).status == 200
