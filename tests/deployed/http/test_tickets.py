"""Tickets: a browser reads jobs without its user's access token."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.deployed import TLS, UNKNOWN, Caller, Job

BELOW = ["", "/result", "/events"]
"""The paths that a ticket opens, below the job's."""


def issued(caller: Caller, **body: Any) -> httpx.Response:
    return caller.post("/tickets", json=body)


def ticket_for(caller: Caller, *jobs: Job, **body: Any) -> str:
    answer = issued(caller, jobs=[job["asyncJobId"] for job in jobs], **body)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    text: str = answer.json()["ticket"]
    return text


def opened(client: httpx.Client, ticket: str, job: Job | str, below: str = "", **options: Any) -> httpx.Response:
    async_job_id = job if isinstance(job, str) else job["asyncJobId"]
    return client.get(f"/tickets/jobs/{async_job_id}{below}", params={"ticket": ticket}, **options)


# ── Issue ──────────────────────────────────────────────────────────────────────────────────────────


def test_ticket_is_201_and_expires_after_15_minutes_or_earlier(alice: Caller, completed: Job) -> None:
    now = datetime.now(UTC)
    answers = [issued(alice, jobs=[completed["asyncJobId"]]), issued(alice, scope="owner", ttlSeconds=60)]
    assert [answer.status_code for answer in answers] == [httpx.codes.CREATED] * 2
    for answer, seconds in zip(answers, (900, 60), strict=True):
        assert answer.json()["ticket"].startswith("ajt_")
        assert datetime.fromisoformat(answer.json()["expiresAt"]) - now == pytest.approx(
            timedelta(seconds=seconds), abs=timedelta(seconds=30)
        )


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/jobs"),
        ({"jobs": [UNKNOWN], "scope": "owner"}, "/jobs"),
        ({"scope": "owner", "ttlSeconds": 901}, "/ttlSeconds"),
        ({"scope": "owner", "owner": "bob"}, "/owner"),
    ],
)
def test_invalid_request_is_400_with_each_problem(alice: Caller, body: Any, pointer: str) -> None:
    answer = issued(alice, **body)
    assert (answer.status_code, [error["pointer"] for error in answer.json()["errors"]]) == (400, [pointer])


def test_ticket_for_the_job_of_another_or_an_unknown_job_is_404(bob: Caller, completed: Job) -> None:
    answers = [issued(bob, jobs=[async_job_id]) for async_job_id in (completed["asyncJobId"], UNKNOWN)]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "JOB_NOT_FOUND")] * 2


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        ("{", {}, 400, "INVALID_JSON"),
        ("{}", {"content-type": "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("{}", {"content-encoding": "br"}, 415, "UNSUPPORTED_CONTENT_ENCODING"),
        (json.dumps({"scope": "x" * 300_000}), {}, 413, "REQUEST_TOO_LARGE"),
        ("{}", {"accept": "text/html"}, 406, "NOT_ACCEPTABLE"),
    ],
)
def test_request_is_read_as_every_other(alice: Caller, body: str, headers: dict[str, str], status: int, code: str) -> None:
    answer = alice.post("/tickets", content=body, headers={"content-type": "application/json", **headers})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


# ── Use ────────────────────────────────────────────────────────────────────────────────────────────


def test_ticket_opens_the_job_its_result_and_its_events(alice: Caller, anyone: httpx.Client, completed: Job) -> None:
    ticket = ticket_for(alice, completed)
    job, result, events = (opened(anyone, ticket, completed, below) for below in BELOW)
    assert (job.status_code, job.json()) == (httpx.codes.OK, alice.job(completed))
    assert (result.status_code, result.json()) == (httpx.codes.OK, completed["result"])
    assert (events.status_code, events.json()["seq"], events.json()["more"]) == (httpx.codes.OK, completed["seq"], False)


