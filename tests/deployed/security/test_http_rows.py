"""The security rows of the protocol (section 6), S1 to S29: each request, and its exact answer.

These rows go through `Api.handle`. `ELSEWHERE` names the tests of the others: those that need the gateway or the bucket run on
the deployed stack, and those that unit tests cover are not repeated. The missing rows belong to features that do not exist yet:
S12 (no request requires a key), S21 to S26 (no callbacks).
"""

from __future__ import annotations

import ast
import base64
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import WORKER_LOST, Result
from asyncjobs.http.request import MAX_BODY
from asyncjobs.tracking.worker_token import WorkerToken
from tests.deployed.security.world import World
from tests.support.factories import JOB_ID, NOW, new_job, new_tracked_job, running_job
from tests.support.http_events import (
    CANCEL,
    DELETE,
    INPUT,
    JOB,
    JOBS,
    REPORT,
    RESULT,
    RETRY,
    SUBMIT,
    TICKET_EVENTS,
    TICKET_JOB,
    TICKET_JOBS,
    TICKET_RESULT,
    UPDATE,
    WORKER_TOKEN,
)

ELSEWHERE = {
    "S1": [
        "deployed/operations/test_tokens.py::test_s1_forged_token_is_401_and_reaches_no_function",
        "deployed/http/test_owners.py::test_request_without_a_token_is_401",
        "deployed/http/test_tracked.py::test_each_wrong_token_is_the_same_401",
        "deployed/security/test_isolation.py::test_worker_token_of_one_job_is_rejected_for_another",
        "deployed/http/test_tickets.py::test_each_wrong_ticket_is_the_same_401",
    ],
    "S2": [
        "deployed/operations/test_tokens.py::test_s2_token_without_the_scope_is_403",
        "deployed/http/test_owners.py::test_id_token_is_not_an_access_token",
        "template/test_template.py::test_every_route_but_the_open_ones_needs_a_token_with_the_scope",
    ],
    "S3": [
        "deployed/operations/test_tokens.py::test_s3_token_without_an_owner_is_403",
        "unit/http/test_request.py::test_token_without_a_usable_subject_is_rejected",
    ],
    "S5": [
        "deployed/http/test_owners.py::test_jobs_of_others_unknown_and_malformed_ids_are_the_same_404",
        "deployed/security/test_isolation.py::test_owner_cannot_observe_other_owners",
        "deployed/security/test_isolation.py::test_ticket_opens_nothing_but_reads_of_its_jobs",
    ],
    "S6": [
        "unit/http/test_cursor.py::test_damaged_cursor_is_400",
        "unit/http/test_cursor.py::test_made_up_cursor_is_400",
    ],
    "S10": ["unit/http/test_strict_json.py::test_ambiguous_json_is_rejected"],
    "S13": ["unit/http/test_request.py::test_invalid_key_is_rejected"],
    "S15": [
        "deployed/http/test_limits.py::test_exceeded_rate_is_429_with_retry_after",
        "deployed/http/test_limits.py::test_too_many_unfinished_jobs_are_429_until_one_has_ended",
        "deployed/http/test_limits.py::test_full_queue_is_503_and_stores_nothing",
        "template/test_template.py::test_api_is_throttled_and_has_an_access_log_without_tokens",
    ],
    "S18": [
        "deployed/http/test_problems.py::test_s18_unknown_route_is_the_gateways_404",
        "deployed/http/test_problems.py::test_s18_id_cannot_leave_its_route",
    ],
    "S19": [
        "deployed/http/test_headers.py::test_s19_other_origin_gets_no_cors_headers",
        "deployed/http/test_headers.py::test_listed_origin_may_send_every_method_and_header",
    ],
    "S20": ["unit/http/test_bodies.py::test_invalid_body_is_400_with_each_problem"],
    "S27": [
        "deployed/http/test_links.py::test_s27_link_downloads_the_result_for_five_minutes",
        "deployed/http/test_links.py::test_s27_link_cannot_write",
        "deployed/http/test_links.py::test_s27_changed_link_is_rejected",
    ],
    "S28": [
        "deployed/security/test_canary.py::test_s28_log_has_no_payload_of_a_job",
        "deployed/security/test_canary.py::test_s28_log_has_no_ticket",
        "template/test_template.py::test_access_log_has_no_part_of_a_url_that_may_have_a_ticket",
    ],
    "S29": [
        "template/test_template.py::test_functions_are_reached_only_through_the_gateway",
        "deployed/operations/test_permissions.py::test_function_may_do_what_its_code_does_and_is_denied_everything_else",
    ],
}


