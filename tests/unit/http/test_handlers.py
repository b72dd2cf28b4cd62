"""The HTTP contract, through real events of the HTTP API: what is asked, what is answered, and what is never told."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjobs.codegen.openapi import document
from asyncjobs.core.clock import from_rfc3339, rfc3339
from asyncjobs.core.durations import Durations
from asyncjobs.core.errors import IllegalMove, Unavailable
from asyncjobs.core.job import AsyncJob, JobFailure, JobKey, Priority, Result, Status, job_id_for
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import ListPosition
from asyncjobs.core.rate import SubmitRate
from asyncjobs.estimates.poll_schedule import DurationEstimate
from asyncjobs.http.handlers import Api, commands_api, queries_api
from asyncjobs.http.parse import cursor_of
from asyncjobs.jobtypes.catalog import Catalog, openapi_path
from asyncjobs.jobtypes.decorator import GENERIC, Exclusive, tracked_job
from asyncjobs.limits.admission import Admission
from asyncjobs.service.commands import Commands
from asyncjobs.service.long_poll import Waiter
from asyncjobs.service.queries import JobsQuery, Queries
from tests.deployed.openapi.contract import Contract
from tests.support.events import as_owner, sample
from tests.support.factories import JOB_ID, NOW, OWNER, job_type, new_job, new_tracked_job, running_job
from tests.support.fakes import FakeClock, FakeObjects, FakeQueue, FakeStore

SUBMIT = "POST /api/v1/jobs"
CANCEL = "POST /api/v1/jobs/{asyncJobId}/cancel"
UPLOAD = "POST /api/v1/uploads"
RETRY = "POST /api/v1/jobs/{asyncJobId}/retry"
DELETE = "DELETE /api/v1/jobs/{asyncJobId}"
UPDATE = "PATCH /api/v1/jobs/{asyncJobId}"
REPORT = "PATCH /api/v1/jobs/{asyncJobId}/report"
JOB = "GET /api/v1/jobs/{asyncJobId}"
RESULT = "GET /api/v1/jobs/{asyncJobId}/result"
JOBS = "GET /api/v1/jobs"
JOB_TYPES = "GET /api/v1/job-types"
HEALTH = "GET /api/v1/health"
OPENAPI = "GET /api/v1/openapi.json"
ABOUT_ONE_JOB = [JOB, RESULT, CANCEL, RETRY, DELETE, UPDATE]

READS = job_type(
    "api.reads",
    description="Reads pages.",
    input_schema={
        "type": "object",
        "additionalProperties": False,
        "required": ["pages"],
        "properties": {"pages": {"type": "integer", "minimum": 1}, "title": {"type": "string", "maxLength": 10}},
    },
    output_schema={"type": "integer"},
)
SEARCHES = job_type(
    "api.searches",
    routes=("POST /search/{subject}",),
    synchronous_routes=("GET /search/{subject}",),
    input_schema={
        "type": "object",
        "additionalProperties": False,
        "required": ["subject"],
        "properties": {
            "subject": {"type": "string"},
            "limit": {"anyOf": [{"type": "integer", "maximum": 100}, {"type": "null"}]},
            "ratio": {"type": "number"},
            "exact": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
    },
)
CATALOGUE = Catalog(
    {
        "api.reads": READS,
        "api.searches": SEARCHES,
        "api.takes_anything": job_type("api.takes_anything"),
        "api.is_alone": job_type("api.is_alone", exclusive=Exclusive("alone")),
        GENERIC: tracked_job(GENERIC),
    }
)
CONTRACT = Contract(document(CATALOGUE))
BODY = {"jobType": "api.reads", "input": {"pages": 9}}
FAILURE = JobFailure(code="HOPELESS", message="The document is encrypted: remove its password.", type="Fatal", retryable=False)


@dataclass
class Answer:
    """An answer as its reader sees it."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)

    @property
    def pointers(self) -> list[str]:
        return sorted(error["pointer"] for error in self.body["errors"])


@dataclass
class House:
    """Both halves of the API over fakes, and how to call them."""

    store: FakeStore = field(default_factory=FakeStore)
    queue: FakeQueue = field(default_factory=FakeQueue)
    objects: FakeObjects = field(default_factory=FakeObjects)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))
    limits: Mapping[str, Any] | None = None
    outlooks: dict[str, DurationEstimate] = field(default_factory=dict)
    asked_for: list[str] = field(default_factory=list)
    tells_queue_depth: bool = False

    def __post_init__(self) -> None:
        most = timedelta(days=30)
        self.patience = Patience(self)
        waiter = Waiter(self.clock, self.patience.sleep)
        admission = self.limits and Admission(store=self.store, queue=self.queue, clock=self.clock, **self.limits)
        commands = Commands(
            store=self.store,
            queue=self.queue,
            objects=self.objects,
            catalog=CATALOGUE,
            clock=self.clock,
            max_retention=most,
            waiter=waiter,
            admission=admission or None,
        )
        queries = Queries(
            store=self.store,
            objects=self.objects,
            catalog=CATALOGUE,
            clock=self.clock,
            waiter=waiter,
            queue=(lambda: self.queue) if self.tells_queue_depth else None,
        )
        self._commands = commands_api(commands, clock=self.clock, max_retention=most, job_types=CATALOGUE)
        self._queries = queries_api(queries, clock=self.clock, estimate=self.estimate)

    def estimate(self, job_type: str) -> DurationEstimate | None:
        self.asked_for.append(job_type)
        return self.outlooks.get(job_type)

    def call(
        self,
        route: str,
        *,
        owner: str = OWNER,
        async_job_id: str | None = None,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **event: Any,
    ) -> Answer:
        names = {
            SUBMIT: "submit",
            UPLOAD: "upload",
            UPDATE: "submit",
            REPORT: "submit",
            CANCEL: "cancel",
            RETRY: "retry",
            DELETE: "delete",
            SEARCH: "submit",
        }
        name = names.get(route, "status")
        asked = as_owner(sample(name), owner)
        asked["headers"].pop("idempotency-key", None)
        asked["headers"] |= headers or {}
        asked |= {"routeKey": route, **({"body": '{"progress": 1}'} if route in {UPDATE, REPORT} else {}), **event}
        asked.pop("pathParameters", None)
        if async_job_id is not None:
            asked["pathParameters"] = {"asyncJobId": async_job_id}
        if path is not None:
            asked["pathParameters"] = dict(path)
        if query is not None:
            asked["queryStringParameters"] = dict(query)
        api = self._queries if route in self._queries._routes else self._commands
        answer = api.handle(asked)
        CONTRACT.check(route, answer["statusCode"], answer["headers"], answer["body"])
        return Answer(answer["statusCode"], answer["headers"], answer["body"])

    def submit(self, body: Any, *, key: str | None = None, prefer: str | None = None, owner: str = OWNER) -> Answer:
        headers = {name: value for name, value in (("idempotency-key", key), ("prefer", prefer)) if value is not None}
        return self.call(SUBMIT, owner=owner, headers=headers, body=json.dumps(body))

    def keep(self, *jobs: AsyncJob) -> None:
        self.store.jobs |= {job.key: job for job in jobs}


@pytest.fixture
def house() -> House:
    return House()


# ── Submit ─────────────────────────────────────────────────────────────────────────────────────────


def test_an_accepted_job_is_202_with_where_to_look_and_when(house: House) -> None:
    answer = house.submit({**BODY, "metadata": {"order": 7}, "message": "queued", "delaySeconds": 30, "retentionSeconds": 3600})
    (job,) = house.store.jobs.values()
    assert answer.status == 202
    assert answer.headers["location"] == f"/api/v1/jobs/{job.async_job_id}"
    assert answer.headers["retry-after"] == "30"  # no sooner than it may start
    assert "idempotency-replayed" not in answer.headers
    assert answer.body == {
        "asyncJobId": job.async_job_id,
        "jobType": "api.reads",
        "status": "PENDING",
        "priority": "standard",
        "progress": 0,
        "message": "queued",
        "metadata": {"order": 7},
        "attempt": 0,
        "maxAttempts": 3,
        "createdAt": "2026-11-21T12:00:00.000Z",
        "updatedAt": "2026-11-21T12:00:00.000Z",
        "startedAt": None,
        "endedAt": None,
        "estimatedEndAt": None,
        "recordExpiresAt": int(job.record_expires_at.timestamp()),
        "resultType": None,
        "result": None,
        "resultLocation": None,
        "error": None,
    }
    assert (job.owner, job.input, job.retention) == (OWNER, '{"pages":9}', timedelta(hours=1))
    assert house.queue.delays == [timedelta(seconds=30)]


def test_the_sample_submit_is_a_sound_request() -> None:
    house = House()
    body = json.loads(sample("submit")["body"])
    assert house.submit({**body, "jobType": "api.takes_anything"}).status == 202


