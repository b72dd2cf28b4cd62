"""The groups of a token, and what they open."""

from __future__ import annotations

from typing import Any

import pytest

from asyncjobs.core.administration import GROUPS
from asyncjobs.http.admin_operation import AdminRequest, Groups
from asyncjobs.http.admin_routes import ADMIN
from asyncjobs.http.problems import Problem
from asyncjobs.http.request import Request
from tests.support.factories import JOB_ID
from tests.support.http_events import ANY_JOB, LIVE_JOBS, http_event
from tests.unit.http.in_memory_api import InMemoryApi

NAMES = {"viewer": "team-a", "payload-viewer": "team-b", "operator": "ops", "admin": "root"}


def groups_of(value: Any, groups: Groups | None = None) -> list[str]:
    event = http_event(LIVE_JOBS, "ops", groups=value)
    return list((groups or Groups.named("cognito:groups", list(GROUPS))).of(Request(event)))


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, []),
        ("[]", []),
        ("", []),
        ("[operator]", ["operator"]),
        ("[dev viewer operator]", ["viewer", "operator"]),
        ("[viewer viewer]", ["viewer"]),
        ("operator", ["operator"]),
        ("openid operator", ["operator"]),
        ("[administrator]", []),
        ("[Admin ADMIN]", []),
        ("[admin,operator]", []),
        (["admin"], []),
    ],
)
def test_groups_are_the_known_names_in_the_claim(value: Any, found: list[str]) -> None:
    assert groups_of(value) == found


def test_deployment_may_name_claim_and_groups() -> None:
    groups = Groups("roles", NAMES)
    event = http_event(LIVE_JOBS, "ops", groups="[admin]")
    event["requestContext"]["authorizer"]["jwt"]["claims"]["roles"] = "[ops admin]"
    assert groups.of(Request(event)) == ["operator"]


def test_without_names_nobody_is_in_a_group() -> None:
    assert groups_of("[viewer payload-viewer operator admin]", Groups.named("cognito:groups", [])) == []


def test_request_without_an_authorizer_has_no_group() -> None:
    event = http_event(LIVE_JOBS, "ops")
    event["requestContext"].pop("authorizer")
    assert Groups.named("cognito:groups", list(GROUPS)).of(Request(event)) == ()


# ── Rights of operations ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("operation", ADMIN, ids=lambda operation: operation.route)
@pytest.mark.parametrize("group", [None, *GROUPS])
def test_operation_opens_only_with_its_right(operation: Any, group: str | None) -> None:
    api = InMemoryApi()
    answer = api.call(operation.route_key, groups=group and f"[{group}]", async_job_id=JOB_ID, query={"owner": "alice"})
    may = operation.right is None or (group is not None and operation.right in GROUPS[group])
    assert (answer.code != "ADMIN_RIGHT_MISSING") is may
    if not may:
        assert (answer.status, answer.body["right"]) == (403, operation.right)
        assert api.audit.stored == []


@pytest.mark.parametrize("operation", ADMIN, ids=lambda operation: operation.route)
def test_id_token_opens_nothing(operation: Any) -> None:
    event = http_event(operation.route_key, "ops", groups="[admin]", async_job_id=JOB_ID)
    event["requestContext"]["authorizer"]["jwt"]["claims"]["token_use"] = "id"
    answer = InMemoryApi().handle(event)
    assert (answer["statusCode"], '"OWNER_MISSING"' in answer["body"]) == (403, True)


# ── The owner in the query ───────────────────────────────────────────────────────────────────────────


def request(query: str) -> AdminRequest:
    return AdminRequest(http_event(ANY_JOB, "ops", async_job_id=JOB_ID, query=query))


def test_owner_of_the_job_is_that_of_the_query_and_the_caller_that_of_the_token() -> None:
    asked = request("owner=alice%23%2F1&limit=3")
    assert (asked.owner, asked.caller, asked.actor.subject) == ("alice#/1", "ops", "ops")
    assert asked.job_key.owner == "alice#/1"
    assert asked.query == {"limit": ["3"]}


@pytest.mark.parametrize("query", ["", "owner=", "owner=%C3%A9", "owner=a&owner=b", f"owner={'a' * 256}"])
def test_request_without_one_valid_owner_is_400(query: str) -> None:
    with pytest.raises(Problem) as caught:
        _ = request(query).owner
    assert (caught.value.status, caught.value.extensions["errors"][0]["pointer"]) == (400, "/owner")


def test_owner_may_be_left_out_where_it_need_not_be_known() -> None:
    assert request("").owner_if_any is None


def test_links_lead_to_operations_of_administrators() -> None:
    assert request("owner=a").base == "../"


def test_no_operation_answers_with_a_stream() -> None:
    event = http_event(ANY_JOB, "ops", headers={"accept": "text/event-stream, text/csv"})
    assert not AdminRequest(event).accepts("text/event-stream")
    assert AdminRequest(event).accepts("text/csv")
