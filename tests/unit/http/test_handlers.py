"""Each route's answers: status, headers and body, for real HTTP API events."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjobs.core.clock import from_rfc3339, rfc3339
from asyncjobs.core.durations import Durations
from asyncjobs.core.errors import IllegalMove, Unavailable
from asyncjobs.core.job import AsyncJob, JobKey, Priority, Result, Status, job_id_for
from asyncjobs.core.message import JobMessage
from asyncjobs.http.handlers import Api
from asyncjobs.jobtypes.catalog import openapi_path
from tests.support.events import sample
from tests.support.factories import JOB_ID, NOW, OWNER, new_job, new_tracked_job, running_job
from tests.unit.http.in_memory_api import (
    ABOUT_ONE_JOB,
    BODY,
    CANCEL,
    DELETE,
    FAILURE,
    HEALTH,
    JOB,
    JOB_TYPES,
    JOBS,
    OPENAPI,
    REPORT,
    RESULT,
    RETRY,
    SUBMIT,
    UPDATE,
    Answer,
    InMemoryApi,
    SimulatedWait,
    listed,
    walk,
)

# ── Submit ─────────────────────────────────────────────────────────────────────────────────────────


def test_accepted_submit_is_202_with_location_and_retry_after(api: InMemoryApi) -> None:
    answer = api.submit({**BODY, "metadata": {"order": 7}, "message": "queued", "delaySeconds": 30, "retentionSeconds": 3600})
    (job,) = api.store.jobs.values()
    assert answer.status == 202
    assert answer.headers["location"] == f"/api/v1/jobs/{job.async_job_id}"
    assert answer.headers["retry-after"] == "30"  # the delay
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
    assert api.queue.delays == [timedelta(seconds=30)]


def test_sample_submit_event_is_a_valid_request() -> None:
    api = InMemoryApi()
    body = json.loads(sample("submit")["body"])
    assert api.submit({**body, "jobType": "api.takes_anything"}).status == 202


def test_repeated_key_returns_the_same_job(api: InMemoryApi) -> None:
    first = api.submit(BODY, key='"order 7"')
    again = api.submit(BODY, key='"order 7"')
    assert (again.status, again.text) == (202, first.text)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]


def test_replay_of_a_finished_job_is_200_with_its_result(api: InMemoryApi) -> None:
    api.submit(BODY, key="k")
    (job,) = api.store.jobs.values()
    api.add_jobs(job.claimed(by="w", now=NOW, lease_until=NOW).completed(now=NOW, result=Result(text="9")))
    again = api.submit(BODY, key="k")
    assert (again.status, again.body["result"]) == (200, 9)
    assert "retry-after" not in again.headers


def test_key_of_another_request_is_422_and_reveals_nothing_of_it(api: InMemoryApi) -> None:
    api.submit({**BODY, "message": "canary"}, key="k")
    answer = api.submit(BODY, key="k")
    assert (answer.status, answer.body["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert "canary" not in answer.text
    assert len(api.store.jobs) == 1


def test_invalid_key_is_400(api: InMemoryApi) -> None:
    assert api.submit(BODY, key="a b").status == 400
    assert api.store.writes == 0


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
def test_invalid_request_stores_and_sends_nothing(api: InMemoryApi, event: dict[str, Any], status: int, code: str) -> None:
    answer = api.call(SUBMIT, **{"body": json.dumps(BODY), **event})
    assert (answer.status, answer.body["code"]) == (status, code)
    assert (api.store.writes, api.queue.sent) == (0, [])


def test_owner_comes_from_the_token_alone(api: InMemoryApi) -> None:
    api.call(SUBMIT, body=json.dumps(BODY), headers={"x-owner": "bob", "owner": "bob"}, query={"owner": "bob"})
    assert [job.owner for job in api.store.jobs.values()] == [OWNER]


def test_failed_put_is_503_and_the_same_key_works_later(api: InMemoryApi) -> None:
    api.store.failures.append(Unavailable("throttled"))
    answer = api.submit(BODY, key="k")
    assert (answer.status, answer.body["code"]) == (503, "UNAVAILABLE")
    assert int(answer.headers["retry-after"]) > 0
    again = api.submit(BODY, key="k")
    assert again.status == 202
    assert "idempotency-replayed" not in again.headers


def test_failed_send_is_still_202(api: InMemoryApi) -> None:
    api.queue.is_down = True
    assert api.submit(BODY).status == 202


# ── One job ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("age", "pause"), [(0, "2"), (29, "2"), (30, "5"), (119, "5"), (120, "10"), (600, "30"), (80_000, "30")]
)
def test_retry_after_grows_with_the_age_of_the_job(api: InMemoryApi, age: float, pause: str) -> None:
    api.add_jobs(new_job())
    api.clock.advance(seconds=age)
    assert api.call(JOB, async_job_id=JOB_ID).headers["retry-after"] == pause


def test_estimate_sets_estimated_end_and_retry_after(api: InMemoryApi) -> None:
    api.estimates["sample.returns"] = Durations.of([20.0] * 100)
    api.add_jobs(running_job())
    api.clock.advance(seconds=4)
    answer = api.call(JOB, async_job_id=JOB_ID)
    early = api.call(RESULT, async_job_id=JOB_ID)
    assert 15 <= int(answer.headers["retry-after"]) <= 18
    assert early.headers["retry-after"] == answer.headers["retry-after"]
    assert abs(from_rfc3339(answer.body["estimatedEndAt"]) - (NOW + timedelta(seconds=20))) < timedelta(seconds=1)


def test_changed_estimate_keeps_the_entity_tag(api: InMemoryApi) -> None:
    api.estimates["sample.returns"] = Durations.of([18.0, 20.0, 22.0] * 40)
    api.add_jobs(running_job())
    first = api.call(JOB, async_job_id=JOB_ID)
    api.clock.advance(seconds=21)
    later = api.call(JOB, async_job_id=JOB_ID)
    again = api.call(JOB, async_job_id=JOB_ID, headers={"if-none-match": first.headers["etag"]})
    assert first.body["estimatedEndAt"] != later.body["estimatedEndAt"]
    # A strong tag would promise the same bytes.
    assert later.headers["etag"] == first.headers["etag"]
    assert first.headers["etag"].startswith("W/")
    assert (again.status, again.headers["retry-after"]) == (304, later.headers["retry-after"])


def test_finished_job_needs_no_estimate(api: InMemoryApi) -> None:
    api.add_jobs(running_job().completed(now=NOW, result=Result(text="1")))
    answer = api.call(JOB, async_job_id=JOB_ID)
    api.call(RESULT, async_job_id=JOB_ID)
    assert answer.body["estimatedEndAt"] is None
    assert api.estimates_requested == []


def test_priority_is_in_every_answer_about_the_job(api: InMemoryApi) -> None:
    submitted = api.submit({**BODY, "priority": "low"})
    job = api.call(JOB, async_job_id=submitted.body["asyncJobId"])
    page = api.call(JOBS)
    assert [submitted.body["priority"], job.body["priority"], page.body["jobs"][0]["priority"]] == ["low"] * 3
    assert [message.priority for message in api.queue.sent] == [Priority.LOW]


def test_retry_keeps_the_priority(api: InMemoryApi) -> None:
    api.add_jobs(new_job(job_type="api.reads", priority=Priority.HIGH).cancelled(now=NOW))
    assert api.call(RETRY, async_job_id=JOB_ID).body["priority"] == "high"
    assert [message.priority for message in api.queue.sent] == [Priority.HIGH]


# ── Queue depth ──────────────────────────────────────────────────────────────────────────────────────


def queue_messages(api: InMemoryApi, **counts: int) -> None:
    for priority, count in counts.items():
        for number in range(count):
            api.queue.send(JobMessage(JobKey("bob", str(number)), "gen", "sample.returns", priority=Priority(priority)))


def test_queue_depth_is_that_of_the_jobs_own_queue() -> None:
    api = InMemoryApi(shows_queue_depth=True)
    queue_messages(api, high=1, standard=2, low=3)
    for priority, depth in zip(Priority, (1, 2, 3), strict=True):
        api.add_jobs(new_job(priority=priority))
        assert api.call(JOB, async_job_id=JOB_ID).body["queueDepth"] == depth


def test_queue_depth_is_off_by_default(api: InMemoryApi) -> None:
    queue_messages(api, standard=2)
    api.add_jobs(new_job())
    assert "queueDepth" not in api.call(JOB, async_job_id=JOB_ID).body
    assert api.queue.backlog_reads == 0


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
    ids=["running", "finished", "delayed", "exclusive", "tracked", "out of attempts"],
)
def test_queue_is_not_read_for_a_job_that_does_not_wait_in_it(job: AsyncJob) -> None:
    api = InMemoryApi(shows_queue_depth=True)
    api.add_jobs(job)
    assert "queueDepth" not in api.call(JOB, async_job_id=JOB_ID).body
    assert api.queue.backlog_reads == 0


def test_queue_is_read_every_five_seconds_and_not_on_each_poll() -> None:
    api = InMemoryApi(shows_queue_depth=True)
    api.add_jobs(new_job())
    depths = []
    for seconds in (0, 4.999, 0.001):
        api.clock.advance(seconds=seconds)
        depths.append(api.call(JOB, async_job_id=JOB_ID).body["queueDepth"])
        queue_messages(api, standard=1)
    assert (depths, api.queue.backlog_reads) == ([0, 0, 2], 2)


def test_unavailable_queue_has_no_depth_and_is_read_again_after_a_minute() -> None:
    api = InMemoryApi(shows_queue_depth=True)
    api.add_jobs(new_job())
    api.queue.is_down = True
    for _ in range(3):
        answer = api.call(JOB, async_job_id=JOB_ID)
        assert (answer.status, "queueDepth" in answer.body) == (200, False)
    assert api.queue.backlog_reads == 1
    api.queue.is_down = False
    api.clock.advance(seconds=60)
    assert api.call(JOB, async_job_id=JOB_ID).body["queueDepth"] == 0


def test_changed_queue_depth_keeps_the_entity_tag() -> None:
    api = InMemoryApi(shows_queue_depth=True)
    api.add_jobs(new_job())
    first = api.call(JOB, async_job_id=JOB_ID)
    queue_messages(api, standard=7)
    api.clock.advance(seconds=5)
    later = api.call(JOB, async_job_id=JOB_ID)
    again = api.call(JOB, async_job_id=JOB_ID, headers={"if-none-match": first.headers["etag"]})
    assert (first.body["queueDepth"], later.body["queueDepth"]) == (0, 7)
    assert later.headers["etag"] == first.headers["etag"]
    assert first.headers["etag"].startswith("W/")
    assert again.status == 304


def test_long_poll_does_not_read_the_queue() -> None:
    api = InMemoryApi(shows_queue_depth=True)
    api.add_jobs(new_job())
    answer = api.call(JOB, async_job_id=JOB_ID, query={"wait": "1"})
    assert (answer.status, "queueDepth" in answer.body, api.queue.backlog_reads) == (200, False, 0)


# ── Not found ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("route", ABOUT_ONE_JOB)
def test_jobs_of_others_unknown_malformed_and_expired_ids_are_the_same_404(api: InMemoryApi, route: str) -> None:
    theirs, expired = new_job(owner="bob"), new_job(async_job_id="00000000-0000-4000-8000-000000000001", record_expires_at=NOW)
    api.add_jobs(theirs, expired)
    before = dict(api.store.jobs)
    answers = [
        api.call(route, async_job_id=async_job_id)
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
    assert api.store.jobs == before


# ── Result ─────────────────────────────────────────────────────────────────────────────────────────


def test_inline_result_is_returned_unchanged(api: InMemoryApi) -> None:
    api.add_jobs(running_job().completed(now=NOW, result=Result(text='{"price":1.10}')))
    answer = api.call(RESULT, async_job_id=JOB_ID)
    assert (answer.status, answer.text) == (200, '{"price":1.10}')
    assert answer.headers["content-type"] == "application/json"


def test_large_result_redirects_to_a_new_link(api: InMemoryApi) -> None:
    api.add_jobs(running_job().completed(now=NOW, result=Result(location="results/x/y/1")))
    answer = api.call(RESULT, async_job_id=JOB_ID)
    assert answer.status == 303
    assert answer.headers["location"] == answer.body["location"] == api.objects.link("results/x/y/1")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("job", [new_job(), running_job()], ids=["waiting", "running"])
def test_result_of_an_unfinished_job_is_409_with_retry_after(api: InMemoryApi, job: AsyncJob) -> None:
    api.add_jobs(job)
    answer = api.call(RESULT, async_job_id=JOB_ID)
    assert (answer.status, answer.body["code"], answer.headers["retry-after"]) == (409, "JOB_NOT_COMPLETED", "2")


@pytest.mark.parametrize(
    ("job", "code", "error_code"),
    [
        (running_job().failed(now=NOW, error=FAILURE), "JOB_FAILED", "HOPELESS"),
        (running_job().cancelled(now=NOW), "JOB_CANCELLED", None),
    ],
    ids=["failed", "cancelled"],
)
def test_result_of_a_failed_or_cancelled_job_is_409_with_its_error(
    api: InMemoryApi, job: AsyncJob, code: str, error_code: str | None
) -> None:
    api.add_jobs(job)
    answer = api.call(RESULT, async_job_id=JOB_ID)
    assert (answer.status, answer.body["code"], answer.body["asyncJobId"]) == (409, code, JOB_ID)
    assert (answer.body["error"] or {}).get("code") == error_code
    assert "retry-after" not in answer.headers


# ── Cancel ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("job", [new_job(), running_job()], ids=["waiting", "running"])
def test_cancel_is_200_also_for_a_cancelled_job(api: InMemoryApi, job: AsyncJob) -> None:
    api.add_jobs(job)
    first = api.call(CANCEL, async_job_id=JOB_ID)
    again = api.call(CANCEL, async_job_id=JOB_ID)
    assert (first.status, first.body["status"], first.body["endedAt"]) == (200, "CANCELLED", rfc3339(NOW))
    assert again == first


@pytest.mark.parametrize("name", ["completed", "failed"])
def test_cancel_of_a_finished_job_is_409(api: InMemoryApi, name: str) -> None:
    job = {
        "completed": running_job().completed(now=NOW, result=Result(text="1")),
        "failed": running_job().failed(now=NOW, error=FAILURE),
    }[name]
    api.add_jobs(job)
    answer = api.call(CANCEL, async_job_id=JOB_ID)
    assert (answer.status, answer.body["code"]) == (409, "JOB_ALREADY_FINISHED")


# ── Long polling ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("end", [running_job().completed(now=NOW, result=Result(text="1")), running_job().cancelled(now=NOW)])
def test_long_poll_returns_when_the_job_finishes(api: InMemoryApi, wait: SimulatedWait, end: AsyncJob) -> None:
    api.add_jobs(running_job())
    wait.events = [(3, end)]
    answer = api.call(JOB, async_job_id=JOB_ID, query={"wait": "20"})
    assert (answer.status, answer.body["status"]) == (200, end.status)
    assert 3 <= wait.elapsed <= 4


def test_long_poll_returns_on_progress(api: InMemoryApi, wait: SimulatedWait) -> None:
    api.add_jobs(running_job())
    wait.events = [(3, running_job(progress=45)), (5, running_job(progress=46))]
    answer = api.call(JOB, async_job_id=JOB_ID, query={"wait": "20"})
    assert answer.body["progress"] == 45


def test_long_poll_without_a_change_returns_the_job(api: InMemoryApi, wait: SimulatedWait) -> None:
    api.add_jobs(running_job())
    answer = api.call(JOB, async_job_id=JOB_ID, query={"wait": "7"})
    assert (answer.status, answer.body["status"], "retry-after" in answer.headers) == (200, "IN_PROGRESS", True)
    assert wait.elapsed == pytest.approx(7, abs=0.1)


def test_long_poll_with_an_old_tag_returns_immediately(api: InMemoryApi, wait: SimulatedWait) -> None:
    api.add_jobs(running_job())
    tag = api.call(JOB, async_job_id=JOB_ID).headers["etag"]
    api.add_jobs(running_job(progress=45))
    answer = api.call(JOB, async_job_id=JOB_ID, query={"wait": "20"}, headers={"if-none-match": tag})
    assert (answer.status, answer.body["progress"], wait.elapsed) == (200, 45, 0)


def test_long_poll_with_the_current_tag_waits_and_is_304(api: InMemoryApi, wait: SimulatedWait) -> None:
    api.add_jobs(running_job())
    tag = api.call(JOB, async_job_id=JOB_ID).headers["etag"]
    answer = api.call(JOB, async_job_id=JOB_ID, query={"wait": "5"}, headers={"if-none-match": tag})
    assert (answer.status, answer.text, answer.headers["etag"]) == (304, "", tag)
    assert wait.elapsed == pytest.approx(5, abs=0.1)


def test_long_poll_of_a_finished_job_does_not_wait(api: InMemoryApi, wait: SimulatedWait) -> None:
    api.add_jobs(running_job().cancelled(now=NOW))
    first = api.call(JOB, async_job_id=JOB_ID, query={"wait": "20"})
    again = api.call(JOB, async_job_id=JOB_ID, query={"wait": "20"}, headers={"if-none-match": first.headers["etag"]})
    assert (first.status, again.status, wait.elapsed) == (200, 304, 0)
    assert "retry-after" not in again.headers


@pytest.mark.parametrize("form", ["{}", "W/{}", '"x", {}', "*"])
def test_unchanged_job_is_304_for_each_form_of_if_none_match(api: InMemoryApi, form: str) -> None:
    api.add_jobs(running_job())
    tag = api.call(JOB, async_job_id=JOB_ID).headers["etag"].removeprefix("W/")
    answer = api.call(JOB, async_job_id=JOB_ID, headers={"if-none-match": form.format(tag)})
    assert (answer.status, answer.text) == (304, "")
    assert int(answer.headers["retry-after"]) > 0
    assert api.call(JOB, async_job_id=JOB_ID, headers={"if-none-match": '"another"'}).status == 200


def test_submit_with_wait_returns_the_finished_job(api: InMemoryApi, wait: SimulatedWait) -> None:
    end = new_job(job_type="api.reads").claimed(by="w", now=NOW, lease_until=NOW).completed(now=NOW, result=Result(text="9"))
    wait.events = [(2, replace(end, async_job_id=job_id_for(OWNER, "k")))]
    answer = api.submit(BODY, key="k", prefer="wait=10")
    assert (answer.status, answer.body["result"]) == (200, 9)
    assert (answer.headers["preference-applied"], answer.headers["vary"]) == ("wait=10", "Prefer")
    assert 2 <= wait.elapsed <= 3


def test_submit_is_202_when_its_wait_ends_first(api: InMemoryApi, wait: SimulatedWait) -> None:
    answer = api.submit(BODY, prefer="wait=10")
    assert (answer.status, answer.body["status"], "retry-after" in answer.headers) == (202, "PENDING", True)
    assert wait.elapsed == pytest.approx(10, abs=0.1)


def test_submit_is_500_when_the_job_fails_during_its_wait(api: InMemoryApi, wait: SimulatedWait) -> None:
    end = new_job(job_type="api.reads").claimed(by="w", now=NOW, lease_until=NOW).failed(now=NOW, error=FAILURE)
    wait.events = [(2, replace(end, async_job_id=job_id_for(OWNER, "k")))]
    answer = api.submit(BODY, key="k", prefer="wait=10")
    assert (answer.status, answer.body["code"]) == (500, "JOB_FAILED")
    assert (answer.body["asyncJobId"], answer.body["error"]["code"]) == (job_id_for(OWNER, "k"), "HOPELESS")
    assert answer.headers["location"].endswith(job_id_for(OWNER, "k"))


def test_table_failure_during_the_wait_is_still_202(api: InMemoryApi) -> None:
    add = api.store.add_if_absent

    def add_then_fail(job: AsyncJob, now: Any) -> AsyncJob | None:
        outcome = add(job, now)
        api.store.failures.append(Unavailable("throttled"))
        return outcome

    api.store.add_if_absent = add_then_fail  # type: ignore[method-assign]  # for this test
    assert api.submit(BODY, prefer="wait=10").status == 202


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
def test_preference_is_applied_as_far_as_possible(
    api: InMemoryApi, wait: SimulatedWait, prefer: str, applied: str | None, waits: float
) -> None:
    answer = api.submit(BODY, prefer=prefer)
    assert (answer.status, answer.headers.get("preference-applied")) == (202, applied)
    assert wait.elapsed == pytest.approx(waits, abs=0.1)


# ── Uploads ──────────────────────────────────────────────────────────────────────────────────────────


def test_upload_is_201_with_everything_for_the_put(api: InMemoryApi) -> None:
    answer = api.upload({"contentType": "application/pdf", "contentLength": 9})
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
    assert api.store.writes == 0


def test_each_upload_has_its_own_key(api: InMemoryApi) -> None:
    assert len({api.upload({"contentLength": 1}).body["key"] for _ in range(5)}) == 5


# ── Retry and delete ───────────────────────────────────────────────────────────────────────────────


def test_retry_is_202_with_a_pending_job_and_all_its_attempts(api: InMemoryApi) -> None:
    api.add_jobs(replace(running_job(attempt=3), job_type="api.reads").failed(now=NOW, error=FAILURE))
    api.clock.advance(seconds=100)
    answer = api.call(RETRY, async_job_id=JOB_ID)
    assert (answer.status, answer.body["status"], answer.body["attempt"], answer.body["error"]) == (202, "PENDING", 0, None)
    assert (answer.body["endedAt"], answer.body["startedAt"]) == (None, None)
    assert "retry-after" in answer.headers
    assert api.call(JOB, async_job_id=JOB_ID).body == answer.body


@pytest.mark.parametrize("job", [new_job(), running_job(), running_job().completed(now=NOW, result=Result(text="1"))])
def test_retry_of_a_job_that_did_not_fail_is_409(api: InMemoryApi, job: AsyncJob) -> None:
    api.add_jobs(job)
    answer = api.call(RETRY, async_job_id=JOB_ID)
    assert (answer.status, answer.body["code"]) == (409, "JOB_NOT_RETRYABLE")


def test_delete_is_204_and_the_job_is_404_afterwards(api: InMemoryApi) -> None:
    api.add_jobs(running_job().completed(now=NOW, result=Result(text="1")))
    answer = api.call(DELETE, async_job_id=JOB_ID)
    assert (answer.status, answer.text) == (204, "")
    assert "content-type" not in answer.headers
    assert {api.call(route, async_job_id=JOB_ID).status for route in ABOUT_ONE_JOB} == {404}
    assert api.call(JOBS).body == {"jobs": [], "nextCursor": None}


@pytest.mark.parametrize("job", [new_job(), running_job()], ids=["waiting", "running"])
def test_delete_of_an_unfinished_job_is_409(api: InMemoryApi, job: AsyncJob) -> None:
    api.add_jobs(job)
    answer = api.call(DELETE, async_job_id=JOB_ID)
    assert (answer.status, answer.body["code"]) == (409, "JOB_NOT_FINISHED")
    assert api.call(JOB, async_job_id=JOB_ID).status == 200


# ── List ───────────────────────────────────────────────────────────────────────────────────────────


def test_list_has_the_owners_jobs_newest_first(api: InMemoryApi) -> None:
    api.add_jobs(listed(1), listed(2), listed(3, owner="bob"))
    answer = api.call(JOBS)
    assert (answer.status, answer.body["nextCursor"]) == (200, None)
    assert answer.body["jobs"] == [api.call(JOB, async_job_id=listed(number).async_job_id).body for number in (2, 1)]


def test_list_page_has_20_jobs_by_default(api: InMemoryApi) -> None:
    api.add_jobs(*(listed(number) for number in range(120)))
    assert [len(api.call(JOBS, query=query).body["jobs"]) for query in ({}, {"limit": "1"}, {"limit": "100"})] == [20, 1, 100]


def test_list_is_filtered_by_status_and_job_type(api: InMemoryApi) -> None:
    api.add_jobs(
        listed(1), listed(2).cancelled(now=NOW), listed(3, job_type="other"), listed(4, job_type="other").cancelled(now=NOW)
    )

    def numbers(**query: str) -> list[int]:
        return [int(job["asyncJobId"][-1]) for job in api.call(JOBS, query=query).body["jobs"]]

    assert numbers(status="PENDING") == [3, 1]
    assert numbers(jobType="other") == [4, 3]
    assert numbers(status="CANCELLED", jobType="other") == [4]
    assert numbers(jobType="no.such") == []


def test_expired_job_is_not_listed(api: InMemoryApi) -> None:
    api.add_jobs(listed(1, record_expires_at=NOW), listed(2))
    assert [job["asyncJobId"] for job in api.call(JOBS).body["jobs"]] == [listed(2).async_job_id]


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from([Status.PENDING, Status.CANCELLED]), max_size=12),
    st.integers(1, 4),
    st.sampled_from(["", "CANCELLED"]),
)
def test_pages_together_are_the_whole_list(statuses: list[Status], limit: int, wanted: str) -> None:
    api = InMemoryApi()
    jobs = [listed(number, status=status) for number, status in enumerate(statuses)]
    api.add_jobs(*jobs, listed(99, owner="bob"))
    query = {"limit": str(limit), **({"status": wanted} if wanted else {})}
    pages = list(walk(api, query))
    assert [found for page in pages for found in page] == [
        job.async_job_id for job in reversed(jobs) if wanted in ("", job.status)
    ]
    assert max(map(len, pages)) <= limit


# ── Job types and health ───────────────────────────────────────────────────────────────────────────


def test_health_needs_neither_token_nor_table(api: InMemoryApi) -> None:
    api.store.failures.append(Unavailable("down"))
    event = sample("status")
    del event["requestContext"]["authorizer"]
    answer = api.call(HEALTH, requestContext=event["requestContext"])
    assert (answer.status, answer.body) == (200, {"status": "ok"})


def test_openapi_document_needs_no_token_and_is_the_generated_file(api: InMemoryApi) -> None:
    event = sample("status")
    del event["requestContext"]["authorizer"]
    answer = api.call(OPENAPI, requestContext=event["requestContext"])
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.text == openapi_path().read_text()
    assert answer.headers["cache-control"] == "public, max-age=300"


# ── Tracked jobs ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def tracked(api: InMemoryApi) -> Answer:
    """Return the answer to the submit of a tracked job."""
    return api.submit({"message": "Upload queued", "metadata": {"fileName": "contract.pdf"}})


def reported(api: InMemoryApi, tracked: Answer, route: str, report: Any, token: str | None = None, **event: Any) -> Answer:
    bearer = tracked.body["workerToken"] if token is None else token
    headers = {"authorization": f"Bearer {bearer}"} if route == REPORT else {}
    return api.call(route, async_job_id=tracked.body["asyncJobId"], headers=headers, **{"body": json.dumps(report), **event})


def test_submit_without_a_job_type_creates_a_generic_tracked_job(api: InMemoryApi, tracked: Answer) -> None:
    assert tracked.status == 202
    expected = {"jobType": "generic", "status": "PENDING", "message": "Upload queued", "progress": 0, "maxAttempts": 0}
    assert expected.items() <= tracked.body.items()
    assert api.queue.sent == []


def test_worker_token_is_only_in_the_answer_that_creates_the_job(api: InMemoryApi) -> None:
    created = api.submit({}, key="k")
    again = api.submit({}, key="k")
    looked = api.call(JOB, async_job_id=created.body["asyncJobId"])
    assert again.headers["idempotency-replayed"] == "true"
    assert [("workerToken" in answer.body) for answer in (created, again, looked)] == [True, False, False]
    assert "workerToken" not in api.submit(BODY).body


@pytest.mark.parametrize("route", [UPDATE, REPORT])
def test_accepted_report_returns_the_job(api: InMemoryApi, tracked: Answer, route: str) -> None:
    answer = reported(api, tracked, route, {"progress": 45, "message": "Extracting document data..."})
    assert answer.status == 200
    assert answer.body == api.call(JOB, async_job_id=tracked.body["asyncJobId"]).body
    assert (answer.body["status"], answer.body["progress"]) == ("IN_PROGRESS", 45)


@pytest.mark.parametrize("route", [UPDATE, REPORT])
def test_invalid_report_is_400_with_each_problem(api: InMemoryApi, tracked: Answer, route: str) -> None:
    answer = reported(api, tracked, route, {"status": "PENDING", "owner": "bob"})
    assert (answer.status, answer.pointers) == (400, ["/owner", "/status"])
    assert reported(api, tracked, route, None, body="{").body["code"] == "INVALID_JSON"


def test_result_url_is_served_by_the_result_route(api: InMemoryApi, tracked: Answer) -> None:
    url = "https://files.example/report.pdf"
    job = reported(api, tracked, REPORT, {"status": "COMPLETED", "resultLocation": url}).body
    assert (job["resultType"], job["result"]) == ("URL", None)
    assert job["resultLocation"] == f"/api/v1/jobs/{job['asyncJobId']}/result"
    answer = api.call(RESULT, async_job_id=job["asyncJobId"])
    assert (answer.status, answer.headers["location"], answer.body) == (303, url, {"location": url})


def test_oversized_result_is_413_and_its_detail_names_result_location(api: InMemoryApi, tracked: Answer) -> None:
    answer = reported(api, tracked, UPDATE, {"status": "COMPLETED", "result": "x" * 9000})
    assert (answer.status, answer.body["code"]) == (413, "RESULT_TOO_LARGE")
    assert "`resultLocation`" in answer.body["detail"]


@pytest.mark.parametrize("route", [UPDATE, REPORT])
def test_report_of_an_ended_job_is_409_with_its_status(api: InMemoryApi, tracked: Answer, route: str) -> None:
    api.call(CANCEL, async_job_id=tracked.body["asyncJobId"])
    late = reported(api, tracked, route, {"progress": 50})
    assert (late.status, late.body["code"], late.body["jobStatus"]) == (409, "JOB_CANCELLED", "CANCELLED")


def test_report_of_a_job_that_is_not_tracked_is_409(api: InMemoryApi) -> None:
    api.add_jobs(new_job())
    answer = api.call(UPDATE, async_job_id=JOB_ID, body='{"progress": 50}')
    assert (answer.status, answer.body["code"]) == (409, "JOB_NOT_TRACKED")


def test_each_wrong_token_is_the_same_401(api: InMemoryApi, tracked: Answer) -> None:
    other = api.submit({}).body
    api.add_jobs(new_job())
    report = {"progress": 50}
    answers = [
        *(reported(api, tracked, REPORT, report, token) for token in ("", "x", "a.b.c", other["workerToken"])),
        reported(api, tracked, REPORT, report, tracked.body["workerToken"][:-1]),
        api.call(REPORT, async_job_id=tracked.body["asyncJobId"], body=json.dumps(report)),
        *(
            reported(api, Answer(0, {}, json.dumps({**tracked.body, "asyncJobId": async_job_id})), REPORT, report)
            for async_job_id in (JOB_ID, other["asyncJobId"], "x", "")
        ),
    ]
    assert {answer.status for answer in answers} == {401}
    assert all(answer == answers[0] for answer in answers)
    assert answers[0].headers["www-authenticate"] == "Bearer"


def test_owner_claim_does_not_replace_the_worker_token(api: InMemoryApi, tracked: Answer) -> None:
    # The gateway does not check the token of this route, so the event's owner proves nothing.
    answer = api.call(REPORT, owner=OWNER, async_job_id=tracked.body["asyncJobId"], body='{"progress": 50}')
    assert answer.status == 401


# ── Every route ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("route", [SUBMIT, JOBS, JOB_TYPES, *ABOUT_ONE_JOB])
def test_every_route_is_403_without_an_owner(api: InMemoryApi, route: str) -> None:
    api.add_jobs(new_job())
    answer = api.call(route, owner="", async_job_id=JOB_ID, body=json.dumps(BODY))
    assert (answer.status, answer.body["code"]) == (403, "OWNER_MISSING")


@pytest.mark.parametrize("route", [SUBMIT, JOBS, JOB_TYPES, HEALTH, *ABOUT_ONE_JOB])
@pytest.mark.parametrize("accept", ["application/json", "text/html"], ids=["answer", "problem"])
def test_every_answer_has_the_security_headers(api: InMemoryApi, route: str, accept: str) -> None:
    api.add_jobs(new_job())
    answer = api.call(route, async_job_id=JOB_ID, body=json.dumps(BODY), headers={"accept": accept})
    assert (answer.status == 406) is (accept == "text/html")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["strict-transport-security"]


def test_internal_error_is_raised_so_that_lambda_counts_it() -> None:
    def broken(_request: object) -> dict[str, Any]:
        raise IllegalMove("A bug.")

    with pytest.raises(IllegalMove):
        Api({HEALTH: broken}).handle({**sample("status"), "routeKey": HEALTH})


# ── Owners ─────────────────────────────────────────────────────────────────────────────────────────


OWNERS = st.text("ab|. ", min_size=1, max_size=3)


STEPS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(["submit", "cancel", "finish"]), st.sampled_from(["", "k", "kk"]))
)


@settings(max_examples=25)
@given(st.tuples(OWNERS, OWNERS).filter(lambda owners: owners[0] != owners[1]), STEPS)
def test_owners_never_see_each_others_jobs(owners: tuple[str, str], steps: list[tuple[int, str, str]]) -> None:
    api = InMemoryApi()
    own: tuple[list[str], list[str]] = ([], [])
    for who, step, key in steps:
        if step == "submit":
            submitted = api.submit({"jobType": "api.takes_anything", "input": who}, key=key or None, owner=owners[who])
            assert submitted.status in (200, 202)
            if "idempotency-replayed" not in submitted.headers:
                own[who].append(submitted.body["asyncJobId"])
        elif own[who]:
            async_job_id = own[who][-1]
            if step == "cancel":
                api.call(CANCEL, owner=owners[who], async_job_id=async_job_id)
            else:
                job = next(job for job in api.store.jobs.values() if job.async_job_id == async_job_id)
                api.add_jobs(replace(job, status=Status.COMPLETED, result=Result(text=str(who)), due_at=None))
    for who in (0, 1):
        assert {found for page in walk(api, {"limit": "2"}, owner=owners[who]) for found in page} == set(own[who])
        for async_job_id in own[who]:
            assert api.call(JOB, owner=owners[who], async_job_id=async_job_id).status == 200
            assert {api.call(route, owner=owners[1 - who], async_job_id=async_job_id).status for route in ABOUT_ONE_JOB} == {
                404
            }
