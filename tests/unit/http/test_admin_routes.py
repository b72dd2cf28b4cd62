"""The answers of administrators' operations, for real HTTP API events."""

from __future__ import annotations

import csv
import json
import uuid
from typing import Any
from urllib.parse import urljoin

import pytest

from asyncjobs.core.administration import QueueDepth
from asyncjobs.core.durations import Durations
from asyncjobs.core.job import AsyncJob, JobKey, Result
from asyncjobs.core.message import JobMessage
from asyncjobs.core.placement import result_location
from asyncjobs.core.records import replace
from tests.support.factories import JOB_ID, NOW, OWNER, new_job, new_tracked_job, running_job
from tests.support.http_events import (
    ADMIN_QUEUES,
    ADMIN_RIGHTS,
    ADMIN_TYPES,
    ANY_EVENTS,
    ANY_INPUT,
    ANY_JOB,
    ANY_RESULT,
    AUDIT,
    BULK_ACTIONS,
    BULK_OUTCOMES,
    CANCEL,
    CANCEL_ANY,
    DELETE_ANY,
    FAILED_GROUPS,
    FAILED_JOBS,
    JOB,
    LIVE_JOBS,
    OWNER_JOBS,
    PAUSE,
    PAUSE_TYPE,
    REDRIVE,
    RESUME,
    RESUME_TYPE,
    RETRY,
    RETRY_ANY,
    UPDATE,
    WORKER_TOKEN,
    Answer,
)
from tests.unit.http.in_memory_api import FAILURE, InMemoryApi, listed

FAILED = replace(running_job(job_type="api.reads").failed(now=NOW, error=FAILURE), metadata='{"order":7}')
DONE = replace(running_job().completed(now=NOW, result=Result(text='{"secret":1}')), metadata='{"order":7}')
PAYLOADS = ("result", "resultLocation", "metadata")


def ask(api: InMemoryApi, route: str, *, groups: str = "[admin]", job_owner: str | None = OWNER, **event: Any) -> Answer:
    query = {**({} if job_owner is None else {"owner": job_owner}), **event.pop("query", {})}
    about = {"async_job_id": JOB_ID} if "{asyncJobId}" in route else {}
    return api.call(route, owner="ops", groups=groups, query=query, **about, **event)


# ── Rights ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (None, {"groups": [], "rights": []}),
        ("[operator]", {"groups": ["operator"], "rights": ["audit", "operate", "view"]}),
        ("[admin]", {"groups": ["admin"], "rights": ["audit", "operate", "payloads", "view"]}),
    ],
)
def test_everybody_may_read_their_rights(api: InMemoryApi, groups: str | None, expected: Any) -> None:
    answer = api.call(ADMIN_RIGHTS, owner="ops", groups=groups)
    assert (answer.status, answer.body) == (200, expected)


# ── Lists ────────────────────────────────────────────────────────────────────────────────────────────


def test_live_jobs_of_all_owners_are_listed_and_name_their_owners(api: InMemoryApi) -> None:
    api.add_jobs(new_job(), new_tracked_job(owner="bob"), replace(FAILED, owner="carol"))
    answer = ask(api, LIVE_JOBS, job_owner=None)
    assert (answer.status, answer.body["nextCursor"]) == (200, None)
    assert sorted(job["owner"] for job in answer.body["jobs"]) == ["alice", "bob"]


def test_live_jobs_are_walked_by_their_cursor(api: InMemoryApi) -> None:
    api.add_jobs(*(listed(number) for number in range(45)))
    found, query = list[str](), dict[str, str]()
    while True:
        page = ask(api, LIVE_JOBS, job_owner=None, query={"limit": "20", **query}).body
        found += [job["asyncJobId"] for job in page["jobs"]]
        if page["nextCursor"] is None:
            break
        query = {"cursor": page["nextCursor"]}
    assert sorted(found) == sorted(job.async_job_id for job in api.store.jobs.values())


def test_live_jobs_of_one_owner_are_listed_and_cancelled_together(api: InMemoryApi) -> None:
    jobs = [new_job(async_job_id=str(uuid.uuid4()), owner=owner) for owner in ("flood", "flood", "bob")]
    api.add_jobs(*jobs)
    listed = ask(api, LIVE_JOBS, job_owner="flood").body["jobs"]
    assert [job["owner"] for job in listed] == ["flood", "flood"]
    answer = act(api, action="cancel", live={"owner": "flood"})
    assert [(each["owner"], each["outcome"]) for each in answer.body["outcomes"]] == [("flood", "DONE")] * 2
    assert api.store.jobs[jobs[2].key].status == "PENDING"