def test_stream_of_events_ends_by_204(alice: Caller, anyone: httpx.Client, completed: Job) -> None:
    ticket, stream = ticket_for(alice, completed), {"accept": "text/event-stream"}
    first = opened(anyone, ticket, completed, "/events", headers=stream)
    assert (first.status_code, first.headers["content-type"]) == (httpx.codes.OK, "text/event-stream")
    last_id = [line.removeprefix("id: ") for line in first.text.splitlines() if line.startswith("id: ")][-1]
    again = opened(anyone, ticket, completed, "/events", headers={**stream, "last-event-id": last_id})
    assert again.status_code == httpx.codes.NO_CONTENT


def test_ticket_may_be_in_the_header(alice: Caller, anyone: httpx.Client, completed: Job) -> None:
    headers = {"authorization": f"Bearer {ticket_for(alice, completed)}"}
    assert anyone.get(f"/tickets/jobs/{completed['asyncJobId']}", headers=headers).status_code == httpx.codes.OK


def test_link_of_a_large_result_leads_to_the_result(alice: Caller, anyone: httpx.Client, large: Job) -> None:
    ticket = ticket_for(alice, large)
    job = opened(anyone, ticket, large)
    answer = anyone.get(job.url.join(job.json()["resultLocation"]), params={"ticket": ticket})
    assert answer.status_code == httpx.codes.SEE_OTHER
    assert httpx.get(answer.headers["location"], trust_env=False, verify=TLS).status_code == httpx.codes.OK


def test_copy_that_is_current_is_304(alice: Caller, anyone: httpx.Client, completed: Job) -> None:
    ticket = ticket_for(alice, completed)
    etag = opened(anyone, ticket, completed).headers["etag"]
    assert opened(anyone, ticket, completed, headers={"if-none-match": etag}).status_code == httpx.codes.NOT_MODIFIED


def test_ticket_waits_for_a_change(alice: Caller, anyone: httpx.Client, tracked: Job) -> None:
    answer = anyone.get(f"/tickets/jobs/{tracked['asyncJobId']}", params={"ticket": ticket_for(alice, tracked), "wait": "1"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (httpx.codes.OK, "wait=1")


@pytest.mark.parametrize(
    ("state", "code"), [("waiting", "JOB_NOT_COMPLETED"), ("failed", "JOB_FAILED"), ("cancelled", "JOB_CANCELLED")]
)
def test_result_of_a_job_without_one_is_409(
    alice: Caller, anyone: httpx.Client, request: pytest.FixtureRequest, state: str, code: str
) -> None:
    job = request.getfixturevalue(state)
    answer = opened(anyone, ticket_for(alice, job), job, "/result")
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.CONFLICT, code)


@pytest.mark.parametrize("below", BELOW)
def test_each_wrong_ticket_is_the_same_401(alice: Caller, anyone: httpx.Client, completed: Job, below: str) -> None:
    ticket, path = ticket_for(alice, completed), f"/tickets/jobs/{completed['asyncJobId']}{below}"
    answers = [opened(anyone, wrong, completed, below) for wrong in ("", "x", ticket[:-1], ticket.swapcase(), "x" * 3000)]
    # An access token opens the other routes, and not these.
    answers += [anyone.get(path), alice.get(path)]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(401, "INVALID_TICKET")}


@pytest.mark.parametrize("below", BELOW)
def test_job_that_is_not_on_the_ticket_is_404(
    alice: Caller, anyone: httpx.Client, completed: Job, failed: Job, below: str
) -> None:
    ticket = ticket_for(alice, completed)
    answers = [opened(anyone, ticket, job, below) for job in (failed, UNKNOWN, "x")]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(404, "JOB_NOT_FOUND")] * 3


def test_ticket_for_all_jobs_opens_their_list_as_an_access_token_does(
    alice: Caller, anyone: httpx.Client, completed: Job
) -> None:
    ticket = issued(alice, scope="owner").json()["ticket"]
    query = {"jobType": completed["jobType"], "limit": "1"}
    answer = anyone.get("/tickets/jobs", params={"ticket": ticket, **query})
    assert answer.status_code == httpx.codes.OK
    assert answer.json()["jobs"] == alice.get("/jobs", params=query).json()["jobs"]
    link = answer.url.join(f"jobs/{answer.json()['jobs'][0]['asyncJobId']}")
    assert anyone.get(link, params={"ticket": ticket}).status_code == httpx.codes.OK


