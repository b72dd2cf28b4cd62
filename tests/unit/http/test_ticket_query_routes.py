"""The answers of the operations that a ticket opens, for real HTTP API events."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import Result
from tests.support.factories import JOB_ID, NOW, new_job, running_job
from tests.support.http_events import (
    CANCEL,
    DELETE,
    EVENTS,
    JOB,
    JOBS,
    RESULT,
    RETRY,
    TICKET,
    TICKET_EVENTS,
    TICKET_JOB,
    TICKET_JOBS,
    TICKET_RESULT,
    Answer,
)
from tests.unit.http.in_memory_api import InMemoryApi

OTHER = "00000000-0000-4000-8000-000000000001"
SUCCESSORS = {TICKET_JOB: JOB, TICKET_RESULT: RESULT, TICKET_EVENTS: EVENTS}
"""The operation that answers the same to an access token."""


def ticket_of(api: InMemoryApi, **body: Any) -> str:
    text: str = api.call(TICKET, body=json.dumps(body or {"jobs": [JOB_ID]})).body["ticket"]
    return text


def read(api: InMemoryApi, route: str, ticket: str, async_job_id: str = JOB_ID, **query: str) -> Answer:
    return api.call(route, owner="nobody", async_job_id=async_job_id, query={"ticket": ticket, **query})


@pytest.mark.parametrize("route", SUCCESSORS)
@pytest.mark.parametrize("location", [None, "results/3f2b8c1e/1"], ids=["inline", "in the bucket"])
def test_ticket_answers_as_an_access_token_does(api: InMemoryApi, route: str, location: str | None) -> None:
    job = running_job()
    result = Result(text='{"pages": 9}') if location is None else Result(location=f"results/{JOB_ID}/{job.generation}/1")
    api.add_jobs(job.completed(now=NOW, result=result))
    expected, answer = api.call(SUCCESSORS[route], async_job_id=JOB_ID), read(api, route, ticket_of(api))
    assert (answer.status, answer.text) == (expected.status, expected.text.replace("../../jobs", "../jobs"))


def test_links_lead_to_operations_that_the_ticket_opens(api: InMemoryApi) -> None:
    job = running_job()
    api.add_jobs(job.completed(now=NOW, result=Result(location=f"results/{JOB_ID}/{job.generation}/1")))
    body = read(api, TICKET_JOB, ticket_of(api)).body
    # Relative to /api/v1/tickets/jobs/{asyncJobId}.
    assert body["resultLocation"] == f"../jobs/{JOB_ID}/result"


@pytest.mark.parametrize("route", SUCCESSORS)
def test_ticket_may_be_in_the_header(api: InMemoryApi, route: str) -> None:
    api.add_jobs(running_job().completed(now=NOW, result=Result(text="9")))
    headers = {"authorization": f"Bearer {ticket_of(api)}"}
    assert api.call(route, owner="nobody", async_job_id=JOB_ID, headers=headers).status == 200


def test_ticket_waits_for_a_change(api: InMemoryApi) -> None:
    api.add_jobs(running_job())
    ticket = ticket_of(api)
    api.wait.events = [(3, running_job().completed(now=NOW, result=Result(text="9")))]
    answer = read(api, TICKET_JOB, ticket, wait="20")
    assert (answer.body["status"], answer.headers["preference-applied"]) == ("COMPLETED", "wait=20")


def test_event_source_follows_a_job_to_its_end(api: InMemoryApi) -> None:
    """It sends the ticket in the URL of each connection, and the last `id` in a header. 204 ends it."""
    running, ended = running_job(seq=2), running_job(seq=3).completed(now=NOW, result=Result(text="9"))
    api.add_jobs(running)
    ticket = ticket_of(api)

    def connect(last_id: str | None) -> Answer:
        headers = {"accept": "text/event-stream", **({} if last_id is None else {"last-event-id": last_id})}
        return api.call(TICKET_EVENTS, owner="nobody", async_job_id=JOB_ID, query={"ticket": ticket}, headers=headers)

    first = connect(None)
    assert (first.status, first.headers["content-type"]) == (200, "text/event-stream")
    assert "id: 2\n" in first.text
    api.wait.events = [(3, ended)]
    second = connect("2")
    assert second.text.count("data: ") == 1
    assert "id: 3\n" in second.text
    assert (connect("3").status, connect("3").text) == (204, "")


def test_event_source_of_an_expired_ticket_is_401_and_stops(api: InMemoryApi) -> None:
    api.add_jobs(running_job())
    ticket = ticket_of(api, jobs=[JOB_ID], ttlSeconds=1)
    api.clock.advance(seconds=1)
    answer = api.call(TICKET_EVENTS, async_job_id=JOB_ID, query={"ticket": ticket}, headers={"accept": "text/event-stream"})
    assert (answer.status, answer.code) == (401, "INVALID_TICKET")


def test_copy_that_is_current_is_304(api: InMemoryApi) -> None:
    api.add_jobs(running_job())
    ticket = ticket_of(api)
    etag = read(api, TICKET_JOB, ticket).headers["etag"]
    answer = api.call(TICKET_JOB, async_job_id=JOB_ID, query={"ticket": ticket}, headers={"if-none-match": etag})
    assert answer.status == 304


@pytest.mark.parametrize("route", [*SUCCESSORS, TICKET_JOBS])
def test_each_wrong_ticket_is_the_same_401(api: InMemoryApi, route: str) -> None:
    api.add_jobs(new_job())
    ticket, expired = ticket_of(api), ticket_of(api, jobs=[JOB_ID], ttlSeconds=1)
    api.clock.advance(seconds=1)
    wrong = ("", "x", ticket[:-1], ticket + "A", ticket.swapcase(), expired)
    answers = [read(api, route, text) for text in wrong]
    answers += [
        api.call(route, async_job_id=JOB_ID),
        api.call(route, async_job_id=JOB_ID, query=f"ticket={ticket}&ticket={ticket}"),
    ]
    assert {(answer.status, answer.code) for answer in answers} == {(401, "INVALID_TICKET")}
    assert all(answer == answers[0] for answer in answers)
    assert answers[0].headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("route", SUCCESSORS)
def test_job_that_is_not_on_the_ticket_is_404(api: InMemoryApi, route: str) -> None:
    api.add_jobs(new_job(), new_job(async_job_id=OTHER))
    ticket = ticket_of(api)
    answers = [read(api, route, ticket, async_job_id) for async_job_id in (OTHER, "00000000-0000-4000-8000-000000000009", "x")]
    assert [(answer.status, answer.code) for answer in answers] == [(404, "JOB_NOT_FOUND")] * 3


def test_ticket_of_an_owner_opens_later_jobs_too_and_no_others(api: InMemoryApi) -> None:
    ticket = ticket_of(api, scope="owner")
    api.add_jobs(new_job(), new_job(async_job_id=OTHER, owner="bob"))
    assert read(api, TICKET_JOB, ticket).status == 200
    assert read(api, TICKET_JOB, ticket, OTHER).status == 404


def test_ticket_of_an_owner_opens_the_list_as_an_access_token_does(api: InMemoryApi) -> None:
    api.add_jobs(new_job(), new_job(async_job_id=OTHER), new_job(async_job_id=OTHER[:-1] + "2", owner="bob"))
    ticket = ticket_of(api, scope="owner")
    first = api.call(TICKET_JOBS, owner="nobody", query={"ticket": ticket, "limit": "1"}).body
    assert first == api.call(JOBS, query={"limit": "1"}).body
    last = api.call(TICKET_JOBS, owner="nobody", query={"ticket": ticket, "limit": "1", "cursor": first["nextCursor"]}).body
    assert {page["jobs"][0]["asyncJobId"] for page in (first, last)} == {JOB_ID, OTHER}
    assert last["nextCursor"] is None


def test_links_of_the_list_lead_to_operations_that_the_ticket_opens(api: InMemoryApi) -> None:
    job = running_job()
    api.add_jobs(job.completed(now=NOW, result=Result(location=f"results/{JOB_ID}/{job.generation}/1")))
    [listed] = api.call(TICKET_JOBS, query={"ticket": ticket_of(api, scope="owner")}).body["jobs"]
    # Relative to /api/v1/tickets/jobs.
    assert listed["resultLocation"] == f"jobs/{JOB_ID}/result"


def test_ticket_for_single_jobs_opens_no_list(api: InMemoryApi) -> None:
    api.add_jobs(new_job())
    answer = api.call(TICKET_JOBS, query={"ticket": ticket_of(api)})
    assert (answer.status, answer.code) == (404, "JOB_NOT_FOUND")


def test_ticket_ends_with_its_job(api: InMemoryApi) -> None:
    body, key = {"jobType": "api.reads", "input": {"pages": 9}}, "key"
    job = api.submit(body, key=key).body
    ticket = ticket_of(api, jobs=[job["asyncJobId"]])
    api.call(CANCEL, async_job_id=job["asyncJobId"])
    assert api.call(DELETE, async_job_id=job["asyncJobId"]).status == 204
    assert {read(api, route, ticket, job["asyncJobId"]).status for route in SUCCESSORS} == {404}
    api.clock.advance(seconds=1)
    assert api.submit(body, key=key).body["asyncJobId"] == job["asyncJobId"]
    assert {read(api, route, ticket, job["asyncJobId"]).status for route in SUCCESSORS} == {404}


def test_ticket_survives_a_retry(api: InMemoryApi) -> None:
    job = api.submit({"jobType": "api.reads", "input": {"pages": 9}}).body
    ticket = ticket_of(api, jobs=[job["asyncJobId"]])
    for route in (CANCEL, RETRY):
        api.call(route, async_job_id=job["asyncJobId"])
    assert read(api, TICKET_JOB, ticket, job["asyncJobId"]).body["status"] == "PENDING"


def test_unknown_parameter_is_400(api: InMemoryApi) -> None:
    api.add_jobs(new_job())
    answer = read(api, TICKET_JOB, ticket_of(api), owner="bob")
    assert (answer.status, answer.pointers) == (400, ["/owner"])


def test_text_of_another_form_does_not_read_the_table(api: InMemoryApi) -> None:
    """Anybody can send one: these routes have no authorizer."""
    api.tickets.is_down = True
    api.store.failures.append(Unavailable("would be read"))
    assert read(api, TICKET_JOB, "x" * 3000).status == 401


def test_claims_do_not_replace_the_ticket(api: InMemoryApi) -> None:
    # The gateway does not check the token of this route, so the event's owner proves nothing.
    api.add_jobs(new_job())
    assert api.call(TICKET_JOB, owner="alice", async_job_id=JOB_ID).status == 401


def test_every_answer_keeps_the_ticket_out_of_referrers_and_caches(api: InMemoryApi) -> None:
    api.add_jobs(replace(running_job(), started_at=NOW - timedelta(seconds=1)))
    listed = api.call(TICKET_JOBS, query={"ticket": ticket_of(api, scope="owner")})
    for answer in (listed, *(read(api, route, ticket_of(api)) for route in SUCCESSORS), read(api, TICKET_JOB, "x")):
        assert (answer.headers["referrer-policy"], answer.headers["cache-control"]) == ("no-referrer", "no-store")