# ── Not too much ───────────────────────────────────────────────────────────────────────────────────

SIX_A_MINUTE = {"rate": SubmitRate(per_minute=6, burst=2)}


def test_a_submit_too_soon_is_429_with_when_to_come_back() -> None:
    house = House(limits=SIX_A_MINUTE)
    assert [house.submit(BODY).status for _ in range(2)] == [202, 202]
    house.clock.advance(seconds=1.5)
    answer = house.submit(BODY)
    assert (answer.status, answer.body["code"]) == (429, "SUBMIT_RATE_EXCEEDED")
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.body["type"], answer.body["status"]) == ("urn:asyncjobs:problem:SUBMIT_RATE_EXCEEDED", 429)
    assert answer.headers["retry-after"] == "9"
    assert (answer.headers["ratelimit-policy"], answer.headers["ratelimit"]) == ('"submit";q=2;w=20', '"submit";r=0;t=9')
    house.clock.advance(seconds=9)
    assert house.submit(BODY).status == 202


def test_an_accepted_submit_and_a_replay_tell_what_is_left() -> None:
    house = House(limits=SIX_A_MINUTE)
    answers = [house.submit(BODY, key="k") for _ in range(3)]
    assert [answer.headers["ratelimit"] for answer in answers] == [
        '"submit";r=1;t=10',
        '"submit";r=0;t=10',
        '"submit";r=0;t=10',
    ]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"submit";q=2;w=20'}
    assert [answer.headers.get("idempotency-replayed") for answer in answers] == [None, "true", "true"]
    assert answers[0].headers["retry-after"] == "2", "when to poll, as ever"


def test_without_a_rate_no_answer_speaks_of_one(house: House) -> None:
    headers = house.submit(BODY).headers
    assert not [name for name in headers if name.startswith("ratelimit")]


def test_too_many_unfinished_jobs_are_429_until_one_is_cancelled() -> None:
    house = House(limits={"max_live": 1})
    job = house.submit(BODY).body
    answer = house.submit(BODY)
    assert (answer.status, answer.body["code"], answer.headers["retry-after"]) == (429, "TOO_MANY_LIVE_JOBS", "10")
    house.call(CANCEL, async_job_id=job["asyncJobId"])
    assert house.submit(BODY).status == 202


def test_too_long_a_queue_is_503_and_a_retry_of_what_was_accepted_is_not() -> None:
    house = House(limits={"max_backlog": 1})
    assert house.submit(BODY, key="k").status == 202
    house.clock.advance(seconds=5)
    answer = house.submit(BODY)
    assert (answer.status, answer.body["code"], answer.headers["retry-after"]) == (503, "BUSY", "10")
    assert house.submit(BODY, key="k").headers["idempotency-replayed"] == "true"


# ── What a submit may leave out ────────────────────────────────────────────────────────────────────


def test_without_an_input_the_job_gets_an_empty_object(house: House) -> None:
    house.submit({"jobType": "api.takes_anything"})
    (job,) = house.store.jobs.values()
    assert job.input == "{}"


def test_an_input_may_be_null(house: House) -> None:
    house.submit({"jobType": "api.takes_anything", "input": None})
    (job,) = house.store.jobs.values()
    assert job.input == "null"


def test_the_same_request_with_the_same_key_is_the_same_job(house: House) -> None:
    first = house.submit(BODY, key='"order 7"')
    again = house.submit(BODY, key='"order 7"')
    assert (again.status, again.text) == (202, first.text)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]


def test_a_replay_of_a_finished_job_is_200_with_the_job_as_it_ended(house: House) -> None:
    house.submit(BODY, key="k")
    (job,) = house.store.jobs.values()
    house.keep(job.claimed(by="w", now=NOW, lease_until=NOW).completed(now=NOW, result=Result(text="9")))
    again = house.submit(BODY, key="k")
    assert (again.status, again.body["result"]) == (200, 9)
    assert "retry-after" not in again.headers