def test_cursor_of_one_owners_live_jobs_is_invalid_for_another(api: InMemoryApi) -> None:
    api.add_jobs(*(new_job(async_job_id=str(uuid.uuid4()), owner="flood") for _ in range(3)))
    cursor = ask(api, LIVE_JOBS, job_owner="flood", query={"limit": "1"}).body["nextCursor"]
    assert ask(api, LIVE_JOBS, job_owner="bob", query={"cursor": cursor}).code == "INVALID_CURSOR"


def test_list_of_an_owner_has_that_owners_jobs_only(api: InMemoryApi) -> None:
    api.add_jobs(DONE, replace(DONE, owner="bob"))
    answer = ask(api, OWNER_JOBS, job_owner="bob")
    assert [job["owner"] for job in answer.body["jobs"]] == ["bob"]
    assert ask(api, OWNER_JOBS, job_owner=None).pointers == ["/owner"]


def test_cursor_of_one_owner_is_invalid_for_another(api: InMemoryApi) -> None:
    api.add_jobs(*(listed(number) for number in range(3)))
    cursor = ask(api, OWNER_JOBS, query={"limit": "1"}).body["nextCursor"]
    assert ask(api, OWNER_JOBS, query={"limit": "1", "cursor": cursor}).status == 200
    assert ask(api, OWNER_JOBS, job_owner="bob", query={"limit": "1", "cursor": cursor}).code == "INVALID_CURSOR"


# ── One job ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("groups", ["[viewer]", "[operator]"])
@pytest.mark.parametrize("route", [ANY_JOB, OWNER_JOBS])
def test_job_has_no_payload_without_the_right(api: InMemoryApi, route: str, groups: str) -> None:
    api.add_jobs(DONE)
    answer = ask(api, route, groups=groups)
    job = answer.body["jobs"][0] if route == OWNER_JOBS else answer.body
    assert ([job[name] for name in PAYLOADS], job["payloadsHidden"]) == ([None] * 3, True)
    assert job["resultType"] == "INLINE"
    assert "secret" not in answer.text
    assert "order" not in answer.text


@pytest.mark.parametrize("groups", ["[payload-viewer]", "[admin]", "[viewer payload-viewer]"])
def test_job_has_its_payloads_with_the_right(api: InMemoryApi, groups: str) -> None:
    api.add_jobs(DONE)
    job = ask(api, ANY_JOB, groups=groups).body
    assert (job["result"], job["metadata"], job["payloadsHidden"]) == ({"secret": 1}, {"order": 7}, False)


def test_link_of_a_large_result_leads_to_the_operation_for_administrators(api: InMemoryApi) -> None:
    owner = "a b/#?"
    api.add_jobs(replace(running_job().completed(now=NOW, result=Result(location="x")), owner=owner))
    location = ask(api, ANY_JOB, job_owner=owner).body["resultLocation"]
    assert urljoin(f"https://a.example/api/v1/admin/jobs/{JOB_ID}", location) == (
        f"https://a.example/api/v1/admin/jobs/{JOB_ID}/result?owner=a%20b%2F%23%3F"
    )


def test_job_has_links_to_its_artifacts_as_its_owner_gets_them(api: InMemoryApi) -> None:
    api.add_jobs(running_job().completed(now=NOW, result=Result(text='{"pdf":"asyncjobs:artifact:1"}')))
    result = ask(api, ANY_JOB).body["result"]
    assert result["pdf"].startswith("https://")
    assert result == ask(api, OWNER_JOBS).body["jobs"][0]["result"]


def test_unfinished_job_is_found_by_its_id_alone(api: InMemoryApi) -> None:
    api.add_jobs(running_job())
    job = ask(api, ANY_JOB, job_owner=None).body
    assert (job["owner"], job["leaseUntil"], job["dueAt"]) == (
        "alice",
        "2026-11-21T12:01:15.000Z",
        "2026-11-21T12:01:00.000Z",
    )
    assert (job["deadlineAt"], job["notBefore"], job["exclusive"]) == ("2026-11-22T12:00:00.000Z", None, False)


def test_finished_job_is_found_with_its_owner_only(api: InMemoryApi) -> None:
    api.add_jobs(FAILED)
    assert ask(api, ANY_JOB, job_owner=None).code == "JOB_NOT_FOUND"
    assert ask(api, ANY_JOB, job_owner="bob").code == "JOB_NOT_FOUND"
    job = ask(api, ANY_JOB).body
    assert (job["error"]["code"], job["dueAt"]) == ("HOPELESS", None)