@pytest.mark.parametrize(("query", "code"), [({"cursor": "e30"}, "INVALID_CURSOR"), ({"limit": "0"}, "INVALID_REQUEST")])
def test_wrong_query_of_the_list_is_400_as_with_an_access_token(
    alice: Caller, anyone: httpx.Client, query: dict[str, str], code: str
) -> None:
    answer = anyone.get("/tickets/jobs", params={"ticket": issued(alice, scope="owner").json()["ticket"], **query})
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_ticket_for_single_jobs_opens_no_list(alice: Caller, anyone: httpx.Client, completed: Job) -> None:
    answer = anyone.get("/tickets/jobs", params={"ticket": ticket_for(alice, completed)})
    assert (answer.status_code, answer.json()["code"]) == (404, "JOB_NOT_FOUND")


def test_ticket_for_all_jobs_opens_later_ones_and_none_of_others(alice: Caller, bob: Caller, anyone: httpx.Client) -> None:
    ticket = issued(alice, scope="owner").json()["ticket"]
    own, other = (caller.post("/jobs", json={}).json() for caller in (alice, bob))
    assert [opened(anyone, ticket, job).status_code for job in (own, other)] == [httpx.codes.OK, httpx.codes.NOT_FOUND]


def test_ticket_ends_with_its_job(alice: Caller, anyone: httpx.Client, tracked: Job) -> None:
    ticket, path = ticket_for(alice, tracked), f"/jobs/{tracked['asyncJobId']}"
    assert opened(anyone, ticket, tracked).status_code == httpx.codes.OK
    assert alice.post(f"{path}/cancel").status_code == httpx.codes.OK
    assert alice.delete(path).status_code == httpx.codes.NO_CONTENT
    assert [opened(anyone, ticket, tracked, below).status_code for below in BELOW] == [httpx.codes.NOT_FOUND] * len(BELOW)


@pytest.mark.parametrize("below", BELOW)
def test_request_with_a_ticket_is_read_as_every_other(alice: Caller, anyone: httpx.Client, completed: Job, below: str) -> None:
    ticket = ticket_for(alice, completed)
    unclean = anyone.get(f"/tickets/jobs/{completed['asyncJobId']}{below}?ticket={ticket}&x=%FF")
    assert (unclean.status_code, unclean.json()["code"]) == (httpx.codes.BAD_REQUEST, "INVALID_REQUEST")
    html = opened(anyone, ticket, completed, below, headers={"accept": "text/html"})
    assert (html.status_code, html.json()["code"]) == (httpx.codes.NOT_ACCEPTABLE, "NOT_ACCEPTABLE")


def test_ticket_opens_no_input(alice: Caller, anyone: httpx.Client, completed: Job) -> None:
    answer = opened(anyone, ticket_for(alice, completed), completed, "/input")
    # There is no such route: this is the gateway's answer.
    assert (answer.status_code, answer.json()) == (httpx.codes.NOT_FOUND, {"message": "Not Found"})


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_ticket_opens_only_reads(alice: Caller, anyone: httpx.Client, tracked: Job, method: str) -> None:
    ticket = ticket_for(alice, tracked)
    headers, path = {"authorization": f"Bearer {ticket}"}, f"/jobs/{tracked['asyncJobId']}"
    # No such route; and the routes for access tokens.
    assert anyone.request(method, f"/tickets{path}", params={"ticket": ticket}, json={}).status_code == httpx.codes.NOT_FOUND
    paths = {"POST": f"{path}/cancel", "PATCH": path, "DELETE": path}
    assert anyone.request(method, paths[method], headers=headers, json={}).status_code == httpx.codes.UNAUTHORIZED
    for refused in (path, f"{path}/result", f"{path}/input", "/jobs"):
        assert anyone.get(refused, headers=headers).status_code == httpx.codes.UNAUTHORIZED