def test_the_same_key_for_another_request_is_422_and_tells_nothing_of_the_first(house: House) -> None:
    house.submit({**BODY, "message": "canary"}, key="k")
    answer = house.submit(BODY, key="k")
    assert (answer.status, answer.body["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert "canary" not in answer.text
    assert len(house.store.jobs) == 1


def test_a_key_that_is_no_key_is_400(house: House) -> None:
    assert house.submit(BODY, key="a b").status == 400
    assert house.store.writes == 0


INVALID_BODIES = [
    ({"jobType": None}, ["/jobType"]),
    ({"input": {"pages": 9}}, ["/input"]),
    ({"jobType": ""}, ["/jobType"]),
    ({"jobType": 7}, ["/jobType"]),
    ({"jobType": None}, ["/jobType"]),
    ({"jobType": "x" * 51}, ["/jobType"]),
    ([], [""]),
    (None, [""]),
    ("api.reads", [""]),
    ({**BODY, "delaySeconds": -1}, ["/delaySeconds"]),
    ({**BODY, "delaySeconds": 30 * 24 * 3600 + 1}, ["/delaySeconds"]),
    ({**BODY, "retentionFrom": "NOW"}, ["/retentionFrom"]),
    *(({**BODY, "priority": value}, ["/priority"]) for value in ("urgent", "HIGH", "", 1, None, ["high"])),
    ({**BODY, "delaySeconds": 1, "notBefore": "2026-11-21T13:00:00Z"}, ["/notBefore"]),
    ({**BODY, "notBefore": "tomorrow"}, ["/notBefore"]),
    ({**BODY, "notBefore": "2026-11-21T13:00:00"}, ["/notBefore"]),
    ({**BODY, "notBefore": "2026-11-31T13:00:00Z"}, ["/notBefore"]),
    ({**BODY, "notBefore": "2026-11-21T13:00:00Z\n"}, ["/notBefore"]),
    ({**BODY, "notBefore": "0001-01-01T00:00:00+23:00"}, ["/notBefore"]),
    ({**BODY, "notBefore": "2026-12-21T12:00:01Z"}, ["/notBefore"]),
    ({**BODY, "notBefore": 5}, ["/notBefore"]),
    ({**BODY, "delaySeconds": 0.5}, ["/delaySeconds"]),
    ({**BODY, "delaySeconds": True}, ["/delaySeconds"]),
    ({**BODY, "delaySeconds": "10"}, ["/delaySeconds"]),
    ({**BODY, "delaySeconds": 10**37}, ["/delaySeconds"]),
    ({**BODY, "retentionSeconds": 59}, ["/retentionSeconds"]),
    ({**BODY, "retentionSeconds": 30 * 24 * 3600 + 1}, ["/retentionSeconds"]),
    ({**BODY, "retentionSeconds": True}, ["/retentionSeconds"]),
    ({**BODY, "message": "x" * 257}, ["/message"]),
    ({**BODY, "message": 7}, ["/message"]),
    ({**BODY, "metadata": []}, ["/metadata"]),
    ({**BODY, "metadata": {"text": "x" * 1024}}, ["/metadata"]),
    ({**BODY, "metadata": {"text": "ü" * 507}}, ["/metadata"]),
    *(
        ({**BODY, name: 1}, [f"/{name}"])
        for name in (
            "status",
            "attempt",
            "owner",
            "asyncJobId",
            "recordExpiresAt",
            "resultLocation",
            "progress",
            "gen",
            "maxAttempts",
            "tenantId",
            "__proto__",
            "JobType",
        )
    ),
    ({"jobType": "api.reads"}, ["/input/pages"]),
    ({"jobType": "api.reads", "input": None}, ["/input"]),
    ({"jobType": "api.reads", "input": {"pages": 0}}, ["/input/pages"]),
    ({"jobType": "api.reads", "input": {"pages": "9"}}, ["/input/pages"]),
    ({"jobType": "api.reads", "input": {"pages": 9, "a/b": 1}}, ["/input/a~1b"]),
    ({"jobType": "api.reads", "input": {"pages": None, "title": "x" * 11}}, ["/input/pages", "/input/title"]),
    ({"delaySeconds": -1, "owner": "bob"}, ["/delaySeconds", "/owner"]),
]


@pytest.mark.parametrize(("body", "pointers"), INVALID_BODIES, ids=[json.dumps(body)[:60] for body, _ in INVALID_BODIES])
def test_a_body_that_does_not_fit_is_400_with_each_place(house: House, body: Any, pointers: list[str]) -> None:
    answer = house.submit(body)
    assert (answer.status, answer.body["code"]) == (400, "INVALID_REQUEST")
    assert answer.pointers == pointers
    assert (house.store.writes, house.queue.sent, house.objects.stored) == (0, [], {})


@pytest.mark.parametrize(
    "changes",
    [
        {"delaySeconds": 900},
        {"delaySeconds": 30 * 24 * 3600},
        {"retentionFrom": "CREATION"},
        {"priority": "high"},
        {"priority": "standard"},
        {"priority": "low"},
        {"notBefore": "2026-11-21T14:00:00.123456+01:00"},
        {"notBefore": "2020-01-01T00:00:00Z"},
        {"delaySeconds": 0},
        {"delaySeconds": 1.0},
        {"retentionSeconds": 60},
        {"retentionSeconds": 30 * 24 * 3600},
        {"message": "ü" * 256},
        {"metadata": {}},
        {"metadata": {"text": "ü" * 506}},
    ],
    ids=lambda changes: json.dumps(changes)[:40],
)
def test_what_just_fits_is_accepted(house: House, changes: dict[str, Any]) -> None:
    assert house.submit({**BODY, **changes}).status == 202


@pytest.mark.parametrize(
    ("event", "status", "code"),
    [
        ({"body": "{"}, 400, "INVALID_JSON"),
        ({"body": '{"jobType": "a", "jobType": "b"}'}, 400, "INVALID_JSON"),
        ({"body": None}, 400, "INVALID_JSON"),
        ({"body": json.dumps("x" * 262144)}, 413, "REQUEST_TOO_LARGE"),
        ({"headers": {"content-type": "text/plain"}}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"headers": {"accept": "text/html"}}, 406, "NOT_ACCEPTABLE"),
        ({"owner": "a#b"}, 403, "OWNER_MISSING"),
        ({"body": '{"jobType": "no.such"}'}, 400, "UNKNOWN_JOB_TYPE"),
    ],
    ids=lambda part: str(part)[:30],
)
def test_what_is_refused_at_the_door_leaves_no_trace(house: House, event: dict[str, Any], status: int, code: str) -> None:
    answer = house.call(SUBMIT, **{"body": json.dumps(BODY), **event})
    assert (answer.status, answer.body["code"]) == (status, code)
    assert (house.store.writes, house.queue.sent) == (0, [])


def test_no_refusal_quotes_what_was_sent(house: House) -> None:
    for body in (
        {"jobType": "canary"},
        {**BODY, "message": ["canary"]},
        {**BODY, "input": {"pages": "canary"}},
        {**BODY, "input": "canary"},
        {**BODY, "metadata": "canary"},
    ):
        assert "canary" not in house.submit(body).text


def test_the_owner_comes_from_the_token_alone(house: House) -> None:
    house.call(SUBMIT, body=json.dumps(BODY), headers={"x-owner": "bob", "owner": "bob"}, query={"owner": "bob"})
    assert [job.owner for job in house.store.jobs.values()] == [OWNER]


def test_a_job_that_could_not_be_recorded_is_503_and_the_same_key_works_later(house: House) -> None:
    house.store.failures.append(Unavailable("throttled"))
    answer = house.submit(BODY, key="k")
    assert (answer.status, answer.body["code"]) == (503, "UNAVAILABLE")
    assert int(answer.headers["retry-after"]) > 0
    again = house.submit(BODY, key="k")
    assert again.status == 202
    assert "idempotency-replayed" not in again.headers


def test_a_job_that_could_not_be_sent_is_202_all_the_same(house: House) -> None:
    house.queue.is_down = True
    assert house.submit(BODY).status == 202


# ── One job ────────────────────────────────────────────────────────────────────────────────────────


def test_a_running_job_tells_how_far_it_is(house: House) -> None:
    house.keep(running_job(progress=45, message="Reading page 9 of 20"))
    answer = house.call(JOB, async_job_id=JOB_ID)
    assert answer.status == 200
    assert {name: answer.body[name] for name in ("status", "progress", "message", "attempt", "startedAt", "endedAt")} == {
        "status": "IN_PROGRESS",
        "progress": 45,
        "message": "Reading page 9 of 20",
        "attempt": 1,
        "startedAt": rfc3339(NOW),
        "endedAt": None,
    }


@pytest.mark.parametrize(
    ("age", "pause"), [(0, "2"), (29, "2"), (30, "5"), (119, "5"), (120, "10"), (600, "30"), (80_000, "30")]
)
def test_the_older_a_job_the_less_often_it_is_worth_asking(house: House, age: float, pause: str) -> None:
    house.keep(new_job())
    house.clock.advance(seconds=age)
    assert house.call(JOB, async_job_id=JOB_ID).headers["retry-after"] == pause


def test_a_regular_type_of_job_says_when_it_will_have_ended_and_when_to_look(house: House) -> None:
    house.outlooks["sample.returns"] = DurationEstimate(Durations.of([20.0] * 100))
    house.keep(running_job())
    house.clock.advance(seconds=4)
    answer = house.call(JOB, async_job_id=JOB_ID)
    early = house.call(RESULT, async_job_id=JOB_ID)
    assert 15 <= int(answer.headers["retry-after"]) <= 18
    assert early.headers["retry-after"] == answer.headers["retry-after"]
    assert abs(from_rfc3339(answer.body["estimatedEndAt"]) - (NOW + timedelta(seconds=20))) < timedelta(seconds=1)


def test_an_estimate_that_moves_is_no_news(house: House) -> None:
    house.outlooks["sample.returns"] = DurationEstimate(Durations.of([18.0, 20.0, 22.0] * 40))
    house.keep(running_job())
    first = house.call(JOB, async_job_id=JOB_ID)
    house.clock.advance(seconds=19)
    later = house.call(JOB, async_job_id=JOB_ID)
    again = house.call(JOB, async_job_id=JOB_ID, headers={"if-none-match": first.headers["etag"]})
    assert first.body["estimatedEndAt"] != later.body["estimatedEndAt"]
    # So the two are not the same byte by byte, which a strong tag would promise.
    assert later.headers["etag"] == first.headers["etag"]
    assert first.headers["etag"].startswith("W/")
    assert (again.status, again.headers["retry-after"]) == (304, later.headers["retry-after"])


def test_nobody_asks_for_the_outlook_of_a_job_that_has_ended(house: House) -> None:
    house.keep(running_job().completed(now=NOW, result=Result(text="1")))
    answer = house.call(JOB, async_job_id=JOB_ID)
    house.call(RESULT, async_job_id=JOB_ID)
    assert answer.body["estimatedEndAt"] is None
    assert house.asked_for == []


def test_a_job_says_which_queue_it_waits_in(house: House) -> None:
    submitted = house.submit({**BODY, "priority": "low"})
    job = house.call(JOB, async_job_id=submitted.body["asyncJobId"])
    page = house.call(JOBS)
    assert [submitted.body["priority"], job.body["priority"], page.body["jobs"][0]["priority"]] == ["low"] * 3
    assert [message.priority for message in house.queue.sent] == [Priority.LOW]


def test_a_retry_stays_in_its_queue(house: House) -> None:
    house.keep(new_job(job_type="api.reads", priority=Priority.HIGH).cancelled(now=NOW))
    assert house.call(RETRY, async_job_id=JOB_ID).body["priority"] == "high"
    assert [message.priority for message in house.queue.sent] == [Priority.HIGH]


# ── How many wait ──────────────────────────────────────────────────────────────────────────────────


def crowd(house: House, **counts: int) -> None:
    for priority, count in counts.items():
        for number in range(count):
            house.queue.send(JobMessage(JobKey("bob", str(number)), "gen", "sample.returns", priority=Priority(priority)))


def test_a_job_that_waits_tells_how_many_wait_in_its_queue_where_that_is_told() -> None:
    house = House(tells_queue_depth=True)
    crowd(house, high=1, standard=2, low=3)
    for priority, depth in zip(Priority, (1, 2, 3), strict=True):
        house.keep(new_job(priority=priority))
        assert house.call(JOB, async_job_id=JOB_ID).body["queueDepth"] == depth


def test_nobody_is_told_unless_the_deployment_says_so(house: House) -> None:
    crowd(house, standard=2)
    house.keep(new_job())
    assert "queueDepth" not in house.call(JOB, async_job_id=JOB_ID).body
    assert house.queue.looks == 0


@pytest.mark.parametrize(
    "job",
    [
        running_job(),
        running_job().completed(now=NOW, result=Result(text="1")),
        new_job(delay=timedelta(seconds=1)),
        new_job().exclusively("1#lock"),
        new_tracked_job(),
        new_job(attempt=3),
    ],
    ids=["runs", "has ended", "is to begin later", "may wait for a lock", "is done elsewhere", "has no attempt left"],
)
def test_no_queue_is_asked_about_a_job_that_does_not_wait_in_one(job: AsyncJob) -> None:
    house = House(tells_queue_depth=True)
    house.keep(job)
    assert "queueDepth" not in house.call(JOB, async_job_id=JOB_ID).body
    assert house.queue.looks == 0


def test_a_queue_is_asked_every_five_seconds_and_not_with_each_poll() -> None:
    house = House(tells_queue_depth=True)
    house.keep(new_job())
    depths = []
    for seconds in (0, 4.999, 0.001):
        house.clock.advance(seconds=seconds)
        depths.append(house.call(JOB, async_job_id=JOB_ID).body["queueDepth"])
        crowd(house, standard=1)
    assert (depths, house.queue.looks) == ([0, 0, 2], 2)


def test_a_queue_that_does_not_answer_is_not_told_of_and_not_asked_again_at_once() -> None:
    house = House(tells_queue_depth=True)
    house.keep(new_job())
    house.queue.is_down = True
    for _ in range(3):
        answer = house.call(JOB, async_job_id=JOB_ID)
        assert (answer.status, "queueDepth" in answer.body) == (200, False)
    assert house.queue.looks == 1
    house.queue.is_down = False
    house.clock.advance(seconds=60)
    assert house.call(JOB, async_job_id=JOB_ID).body["queueDepth"] == 0


def test_a_depth_that_moves_is_no_news() -> None:
    house = House(tells_queue_depth=True)
    house.keep(new_job())
    first = house.call(JOB, async_job_id=JOB_ID)
    crowd(house, standard=7)
    house.clock.advance(seconds=5)
    later = house.call(JOB, async_job_id=JOB_ID)
    again = house.call(JOB, async_job_id=JOB_ID, headers={"if-none-match": first.headers["etag"]})
    assert (first.body["queueDepth"], later.body["queueDepth"]) == (0, 7)
    assert later.headers["etag"] == first.headers["etag"]
    assert first.headers["etag"].startswith("W/")
    assert again.status == 304


def test_who_waits_for_news_does_not_wait_for_the_queue_besides() -> None:
    house = House(tells_queue_depth=True)
    house.keep(new_job())
    answer = house.call(JOB, async_job_id=JOB_ID, query={"wait": "1"})
    assert (answer.status, "queueDepth" in answer.body, house.queue.looks) == (200, False, 0)


def test_a_completed_job_shows_its_result(house: House) -> None:
    house.keep(running_job().completed(now=NOW, result=Result(text='{"text":"ü","pages":[1]}')))
    answer = house.call(JOB, async_job_id=JOB_ID)
    assert "retry-after" not in answer.headers
    assert {name: answer.body[name] for name in ("status", "progress", "resultType", "result", "resultLocation")} == {
        "status": "COMPLETED",
        "progress": 100,
        "resultType": "INLINE",
        "result": {"text": "ü", "pages": [1]},
        "resultLocation": None,
    }


def test_a_large_result_is_named_by_a_url_of_ours_that_does_not_expire(house: House) -> None:
    house.keep(running_job().completed(now=NOW, result=Result(location="results/x/y/1")))
    answer = house.call(JOB, async_job_id=JOB_ID)
    assert (answer.body["resultType"], answer.body["result"]) == ("S3", None)
    assert answer.body["resultLocation"] == f"/api/v1/jobs/{JOB_ID}/result"
    assert "results/x" not in answer.text


def test_a_failed_job_shows_why(house: House) -> None:
    house.keep(running_job().failed(now=NOW, error=FAILURE))
    assert house.call(JOB, async_job_id=JOB_ID).body["error"] == {
        "code": "HOPELESS",
        "message": "The document is encrypted: remove its password.",
        "type": "Fatal",
        "retryable": False,
    }


def test_nothing_of_a_record_is_shown_but_what_the_contract_names(house: House) -> None:
    house.keep(running_job(by="canary", generation="canary", request_hash=b"canary", input="canary", input_location="canary"))
    for route in (JOB, RESULT):
        assert "canary" not in house.call(route, async_job_id=JOB_ID).text
    assert "canary" not in house.call(JOBS).text


def test_a_table_that_does_not_answer_is_503(house: House) -> None:
    house.store.failures.append(Unavailable("throttled"))
    assert house.call(JOB, async_job_id=JOB_ID).status == 503


# ── Not found ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("route", ABOUT_ONE_JOB)
def test_anothers_unknown_malformed_and_expired_jobs_are_the_same_404(house: House, route: str) -> None:
    theirs, expired = new_job(owner="bob"), new_job(async_job_id="00000000-0000-4000-8000-000000000001", record_expires_at=NOW)
    house.keep(theirs, expired)
    before = dict(house.store.jobs)
    answers = [
        house.call(route, async_job_id=async_job_id)
        for async_job_id in (
            theirs.async_job_id,
            "00000000-0000-4000-8000-000000000002",
            expired.async_job_id,
            "",
            "7",
            JOB_ID.upper(),
            JOB_ID + "\n",
            f"bob#{JOB_ID}",
            "../" + JOB_ID,
            "00000000-0000-1000-8000-000000000001",
            "x" * 5000,
            "\x00",
            "ü",
        )
    ]
    assert (answers[0].status, answers[0].body["code"]) == (404, "JOB_NOT_FOUND")
    assert all(answer == answers[0] for answer in answers)
    assert house.store.jobs == before


def test_a_malformed_id_asks_nothing_of_the_table(house: House) -> None:
    house.store.failures.append(Unavailable("would be asked"))
    assert [house.call(route, async_job_id="7").status for route in ABOUT_ONE_JOB] == [404] * len(ABOUT_ONE_JOB)


# ── Result ─────────────────────────────────────────────────────────────────────────────────────────


def test_an_inline_result_is_given_as_it_is(house: House) -> None:
    house.keep(running_job().completed(now=NOW, result=Result(text='{"price":1.10}')))
    answer = house.call(RESULT, async_job_id=JOB_ID)
    assert (answer.status, answer.text) == (200, '{"price":1.10}')
    assert answer.headers["content-type"] == "application/json"


def test_a_large_result_is_a_redirect_to_a_link_made_for_this_call(house: House) -> None:
    house.keep(running_job().completed(now=NOW, result=Result(location="results/x/y/1")))
    answer = house.call(RESULT, async_job_id=JOB_ID)
    assert answer.status == 303
    assert answer.headers["location"] == answer.body["location"] == house.objects.link("results/x/y/1")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("job", [new_job(), running_job()], ids=["waiting", "running"])
def test_the_result_of_an_unfinished_job_is_409_with_when_to_ask_again(house: House, job: AsyncJob) -> None:
    house.keep(job)
    answer = house.call(RESULT, async_job_id=JOB_ID)
    assert (answer.status, answer.body["code"], answer.headers["retry-after"]) == (409, "JOB_NOT_COMPLETED", "2")


@pytest.mark.parametrize(
    ("job", "code", "error_code"),
    [
        (running_job().failed(now=NOW, error=FAILURE), "JOB_FAILED", "HOPELESS"),
        (running_job().cancelled(now=NOW), "JOB_CANCELLED", None),
    ],
    ids=["failed", "cancelled"],
)
def test_a_job_that_ended_without_a_result_is_409_with_its_error(
    house: House, job: AsyncJob, code: str, error_code: str | None
) -> None:
    house.keep(job)
    answer = house.call(RESULT, async_job_id=JOB_ID)
    assert (answer.status, answer.body["code"], answer.body["asyncJobId"]) == (409, code, JOB_ID)
    assert (answer.body["error"] or {}).get("code") == error_code
    assert "retry-after" not in answer.headers


# ── Cancel ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("job", [new_job(), running_job()], ids=["waiting", "running"])
def test_a_cancelled_job_is_200_also_when_it_already_was(house: House, job: AsyncJob) -> None:
    house.keep(job)
    first = house.call(CANCEL, async_job_id=JOB_ID)
    again = house.call(CANCEL, async_job_id=JOB_ID)
    assert (first.status, first.body["status"], first.body["endedAt"]) == (200, "CANCELLED", rfc3339(NOW))
    assert again == first


@pytest.mark.parametrize("name", ["completed", "failed"])
def test_a_finished_job_cannot_be_cancelled(house: House, name: str) -> None:
    job = {
        "completed": running_job().completed(now=NOW, result=Result(text="1")),
        "failed": running_job().failed(now=NOW, error=FAILURE),
    }[name]
    house.keep(job)
    answer = house.call(CANCEL, async_job_id=JOB_ID)
    assert (answer.status, answer.body["code"]) == (409, "JOB_ALREADY_FINISHED")


# ── Waiting ────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Patience:
    """Time that passes while somebody waits, and what happens in it."""

    house: House
    events: list[tuple[float, AsyncJob]] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.house.clock.advance(seconds=seconds)
        while self.events and self.events[0][0] <= self.waited:
            self.house.keep(self.events.pop(0)[1])

    @property
    def waited(self) -> float:
        return (self.house.clock.now - NOW).total_seconds()


@pytest.fixture
def patience(house: House) -> Patience:
    return house.patience


@pytest.mark.parametrize("end", [running_job().completed(now=NOW, result=Result(text="1")), running_job().cancelled(now=NOW)])
def test_a_long_poll_answers_as_soon_as_the_job_has_finished(house: House, patience: Patience, end: AsyncJob) -> None:
    house.keep(running_job())
    patience.events = [(3, end)]
    answer = house.call(JOB, async_job_id=JOB_ID, query={"wait": "20"})
    assert (answer.status, answer.body["status"]) == (200, end.status)
    assert 3 <= patience.waited <= 4


def test_a_long_poll_answers_as_soon_as_progress_is_made(house: House, patience: Patience) -> None:
    house.keep(running_job())
    patience.events = [(3, running_job(progress=45)), (5, running_job(progress=46))]
    answer = house.call(JOB, async_job_id=JOB_ID, query={"wait": "20"})
    assert answer.body["progress"] == 45


def test_a_long_poll_in_which_nothing_happens_tells_how_it_stands(house: House, patience: Patience) -> None:
    house.keep(running_job())
    answer = house.call(JOB, async_job_id=JOB_ID, query={"wait": "7"})
    assert (answer.status, answer.body["status"], "retry-after" in answer.headers) == (200, "IN_PROGRESS", True)
    assert patience.waited == pytest.approx(7, abs=0.1)


def test_who_says_what_it_knows_is_told_at_once_what_it_has_missed(house: House, patience: Patience) -> None:
    house.keep(running_job())
    tag = house.call(JOB, async_job_id=JOB_ID).headers["etag"]
    house.keep(running_job(progress=45))
    answer = house.call(JOB, async_job_id=JOB_ID, query={"wait": "20"}, headers={"if-none-match": tag})
    assert (answer.status, answer.body["progress"], patience.waited) == (200, 45, 0)


def test_who_knows_it_all_waits_and_is_then_told_that_nothing_changed(house: House, patience: Patience) -> None:
    house.keep(running_job())
    tag = house.call(JOB, async_job_id=JOB_ID).headers["etag"]
    answer = house.call(JOB, async_job_id=JOB_ID, query={"wait": "5"}, headers={"if-none-match": tag})
    assert (answer.status, answer.text, answer.headers["etag"]) == (304, "", tag)
    assert patience.waited == pytest.approx(5, abs=0.1)


def test_nobody_waits_for_what_has_finished(house: House, patience: Patience) -> None:
    house.keep(running_job().cancelled(now=NOW))
    first = house.call(JOB, async_job_id=JOB_ID, query={"wait": "20"})
    again = house.call(JOB, async_job_id=JOB_ID, query={"wait": "20"}, headers={"if-none-match": first.headers["etag"]})
    assert (first.status, again.status, patience.waited) == (200, 304, 0)
    assert "retry-after" not in again.headers


@pytest.mark.parametrize("form", ["{}", "W/{}", '"x", {}', "*"])
def test_a_job_that_has_not_changed_is_304_whatever_way_it_is_said(house: House, form: str) -> None:
    house.keep(running_job())
    tag = house.call(JOB, async_job_id=JOB_ID).headers["etag"].removeprefix("W/")
    answer = house.call(JOB, async_job_id=JOB_ID, headers={"if-none-match": form.format(tag)})
    assert (answer.status, answer.text) == (304, "")
    assert int(answer.headers["retry-after"]) > 0
    assert house.call(JOB, async_job_id=JOB_ID, headers={"if-none-match": '"another"'}).status == 200


@pytest.mark.parametrize(("query", "pointer"), [("21", "/wait"), ("-1", "/wait"), ("1.5", "/wait"), ("soon", "/wait")])
def test_a_wait_that_is_none_is_refused(house: House, query: str, pointer: str) -> None:
    house.keep(running_job())
    answer = house.call(JOB, async_job_id=JOB_ID, query={"wait": query})
    assert (answer.status, answer.pointers) == (400, [pointer])


def test_a_misspelt_wait_is_said(house: House) -> None:
    house.keep(running_job())
    assert house.call(JOB, async_job_id=JOB_ID, query={"wiat": "5"}).pointers == ["/wiat"]


def test_a_submit_that_prefers_to_wait_is_answered_with_the_finished_job(house: House, patience: Patience) -> None:
    end = new_job(job_type="api.reads").claimed(by="w", now=NOW, lease_until=NOW).completed(now=NOW, result=Result(text="9"))
    patience.events = [(2, replace(end, async_job_id=job_id_for(OWNER, "k")))]
    answer = house.submit(BODY, key="k", prefer="wait=10")
    assert (answer.status, answer.body["result"]) == (200, 9)
    assert (answer.headers["preference-applied"], answer.headers["vary"]) == ("wait=10", "Prefer")
    assert 2 <= patience.waited <= 3


def test_a_submit_that_has_waited_in_vain_is_202(house: House, patience: Patience) -> None:
    answer = house.submit(BODY, prefer="wait=10")
    assert (answer.status, answer.body["status"], "retry-after" in answer.headers) == (202, "PENDING", True)
    assert patience.waited == pytest.approx(10, abs=0.1)


def test_a_job_that_fails_while_its_submit_waits_is_500_with_its_error(house: House, patience: Patience) -> None:
    end = new_job(job_type="api.reads").claimed(by="w", now=NOW, lease_until=NOW).failed(now=NOW, error=FAILURE)
    patience.events = [(2, replace(end, async_job_id=job_id_for(OWNER, "k")))]
    answer = house.submit(BODY, key="k", prefer="wait=10")
    assert (answer.status, answer.body["code"]) == (500, "JOB_FAILED")
    assert (answer.body["asyncJobId"], answer.body["error"]["code"]) == (job_id_for(OWNER, "k"), "HOPELESS")
    assert answer.headers["location"].endswith(job_id_for(OWNER, "k"))


def test_a_table_that_fails_while_a_submit_waits_does_not_take_the_job_back(house: House) -> None:
    add = house.store.add_if_absent

    def then_fail(job: AsyncJob, now: Any) -> AsyncJob | None:
        outcome = add(job, now)
        house.store.failures.append(Unavailable("throttled"))
        return outcome

    house.store.add_if_absent = then_fail  # type: ignore[method-assign]  # this once
    assert house.submit(BODY, prefer="wait=10").status == 202


@pytest.mark.parametrize(
    ("prefer", "applied", "waits"),
    [
        ("respond-async", "respond-async", 0),
        ("respond-async, wait=4", "wait=4", 4),
        ("Wait=4;foo=bar", "wait=4", 4),
        ('wait="4"', "wait=4", 4),
        ("wait=4, wait=9", "wait=4", 4),
        ("wait=600", "wait=20", 20),
        ("wait=0, respond-async", "respond-async", 0),
        ("wait=soon", None, 0),
        ("wait=", None, 0),
        ("handling=lenient", None, 0),
        (",;=,", None, 0),
    ],
)
def test_a_preference_is_met_as_far_as_it_can_be(
    house: House, patience: Patience, prefer: str, applied: str | None, waits: float
) -> None:
    answer = house.submit(BODY, prefer=prefer)
    assert (answer.status, answer.headers.get("preference-applied")) == (202, applied)
    assert patience.waited == pytest.approx(waits, abs=0.1)


# ── Upload ─────────────────────────────────────────────────────────────────────────────────────────


def upload(house: House, body: Any) -> Answer:
    return house.call(UPLOAD, body=json.dumps(body))


def test_an_upload_is_201_with_all_that_its_put_needs(house: House) -> None:
    answer = upload(house, {"contentType": "application/pdf", "contentLength": 9})
    key = answer.body["key"]
    assert answer.status == 201
    assert re.fullmatch(r"uploads/[0-9a-f-]{36}", key)
    assert answer.body == {
        "key": key,
        "url": f"https://bucket.example/inputs/{OWNER}/{key}?type=application/pdf&size=9&signature=x",
        "method": "PUT",
        "headers": {"content-type": "application/pdf", "content-length": "9"},
        "expiresAt": rfc3339(NOW + timedelta(minutes=15)),
    }
    assert house.store.writes == 0


def test_no_two_uploads_have_one_key(house: House) -> None:
    assert len({upload(house, {"contentLength": 1}).body["key"] for _ in range(5)}) == 5


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/contentLength"]),
        ({"contentLength": 0}, ["/contentLength"]),
        ({"contentLength": 5 * 1024**3 + 1}, ["/contentLength"]),
        ({"contentLength": 1.5}, ["/contentLength"]),
        ({"contentLength": 1, "contentType": "pdf"}, ["/contentType"]),
        ({"contentLength": 1, "contentType": "a/b\r\nx: y"}, ["/contentType"]),
        ({"contentLength": 1, "contentType": "a/b\n"}, ["/contentType"]),
        ({"contentLength": 1, "key": "mine"}, ["/key"]),
        ([], [""]),
    ],
)
def test_an_upload_that_cannot_be_is_400_with_each_place(house: House, body: Any, pointers: list[str]) -> None:
    answer = upload(house, body)
    assert (answer.status, answer.pointers) == (400, pointers)