def test_events_are_those_that_the_owner_reads(api: InMemoryApi) -> None:
    api.add_jobs(FAILED)
    answer = ask(api, ANY_EVENTS, headers={"accept": "application/json, text/event-stream"})
    assert answer.status == 200
    assert ([event["code"] for event in answer.body["events"]], answer.body["more"]) == (["HOPELESS"], False)
    assert ask(api, ANY_EVENTS, query={"after": "x"}).pointers == ["/after"]


# ── Payloads ─────────────────────────────────────────────────────────────────────────────────────────


def test_input_is_answered_and_its_reading_recorded(api: InMemoryApi) -> None:
    api.add_jobs(new_job(input='{"pages":9007199254740993}'))
    answer = ask(api, ANY_INPUT)
    assert (answer.status, answer.text) == (200, '{"input":{"pages":9007199254740993}}')
    assert [(each.action, each.actor, each.owner) for each in api.audit.stored] == [("job.input", "ops", OWNER)]


def test_null_is_an_input(api: InMemoryApi) -> None:
    api.add_jobs(new_job(input="null"))
    assert (ask(api, ANY_INPUT).status, ask(api, ANY_INPUT).body) == (200, {"input": None})


def test_input_of_a_record_is_answered_with_one_read(api: InMemoryApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api.add_jobs(new_job(input="{}"))
    read, get = list[JobKey](), api.store.get

    def counted(key: JobKey) -> AsyncJob | None:
        read.append(key)
        return get(key)

    monkeypatch.setattr(api.store, "get", counted)
    assert ask(api, ANY_INPUT).status == 200
    assert len(read) == 1


def test_input_that_is_not_stored_is_404(api: InMemoryApi) -> None:
    api.add_jobs(new_tracked_job())
    assert (ask(api, ANY_INPUT).status, ask(api, ANY_INPUT).code) == (404, "INPUT_NOT_FOUND")


def test_result_is_answered_and_its_reading_recorded(api: InMemoryApi) -> None:
    api.add_jobs(DONE)
    answer = ask(api, ANY_RESULT)
    assert (answer.status, answer.body) == (200, {"secret": 1})
    assert [each.action for each in api.audit.stored] == ["job.result"]


def test_large_result_is_a_link(api: InMemoryApi) -> None:
    job = running_job()
    location = result_location(job, 1)
    api.objects.stored[location] = b"1"
    api.add_jobs(job.completed(now=NOW, result=Result(location=location)))
    answer = ask(api, ANY_RESULT)
    assert (answer.status, answer.headers["location"]) == (303, answer.body["location"])


@pytest.mark.parametrize(
    ("job", "code"),
    [(new_job(), "JOB_NOT_COMPLETED"), (FAILED, "JOB_FAILED"), (new_job().cancelled(now=NOW), "JOB_CANCELLED")],
)
def test_result_of_a_job_without_one_is_409(api: InMemoryApi, job: AsyncJob, code: str) -> None:
    api.add_jobs(job)
    assert (ask(api, ANY_RESULT).status, ask(api, ANY_RESULT).code) == (409, code)


def test_inline_result_is_no_other_type_than_json(api: InMemoryApi) -> None:
    api.add_jobs(DONE)
    assert ask(api, ANY_RESULT, headers={"accept": "application/pdf"}).code == "NOT_ACCEPTABLE"


# ── Actions ──────────────────────────────────────────────────────────────────────────────────────────


def test_operator_cancels_retries_and_deletes_the_job_of_another(api: InMemoryApi) -> None:
    api.add_jobs(new_job(job_type="api.reads"))
    answers = [ask(api, route, groups="[operator]") for route in (CANCEL_ANY, RETRY_ANY, CANCEL_ANY, DELETE_ANY)]
    assert [answer.status for answer in answers] == [200, 202, 200, 204]
    assert [answer.body["status"] for answer in answers[:3]] == ["CANCELLED", "PENDING", "CANCELLED"]
    assert api.store.jobs == {}
    assert [each.action for each in api.audit.stored] == ["job.cancel", "job.retry", "job.cancel", "job.delete"]


def test_retry_of_a_tracked_job_keeps_the_new_token_from_the_administrator(api: InMemoryApi) -> None:
    api.add_jobs(new_tracked_job().cancelled(now=NOW))
    answer = ask(api, RETRY_ANY)
    assert (answer.status, "workerToken" in answer.body) == (202, False)
    assert api.call(WORKER_TOKEN, async_job_id=JOB_ID).status == 200


@pytest.mark.parametrize(
    ("route", "job", "code"),
    [
        (CANCEL_ANY, FAILED, "JOB_ALREADY_FINISHED"),
        (RETRY_ANY, new_job(), "JOB_NOT_RETRYABLE"),
        (RETRY_ANY, replace(FAILED, job_type="gone"), "UNKNOWN_JOB_TYPE"),
        (DELETE_ANY, new_job(), "JOB_NOT_FINISHED"),
    ],
)
def test_action_that_the_state_does_not_allow_has_the_owners_code(
    api: InMemoryApi, route: str, job: AsyncJob, code: str
) -> None:
    api.add_jobs(job)
    assert ask(api, route).code == code


@pytest.mark.parametrize(
    "route",
    [
        *(ANY_JOB, ANY_INPUT, ANY_RESULT, CANCEL_ANY, RETRY_ANY, DELETE_ANY),
        *(ADMIN_RIGHTS, ADMIN_QUEUES, ADMIN_TYPES, PAUSE, RESUME, BULK_ACTIONS),
        *(PAUSE_TYPE, RESUME_TYPE, REDRIVE),
    ],
)
def test_parameter_that_does_not_exist_is_400(api: InMemoryApi, route: str) -> None:
    api.add_jobs(FAILED)
    assert ask(api, route, query={"force": "1"}).pointers == ["/force"]
    assert api.audit.stored == []


def test_administrator_is_no_owner_on_the_routes_of_users(api: InMemoryApi) -> None:
    api.add_jobs(DONE)
    assert api.call(JOB, owner="ops", groups="[admin]", async_job_id=JOB_ID).code == "JOB_NOT_FOUND"


# ── Audit log ────────────────────────────────────────────────────────────────────────────────────────


def test_audit_log_says_who_did_what_to_which_job(api: InMemoryApi) -> None:
    api.add_jobs(new_job())
    ask(api, CANCEL_ANY, groups="[operator]")
    (record,) = ask(api, AUDIT, job_owner=None, groups="[operator]").body["records"]
    assert record.pop("auditId")
    assert record == {
        "at": "2026-11-21T12:00:00.000Z",
        "actor": "ops",
        "action": "job.cancel",
        "owner": "alice",
        "asyncJobId": JOB_ID,
        "jobType": "sample.returns",
        "filter": None,
        "count": 1,
        "outcomes": None,
        "requestId": "JKJaXmPLvHcESHA=",
    }


def test_audit_log_is_exported_as_a_table_in_pages(api: InMemoryApi) -> None:
    owner = "=cmd|'/c calc'!A1"
    api.add_jobs(new_job(owner=owner))
    for _ in range(3):
        ask(api, ANY_INPUT, job_owner=owner)
        api.clock.advance(seconds=1)
    rows, query = list[dict[str, str]](), {"limit": "2"}
    while True:
        answer = ask(api, AUDIT, job_owner=None, query=query, headers={"accept": "text/csv"})
        assert answer.headers["content-type"] == "text/csv"
        rows += csv.DictReader(answer.text.splitlines())
        if "next-cursor" not in answer.headers:
            break
        query["cursor"] = answer.headers["next-cursor"]
    assert len(rows) == 3
    # A spreadsheet would compute it otherwise.
    assert {row["owner"] for row in rows} == {f"'{owner}"}
    assert json.loads(rows[0]["count"]) == 1


def test_audit_log_has_no_payload(api: InMemoryApi) -> None:
    api.add_jobs(DONE)
    ask(api, ANY_RESULT)
    assert "secret" not in ask(api, AUDIT, job_owner=None).text


# ── Failed jobs, queues, types ───────────────────────────────────────────────────────────────────────


def test_failed_jobs_are_grouped_and_listed_by_type_and_code(api: InMemoryApi) -> None:
    api.add_jobs(FAILED, replace(FAILED, owner="bob"), replace(FAILED, owner="carol", job_type="api.searches"))
    groups = ask(api, FAILED_GROUPS, job_owner=None)
    assert [(each["jobType"], each["code"], each["count"]) for each in groups.body["groups"]] == [
        ("api.reads", "HOPELESS", 2),
        ("api.searches", "HOPELESS", 1),
    ]
    assert (
        groups.body["groups"][0] | {"count": 2, "isMore": False, "newestAt": "2026-11-21T12:00:00.000Z"}
        == groups.body["groups"][0]
    )
    one = ask(api, FAILED_GROUPS, job_owner=None, query={"jobType": "api.searches"})
    assert [each["jobType"] for each in one.body["groups"]] == ["api.searches"]


def test_failed_jobs_are_walked_by_their_cursor(api: InMemoryApi) -> None:
    api.add_jobs(*(replace(FAILED, owner=f"user {number}") for number in range(5)))
    query, found = {"jobType": "api.reads", "code": "HOPELESS", "limit": "2"}, list[str]()
    while True:
        page = ask(api, FAILED_JOBS, job_owner=None, query=query)
        assert page.status == 200
        found += [job["owner"] for job in page.body["jobs"]]
        if page.body["nextCursor"] is None:
            break
        query["cursor"] = page.body["nextCursor"]
    assert sorted(found) == [f"user {number}" for number in range(5)]


@pytest.mark.parametrize(("day", "count"), [("2026-11-20", 0), ("2026-11-21", 1), ("2026-11-22", 0)])
def test_failed_jobs_of_a_day_are_listed(api: InMemoryApi, day: str, count: int) -> None:
    api.add_jobs(FAILED)
    query = {"jobType": "api.reads", "code": "HOPELESS", "from": day, "to": day}
    assert len(ask(api, FAILED_JOBS, job_owner=None, query=query).body["jobs"]) == count


def test_failed_jobs_without_a_type_and_a_code_are_400(api: InMemoryApi) -> None:
    assert ask(api, FAILED_JOBS, job_owner=None).pointers == ["/code", "/jobType"]
    assert ask(api, FAILED_GROUPS, job_owner=None, query={"jobType": ""}).pointers == ["/jobType"]


def test_queues_are_listed_with_the_dead_letters_and_the_sweepers_lag(api: InMemoryApi) -> None:
    api.add_jobs(replace(new_job(), due_at=NOW))
    api.queues.depths = {"standard": QueueDepth(4, 1, 2), "dead letters": QueueDepth(9, 0, 0)}
    api.clock.advance(seconds=90)
    body = ask(api, ADMIN_QUEUES, job_owner=None).body
    assert [each["queue"] for each in body["queues"]] == ["high", "standard", "low", "deliveries"]
    assert body["queues"][1] == {
        "queue": "standard",
        "waiting": 4,
        "delayed": 1,
        "inFlight": 2,
        "oldestWaitingSince": "2026-11-21T12:00:00.000Z",
        "isPaused": False,
        "pausedTypes": [],
    }
    assert (body["deadLetters"]["waiting"], body["sweeper"]["lagSeconds"]) == (9, 90)


def test_types_have_percentiles_and_the_last_day_by_hours(api: InMemoryApi) -> None:
    api.history.known["api.reads"] = Durations.of([1.0] * 90 + [10.0] * 9 + [100.0])
    api.history.hours["api.reads"] = {"2026-11-20T11": (9, 9), "2026-11-20T13": (2, 0), "2026-11-21T12": (1, 1)}
    types = {each["jobType"]: each for each in ask(api, ADMIN_TYPES, job_owner=None).body["types"]}
    reads = types["api.reads"]
    assert [round(reads[f"p{share}Seconds"]) for share in (50, 95, 99)] == [1, 10, 10]
    assert (reads["completed"], reads["failed"], reads["successRate"]) == (3, 1, 0.75)
    assert [hour["at"] for hour in (reads["hours"][0], reads["hours"][-1])] == [
        "2026-11-20T13:00:00.000Z",
        "2026-11-21T12:00:00.000Z",
    ]
    assert (types["generic"]["p50Seconds"], types["generic"]["successRate"]) == (None, None)
    assert {"webhook.deliver", "admin.action"} <= types.keys()


# ── Actions on many jobs ─────────────────────────────────────────────────────────────────────────────


def act(api: InMemoryApi, **body: Any) -> Answer:
    return ask(api, BULK_ACTIONS, groups="[operator]", job_owner=None, body=json.dumps(body))


def test_five_hundred_failed_jobs_are_retried_with_the_outcome_of_each(api: InMemoryApi) -> None:
    api.add_jobs(*(replace(FAILED, owner=f"user {number}") for number in range(500)))
    retryable = {"jobType": "api.reads", "code": "HOPELESS"}
    trial = act(api, action="retry", failed=retryable, trial=True)
    assert {each["outcome"] for each in trial.body["outcomes"]} == {"ELIGIBLE"}
    assert api.audit.stored == []
    found, cursor = list[dict[str, str]](), dict[str, str]()
    while True:
        part = act(api, action="retry", failed=retryable, **cursor)
        assert part.status == 200
        found += part.body["outcomes"]
        if part.body["nextCursor"] is None:
            break
        cursor = {"cursor": part.body["nextCursor"]}
    assert [each["outcome"] for each in found] == ["DONE"] * 500
    assert len({each["owner"] for each in found}) == 500
    assert {(each.action, each.count) for each in api.audit.stored} == {("bulk.retry", 50)}
    assert api.audit.stored[0].filter == {"failed": retryable}


def test_job_that_is_not_eligible_has_the_code_of_the_single_action(api: InMemoryApi) -> None:
    api.add_jobs(FAILED, replace(new_job(), owner="bob"))
    jobs = [{"asyncJobId": JOB_ID, "owner": owner} for owner in ("alice", "bob", "carol")]
    answer = act(api, action="retry", jobs=jobs)
    assert [each["outcome"] for each in answer.body["outcomes"]] == ["DONE", "JOB_NOT_RETRYABLE", "JOB_NOT_FOUND"]


def test_live_jobs_are_cancelled_by_their_filter(api: InMemoryApi) -> None:
    api.add_jobs(new_job(), replace(new_tracked_job(), owner="bob"))
    answer = act(api, action="cancel", live={"jobType": "generic", "status": "PENDING"})
    assert [(each["owner"], each["outcome"]) for each in answer.body["outcomes"]] == [("bob", "DONE")]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"action": "retry"}, ""),
        ({"action": "retry", "jobs": [], "live": {}}, ""),
        ({"action": "explode", "live": {}}, "/action"),
        ({"action": "retry", "failed": {"jobType": "a"}}, "/failed/code"),
        ({"action": "cancel", "live": {"priority": "urgent"}}, "/live/priority"),
        ({"action": "retry", "failed": {"jobType": "a", "code": "B", "from": "2026-11-26", "to": "2026-11-25"}}, "/failed/to"),
        ({"action": "cancel", "jobs": [{"asyncJobId": "x", "owner": "a"}]}, "/jobs/0/asyncJobId"),
        ({"action": "cancel", "jobs": [{"asyncJobId": JOB_ID, "owner": "é"}]}, "/jobs/0/owner"),
        ({"action": "cancel", "jobs": [], "cursor": "x"}, "/cursor"),
    ],
)
def test_invalid_action_is_400_with_its_place(api: InMemoryApi, body: dict[str, Any], pointer: str) -> None:
    api.add_jobs(FAILED)
    assert act(api, **body).pointers == [pointer]
    assert api.audit.stored == []


