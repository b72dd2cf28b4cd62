"""The HTTP contract, through real events of the HTTP API: what is asked, what is answered, and what is never told."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjobs.api import Api, _cursor, commands_api, queries_api
from asyncjobs.catalogue import Catalogue
from asyncjobs.clock import from_rfc3339, rfc3339
from asyncjobs.durations import Durations
from asyncjobs.errors import IllegalMove, Unavailable
from asyncjobs.lifecycle import AsyncJob, JobFailure, Result, Status
from asyncjobs.polling import Outlook
from asyncjobs.service import Commands, JobsQuery, Queries
from asyncjobs.store import ListPosition
from tests.events import as_owner, sample
from tests.factories import JOB_ID, NOW, OWNER, job_type, new_job, running_job
from tests.fakes import FakeClock, FakeObjects, FakeQueue, FakeStore

SUBMIT = "POST /api/v1/jobs"
CANCEL = "POST /api/v1/jobs/{asyncJobId}/cancel"
JOB = "GET /api/v1/jobs/{asyncJobId}"
RESULT = "GET /api/v1/jobs/{asyncJobId}/result"
JOBS = "GET /api/v1/jobs"
JOB_TYPES = "GET /api/v1/job-types"
HEALTH = "GET /api/v1/health"
ABOUT_ONE_JOB = [JOB, RESULT, CANCEL]

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
CATALOGUE = Catalogue({"api.reads": READS, "api.takes_anything": job_type("api.takes_anything")})
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
    outlooks: dict[str, Outlook] = field(default_factory=dict)
    asked_for: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        most = timedelta(days=30)
        commands = Commands(
            store=self.store,
            queue=self.queue,
            objects=self.objects,
            catalogue=CATALOGUE,
            clock=self.clock,
            max_retention=most,
        )
        queries = Queries(store=self.store, objects=self.objects, catalogue=CATALOGUE, clock=self.clock)
        self._commands = commands_api(commands, clock=self.clock, max_retention=most)
        self._queries = queries_api(queries, clock=self.clock, outlook=self.outlook)

    def outlook(self, job_type: str) -> Outlook | None:
        self.asked_for.append(job_type)
        return self.outlooks.get(job_type)

    def call(
        self,
        route: str,
        *,
        owner: str = OWNER,
        async_job_id: str | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **event: Any,
    ) -> Answer:
        name = {SUBMIT: "submit", CANCEL: "cancel"}.get(route, "status")
        asked = as_owner(sample(name), owner)
        asked["headers"].pop("idempotency-key", None)
        asked["headers"] |= headers or {}
        asked |= {"routeKey": route, **event}
        asked.pop("pathParameters", None)
        if async_job_id is not None:
            asked["pathParameters"] = {"asyncJobId": async_job_id}
        if query is not None:
            asked["queryStringParameters"] = dict(query)
        api = self._queries if route.startswith("GET") else self._commands
        answer = api.handle(asked)
        return Answer(answer["statusCode"], answer["headers"], answer["body"])

    def submit(self, body: Any, *, key: str | None = None, owner: str = OWNER) -> Answer:
        headers = {} if key is None else {"idempotency-key": key}
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
    ({}, ["/jobType"]),
    ({"jobType": ""}, ["/jobType"]),
    ({"jobType": 7}, ["/jobType"]),
    ({"jobType": None}, ["/jobType"]),
    ({"jobType": "x" * 51}, ["/jobType"]),
    ([], [""]),
    (None, [""]),
    ("api.reads", [""]),
    ({**BODY, "delaySeconds": -1}, ["/delaySeconds"]),
    ({**BODY, "delaySeconds": 901}, ["/delaySeconds"]),
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
    ({"delaySeconds": -1, "owner": "bob"}, ["/delaySeconds", "/jobType", "/owner"]),
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
    house.outlooks["zoo.returns"] = Outlook(Durations.of([20.0] * 100))
    house.keep(running_job())
    house.clock.advance(seconds=4)
    answer = house.call(JOB, async_job_id=JOB_ID)
    early = house.call(RESULT, async_job_id=JOB_ID)
    assert 15 <= int(answer.headers["retry-after"]) <= 18
    assert early.headers["retry-after"] == answer.headers["retry-after"]
    assert abs(from_rfc3339(answer.body["estimatedEndAt"]) - (NOW + timedelta(seconds=20))) < timedelta(seconds=1)


def test_nobody_asks_for_the_outlook_of_a_job_that_has_ended(house: House) -> None:
    house.keep(running_job().completed(now=NOW, result=Result(text="1")))
    answer = house.call(JOB, async_job_id=JOB_ID)
    house.call(RESULT, async_job_id=JOB_ID)
    assert answer.body["estimatedEndAt"] is None
    assert house.asked_for == []


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
    house.keep(running_job(by="canary", gen="canary", request_hash=b"canary", input="canary", input_location="canary"))
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
    assert [house.call(route, async_job_id="7").status for route in ABOUT_ONE_JOB] == [404, 404, 404]


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
    assert not is_refused(house, _cursor(OWNER, JobsQuery(status=Status.PENDING), ListPosition(NOW, JOB_ID)))
    assert is_refused(house, _cursor(OWNER, JobsQuery(status=Status.PENDING), ListPosition(NOW, async_job_id)))


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
    assert [found["jobType"] for found in answer.body["jobTypes"]] == ["api.reads", "api.takes_anything"]
    assert answer.body["jobTypes"][0] == {
        "jobType": "api.reads",
        "description": "Reads pages.",
        "inputSchema": READS.input_schema,
        "outputSchema": {"type": "integer"},
        "expectedSeconds": 10,
        "timeoutSeconds": 60,
        "maxAttempts": 3,
        "retentionSeconds": 604800,
    }


def test_health_needs_no_token_and_no_table(house: House) -> None:
    house.store.failures.append(Unavailable("down"))
    event = sample("status")
    del event["requestContext"]["authorizer"]
    answer = house.call(HEALTH, requestContext=event["requestContext"])
    assert (answer.status, answer.body) == (200, {"status": "ok"})


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