# ── Routes of one's own ────────────────────────────────────────────────────────────────────────────

SEARCH, SEARCH_AT_ONCE = "POST /api/v1/search/{subject}", "GET /api/v1/search/{subject}"


def search(house: House, route: str = SEARCH, query: Mapping[str, str] | None = None, **event: Any) -> Answer:
    event.setdefault("body", "")
    return house.call(route, query=query, path={"subject": "war & peace"}, **event)


def input_asked_for(house: House) -> Any:
    (job,) = house.store.jobs.values()
    assert job.job_type == "api.searches"
    return json.loads(job.input or "null")


def test_path_query_and_body_become_the_input_each_as_what_the_schema_says(house: House) -> None:
    query = {"limit": "10", "ratio": "0.5", "exact": "true", "tags": "a,b"}
    answer = search(house, query=query)
    assert (answer.status, answer.body["jobType"], answer.headers["vary"]) == (202, "api.searches", "Prefer")
    assert input_asked_for(house) == {"subject": "war & peace", "limit": 10, "ratio": 0.5, "exact": True, "tags": ["a", "b"]}


def test_the_fields_of_a_body_need_no_reading(house: House) -> None:
    assert search(house, body='{"limit": 3, "tags": ["a,b"]}').status == 202
    assert input_asked_for(house) == {"subject": "war & peace", "limit": 3, "tags": ["a,b"]}