def test_cursor_of_another_action_is_400(api: InMemoryApi) -> None:
    api.add_jobs(*(replace(FAILED, owner=f"user {number}") for number in range(60)))
    cursor = act(api, action="retry", failed={"jobType": "api.reads", "code": "HOPELESS"}, trial=True).body["nextCursor"]
    assert act(api, action="retry", failed={"jobType": "api.reads", "code": "OTHER"}, cursor=cursor).code == "INVALID_CURSOR"


# ── Actions on many jobs in the background ───────────────────────────────────────────────────────────

IN_BACKGROUND = {"prefer": "respond-async"}


def start(api: InMemoryApi, *, groups: str = "[operator]", **body: Any) -> Answer:
    return ask(api, BULK_ACTIONS, groups=groups, job_owner=None, body=json.dumps(body), headers=IN_BACKGROUND)


def run(api: InMemoryApi) -> None:
    """Make the invocations of the function by itself."""
    while api.continuations.tasks:
        api.admin_routes.go_on_with_bulk_action(api.continuations.tasks.popleft(), lambda: True)


def outcomes_of(api: InMemoryApi, async_job_id: str, **options: Any) -> Answer:
    event = {"async_job_id": async_job_id, "groups": "[operator]", "query": {}, **options}
    return api.call(BULK_OUTCOMES, owner="ops", **event)


