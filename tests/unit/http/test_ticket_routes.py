"""The answers of the operation that issues tickets, for real HTTP API events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asyncjobs.core.ticket import MAX_TICKET_JOBS
from tests.support.factories import JOB_ID, new_job
from tests.support.http_events import TICKET, TICKET_JOB, Answer
from tests.unit.http.in_memory_api import InMemoryApi

OTHER = "00000000-0000-4000-8000-000000000001"


def issued(api: InMemoryApi, **body: Any) -> Answer:
    return api.call(TICKET, body=json.dumps(body))


@pytest.fixture(autouse=True)
def _jobs(api: InMemoryApi) -> None:
    api.add_jobs(new_job(), new_job(async_job_id=OTHER, owner="bob"))


def test_ticket_lives_for_15_minutes_if_the_request_does_not_say_it(api: InMemoryApi) -> None:
    answer = issued(api, jobs=[JOB_ID])
    assert (answer.status, answer.body["expiresAt"]) == (201, "2026-11-21T12:15:00.000Z")
    assert issued(api, scope="owner", ttlSeconds=60).body["expiresAt"] == "2026-11-21T12:01:00.000Z"


def test_id_may_be_in_upper_case_and_null_is_as_good_as_left_out(api: InMemoryApi) -> None:
    answer = issued(api, jobs=[JOB_ID.upper()], scope=None, ttlSeconds=None)
    assert answer.status == 201
    opened = api.call(TICKET_JOB, async_job_id=JOB_ID, query={"ticket": answer.body["ticket"]})
    assert opened.status == 200


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/jobs"]),
        ({"jobs": [JOB_ID], "scope": "owner"}, ["/jobs"]),
        ({"jobs": []}, ["/jobs"]),
        ({"jobs": [JOB_ID] * (MAX_TICKET_JOBS + 1)}, ["/jobs"]),
        ({"jobs": ["x"]}, ["/jobs/0"]),
        ({"scope": "everybody"}, ["/scope"]),
        ({"scope": "owner", "ttlSeconds": 901}, ["/ttlSeconds"]),
        ({"scope": "owner", "ttlSeconds": 0}, ["/ttlSeconds"]),
        ({"scope": "owner", "owner": "bob"}, ["/owner"]),
    ],
)
def test_invalid_request_is_400_with_each_problem(api: InMemoryApi, body: Any, pointers: list[str]) -> None:
    answer = issued(api, **body)
    assert (answer.status, answer.pointers) == (400, pointers)
    assert api.tickets.stored == {}


@pytest.mark.parametrize(
    "async_job_id", [OTHER, "00000000-0000-4000-8000-000000000009", "00000000-0000-1000-8000-000000000001"]
)
def test_ticket_for_a_job_of_another_or_of_nobody_is_404(api: InMemoryApi, async_job_id: str) -> None:
    answer = issued(api, jobs=[JOB_ID, async_job_id])
    assert (answer.status, answer.code) == (404, "JOB_NOT_FOUND")
    assert api.tickets.stored == {}
