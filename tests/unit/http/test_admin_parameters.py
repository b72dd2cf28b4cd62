"""The parameters and the cursors of administrators' lists."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core.administration import AuditPosition, FailedPosition, LivePosition
from asyncjobs.core.errors import InvalidCursor
from asyncjobs.core.job import JobKey, Priority, Status
from asyncjobs.http.admin_parameters import (
    audit_cursor,
    audit_query,
    bulk_cursor,
    bulk_request,
    check_size,
    failed_cursor,
    failed_query,
    job_type_if_any,
    live_cursor,
    live_query,
    outcomes_cursor,
    outcomes_number,
)
from asyncjobs.http.problems import Problem
from asyncjobs.service.administration import LiveQuery
from asyncjobs.service.bulk_actions import BulkAction
from tests.support.factories import JOB_ID, NOW

PLACE = LivePosition(NOW + timedelta(milliseconds=7), JOB_ID)


def test_live_jobs_are_filtered_by_priority_type_and_status() -> None:
    query = {"priority": ["high"], "jobType": ["a.b"], "status": ["PENDING"], "limit": ["7"]}
    assert live_query(query) == LiveQuery(priority=Priority.HIGH, job_type="a.b", status=Status.PENDING, limit=7)
    assert live_query({}) == LiveQuery()
    assert live_query({}, "alice") == LiveQuery(owner="alice")


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"priority": ["urgent"]}, "/priority"),
        ({"status": ["FAILED"]}, "/status"),
        ({"jobType": [""]}, "/jobType"),
        ({"limit": ["101"]}, "/limit"),
        ({"limit": ["0"]}, "/limit"),
        ({"priority": ["high", "low"]}, "/priority"),
        ({"since": ["1"]}, "/since"),
    ],
)
def test_invalid_parameter_is_400_with_its_name(query: dict[str, list[str]], pointer: str) -> None:
    with pytest.raises(Problem) as caught:
        live_query(query)
    assert [error["pointer"] for error in caught.value.extensions["errors"]] == [pointer]


def test_cursor_leads_to_its_place_in_the_same_list() -> None:
    wanted = LiveQuery(priority=Priority.LOW, limit=3)
    cursor = live_cursor(wanted, PLACE)
    found = live_query({"priority": ["low"], "limit": ["9"], "cursor": [cursor]})
    assert (found.after, found.limit) == (PLACE, 9)


def test_cursor_of_another_list_is_invalid() -> None:
    cursor = live_cursor(LiveQuery(), PLACE)
    for query in ({"priority": ["low"]}, {"jobType": ["a"]}, {"status": ["PENDING"]}):
        with pytest.raises(InvalidCursor):
            live_query({**query, "cursor": [cursor]})
    with pytest.raises(InvalidCursor):
        audit_query({"cursor": [cursor]})


@pytest.mark.parametrize("cursor", ["", "x", "é", "bnVsbA", "W10"])
def test_damaged_cursor_is_invalid(cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        live_query({"cursor": [cursor]})
    with pytest.raises(InvalidCursor):
        audit_query({"cursor": [cursor]})


def test_audit_log_has_a_limit_and_a_cursor() -> None:
    place = AuditPosition(NOW, "a1")
    assert audit_query({}) == (100, None)
    assert audit_query({"limit": ["5"], "cursor": [audit_cursor(place)]}) == (5, place)


@pytest.mark.parametrize("query", [{"limit": ["x"]}, {"actor": ["a"]}])
def test_invalid_parameter_of_the_audit_log_is_400(query: dict[str, list[str]]) -> None:
    with pytest.raises(Problem):
        audit_query(query)


# ── Failed jobs ──────────────────────────────────────────────────────────────────────────────────────

TYPE_AND_CODE = {"jobType": ["a.b"], "code": ["BROKEN"]}


def test_failed_jobs_are_those_of_whole_days() -> None:
    found = failed_query({**TYPE_AND_CODE, "from": ["2026-11-20"], "to": ["2026-11-21"], "limit": ["3"]})
    midnight = NOW.replace(hour=0)
    assert (found.since, found.until) == (midnight - timedelta(days=1), midnight + timedelta(days=1))
    assert (found.job_type, found.code, found.limit) == ("a.b", "BROKEN", 3)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"code": ["X"]}, "/jobType"),
        ({"jobType": ["a"]}, "/code"),
        ({**TYPE_AND_CODE, "from": ["yesterday"]}, "/from"),
        ({**TYPE_AND_CODE, "from": ["2026-02-30"]}, "/from"),
        ({**TYPE_AND_CODE, "to": ["20261121"]}, "/to"),
        ({**TYPE_AND_CODE, "from": ["2026-11-21"], "to": ["2026-11-20"]}, "/to"),
        ({**TYPE_AND_CODE, "to": ["9999-12-31"]}, "/to"),
    ],
)
def test_invalid_parameter_of_failed_jobs_is_400_with_its_name(query: dict[str, list[str]], pointer: str) -> None:
    with pytest.raises(Problem) as caught:
        failed_query(query)
    assert [error["pointer"] for error in caught.value.extensions["errors"]] == [pointer]


def test_cursor_of_failed_jobs_leads_to_its_place_in_the_same_list() -> None:
    place = FailedPosition(NOW, "alice#1", JOB_ID)
    cursor = failed_cursor(failed_query(TYPE_AND_CODE), place)
    assert failed_query({**TYPE_AND_CODE, "cursor": [cursor]}).after == place
    for other in ({"code": ["OTHER"]}, {"jobType": ["c"]}, {"from": ["2026-11-20"]}):
        with pytest.raises(InvalidCursor):
            failed_query({**TYPE_AND_CODE, **other, "cursor": [cursor]})


def test_list_may_be_restricted_to_a_type() -> None:
    assert job_type_if_any({}) is None
    assert job_type_if_any({"jobType": ["a.b"]}) == "a.b"
    with pytest.raises(Problem):
        job_type_if_any({"code": ["X"]})


# ── Actions on many jobs ─────────────────────────────────────────────────────────────────────────────


def test_action_names_its_jobs_by_one_selection() -> None:
    failed = bulk_request({"action": "retry", "failed": {"jobType": "a&b", "code": "X", "to": "2026-11-21"}})
    assert (failed.action, failed.is_trial) == (BulkAction.RETRY, False)
    assert failed.jobs == failed_query({"jobType": ["a%26b"], "code": ["X"], "to": ["2026-11-21"], "limit": ["50"]})
    assert failed.filter == {"failed": {"jobType": "a&b", "code": "X", "to": "2026-11-21"}}
    live = bulk_request({"action": "cancel", "live": {"priority": "low"}, "trial": True})
    assert (live.jobs, live.is_trial) == (LiveQuery(priority=Priority.LOW, limit=50), True)
    named = bulk_request({"action": "delete", "jobs": [{"asyncJobId": JOB_ID, "owner": "alice"}]})
    assert (named.jobs, named.filter) == ([JobKey("alice", JOB_ID)], {"jobs": [JOB_ID]})


@pytest.mark.parametrize(
    "selection", [{}, {"live": {}, "jobs": []}, {"jobs": [], "cursor": "x"}, {"live": {"status": "FAILED"}}]
)
def test_action_without_one_valid_selection_is_400(selection: dict[str, Any]) -> None:
    with pytest.raises(Problem):
        bulk_request({"action": "cancel", **selection})


def test_cursor_of_an_action_leads_to_its_next_part() -> None:
    failed = {"action": "retry", "failed": {"jobType": "a.b", "code": "BROKEN"}}
    place = FailedPosition(NOW, "alice+1", JOB_ID)
    cursor = bulk_cursor(bulk_request(failed), place)
    assert bulk_request({**failed, "cursor": cursor}).jobs == failed_query(
        {**TYPE_AND_CODE, "limit": ["50"], "cursor": [str(cursor)]}
    )
    live = {"action": "cancel", "live": {}}
    assert bulk_request({**live, "cursor": bulk_cursor(bulk_request(live), PLACE)}).jobs == LiveQuery(limit=50, after=PLACE)
    assert bulk_cursor(bulk_request(live), None) is None
    with pytest.raises(InvalidCursor):
        bulk_request({**live, "cursor": cursor})


def test_expected_number_of_jobs_is_whole() -> None:
    assert bulk_request({"action": "cancel", "live": {}}).expected is None
    assert repr(bulk_request({"action": "cancel", "live": {}, "expectedCount": 7.0}).expected) == "7"


def test_body_that_an_event_holds_is_short() -> None:
    named = [{"asyncJobId": JOB_ID, "owner": "x" * 255}] * 50
    check_size({"action": "cancel", "jobs": named})
    with pytest.raises(Problem):
        check_size({"action": "retry", "failed": {"jobType": "a", "code": "B" * 20_000}})


def test_cursor_of_outcomes_is_for_one_action() -> None:
    assert outcomes_number({}, JOB_ID) == 0
    assert outcomes_number({"cursor": [outcomes_cursor(JOB_ID, 7)]}, JOB_ID) == 7
    with pytest.raises(InvalidCursor):
        outcomes_number({"cursor": [outcomes_cursor("another", 7)]}, JOB_ID)
    with pytest.raises(Problem):
        outcomes_number({"limit": ["7"]}, JOB_ID)