def test_action_in_the_background_is_a_job_of_the_operator(api: InMemoryApi) -> None:
    api.add_jobs(*(replace(FAILED, owner=f"user {number}") for number in range(120)))
    failed = {"jobType": "api.reads", "code": "HOPELESS"}
    answer = start(api, action="retry", failed=failed, expectedCount=120)
    assert (answer.status, answer.body["status"], answer.body["jobType"]) == (202, "PENDING", "admin.action")
    assert (answer.headers["preference-applied"], answer.headers["vary"]) == ("respond-async", "Prefer")
    async_job_id = answer.body["asyncJobId"]
    assert urljoin("https://a.example/api/v1/admin/bulk-actions", answer.headers["location"]) == (
        f"https://a.example/api/v1/jobs/{async_job_id}"
    )
    assert len(api.audit.stored) == 1
    run(api)
    job = api.call(JOB, owner="ops", async_job_id=async_job_id).body
    assert (job["status"], job["metadata"]) == ("COMPLETED", {"action": "retry", "failed": failed})
    assert job["result"] == {"action": "retry", "outcomes": {"DONE": 120}}
    # It is the operator's, as any job.
    assert api.call(JOB, owner="alice", async_job_id=async_job_id).code == "JOB_NOT_FOUND"
    found, query = list[dict[str, str]](), dict[str, str]()
    while True:
        page = outcomes_of(api, async_job_id, query=query).body
        found += page["outcomes"]
        if page["nextCursor"] is None:
            break
        query = {"cursor": page["nextCursor"]}
    assert (len(found), {each["outcome"] for each in found}, page["counts"]) == (120, {"DONE"}, {"DONE": 120})
    records = ask(api, AUDIT, job_owner=None).body["records"]
    assert sorted((each["action"], each["asyncJobId"], each["count"], each["outcomes"]) for each in records) == [
        ("bulk.retry", async_job_id, 120, None),
        ("bulk.retry.end", async_job_id, 120, {"DONE": 120}),
    ]