@pytest.mark.parametrize(
    ("query", "body", "pointers"),
    [
        ({"limit": "ten"}, "", ["/limit"]),
        ({"limit": "1000"}, "", ["/limit"]),
        ({"limit": "1.0"}, "", ["/limit"]),
        ({"ratio": "nan"}, "", ["/ratio"]),
        ({"exact": "yes"}, "", ["/exact"]),
        ({"colour": "red"}, "", ["/colour"]),
        ({"limit": "1"}, '{"limit": 2}', ["/limit"]),
        ({}, '{"subject": "peace"}', ["/subject"]),
        ({"subject": "peace"}, "", ["/subject"]),
        ({}, "[]", [""]),
    ],
)
def test_what_does_not_fit_is_named_where_the_caller_put_it(
    house: House, query: dict[str, str], body: str, pointers: list[str]
) -> None:
    answer = search(house, query=query, body=body)
    assert (answer.status, sorted(set(answer.pointers))) == (400, pointers)
    assert house.store.jobs == {}


def test_a_route_takes_an_idempotency_key_and_a_preference(house: House, patience: Patience) -> None:
    headers = {"idempotency-key": "k", "prefer": "wait=3"}
    first, again = search(house, headers=headers), search(house, headers=headers)
    assert first.headers["preference-applied"] == "wait=3"
    assert patience.waited == pytest.approx(6, abs=0.2)
    assert (again.body["asyncJobId"], again.headers["idempotency-replayed"]) == (first.body["asyncJobId"], "true")