def test_tests_elsewhere_exist() -> None:
    tests = Path(__file__).parents[2]
    for row, names in ELSEWHERE.items():
        for name in names:
            file, _, function = name.partition("::")
            functions = {n.name for n in ast.walk(ast.parse((tests / file).read_text())) if isinstance(n, ast.FunctionDef)}
            assert function in functions, (row, name)


@dataclass(frozen=True)
class Row:
    """A rejected request, its answer, and the pointers in `errors`."""

    number: str
    what: str
    status: int
    code: str
    route: str = SUBMIT
    body: Any = field(default_factory=lambda: {"jobType": "sample.returns"})
    pointers: list[str] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of the answer, in addition to those of every answer."""

    def __str__(self) -> str:
        return f"{self.number} {self.what}"


def invalid(number: str, what: str, pointer: str, **request: Any) -> Row:
    return Row(number, what, 400, "INVALID_REQUEST", pointers=[pointer], **request)


def unsound(what: str, body: bytes) -> Row:
    encoded = base64.b64encode(body).decode()
    return Row("S10", what, 400, "INVALID_JSON", options={"body": encoded, "isBase64Encoded": True})


def listed(number: str, what: str, pointer: str, **query: str) -> Row:
    return invalid(number, what, pointer, route=JOBS, options={"query": query})


def asked(number: str, what: str, status: int, code: str, route: str, async_job_id: str, **headers: str) -> Row:
    found = {name.replace("_", "-"): value for name, value in headers.items()}
    return Row(number, what, status, code, route=route, options={"async_job_id": async_job_id}, headers=found)


def an_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def update(what: str, pointer: str, **body: Any) -> Row:
    return invalid("S20", what, pointer, route=UPDATE, body=body, options={"async_job_id": TRACKED})


UNKNOWN, BOBS, EXPIRED, COMPLETED, FAILED, CANCELLED, TRACKED, TRACKED_CANCELLED = map(an_id, range(8))
TOKEN = WorkerToken("alice", bytes(32))

ROWS = [
    Row("S3", "no subject", 403, "OWNER_MISSING", options={"owner": None}),
    Row("S3", "a list of subjects", 403, "OWNER_MISSING", options={"owner": ["alice"]}),
    invalid("S4", "an owner in the body", "/owner", body={"jobType": "sample.returns", "owner": "bob"}),
    invalid("S4", "a tenant in the body", "/tenantId", body={"jobType": "sample.returns", "tenantId": "bob"}),
    listed("S4", "an owner in the query", "/owner", owner="bob"),
    *(
        asked("S5", f"{what}: {route.rpartition('/')[2]}", 404, "JOB_NOT_FOUND", route, async_job_id)
        for route in (JOB, RESULT, INPUT, CANCEL, UPDATE)
        for what, async_job_id in {
            "another's": BOBS,
            "unknown": UNKNOWN,
            "expired": EXPIRED,
            "no id": "x",
            "an id and an owner": f"bob#{BOBS}",
            "another's in upper case": BOBS.upper(),
        }.items()
    ),
    *(
        Row("S6", f"cursor {cursor!r}", 400, "INVALID_CURSOR", route=JOBS, options={"query": {"cursor": cursor}})
        for cursor in ("", "x", "e30", "WzEsMl0", "../..")
    ),
    listed("S6", "NUL in a cursor", "/cursor", cursor="\x00"),
    listed("S6", "NUL in a name", "", **{"\x00": "x"}),
    *(
        listed("S7", f"limit {limit!r}", "/limit", limit=limit)
        for limit in ("0", "-1", "1000000000", "101", "10.5", "true", "")
    ),
    *(
        Row("S8", f"content type {kind!r}", 415, "UNSUPPORTED_MEDIA_TYPE", options={"headers": {"content-type": kind}})
        for kind in (
            "",
            "text/plain",
            "application/xml",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
        )
    ),
    Row("S8", "wants HTML", 406, "NOT_ACCEPTABLE", options={"headers": {"accept": "text/html"}}),
    Row("S9", "256 KB and a byte", 413, "REQUEST_TOO_LARGE", body="x" * (MAX_BODY - 1)),
    unsound("cut off", b'{"jobType":'),
    unsound("33 deep", b"[" * 33 + b"]" * 33),
    unsound("NaN", b'{"jobType":"sample.returns","input":NaN}'),
    unsound("a name twice", b'{"jobType":"sample.returns","jobType":"sample.returns"}'),
    unsound("UTF-16", '{"jobType":"sample.returns"}'.encode("utf-16")),
    unsound("byte order mark", b'\xef\xbb\xbf{"jobType":"sample.returns"}'),
    unsound("lone surrogate", rb'{"jobType":"\ud800"}'),
    unsound("NUL", rb'{"jobType":"sample.returns\u0000"}'),
    unsound("39 digits", b'{"jobType":"sample.returns","input":' + b"1" * 39 + b"}"),
    Row("S11", "unknown type", 400, "UNKNOWN_JOB_TYPE", body={"jobType": "sample.unicorn"}),
    Row("S11", "a type that is a path", 400, "UNKNOWN_JOB_TYPE", body={"jobType": "../../etc/passwd"}),
    Row("S11", "a type that is a module", 400, "UNKNOWN_JOB_TYPE", body={"jobType": "os.system"}),
    invalid("S11", "input of another shape", "/input/number", body={"jobType": "sample.halves", "input": {"number": "4"}}),
    invalid("S11", "unknown field", "/input/x", body={"jobType": "sample.returns", "input": {"x": 1}}),
    *(
        invalid("S13", f"key {ascii(key)[:20]}", "", options={"headers": {"idempotency-key": key}})
        for key in ("", '""', "x" * 256, "a\x00b", "a\r\nset-cookie: x=1", "ä")
    ),
    asked("S16", "cancel what is completed", 409, "JOB_ALREADY_FINISHED", CANCEL, COMPLETED),
    asked("S16", "cancel what has failed", 409, "JOB_ALREADY_FINISHED", CANCEL, FAILED),
    asked("S16", "retry what is completed", 409, "JOB_NOT_RETRYABLE", RETRY, COMPLETED),
    asked("S16", "retry what runs", 409, "JOB_NOT_RETRYABLE", RETRY, JOB_ID),
    asked("S16", "new token of an ended job", 409, "JOB_ALREADY_FINISHED", WORKER_TOKEN, TRACKED_CANCELLED),
    asked("S16", "new token of a job that is not tracked", 409, "JOB_NOT_TRACKED", WORKER_TOKEN, JOB_ID),
    asked("S16", "delete what runs", 409, "JOB_NOT_FINISHED", DELETE, JOB_ID),
    asked("S16", "report of a job that runs here", 409, "JOB_NOT_TRACKED", UPDATE, JOB_ID),
    asked("S16", "report of a cancelled job", 409, "JOB_CANCELLED", UPDATE, TRACKED_CANCELLED),
    *(
        Row(
            "S1",
            f"worker's token {what}",
            401,
            "INVALID_WORKER_TOKEN",
            route=REPORT,
            body={"status": "COMPLETED"},
            options={"async_job_id": async_job_id, "owner": None, "headers": {"authorization": authorization}},
            headers={"www-authenticate": "Bearer"},
        )
        for what, authorization, async_job_id in (
            ("is not there", "", TRACKED),
            ("is empty", "Bearer ", TRACKED),
            ("is no token", "Bearer x", TRACKED),
            ("is shaped like a JWT", "Bearer a.b.c", TRACKED),
            ("comes by another scheme", f"Basic {TOKEN.text}", TRACKED),
            ("is another's", f"Bearer {WorkerToken('bob', TOKEN.secret).text}", TRACKED),
            ("is guessed", f"Bearer {WorkerToken('alice', bytes(31) + b'x').text}", TRACKED),
            ("is of another job", f"Bearer {TOKEN.text}", BOBS),
            ("is for a job that runs here", f"Bearer {TOKEN.text}", JOB_ID),
            ("is for an unknown job", f"Bearer {TOKEN.text}", UNKNOWN),
            ("is for an expired job", f"Bearer {TOKEN.text}", EXPIRED),
            ("is for no id", f"Bearer {TOKEN.text}", "x"),
        )
    ),
    *(
        Row(
            "S1",
            f"ticket {what}: {route.rpartition('/')[2]}",
            401,
            "INVALID_TICKET",
            route=route,
            options={"async_job_id": JOB_ID, "owner": "alice", "headers": {"authorization": authorization}, "query": query},
            headers={"www-authenticate": "Bearer"},
        )
        for route in (TICKET_JOB, TICKET_JOBS, TICKET_RESULT, TICKET_EVENTS)
        for what, authorization, query in (
            ("is not there", "", {}),
            ("is empty", "Bearer ", {}),
            ("is empty in the query", "", {"ticket": ""}),
            ("is no ticket", "Bearer x", {}),
            ("is a user's token", "Bearer a.b.c", {}),
            ("is a worker's token", f"Bearer {TOKEN.text}", {}),
            ("is guessed", "", {"ticket": "ajt_" + "A" * 43}),
            ("is too long", "", {"ticket": "ajt_" + "A" * 3000}),
        )
    ),
    asked("S17", "result of a running job", 409, "JOB_NOT_COMPLETED", RESULT, JOB_ID, retry_after="2"),
    asked("S17", "result of a failed job", 409, "JOB_FAILED", RESULT, FAILED),
    asked("S17", "result of a cancelled job", 409, "JOB_CANCELLED", RESULT, CANCELLED),
    *(
        invalid("S20", f"{name} in the body", f"/{name}", body={"jobType": "sample.returns", name: value})
        for name, value in {
            "status": "COMPLETED",
            "attempt": 9,
            "claimedBy": "me",
            "result": 1,
            "resultLocation": "inputs/bob/secret",
            "inputLocation": "inputs/bob/secret",
            "recordExpiresAt": 0,
            "pk": "J#bob#x",
            "gen": "x",
            "maxAttempts": 99,
            "deadlineAt": 0,
        }.items()
    ),
    update("another job's result", "/resultLocation", status="COMPLETED", resultLocation="results/x/y/1"),
    update("a bucket", "/resultLocation", status="COMPLETED", resultLocation="s3://bucket/inputs/bob/secret"),
    update("a header", "/resultLocation", status="COMPLETED", resultLocation="https://a.example/\r\nset-cookie:x=1"),
    update("a status that is not reported", "/status", status="CANCELLED"),
    *(update(f"{name} in a report", f"/{name}", **{name: 1}) for name in ("gen", "owner", "maxAttempts", "workerToken")),
    Row(
        "S9",
        "a result of 8 KB and a byte",
        413,
        "RESULT_TOO_LARGE",
        route=UPDATE,
        body={"status": "COMPLETED", "result": "x" * 8191},
        options={"async_job_id": TRACKED},
    ),
]


@pytest.fixture
def world() -> World:
    """Return a world with jobs of both owners in each state."""
    world = World()
    running = running_job()
    jobs = [
        running,
        new_job(owner="bob", async_job_id=BOBS, message="canary"),
        new_job(async_job_id=EXPIRED, record_expires_at=NOW),
        replace(running.completed(now=NOW, result=Result(text='"canary"')), async_job_id=COMPLETED),
        replace(running.failed(now=NOW, error=WORKER_LOST), async_job_id=FAILED),
        replace(running.cancelled(now=NOW), async_job_id=CANCELLED),
        new_tracked_job(async_job_id=TRACKED, token_hash=TOKEN.hash),
        new_tracked_job(async_job_id=TRACKED_CANCELLED).cancelled(now=NOW),
    ]
    world.store.jobs |= {job.key: job for job in jobs}
    return world


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_answer_is_exactly_that_of_the_row(world: World, row: Row) -> None:
    before = dict(world.store.jobs)
    body = {"progress": 1} if row.route == UPDATE and "jobType" in row.body else row.body
    options = {"body": json.dumps(body), **row.options}
    answer = world.call(row.route, **options)
    assert (answer.status, answer.code) == (row.status, row.code)
    assert answer.headers == {
        "content-type": "application/problem+json",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
        "strict-transport-security": "max-age=63072000",
        "referrer-policy": "no-referrer",
        **row.headers,
    }
    assert {"type", "title", "status", "code", "detail", "requestId"} <= answer.body.keys()
    if row.pointers is not None:
        assert [error["pointer"] for error in answer.body["errors"]] == row.pointers
    assert "canary" not in answer.text
    assert (world.store.jobs, world.store.writes, world.queue.sent, world.objects.stored) == (before, 0, [], {})


def test_s4_owner_in_a_header_or_query_is_ignored(world: World) -> None:
    answer = world.call(
        SUBMIT,
        body=json.dumps({"jobType": "sample.returns"}),
        headers={"x-owner": "bob", "x-amzn-oidc-identity": "bob", "x-forwarded-user": "bob"},
        query={"owner": "bob", "sub": "bob"},
    )
    assert answer.status == 202
    assert [key.owner for key in world.store.jobs if key.async_job_id == answer.body["asyncJobId"]] == ["alice"]


def test_s5_every_404_is_identical(world: World) -> None:
    answers = [
        world.call(route, async_job_id=async_job_id, body='{"progress": 1}')
        for route in (JOB, RESULT, INPUT, CANCEL, UPDATE)
        for async_job_id in (BOBS, UNKNOWN, EXPIRED, "x", "")
    ]
    assert all(answer == answers[0] for answer in answers)


def test_s6_cursor_of_another_owner_is_400(world: World) -> None:
    world.store.jobs |= {job.key: job for job in (new_job(owner="bob", async_job_id=an_id(number)) for number in (50, 51))}
    cursor = world.call(JOBS, "bob", query={"limit": "1"}).body["nextCursor"]
    answer = world.call(JOBS, query={"limit": "1", "cursor": cursor})
    assert (answer.status, answer.code) == (400, "INVALID_CURSOR")


def test_s14_key_of_another_request_is_422_and_changes_nothing(world: World) -> None:
    world.submit(key="k", jobType="sample.returns", message="canary")
    before = dict(world.store.jobs)
    answer = world.submit(key="k", jobType="sample.returns")
    assert (answer.status, answer.code) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert "canary" not in answer.text
    assert world.store.jobs == before


def test_s15_overloaded_table_is_503_with_retry_after(world: World) -> None:
    world.store.failures.append(Unavailable("Throttled."))
    answer = world.submit(jobType="sample.returns")
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "UNAVAILABLE", "2")


def test_s16_cancel_of_a_cancelled_job_is_200(world: World) -> None:
    answer = world.call(CANCEL, async_job_id=CANCELLED)
    assert (answer.status, answer.body["status"]) == (200, "CANCELLED")
    assert world.store.writes == 0