def test_action_in_the_background_begins_at_its_cursor(api: InMemoryApi) -> None:
    api.add_jobs(*(replace(FAILED, owner=f"user {number}") for number in range(60)))
    failed = {"jobType": "api.reads", "code": "HOPELESS"}
    cursor = act(api, action="delete", failed=failed, trial=True).body["nextCursor"]
    answer = start(api, action="delete", failed=failed, cursor=cursor)
    run(api)
    assert api.call(JOB, owner="ops", async_job_id=answer.body["asyncJobId"]).body["message"] == "10 jobs done"


def test_trial_is_answered_immediately_whatever_is_preferred(api: InMemoryApi) -> None:
    api.add_jobs(FAILED)
    assert start(api, action="retry", failed={"jobType": "api.reads", "code": "HOPELESS"}, trial=True).status == 200
    assert not api.continuations.tasks


def test_action_in_the_background_is_cancelled_as_any_job(api: InMemoryApi) -> None:
    api.add_jobs(FAILED)
    async_job_id = start(api, action="retry", jobs=[{"asyncJobId": JOB_ID, "owner": OWNER}]).body["asyncJobId"]
    assert api.call(CANCEL, owner="ops", async_job_id=async_job_id).body["status"] == "CANCELLED"
    run(api)
    assert api.store.jobs[FAILED.key] == FAILED
    assert api.call(RETRY, owner="ops", async_job_id=async_job_id).code == "JOB_NOT_RETRYABLE"