def ended_search(**end: Any) -> AsyncJob:
    job = new_job(job_type="api.searches", async_job_id=job_id_for(OWNER, "k"))
    running = job.claimed(by="w", now=NOW, lease_until=NOW)
    return running.completed(now=NOW, **end) if "result" in end else running.failed(now=NOW, **end)


def search_at_once(house: House, patience: Patience, *end: AsyncJob) -> Answer:
    patience.events = [(2, job) for job in end]
    return search(house, SEARCH_AT_ONCE, headers={"idempotency-key": "k"})


def test_who_knows_nothing_of_jobs_gets_the_bare_result(house: House, patience: Patience) -> None:
    answer = search_at_once(house, patience, ended_search(result=Result(text='["found"]')))
    assert (answer.status, answer.text) == (200, '["found"]')
    assert answer.headers["location"].endswith(job_id_for(OWNER, "k"))


def test_a_result_that_lies_in_the_bucket_is_where_the_job_is(house: House, patience: Patience) -> None:
    answer = search_at_once(house, patience, ended_search(result=Result(location="results/x")))
    assert (answer.status, answer.headers["location"]) == (303, f"/api/v1/jobs/{job_id_for(OWNER, 'k')}/result")


def test_who_waits_for_a_result_is_told_why_there_is_none(house: House, patience: Patience) -> None:
    answer = search_at_once(house, patience, ended_search(error=FAILURE))
    assert (answer.status, answer.body["code"], answer.body["error"]["code"]) == (500, "JOB_FAILED", "HOPELESS")


def test_who_waits_for_a_result_is_told_that_the_job_was_cancelled(house: House, patience: Patience) -> None:
    waiting = new_job(job_type="api.searches", async_job_id=job_id_for(OWNER, "k"))
    answer = search_at_once(house, patience, waiting.cancelled(now=NOW))
    assert (answer.status, answer.body["code"]) == (409, "JOB_CANCELLED")
    assert answer.headers["location"].endswith(answer.body["asyncJobId"])


def test_a_result_that_takes_too_long_is_504_and_where_to_look_for_it(house: House, patience: Patience) -> None:
    answer = search_at_once(house, patience)
    assert (answer.status, answer.body["code"]) == (504, "JOB_NOT_COMPLETED")
    assert answer.body["asyncJobId"] == job_id_for(OWNER, "k")
    assert patience.waited == pytest.approx(20, abs=0.2)
    assert "retry-after" in answer.headers
    assert house.call(JOB, async_job_id=job_id_for(OWNER, "k")).status == 200


# ── One at a time ──────────────────────────────────────────────────────────────────────────────────


def test_while_another_operation_runs_a_submit_is_409_with_its_id_if_it_is_the_callers_own(house: House) -> None:
    running = house.submit({"jobType": "api.is_alone"})
    refused = house.submit({"jobType": "api.is_alone"})
    assert (running.status, refused.status, refused.body["code"]) == (202, 409, "JOB_CREATION_FAILED")
    assert refused.body["title"] == "Another operation is already running"
    assert (refused.body["asyncJobId"], refused.headers["retry-after"]) == (running.body["asyncJobId"], "10")
    stranger = house.submit({"jobType": "api.is_alone"}, owner="bob")
    assert (stranger.status, stranger.body["code"], "asyncJobId" in stranger.body) == (409, "JOB_CREATION_FAILED", False)
    assert running.body["asyncJobId"] not in json.dumps(stranger.body)


# ── Retry and delete ───────────────────────────────────────────────────────────────────────────────


def test_a_retried_job_is_202_pending_again_with_all_its_attempts(house: House) -> None:
    house.keep(replace(running_job(attempt=3), job_type="api.reads").failed(now=NOW, error=FAILURE))
    house.clock.advance(seconds=100)
    answer = house.call(RETRY, async_job_id=JOB_ID)
    assert (answer.status, answer.body["status"], answer.body["attempt"], answer.body["error"]) == (202, "PENDING", 0, None)
    assert (answer.body["endedAt"], answer.body["startedAt"]) == (None, None)
    assert "retry-after" in answer.headers
    assert house.call(JOB, async_job_id=JOB_ID).body == answer.body


@pytest.mark.parametrize("job", [new_job(), running_job(), running_job().completed(now=NOW, result=Result(text="1"))])
def test_a_job_that_has_not_failed_is_409_to_retry(house: House, job: AsyncJob) -> None:
    house.keep(job)
    answer = house.call(RETRY, async_job_id=JOB_ID)
    assert (answer.status, answer.body["code"]) == (409, "JOB_NOT_RETRYABLE")


def test_a_deleted_job_is_204_and_from_then_on_404(house: House) -> None:
    house.keep(running_job().completed(now=NOW, result=Result(text="1")))
    answer = house.call(DELETE, async_job_id=JOB_ID)
    assert (answer.status, answer.text) == (204, "")
    assert "content-type" not in answer.headers
    assert {house.call(route, async_job_id=JOB_ID).status for route in ABOUT_ONE_JOB} == {404}
    assert house.call(JOBS).body == {"jobs": [], "nextCursor": None}


@pytest.mark.parametrize("job", [new_job(), running_job()], ids=["waiting", "running"])
def test_an_unfinished_job_is_409_to_delete(house: House, job: AsyncJob) -> None:
    house.keep(job)
    answer = house.call(DELETE, async_job_id=JOB_ID)
    assert (answer.status, answer.body["code"]) == (409, "JOB_NOT_FINISHED")
    assert house.call(JOB, async_job_id=JOB_ID).status == 200


# ── List ───────────────────────────────────────────────────────────────────────────────────────────


def listed(number: int, **changes: Any) -> AsyncJob:
    """A job of a list: the higher its number, the newer."""
    return new_job(async_job_id=f"00000000-0000-4000-8000-{number:012}", now=NOW + timedelta(seconds=number), **changes)


