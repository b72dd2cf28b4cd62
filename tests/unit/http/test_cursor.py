"""A cursor leads to its place in its own list. Any other text is rejected."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjobs.core.job import Status
from asyncjobs.core.ports import ListPosition
from asyncjobs.http.cursor import to_cursor
from asyncjobs.service.queries import JobsQuery
from tests.support.factories import JOB_ID, NOW, OWNER
from tests.support.http_events import JOBS
from tests.unit.http.in_memory_api import InMemoryApi, listed

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
    assert not is_rejected(api, to_cursor(OWNER, JobsQuery(status=Status.PENDING), ListPosition(NOW, JOB_ID)))
    assert is_rejected(api, to_cursor(OWNER, JobsQuery(status=Status.PENDING), ListPosition(NOW, async_job_id)))


@settings(max_examples=30)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
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