def test_action_in_the_background_takes_no_reports(api: InMemoryApi) -> None:
    async_job_id = start(api, action="cancel", live={}).body["asyncJobId"]
    for route in (UPDATE, WORKER_TOKEN):
        assert api.call(route, owner="ops", async_job_id=async_job_id).code == "JOB_NOT_TRACKED"


def test_action_that_cannot_be_started_is_503(api: InMemoryApi) -> None:
    api.add_jobs(FAILED)
    api.continuations.is_down = True
    assert start(api, action="retry", jobs=[{"asyncJobId": JOB_ID, "owner": OWNER}]).code == "UNAVAILABLE"
    assert api.store.jobs[FAILED.key] == FAILED


def test_selection_that_no_event_holds_is_400(api: InMemoryApi) -> None:
    assert start(api, action="retry", failed={"jobType": "a" * 20_000, "code": "B"}).pointers == [""]
    assert api.audit.stored == []


def test_viewer_starts_nothing(api: InMemoryApi) -> None:
    assert start(api, groups="[viewer]", action="cancel", live={}).code == "ADMIN_RIGHT_MISSING"
    assert not api.continuations.tasks


def test_outcomes_need_the_right_to_read_the_audit_log(api: InMemoryApi) -> None:
    async_job_id = start(api, action="cancel", live={}).body["asyncJobId"]
    run(api)
    assert outcomes_of(api, async_job_id, groups="[viewer]").code == "ADMIN_RIGHT_MISSING"
    assert outcomes_of(api, async_job_id).body == {"outcomes": [], "counts": {}, "nextCursor": None}
    assert outcomes_of(api, async_job_id, query={"cursor": "none"}).code == "INVALID_CURSOR"
    assert outcomes_of(api, JOB_ID).code == "JOB_NOT_FOUND"