def walk(house: House, query: Mapping[str, str], *, owner: str = OWNER) -> Iterator[list[str]]:
    """The ids on each page of a list."""
    cursor: str | None = ""
    while cursor is not None:
        answer = house.call(JOBS, owner=owner, query={**query, "cursor": cursor} if cursor else query)
        assert answer.status == 200
        yield [job["asyncJobId"] for job in answer.body["jobs"]]
        cursor = answer.body["nextCursor"]


def test_a_list_is_ones_own_jobs_newest_first(house: House) -> None:
    house.keep(listed(1), listed(2), listed(3, owner="bob"))
    answer = house.call(JOBS)
    assert (answer.status, answer.body["nextCursor"]) == (200, None)
    assert answer.body["jobs"] == [house.call(JOB, async_job_id=listed(number).async_job_id).body for number in (2, 1)]


def test_a_list_is_twenty_jobs_long_unless_asked_otherwise(house: House) -> None:
    house.keep(*(listed(number) for number in range(120)))
    assert [len(house.call(JOBS, query=query).body["jobs"]) for query in ({}, {"limit": "1"}, {"limit": "100"})] == [20, 1, 100]


@pytest.mark.parametrize("limit", ["0", "-1", "101", "1000000000", "10.5", "1e1", "true", "", " 5", "5\n", "05", "٣", "0x5"])
def test_a_page_is_of_1_to_100_jobs(house: House, limit: str) -> None:
    answer = house.call(JOBS, query={"limit": limit})
    assert (answer.status, answer.pointers) == (400, ["/limit"])


@pytest.mark.parametrize("status", ["pending", "RUNNING", "", "PENDING,FAILED", "finished", "__class__"])
def test_a_status_that_is_none_is_refused(house: House, status: str) -> None:
    answer = house.call(JOBS, query={"status": status})
    assert (answer.status, answer.pointers) == (400, ["/status"])


def test_each_wrong_parameter_is_named(house: House) -> None:
    answer = house.call(JOBS, query={"owner": "bob", "status": "x", "limit": "x"})
    assert answer.pointers == ["/limit", "/owner", "/status"]


def test_a_list_shows_only_what_it_was_asked_for(house: House) -> None:
    house.keep(
        listed(1), listed(2).cancelled(now=NOW), listed(3, job_type="other"), listed(4, job_type="other").cancelled(now=NOW)
    )

    def numbers(**query: str) -> list[int]:
        return [int(job["asyncJobId"][-1]) for job in house.call(JOBS, query=query).body["jobs"]]

    assert numbers(status="PENDING") == [3, 1]
    assert numbers(jobType="other") == [4, 3]
    assert numbers(status="CANCELLED", jobType="other") == [4]
    assert numbers(jobType="no.such") == []


def test_a_job_that_has_expired_is_in_no_list(house: House) -> None:
    house.keep(listed(1, record_expires_at=NOW), listed(2))
    assert [job["asyncJobId"] for job in house.call(JOBS).body["jobs"]] == [listed(2).async_job_id]


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from([Status.PENDING, Status.CANCELLED]), max_size=12),
    st.integers(1, 4),
    st.sampled_from(["", "CANCELLED"]),
)
def test_cursors_lead_through_the_whole_list(statuses: list[Status], limit: int, wanted: str) -> None:
    house = House()
    jobs = [listed(number, status=status) for number, status in enumerate(statuses)]
    house.keep(*jobs, listed(99, owner="bob"))
    query = {"limit": str(limit), **({"status": wanted} if wanted else {})}
    pages = list(walk(house, query))
    assert [found for page in pages for found in page] == [
        job.async_job_id for job in reversed(jobs) if wanted in ("", job.status)
    ]
    assert max(map(len, pages)) <= limit


# ── Cursors that are none ──────────────────────────────────────────────────────────────────────────

LIST = {"limit": "1", "status": "PENDING"}


def two_jobs() -> tuple[House, str]:
    """A house with two jobs, and the cursor between them."""
    house = House()
    house.keep(listed(1), listed(2))
    cursor: str = house.call(JOBS, query=LIST).body["nextCursor"]
    return house, cursor


def is_refused(house: House, cursor: str, *, owner: str = OWNER, query: Mapping[str, str] = LIST) -> bool:
    answer = house.call(JOBS, owner=owner, query={**query, "cursor": cursor})
    return (answer.status, answer.body.get("code")) == (400, "INVALID_CURSOR")


def test_a_cursor_is_opaque_text_that_a_url_can_hold() -> None:
    _, cursor = two_jobs()
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_a_cursor_is_bound_to_its_owner_and_its_filters() -> None:
    house, cursor = two_jobs()
    assert not is_refused(house, cursor)
    assert not is_refused(house, cursor, query={**LIST, "limit": "50"})
    assert is_refused(house, cursor, owner="bob")
    assert is_refused(house, cursor, query={"limit": "1"})
    assert is_refused(house, cursor, query={**LIST, "status": "FAILED"})
    assert is_refused(house, cursor, query={**LIST, "jobType": "api.reads"})


@settings(max_examples=40)
@given(st.data())
def test_a_damaged_cursor_is_refused(data: st.DataObject) -> None:
    house, cursor = two_jobs()
    raw = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != raw[place]))
    assert is_refused(house, base64.urlsafe_b64encode(raw).decode().rstrip("="))


@settings(max_examples=40)
@given(st.data())
def test_a_mistyped_cursor_is_refused(data: st.DataObject) -> None:
    house, cursor = two_jobs()
    place = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.sampled_from("ABab01-_=+/ é\n").filter(lambda character: character != cursor[place]))
    cut, longer = cursor[:place], cursor + other
    assert all(is_refused(house, wrong) for wrong in (cursor[:place] + other + cursor[place + 1 :], cut, longer))


@pytest.mark.parametrize("spacing", [b",", b",  ", b",\t"])
def test_the_same_place_written_in_another_way_is_no_cursor(spacing: bytes) -> None:
    house, cursor = two_jobs()
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    assert is_refused(house, base64.urlsafe_b64encode(raw.replace(b", ", spacing)).decode().rstrip("="))


@pytest.mark.parametrize("async_job_id", ["", "x", "a#b", JOB_ID.upper(), "x" * 4000])
def test_a_cursor_that_somebody_made_himself_leads_to_no_place_that_the_table_would_refuse(async_job_id: str) -> None:
    house, _ = two_jobs()
    assert not is_refused(house, cursor_of(OWNER, JobsQuery(status=Status.PENDING), ListPosition(NOW, JOB_ID)))
    assert is_refused(house, cursor_of(OWNER, JobsQuery(status=Status.PENDING), ListPosition(NOW, async_job_id)))


@settings(max_examples=30)
@given(st.text(max_size=40))
def test_no_cursor_that_was_never_given_is_taken(cursor: str) -> None:
    house, genuine = two_jobs()
    assert cursor == genuine or is_refused(house, cursor)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=30)
@given(JSON | st.tuples(JSON, JSON, JSON) | st.tuples(st.integers(), st.just(JOB_ID), st.text()))
def test_no_json_in_a_cursor_disturbs(value: Any) -> None:
    house, _ = two_jobs()
    assert is_refused(house, base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("="))


# ── Job types and health ───────────────────────────────────────────────────────────────────────────


def test_the_job_types_tell_what_a_client_may_know(house: House) -> None:
    answer = house.call(JOB_TYPES)
    assert answer.status == 200
    assert [found["jobType"] for found in answer.body["jobTypes"]] == [
        "api.reads",
        "api.searches",
        "api.takes_anything",
        "api.is_alone",
        "generic",
    ]
    assert [found["tracked"] for found in answer.body["jobTypes"]] == [False, False, False, False, True]
    assert answer.body["jobTypes"][0] == {
        "jobType": "api.reads",
        "description": "Reads pages.",
        "inputSchema": READS.input_schema,
        "outputSchema": {"type": "integer"},
        "expectedSeconds": 10,
        "timeoutSeconds": 60,
        "maxAttempts": 3,
        "priority": "standard",
        "tracked": False,
        "retentionSeconds": 604800,
    }


def test_health_needs_no_token_and_no_table(house: House) -> None:
    house.store.failures.append(Unavailable("down"))
    event = sample("status")
    del event["requestContext"]["authorizer"]
    answer = house.call(HEALTH, requestContext=event["requestContext"])
    assert (answer.status, answer.body) == (200, {"status": "ok"})


def test_the_openapi_document_needs_no_token_and_is_the_file_as_it_is(house: House) -> None:
    event = sample("status")
    del event["requestContext"]["authorizer"]
    answer = house.call(OPENAPI, requestContext=event["requestContext"])
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.text == openapi_path().read_text()
    assert answer.headers["cache-control"] == "public, max-age=300"


