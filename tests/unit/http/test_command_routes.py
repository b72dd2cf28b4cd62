"""The answers of the operations that create and change jobs, for real HTTP API events."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core.clock import rfc3339
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import AsyncJob, Priority, Result, job_id_for
from asyncjobs.core.rate import SubmitRate
from tests.support.events import sample
from tests.support.factories import JOB_ID, NOW, OWNER, new_job, running_job
from tests.support.http_events import ABOUT_ONE_JOB, CANCEL, DELETE, DELETE_UPLOAD, JOB, JOBS, RETRY, SUBMIT, Answer
from tests.unit.http.in_memory_api import BODY, FAILURE, SEARCH_SYNCHRONOUS, InMemoryApi, SimulatedWait


def test_accepted_submit_is_202_with_location_and_retry_after(api: InMemoryApi) -> None:
    answer = api.submit({**BODY, "metadata": {"order": 7}, "message": "queued", "delaySeconds": 30, "retentionSeconds": 3600})
    (job,) = api.store.jobs.values()
    assert answer.status == 202
    assert answer.headers["location"] == f"jobs/{job.async_job_id}"
    assert answer.headers["retry-after"] == "30"  # the delay
    assert "idempotency-replayed" not in answer.headers
    assert answer.body == {
        "asyncJobId": job.async_job_id,
        "jobType": "api.reads",
        "status": "PENDING",
        "seq": 1,
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
        ({"owner": "x" * 256}, 403, "OWNER_MISSING"),
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


def test_submit_with_wait_returns_the_finished_job(api: InMemoryApi, wait: SimulatedWait) -> None:
    end = new_job(job_type="api.reads").claimed(by="w", now=NOW, lease_until=NOW).completed(now=NOW, result=Result(text="9"))
    wait.events = [(2, replace(end, async_job_id=job_id_for(OWNER, "k")))]
    answer = api.submit(BODY, key="k", prefer="wait=10")
    assert (answer.status, answer.body["result"]) == (200, 9)
    assert (answer.headers["preference-applied"], answer.headers["vary"]) == ("wait=10", "Prefer")
    assert 2 <= wait.elapsed <= 3


def test_submit_of_a_tracked_job_does_not_wait_for_the_worker_that_needs_its_token(
    api: InMemoryApi, wait: SimulatedWait
) -> None:
    answer = api.submit({}, prefer="wait=10")
    assert (answer.status, "workerToken" in answer.body, wait.elapsed) == (202, True, 0)
    assert "preference-applied" not in answer.headers


@pytest.mark.parametrize(("prefer", "applied"), [("wait=10", "wait=0"), ("respond-async, wait=10", "respond-async")])
def test_submit_beyond_the_owners_slots_is_accepted_without_waiting(prefer: str, applied: str) -> None:
    api = InMemoryApi(wait_slots=1)
    api.store.wait_slots[OWNER, 0] = NOW + timedelta(seconds=20)
    answer = api.submit(BODY, prefer=prefer)
    assert (answer.status, answer.headers["preference-applied"], api.wait.elapsed) == (202, applied, 0)


@pytest.mark.parametrize(("prefer", "applied"), [("wait=10", "wait=0"), ("respond-async, wait=10", "respond-async")])
def test_submit_does_not_wait_where_waiting_is_turned_off(prefer: str, applied: str) -> None:
    api = InMemoryApi(longest_wait=timedelta(0))
    answer = api.submit(BODY, prefer=prefer)
    assert (answer.status, answer.headers["preference-applied"], api.wait.elapsed) == (202, applied, 0)


def test_submit_waits_no_longer_than_the_deployment_allows() -> None:
    api = InMemoryApi(longest_wait=timedelta(seconds=5))
    answer = api.submit(BODY, prefer="wait=10")
    assert (answer.status, answer.headers["preference-applied"], round(api.wait.elapsed)) == (202, "wait=5", 5)


def test_synchronous_route_beyond_the_owners_slots_is_504_with_the_jobs_location() -> None:
    api = InMemoryApi(wait_slots=1)
    api.store.wait_slots[OWNER, 0] = NOW + timedelta(seconds=20)
    answer = api.call(SEARCH_SYNCHRONOUS, path={"subject": "x"}, body=None)
    (job,) = api.store.jobs.values()
    assert (answer.status, answer.body["code"], api.wait.elapsed) == (504, "JOB_NOT_COMPLETED", 0)
    assert (answer.headers["location"], "retry-after" in answer.headers) == (f"../jobs/{job.async_job_id}", True)


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


def test_upload_is_201_with_everything_for_the_put(api: InMemoryApi) -> None:
    answer = api.upload({"contentType": "application/pdf", "contentLength": 9})
    key = answer.body["key"]
    assert answer.status == 201
    assert re.fullmatch(r"uploads/[0-9a-f-]{36}", key)
    assert answer.body == {
        "key": key,
        "url": f"https://bucket.example/inputs/{OWNER}/{key}?type=application/pdf&size=9&signature=x",
        "method": "PUT",
        "headers": {"content-type": "application/pdf", "content-length": "9", "if-none-match": "*"},
        "expiresAt": rfc3339(NOW + timedelta(minutes=15)),
    }
    assert api.store.writes == 0


def test_upload_takes_a_token_of_the_submit_rate() -> None:
    api = InMemoryApi(limits={"rate": SubmitRate(per_minute=6, burst=2)})
    first = api.upload({"contentLength": 1})
    assert (first.status, first.headers["ratelimit"]) == (201, '"submit";r=1;t=10')
    assert api.submit(BODY).status == 202
    refused = api.upload({"contentLength": 1})
    assert (refused.status, refused.code, refused.headers["retry-after"]) == (429, "SUBMIT_RATE_EXCEEDED", "10")


def test_deletion_of_an_upload_takes_a_token_since_its_link_then_accepts_another_object() -> None:
    api = InMemoryApi(limits={"rate": SubmitRate(per_minute=6, burst=2)})
    key = api.upload({"contentLength": 1}).body["key"]
    api.objects.stored[f"inputs/{OWNER}/{key}"] = b"x"
    path = {"key": key.removeprefix("uploads/")}
    assert [api.call(DELETE_UPLOAD, path=path).status for _ in range(2)] == [204, 429]
    api.objects.stored[f"inputs/{OWNER}/{key}"] = b"x"
    assert api.call(DELETE_UPLOAD, path=path).code == "SUBMIT_RATE_EXCEEDED"
    assert len(api.objects.stored) == 1


def test_upload_is_no_larger_than_the_deployment_allows() -> None:
    api = InMemoryApi(max_upload=7_000_000)
    assert api.upload({"contentLength": 7_000_000}).status == 201
    refused = api.upload({"contentLength": 7_000_001})
    assert (refused.status, refused.code, refused.pointers) == (400, "INVALID_REQUEST", ["/contentLength"])
    assert "7000000" in refused.body["errors"][0]["detail"]


def test_delete_of_an_upload_is_204_again_and_again(api: InMemoryApi) -> None:
    key = api.upload({"contentLength": 1}).body["key"]
    others = f"inputs/bob/{key}"
    api.objects.stored |= {f"inputs/{OWNER}/{key}": b"x", others: b"x"}
    # In upper case first: its letters mean the same (RFC 9562 4).
    for upload_id in (key.removeprefix("uploads/").upper(), key.removeprefix("uploads/")):
        assert api.call(DELETE_UPLOAD, path={"key": upload_id}).status == 204
        assert api.objects.stored == {others: b"x"}


@pytest.mark.parametrize("key", ["", "x", "../3f2b8c1e-4d5a-4b6c-8d7e-9f0a1b2c3d4e", "x" * 3000])
def test_delete_of_an_invalid_upload_key_is_400(api: InMemoryApi, key: str) -> None:
    answer = api.call(DELETE_UPLOAD, path={"key": key})
    assert (answer.status, answer.code, answer.pointers) == (400, "INVALID_REQUEST", ["/key"])


def test_delete_of_an_upload_is_503_while_the_bucket_is_down(api: InMemoryApi) -> None:
    api.objects.is_down = True
    answer = api.call(DELETE_UPLOAD, path={"key": JOB_ID})
    assert (answer.status, answer.code) == (503, "UNAVAILABLE")


def test_each_upload_has_its_own_key(api: InMemoryApi) -> None:
    assert len({api.upload({"contentLength": 1}).body["key"] for _ in range(5)}) == 5


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
