"""Routes of a job type's own: path, query and body become its input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, TypeAdapter

from asyncjobs.core.job import AsyncJob, JobFailure, Result, job_id_for
from asyncjobs.http.request import Request
from asyncjobs.http.route_input import input_of
from tests.support.factories import NOW, OWNER, new_job
from tests.support.http_events import JOB, Answer, http_event
from tests.unit.http.in_memory_api import FAILURE, SEARCH, SEARCH_SYNCHRONOUS, InMemoryApi, SimulatedWait


def search(api: InMemoryApi, route: str = SEARCH, query: Mapping[str, str] | str | None = None, **event: Any) -> Answer:
    event.setdefault("body", "")
    event.setdefault("path", {"subject": "war & peace"})
    return api.call(route, query=query, **event)


def stored_input(api: InMemoryApi) -> Any:
    (job,) = api.store.jobs.values()
    assert job.job_type == "api.searches"
    return json.loads(job.input or "null")


def test_path_and_query_are_read_as_their_schema_types(api: InMemoryApi) -> None:
    answer = search(api, query="limit=10&ratio=0.5&exact=true&tags=a,b")
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
        ("limit=1&limit=2", "", ["/limit"]),
        ("limit=1&limit=1", "", ["/limit"]),
        ("subject=", "", ["/subject"]),
        ("limit=", "", ["/limit"]),
        ("limit=1%202", "", ["/limit"]),
        ("a%2Fb~=1", "", ["/a~1b~0"]),
        ("tags=a%00b", "", ["/tags"]),
        ("tags=%FF", "", ["/tags"]),
        ("tags=%ED%A0%80", "", ["/tags"]),
        ("%00=a&a=%00", "", ["", "/a"]),
        ("%FF=a", "", [""]),
        ("tags=\ud800", "", ["/tags"]),
    ],
    ids=ascii,
)
def test_invalid_field_is_named_where_the_caller_put_it(
    api: InMemoryApi, query: dict[str, str] | str, body: str, pointers: list[str]
) -> None:
    answer = search(api, query=query, body=body)
    assert (answer.status, sorted(set(answer.pointers))) == (400, pointers)
    assert api.store.jobs == {}


@pytest.mark.parametrize(
    ("query", "tags"),
    [
        ("tags=Smith%2C%20John", ["Smith, John"]),
        ("tags=Smith%2C%20John&tags=Doe%2c+Jane", ["Smith, John", "Doe, Jane"]),
        ("tags=a,b&tags=c", ["a", "b", "c"]),
        ("tags=a%2Cb,c", ["a,b", "c"]),
        ("tags=", [""]),
        ("tags", [""]),
        ("tags=a%26b%3Dc%2B", ["a&b=c+"]),
        ("tags=100%", ["100%"]),
        ("&tags=a&&", ["a"]),
        ("t%61gs=%C3%BC", ["\u00fc"]),
    ],
)
def test_only_an_unencoded_comma_and_a_repetition_separate_the_values_of_a_list(
    api: InMemoryApi, query: str, tags: list[str]
) -> None:
    assert search(api, query=query).status == 202
    assert stored_input(api)["tags"] == tags


def test_text_in_the_query_keeps_its_commas(api: InMemoryApi) -> None:
    assert search(api, path={}, query="subject=war,+peace%2C%20etc.").status == 202
    assert stored_input(api) == {"subject": "war, peace, etc."}


def test_optional_list_is_read_by_the_schema_of_its_items(api: InMemoryApi) -> None:
    assert search(api, query="pages=1,2&pages=3").status == 202
    assert stored_input(api)["pages"] == [1, 2, 3]


class Level(IntEnum):
    """How much."""

    LOW = 1
    HIGH = 2


class Filters(BaseModel):
    """Fields whose types have names, or follow from their values."""

    level: Level = Level.LOW
    other: Level | None = None
    levels: list[Level] = []
    version: Literal[2, "latest", True] = "latest"
    first: Literal[1] = 1
    span: tuple[int, str] = (0, "")
    sizes: set[int] = set()
    exact: bool = False


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("level=2", {"level": 2}),
        ("other=2", {"other": 2}),
        ("levels=1,2&levels=2", {"levels": [1, 2, 2]}),
        ("version=2", {"version": 2}),
        ("version=latest", {"version": "latest"}),
        ("first=1", {"first": 1}),
        ("span=3,4", {"span": [3, "4"]}),
        ("sizes=3&sizes=4", {"sizes": [3, 4]}),
        ("exact=True", {"exact": True}),
        ("exact=FALSE", {"exact": False}),
        ("exact=yes", {"exact": "yes"}),
    ],
)
def test_type_of_a_field_is_found_wherever_its_schema_is(query: str, value: Any) -> None:
    request = Request(http_event(SEARCH_SYNCHRONOUS, "alice", query=query))
    assert input_of(request, TypeAdapter(Filters).json_schema()) == value


@pytest.mark.parametrize("subject", ["a\x00b", "\ud800", "a\ufffdb"], ids=ascii)
def test_unclean_text_in_the_path_is_400(api: InMemoryApi, subject: str) -> None:
    answer = search(api, path={"subject": subject})
    assert (answer.status, answer.pointers, api.store.jobs) == (400, ["/subject"], {})


def test_percent_sign_in_the_path_arrives(api: InMemoryApi) -> None:
    """API Gateway decodes every escape of a path but this one."""
    assert search(api, path={"subject": "100%25 + more"}).status == 202
    assert stored_input(api)["subject"] == "100% + more"


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


def test_get_with_a_body_is_400(api: InMemoryApi) -> None:
    """RFC 9110 9.3.1: it has no meaning, and a proxy may drop it."""
    answer = search(api, SEARCH_SYNCHRONOUS, body='{"limit": 1}')
    assert (answer.status, answer.pointers, api.store.jobs) == (400, [""], {})


def test_synchronous_route_redirects_to_a_large_result(api: InMemoryApi, wait: SimulatedWait) -> None:
    answer = search_synchronously(api, wait, finished_search(result=Result(location="results/x")))
    assert (answer.status, answer.headers["location"]) == (303, f"../jobs/{job_id_for(OWNER, 'k')}/result")


def test_synchronous_route_redirects_a_client_that_accepts_only_the_results_own_type(
    api: InMemoryApi, wait: SimulatedWait
) -> None:
    wait.events = [(2, finished_search(result=Result(location="results/x")))]
    assert search(api, SEARCH_SYNCHRONOUS, headers={"idempotency-key": "k", "accept": "text/csv"}).status == 303


def test_synchronous_route_is_406_with_the_jobs_location_for_a_client_that_accepts_no_json(
    api: InMemoryApi, wait: SimulatedWait
) -> None:
    wait.events = [(2, finished_search(result=Result(text="1")))]
    answer = search(api, SEARCH_SYNCHRONOUS, headers={"idempotency-key": "k", "accept": "text/csv"})
    assert (answer.status, answer.body["code"]) == (406, "NOT_ACCEPTABLE")
    assert answer.headers["location"].endswith(job_id_for(OWNER, "k"))


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