# ── Tracked jobs ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def tracked(house: House) -> Answer:
    """The answer to its submit."""
    return house.submit({"message": "Upload queued", "metadata": {"fileName": "contract.pdf"}})


def reported(house: House, tracked: Answer, route: str, report: Any, token: str | None = None, **event: Any) -> Answer:
    bearer = tracked.body["workerToken"] if token is None else token
    headers = {"authorization": f"Bearer {bearer}"} if route == REPORT else {}
    return house.call(route, async_job_id=tracked.body["asyncJobId"], headers=headers, **{"body": json.dumps(report), **event})


def test_a_submit_without_a_job_type_is_a_generic_tracked_job(house: House, tracked: Answer) -> None:
    assert tracked.status == 202
    expected = {"jobType": "generic", "status": "PENDING", "message": "Upload queued", "progress": 0, "maxAttempts": 0}
    assert expected.items() <= tracked.body.items()
    assert house.queue.sent == []


def test_the_workers_token_is_in_the_answer_that_creates_the_job_and_in_no_other(house: House) -> None:
    created = house.submit({}, key="k")
    again = house.submit({}, key="k")
    looked = house.call(JOB, async_job_id=created.body["asyncJobId"])
    assert again.headers["idempotency-replayed"] == "true"
    assert [("workerToken" in answer.body) for answer in (created, again, looked)] == [True, False, False]
    assert "workerToken" not in house.submit(BODY).body


@pytest.mark.parametrize("route", [UPDATE, REPORT])
def test_who_may_report_is_answered_with_the_job(house: House, tracked: Answer, route: str) -> None:
    answer = reported(house, tracked, route, {"progress": 45, "message": "Extracting document data..."})
    assert answer.status == 200
    assert answer.body == house.call(JOB, async_job_id=tracked.body["asyncJobId"]).body
    assert (answer.body["status"], answer.body["progress"]) == ("IN_PROGRESS", 45)


@pytest.mark.parametrize("route", [UPDATE, REPORT])
def test_a_report_that_makes_no_sense_is_400_with_each_place(house: House, tracked: Answer, route: str) -> None:
    answer = reported(house, tracked, route, {"status": "PENDING", "owner": "bob"})
    assert (answer.status, answer.pointers) == (400, ["/owner", "/status"])
    assert reported(house, tracked, route, None, body="{").body["code"] == "INVALID_JSON"


def test_a_result_elsewhere_is_shown_where_every_result_is_and_leads_there(house: House, tracked: Answer) -> None:
    url = "https://files.example/report.pdf"
    job = reported(house, tracked, REPORT, {"status": "COMPLETED", "resultLocation": url}).body
    assert (job["resultType"], job["result"]) == ("URL", None)
    assert job["resultLocation"] == f"/api/v1/jobs/{job['asyncJobId']}/result"
    answer = house.call(RESULT, async_job_id=job["asyncJobId"])
    assert (answer.status, answer.headers["location"], answer.body) == (303, url, {"location": url})


def test_a_result_that_is_too_large_is_413_and_told_what_to_do(house: House, tracked: Answer) -> None:
    answer = reported(house, tracked, UPDATE, {"status": "COMPLETED", "result": "x" * 9000})
    assert (answer.status, answer.body["code"]) == (413, "RESULT_TOO_LARGE")
    assert "`resultLocation`" in answer.body["detail"]


@pytest.mark.parametrize("route", [UPDATE, REPORT])
def test_a_worker_is_told_how_its_job_ended(house: House, tracked: Answer, route: str) -> None:
    house.call(CANCEL, async_job_id=tracked.body["asyncJobId"])
    late = reported(house, tracked, route, {"progress": 50})
    assert (late.status, late.body["code"], late.body["jobStatus"]) == (409, "JOB_CANCELLED", "CANCELLED")


def test_a_job_that_runs_here_takes_no_report(house: House) -> None:
    house.keep(new_job())
    answer = house.call(UPDATE, async_job_id=JOB_ID, body='{"progress": 50}')
    assert (answer.status, answer.body["code"]) == (409, "JOB_NOT_TRACKED")


def test_a_wrong_token_is_the_same_401_whatever_is_wrong(house: House, tracked: Answer) -> None:
    other = house.submit({}).body
    house.keep(new_job())
    report = {"progress": 50}
    answers = [
        *(reported(house, tracked, REPORT, report, token) for token in ("", "x", "a.b.c", other["workerToken"])),
        reported(house, tracked, REPORT, report, tracked.body["workerToken"][:-1]),
        house.call(REPORT, async_job_id=tracked.body["asyncJobId"], body=json.dumps(report)),
        *(
            reported(house, Answer(0, {}, json.dumps({**tracked.body, "asyncJobId": async_job_id})), REPORT, report)
            for async_job_id in (JOB_ID, other["asyncJobId"], "x", "")
        ),
    ]
    assert {answer.status for answer in answers} == {401}
    assert all(answer == answers[0] for answer in answers)
    assert answers[0].headers["www-authenticate"] == "Bearer"


def test_the_owner_of_a_job_is_none_of_its_workers(house: House, tracked: Answer) -> None:
    # Where the gateway checks no token, whom an event names as its owner means nothing.
    answer = house.call(REPORT, owner=OWNER, async_job_id=tracked.body["asyncJobId"], body='{"progress": 50}')
    assert answer.status == 401


# ── Every route ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("route", [SUBMIT, JOBS, JOB_TYPES, *ABOUT_ONE_JOB])
def test_without_an_owner_every_route_is_403(house: House, route: str) -> None:
    house.keep(new_job())
    answer = house.call(route, owner="", async_job_id=JOB_ID, body=json.dumps(BODY))
    assert (answer.status, answer.body["code"]) == (403, "OWNER_MISSING")


@pytest.mark.parametrize("route", [SUBMIT, JOBS, JOB_TYPES, HEALTH, *ABOUT_ONE_JOB])
@pytest.mark.parametrize("accept", ["application/json", "text/html"], ids=["answer", "problem"])
def test_every_answer_is_kept_by_nobody_and_guessed_at_by_no_browser(house: House, route: str, accept: str) -> None:
    house.keep(new_job())
    answer = house.call(route, async_job_id=JOB_ID, body=json.dumps(BODY), headers={"accept": accept})
    assert (answer.status == 406) is (accept == "text/html")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["strict-transport-security"]


def test_every_problem_has_the_members_of_rfc_9457_a_code_and_the_request(house: House) -> None:
    answer = house.call(JOB, async_job_id="no id")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body == {
        "type": "urn:asyncjobs:problem:JOB_NOT_FOUND",
        "title": "There is no such job",
        "status": 404,
        "code": "JOB_NOT_FOUND",
        "detail": "It does not exist, is not yours, or has expired.",
        "requestId": "JKJaXmPLvHcESHA=",
    }


def test_a_mistake_of_ours_is_no_answer_but_an_error_that_lambda_counts() -> None:
    def mistaken(_request: object) -> dict[str, Any]:
        raise IllegalMove("A mistake.")

    with pytest.raises(IllegalMove):
        Api({HEALTH: mistaken}).handle({**sample("status"), "routeKey": HEALTH})


# ── Two owners ─────────────────────────────────────────────────────────────────────────────────────

OWNERS = st.text("ab|. ", min_size=1, max_size=3)
STEPS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(["submit", "cancel", "finish"]), st.sampled_from(["", "k", "kk"]))
)


@settings(max_examples=25)
@given(st.tuples(OWNERS, OWNERS).filter(lambda owners: owners[0] != owners[1]), STEPS)
def test_two_owners_never_meet(owners: tuple[str, str], steps: list[tuple[int, str, str]]) -> None:
    house = House()
    own: tuple[list[str], list[str]] = ([], [])
    for who, step, key in steps:
        if step == "submit":
            submitted = house.submit({"jobType": "api.takes_anything", "input": who}, key=key or None, owner=owners[who])
            assert submitted.status in (200, 202)
            if "idempotency-replayed" not in submitted.headers:
                own[who].append(submitted.body["asyncJobId"])
        elif own[who]:
            async_job_id = own[who][-1]
            if step == "cancel":
                house.call(CANCEL, owner=owners[who], async_job_id=async_job_id)
            else:
                job = next(job for job in house.store.jobs.values() if job.async_job_id == async_job_id)
                house.keep(replace(job, status=Status.COMPLETED, result=Result(text=str(who)), due_at=None))
    for who in (0, 1):
        assert {found for page in walk(house, {"limit": "2"}, owner=owners[who]) for found in page} == set(own[who])
        for async_job_id in own[who]:
            assert house.call(JOB, owner=owners[who], async_job_id=async_job_id).status == 200
            assert {house.call(route, owner=owners[1 - who], async_job_id=async_job_id).status for route in ABOUT_ONE_JOB} == {
                404
            }