# ── Pause and resume ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("priority", ["high", "standard", "low"])
def test_priority_is_paused_and_resumed(api: InMemoryApi, priority: str) -> None:
    for route, is_paused in ((PAUSE, True), (RESUME, False)):
        answer = ask(api, route, job_owner=None, groups="[operator]", path={"priority": priority})
        assert (answer.status, answer.body) == (200, {"queue": priority, "isPaused": is_paused})
        queues = ask(api, ADMIN_QUEUES, job_owner=None).body["queues"]
        assert {each["queue"] for each in queues if each["isPaused"]} == ({priority} if is_paused else set())


@pytest.mark.parametrize("route", [PAUSE, RESUME])
@pytest.mark.parametrize("name", ["deliveries", "HIGH", "", "x"])
def test_queue_of_no_priority_cannot_be_paused(api: InMemoryApi, route: str, name: str) -> None:
    answer = ask(api, route, job_owner=None, path={"priority": name})
    assert (answer.status, answer.code) == (404, "QUEUE_NOT_FOUND")
    assert api.audit.stored == []


def test_pollers_that_do_not_answer_are_503(api: InMemoryApi) -> None:
    api.pollers.is_down = True
    assert ask(api, PAUSE, job_owner=None, path={"priority": "low"}).code == "UNAVAILABLE"


def test_job_type_is_paused_and_resumed(api: InMemoryApi) -> None:
    for route, is_paused in ((PAUSE_TYPE, True), (RESUME_TYPE, False)):
        answer = ask(api, route, job_owner=None, groups="[operator]", path={"jobType": "api.reads"})
        assert (answer.status, answer.body) == (200, {"jobType": "api.reads", "isPaused": is_paused})
        queues = ask(api, ADMIN_QUEUES, job_owner=None).body["queues"]
        paused = ["api.reads"] if is_paused else []
        assert [each["pausedTypes"] for each in queues] == [paused, paused, paused, []]


@pytest.mark.parametrize("route", [PAUSE_TYPE, RESUME_TYPE])
def test_job_type_that_does_not_exist_cannot_be_paused(api: InMemoryApi, route: str) -> None:
    answer = ask(api, route, job_owner=None, path={"jobType": "none"})
    assert (answer.status, answer.code) == (404, "JOB_TYPE_NOT_FOUND")
    assert api.audit.stored == []


def test_thirty_first_paused_type_is_409(api: InMemoryApi) -> None:
    api.pollers.dropped["low"] = frozenset(map(str, range(30)))
    answer = ask(api, PAUSE_TYPE, job_owner=None, path={"jobType": "api.reads"})
    assert (answer.status, answer.code) == (409, "TOO_MANY_PAUSED_TYPES")


# ── Dead letters ─────────────────────────────────────────────────────────────────────────────────────


def test_dead_letters_are_redriven_with_the_outcome_of_each(api: InMemoryApi) -> None:
    job = new_job()
    api.add_jobs(job)
    api.dead_letters.bodies = {"1": JobMessage.of(job).to_body(), "2": "no message"}
    answer = ask(api, REDRIVE, job_owner=None, groups="[operator]", body="{}")
    assert (answer.status, answer.body) == (
        200,
        {
            "letters": [
                {"asyncJobId": job.async_job_id, "owner": OWNER, "jobType": job.job_type, "outcome": "SENT"},
                {"asyncJobId": None, "owner": None, "jobType": None, "outcome": "MALFORMED"},
            ],
            "isMore": False,
        },
    )
    api.dead_letters.hidden.clear()
    answer = ask(api, REDRIVE, job_owner=None, body='{"discardMalformed": true}')
    assert ([each["outcome"] for each in answer.body["letters"]], api.dead_letters.bodies) == (["DISCARDED"], {})


def test_redrive_with_an_unknown_member_is_400(api: InMemoryApi) -> None:
    api.dead_letters.bodies = {"1": "x"}
    assert ask(api, REDRIVE, job_owner=None, body='{"purge": true}').pointers == ["/purge"]
    assert (api.dead_letters.hidden, api.audit.stored) == (set(), [])
