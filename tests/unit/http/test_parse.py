"""Bodies, parameters and cursors are parsed, or rejected with the place of each problem."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import Status
from asyncjobs.core.ports import ListPosition
from asyncjobs.http.parse import cursor_of
from asyncjobs.service.queries import JobsQuery
from tests.support.factories import JOB_ID, NOW, OWNER, running_job
from tests.unit.http.in_memory_api import ABOUT_ONE_JOB, BODY, JOB, JOBS, InMemoryApi, listed

# ── Submit ───────────────────────────────────────────────────────────────────────────────────────────


def test_input_defaults_to_an_empty_object(api: InMemoryApi) -> None:
    api.submit({"jobType": "api.takes_anything"})
    (job,) = api.store.jobs.values()
    assert job.input == "{}"


def test_input_may_be_null(api: InMemoryApi) -> None:
    api.submit({"jobType": "api.takes_anything", "input": None})
    (job,) = api.store.jobs.values()
    assert job.input == "null"


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
def test_invalid_body_is_400_with_each_problem(api: InMemoryApi, body: Any, pointers: list[str]) -> None:
    answer = api.submit(body)
    assert (answer.status, answer.body["code"]) == (400, "INVALID_REQUEST")
    assert answer.pointers == pointers
    assert (api.store.writes, api.queue.sent, api.objects.stored) == (0, [], {})


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
def test_body_at_the_limits_is_accepted(api: InMemoryApi, changes: dict[str, Any]) -> None:
    assert api.submit({**BODY, **changes}).status == 202


def test_problem_does_not_quote_the_body(api: InMemoryApi) -> None:
    for body in (
        {"jobType": "canary"},
        {**BODY, "message": ["canary"]},
        {**BODY, "input": {"pages": "canary"}},
        {**BODY, "input": "canary"},
        {**BODY, "metadata": "canary"},
    ):
        assert "canary" not in api.submit(body).text


# ── Job id ───────────────────────────────────────────────────────────────────────────────────────────


def test_malformed_id_does_not_read_the_table(api: InMemoryApi) -> None:
    api.store.failures.append(Unavailable("would be asked"))
    assert [api.call(route, async_job_id="7").status for route in ABOUT_ONE_JOB] == [404] * len(ABOUT_ONE_JOB)


# ── Wait ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("query", "pointer"), [("21", "/wait"), ("-1", "/wait"), ("1.5", "/wait"), ("soon", "/wait")])
def test_invalid_wait_is_400(api: InMemoryApi, query: str, pointer: str) -> None:
    api.add_jobs(running_job())
    answer = api.call(JOB, async_job_id=JOB_ID, query={"wait": query})
    assert (answer.status, answer.pointers) == (400, [pointer])


def test_unknown_parameter_is_400(api: InMemoryApi) -> None:
    api.add_jobs(running_job())
    assert api.call(JOB, async_job_id=JOB_ID, query={"wiat": "5"}).pointers == ["/wiat"]


# ── Upload ─────────────────────────────────────────────────────────────────────────────────────────


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
def test_invalid_upload_is_400_with_each_problem(api: InMemoryApi, body: Any, pointers: list[str]) -> None:
    answer = api.upload(body)
    assert (answer.status, answer.pointers) == (400, pointers)


# ── List ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("limit", ["0", "-1", "101", "1000000000", "10.5", "1e1", "true", "", " 5", "5\n", "05", "٣", "0x5"])
def test_page_size_is_1_to_100(api: InMemoryApi, limit: str) -> None:
    answer = api.call(JOBS, query={"limit": limit})
    assert (answer.status, answer.pointers) == (400, ["/limit"])


@pytest.mark.parametrize("status", ["pending", "RUNNING", "", "PENDING,FAILED", "finished", "__class__"])
def test_invalid_status_is_400(api: InMemoryApi, status: str) -> None:
    answer = api.call(JOBS, query={"status": status})
    assert (answer.status, answer.pointers) == (400, ["/status"])


def test_each_invalid_parameter_is_named(api: InMemoryApi) -> None:
    answer = api.call(JOBS, query={"owner": "bob", "status": "x", "limit": "x"})
    assert answer.pointers == ["/limit", "/owner", "/status"]


# ── Cursor ───────────────────────────────────────────────────────────────────────────────────────────


LIST = {"limit": "1", "status": "PENDING"}


def two_jobs() -> tuple[InMemoryApi, str]:
    """Return an API with two jobs, and the cursor between them."""
    api = InMemoryApi()
    api.add_jobs(listed(1), listed(2))
    cursor: str = api.call(JOBS, query=LIST).body["nextCursor"]
    return api, cursor


def is_rejected(api: InMemoryApi, cursor: str, *, owner: str = OWNER, query: Mapping[str, str] = LIST) -> bool:
    answer = api.call(JOBS, owner=owner, query={**query, "cursor": cursor})
    return (answer.status, answer.body.get("code")) == (400, "INVALID_CURSOR")


def test_cursor_has_only_url_safe_characters() -> None:
    _, cursor = two_jobs()
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_cursor_is_bound_to_its_owner_and_its_filters() -> None:
    api, cursor = two_jobs()
    assert not is_rejected(api, cursor)
    assert not is_rejected(api, cursor, query={**LIST, "limit": "50"})
    assert is_rejected(api, cursor, owner="bob")
    assert is_rejected(api, cursor, query={"limit": "1"})
    assert is_rejected(api, cursor, query={**LIST, "status": "FAILED"})
    assert is_rejected(api, cursor, query={**LIST, "jobType": "api.reads"})


@settings(max_examples=40)
@given(st.data())
def test_damaged_cursor_is_400(data: st.DataObject) -> None:
    api, cursor = two_jobs()
    raw = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != raw[place]))
    assert is_rejected(api, base64.urlsafe_b64encode(raw).decode().rstrip("="))


@settings(max_examples=40)
@given(st.data())
def test_mistyped_cursor_is_400(data: st.DataObject) -> None:
    api, cursor = two_jobs()
    place = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.sampled_from("ABab01-_=+/ é\n").filter(lambda character: character != cursor[place]))
    cut, longer = cursor[:place], cursor + other
    assert all(is_rejected(api, wrong) for wrong in (cursor[:place] + other + cursor[place + 1 :], cut, longer))


@pytest.mark.parametrize("spacing", [b",", b",  ", b",\t"])
def test_cursor_in_another_json_spacing_is_400(spacing: bytes) -> None:
    api, cursor = two_jobs()
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    assert is_rejected(api, base64.urlsafe_b64encode(raw.replace(b", ", spacing)).decode().rstrip("="))


@pytest.mark.parametrize("async_job_id", ["", "x", "a#b", JOB_ID.upper(), "x" * 4000])
def test_self_made_cursor_with_an_invalid_job_id_is_400(async_job_id: str) -> None:
    api, _ = two_jobs()
    assert not is_rejected(api, cursor_of(OWNER, JobsQuery(status=Status.PENDING), ListPosition(NOW, JOB_ID)))
    assert is_rejected(api, cursor_of(OWNER, JobsQuery(status=Status.PENDING), ListPosition(NOW, async_job_id)))


@settings(max_examples=30)
@given(st.text(max_size=40))
def test_made_up_cursor_is_400(cursor: str) -> None:
    api, issued = two_jobs()
    assert cursor == issued or is_rejected(api, cursor)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=30)
@given(JSON | st.tuples(JSON, JSON, JSON) | st.tuples(st.integers(), st.just(JOB_ID), st.text()))
def test_any_json_in_a_cursor_is_400(value: Any) -> None:
    api, _ = two_jobs()
    assert is_rejected(api, base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("="))
