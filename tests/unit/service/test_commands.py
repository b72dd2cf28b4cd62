"""Cancel, retry and delete: each decides by the stored job, and one conditional write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core.errors import (
    InvalidWorkerToken,
    JobAlreadyFinished,
    JobNotFinished,
    JobNotFound,
    JobNotRetryable,
    SubmitRateExceeded,
    Unavailable,
    UnknownJobType,
)
from asyncjobs.core.job import BULK_ACTION, DELIVERY, WORKER_LOST, AsyncJob, Result, Status
from asyncjobs.core.message import JobMessage
from asyncjobs.core.placement import INLINE_INPUT_LIMIT, result_location
from asyncjobs.core.ports import Lost
from asyncjobs.core.rate import SubmitRate
from asyncjobs.jobtypes.decorator import GENERIC
from asyncjobs.limits.admission import Admission
from asyncjobs.service.commands import Commands
from asyncjobs.service.queries import Queries
from asyncjobs.service.submit import SubmitRequest
from asyncjobs.tracking.reports import Report, Reports
from tests.support.factories import JOB_ID, NOW, OWNER, new_job, new_tracked_job, numbered, running_job
from tests.support.fakes import FakeClock, FakeObjects, FakeQueue, FakeStore, RacingStore
from tests.support.parts import make_commands
from tests.unit.conftest import Lines
from tests.unit.service.conftest import CATALOG

REQUEST = SubmitRequest(job_type="service.reads", input={"pages": 9})


LARGE = {"text": "x" * INLINE_INPUT_LIMIT}


# ── Cancel ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("job", [new_job(), running_job()], ids=["waiting", "running"])
def test_cancel_ends_the_job(commands: Commands, store: FakeStore, lines: Lines, job: AsyncJob) -> None:
    store.jobs[job.key] = job
    cancelled = commands.cancel(OWNER, job.async_job_id)
    assert store.jobs == {job.key: cancelled}
    assert cancelled == numbered(job.cancelled(now=NOW))
    assert lines.names() == ["JOB_CANCELLED"]


def test_second_cancel_does_nothing(commands: Commands, store: FakeStore, clock: FakeClock, lines: Lines) -> None:
    job = new_job()
    store.jobs[job.key] = job
    first = commands.cancel(OWNER, job.async_job_id)
    clock.advance(seconds=10)
    assert commands.cancel(OWNER, job.async_job_id) == first
    assert (store.writes, lines.names()) == (1, ["JOB_CANCELLED"])


@pytest.mark.parametrize("name", ["completed", "failed"])
def test_completed_or_failed_job_cannot_be_cancelled(commands: Commands, store: FakeStore, name: str) -> None:
    job = {
        "completed": running_job().completed(now=NOW, result=Result("1")),
        "failed": running_job(deadline_at=NOW).ended_by_time(NOW),
    }[name]
    assert job is not None
    store.jobs[job.key] = job
    with pytest.raises(JobAlreadyFinished):
        commands.cancel(OWNER, job.async_job_id)
    assert store.jobs == {job.key: job}


def test_cancel_that_loses_to_a_claim_cancels_the_attempt(commands: Commands, store: RacingStore) -> None:
    job = new_job()
    store.jobs[job.key] = job
    store.rivals.append(
        lambda store: store.claim_if_claimable(JobMessage.of(job), by="w1", now=NOW, lease_until=NOW + timedelta(seconds=75))
    )
    cancelled = commands.cancel(OWNER, job.async_job_id)
    assert (cancelled.status, cancelled.attempt, cancelled.claimed_by) == (Status.CANCELLED, 1, "w1")


def test_cancel_that_loses_to_a_report_keeps_the_report(commands: Commands, store: RacingStore) -> None:
    job = running_job()
    reported = job.reported(
        now=NOW + timedelta(seconds=1), progress=70, message="seventy", lease_until=NOW + timedelta(seconds=99)
    )
    store.jobs[job.key] = job
    store.rivals.append(lambda store: FakeStore.swap_if_unchanged(store, job, reported))
    cancelled = commands.cancel(OWNER, job.async_job_id)
    assert (cancelled.progress, cancelled.message, cancelled.progress_at) == (70, "seventy", None)
    assert store.jobs == {job.key: cancelled}


def test_cancel_that_loses_to_the_end_changes_nothing(commands: Commands, store: RacingStore) -> None:
    job = running_job()
    completed = job.completed(now=NOW, result=Result("1"))
    store.jobs[job.key] = job
    store.rivals.append(lambda store: FakeStore.swap_if_unchanged(store, job, completed))
    with pytest.raises(JobAlreadyFinished):
        commands.cancel(OWNER, job.async_job_id)
    assert store.jobs == {job.key: numbered(completed)}


def test_cancel_that_loses_to_another_cancel_returns_its_outcome(commands: Commands, store: RacingStore) -> None:
    job = new_job()
    theirs = job.cancelled(now=NOW - timedelta(seconds=1))
    store.jobs[job.key] = job
    store.rivals.append(lambda store: FakeStore.swap_if_unchanged(store, job, theirs))
    assert commands.cancel(OWNER, job.async_job_id) == numbered(theirs)


def test_cancel_that_loses_to_a_delete_is_not_found(commands: Commands, store: RacingStore) -> None:
    job = new_job()
    store.jobs[job.key] = job
    store.rivals.append(lambda store: store.jobs.clear())
    with pytest.raises(JobNotFound):
        commands.cancel(OWNER, job.async_job_id)


# ── Retry ──────────────────────────────────────────────────────────────────────────────────────────


def failed_job(**changes: Any) -> AsyncJob:
    return running_job(job_type="service.reads", **changes).failed(now=NOW, error=WORKER_LOST)


def test_retry_makes_the_job_pending_and_sends_it(commands: Commands, store: FakeStore, queue: FakeQueue, lines: Lines) -> None:
    job = failed_job()
    store.jobs[job.key] = job
    again, _ = commands.retry(OWNER, job.async_job_id)
    assert store.jobs == {job.key: again}
    assert (again.status, again.attempt, again.error) == (Status.PENDING, 0, None)
    assert queue.sent == [JobMessage.of(again)]
    assert lines.names() == ["JOB_RETRY_ACCEPTED"]


def test_retry_with_a_failed_send_is_left_to_the_sweeper(commands: Commands, store: FakeStore, queue: FakeQueue) -> None:
    job = failed_job()
    store.jobs[job.key] = job
    queue.is_down = True
    again, _ = commands.retry(OWNER, job.async_job_id)
    assert again.due_at is not None


def test_unfinished_or_completed_job_is_not_retried(commands: Commands, store: FakeStore, queue: FakeQueue) -> None:
    for job in (new_job(), running_job(), running_job().completed(now=NOW, result=Result("1"))):
        store.jobs[job.key] = job
        with pytest.raises(JobNotRetryable):
            commands.retry(OWNER, job.async_job_id)
        assert store.jobs == {job.key: job}
    assert queue.sent == []


def test_concurrent_retries_begin_one_generation(commands: Commands, store: RacingStore, queue: FakeQueue) -> None:
    job = failed_job()
    store.jobs[job.key] = job
    rivals = make_commands(
        store=store,
        queue=queue,
        objects=FakeObjects(),
        catalog=CATALOG,
        clock=FakeClock(NOW),
    )
    store.rivals.append(lambda _: rivals.retry(OWNER, job.async_job_id))
    with pytest.raises(JobNotRetryable):
        commands.retry(OWNER, job.async_job_id)
    assert queue.sent == [JobMessage.of(store.jobs[job.key])]


def test_retry_that_loses_races_takes_one_token(
    store: RacingStore, queue: FakeQueue, objects: FakeObjects, clock: FakeClock
) -> None:
    limits = Admission(store=store, queue=queue, clock=clock, rate=SubmitRate(per_minute=60, burst=9), max_live=9)
    commands = make_commands(store=store, queue=queue, objects=objects, catalog=CATALOG, clock=clock, admission=limits)
    job = failed_job()
    store.jobs[job.key] = job

    def retry_and_cancel(store: FakeStore) -> None:
        current = store.jobs[job.key]
        retried = current.retried(max_attempts=3, timeout=timedelta(minutes=1), deadline=timedelta(hours=1), now=NOW)
        store.jobs[job.key] = retried.cancelled(now=NOW)

    store.rivals += [retry_and_cancel] * 3
    again, _ = commands.retry(OWNER, job.async_job_id)
    assert (again.status, store.rivals, again.live_owner) == (Status.PENDING, [], OWNER)
    assert store.buckets == {OWNER: NOW + timedelta(seconds=1)}


def test_retried_delivery_counts_among_no_live_jobs_but_under_the_rate(
    store: FakeStore, queue: FakeQueue, objects: FakeObjects, clock: FakeClock
) -> None:
    limits = Admission(store=store, queue=queue, clock=clock, rate=SubmitRate(per_minute=1, burst=1), max_live=1)
    commands = make_commands(store=store, queue=queue, objects=objects, catalog=CATALOG, clock=clock, admission=limits)
    live = new_job(live_owner=OWNER)
    deliveries = [new_job(async_job_id=f"{number}{JOB_ID[1:]}", job_type=DELIVERY).cancelled(now=NOW) for number in range(2)]
    store.jobs |= {job.key: job for job in (live, *deliveries)}
    retried, _ = commands.retry(OWNER, deliveries[0].async_job_id)
    assert (retried.status, retried.live_owner) == (Status.PENDING, None)
    assert (retried.max_attempts, retried.deadline_at) == (10, NOW + timedelta(days=4))
    with pytest.raises(SubmitRateExceeded):
        commands.retry(OWNER, deliveries[1].async_job_id)


def test_retry_with_a_lost_answer_keeps_a_later_cancel(commands: Commands, store: FakeStore) -> None:
    job = failed_job()
    store.jobs[job.key] = job
    swap = store.swap_if_unchanged

    def swap_then_cancel(old: AsyncJob, new: AsyncJob, unchanged: Sequence[str]) -> AsyncJob | Lost:
        # The SDK's second try finds the outcome of its first.
        assert isinstance(swap(old, new, unchanged), AsyncJob)
        store.jobs[job.key] = new.cancelled(now=NOW)
        return Lost(store.jobs[job.key])

    store.swap_if_unchanged = swap_then_cancel  # type: ignore[method-assign, assignment]  # for this test
    again, _ = commands.retry(OWNER, job.async_job_id)
    assert again.status is Status.CANCELLED


def test_job_of_an_unknown_type_is_not_retried(commands: Commands, store: FakeStore) -> None:
    job = replace(failed_job(), job_type="no.more")
    store.jobs[job.key] = job
    with pytest.raises(UnknownJobType):
        commands.retry(OWNER, job.async_job_id)
    assert store.jobs == {job.key: job}


# ── Delete ─────────────────────────────────────────────────────────────────────────────────────────


def finished_job(objects: FakeObjects) -> AsyncJob:
    job = running_job(attempt=2)
    job = job.with_input(location=objects.put_input(job, b"{}"))
    location = result_location(job, 2)
    objects.stored |= {result_location(job, 1): b"of a lost attempt", location: b"1"}
    return job.completed(now=NOW, result=Result(location=location))


def test_delete_removes_the_record_and_its_objects(
    commands: Commands, store: FakeStore, objects: FakeObjects, lines: Lines
) -> None:
    job = finished_job(objects)
    store.jobs[job.key] = job
    commands.delete(OWNER, job.async_job_id)
    assert (store.jobs, objects.stored) == ({}, {})
    assert lines.names() == ["JOB_DELETED"]
    with pytest.raises(JobNotFound):
        commands.delete(OWNER, job.async_job_id)


UPLOAD = "uploads/00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("padding", [0, INLINE_INPUT_LIMIT], ids=["small input", "large input"])
def test_delete_removes_the_uploads_that_the_input_names(
    commands: Commands, objects: FakeObjects, clock: FakeClock, padding: int
) -> None:
    objects.stored = {f"inputs/{owner}/{UPLOAD}": b"x" for owner in (OWNER, "bob")}
    named = replace(REQUEST, input={"key": UPLOAD, "padding": "x" * padding})
    first = commands.submit(OWNER, named).job
    clock.advance(seconds=1)
    second = commands.submit(OWNER, named).job
    for job in (first, second):
        commands.cancel(OWNER, job.async_job_id)
    commands.delete(OWNER, first.async_job_id)
    assert f"inputs/{OWNER}/{UPLOAD}" in objects.stored, "a later job names it"
    commands.delete(OWNER, second.async_job_id)
    assert objects.stored.keys() == {f"inputs/bob/{UPLOAD}"}


def test_retried_job_still_has_its_uploads_deleted(commands: Commands, objects: FakeObjects) -> None:
    objects.stored = {f"inputs/{OWNER}/{UPLOAD}": b"x"}
    job = commands.submit(OWNER, replace(REQUEST, input={"key": UPLOAD})).job
    commands.cancel(OWNER, job.async_job_id)
    commands.retry(OWNER, job.async_job_id)
    commands.cancel(OWNER, job.async_job_id)
    commands.delete(OWNER, job.async_job_id)
    assert objects.stored == {}


def test_delete_with_a_missing_input_succeeds(commands: Commands, store: FakeStore, objects: FakeObjects) -> None:
    job = finished_job(objects)
    store.jobs[job.key] = job
    del objects.stored[job.input_location or ""]
    commands.delete(OWNER, job.async_job_id)
    assert (store.jobs, objects.stored) == ({}, {})


@pytest.mark.parametrize("job", [new_job(), running_job()], ids=["waiting", "running"])
def test_unfinished_job_is_not_deleted(commands: Commands, store: FakeStore, job: AsyncJob) -> None:
    store.jobs[job.key] = job
    with pytest.raises(JobNotFinished):
        commands.delete(OWNER, job.async_job_id)
    assert store.jobs == {job.key: job}


def test_interrupted_delete_is_completed_by_the_next(
    commands: Commands, queries: Queries, store: FakeStore, objects: FakeObjects
) -> None:
    job = finished_job(objects)
    store.jobs[job.key] = job
    objects.is_down = True
    with pytest.raises(Unavailable):
        commands.delete(OWNER, job.async_job_id)
    with pytest.raises(JobNotFound):
        queries.job(OWNER, job.async_job_id)
    objects.is_down = False
    with pytest.raises(JobNotFound):
        commands.delete(OWNER, job.async_job_id)
    assert (store.jobs, objects.stored) == ({}, {})


def test_delete_that_loses_to_a_retry_changes_nothing(commands: Commands, store: RacingStore, objects: FakeObjects) -> None:
    job = failed_job()
    store.jobs[job.key] = job
    objects.stored[result_location(job, 1)] = b"left behind"
    store.rivals.append(lambda _: commands.retry(OWNER, job.async_job_id))
    with pytest.raises(JobNotFinished):
        commands.delete(OWNER, job.async_job_id)
    assert store.jobs[job.key].status is Status.PENDING


def test_retry_that_loses_to_a_delete_is_not_found(
    commands: Commands, store: RacingStore, objects: FakeObjects, queue: FakeQueue
) -> None:
    job = failed_job()
    store.jobs[job.key] = job

    def delete_up_to_the_objects(_: FakeStore) -> None:
        objects.is_down = True
        with pytest.raises(Unavailable):
            commands.delete(OWNER, job.async_job_id)

    store.rivals.append(delete_up_to_the_objects)
    with pytest.raises(JobNotFound):
        commands.retry(OWNER, job.async_job_id)
    assert (store.jobs[job.key].status, store.jobs[job.key].is_expired(NOW), queue.sent) == (Status.FAILED, True, [])


def test_retry_that_loses_to_the_delete_of_an_expired_job_is_not_found(
    commands: Commands, store: RacingStore, objects: FakeObjects, queue: FakeQueue, clock: FakeClock
) -> None:
    # The retry read the job before it expired. It must not restore the record without its objects.
    job = failed_job()
    store.jobs[job.key] = job
    clock.now = job.record_expires_at - timedelta(milliseconds=1)

    def delete_up_to_the_objects(_: FakeStore) -> None:
        clock.advance(seconds=0.002)
        objects.is_down = True
        with pytest.raises(Unavailable):
            commands.delete(OWNER, job.async_job_id)

    store.rivals.append(delete_up_to_the_objects)
    with pytest.raises(JobNotFound):
        commands.retry(OWNER, job.async_job_id)
    assert (store.jobs[job.key].status, queue.sent) == (Status.FAILED, [])


def test_key_of_a_deleted_job_is_free_again(commands: Commands, store: FakeStore) -> None:
    first = commands.submit(OWNER, REQUEST, idempotency_key="k").job
    commands.cancel(OWNER, first.async_job_id)
    commands.delete(OWNER, first.async_job_id)
    again = commands.submit(OWNER, REQUEST, idempotency_key="k")
    assert not again.replayed
    assert (again.job.async_job_id, list(store.jobs.values())) == (first.async_job_id, [again.job])


# ── Tracked jobs ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_retried_tracked_job_waits_for_its_worker_with_a_new_token(
    commands: Commands, store: FakeStore, queue: FakeQueue, clock: FakeClock, end: str
) -> None:
    submission = commands.submit(OWNER, SubmitRequest(job_type=GENERIC, input={}))
    job = submission.job.advanced(now=NOW, progress=50, message="Page 5")
    store.jobs[job.key] = job.cancelled(now=NOW) if end == "cancelled" else job.failed(now=NOW, error=WORKER_LOST)
    clock.advance(seconds=60)
    again, token = commands.retry(OWNER, job.async_job_id)
    assert store.jobs == {job.key: again}
    assert (again.status, again.progress, again.message, again.started_at) == (Status.PENDING, 0, None, None)
    assert (again.error, again.is_tracked, again.due_at) == (None, True, again.deadline_at)
    assert again.deadline_at == clock.now + timedelta(hours=1)
    assert again.generation != job.generation
    assert queue.sent == []
    assert token is not None
    assert submission.worker_token is not None
    assert (token.matches(again), submission.worker_token.matches(again)) == (True, False)
    with pytest.raises(InvalidWorkerToken):
        Reports(store=store, clock=clock).by_worker(job.async_job_id, submission.worker_token, Report(progress=50))


def test_unfinished_or_completed_tracked_job_is_not_retried(commands: Commands, store: FakeStore) -> None:
    waiting = new_tracked_job()
    running = waiting.advanced(now=NOW, progress=50, message=None)
    for job in (waiting, running, running.completed(now=NOW, result=Result("1"))):
        store.jobs[job.key] = job
        with pytest.raises(JobNotRetryable):
            commands.retry(OWNER, job.async_job_id)
    assert store.writes == 0


def test_action_of_an_administrator_is_not_retried(commands: Commands, store: FakeStore) -> None:
    job = new_tracked_job(job_type=BULK_ACTION).cancelled(now=NOW)
    store.jobs[job.key] = job
    with pytest.raises(JobNotRetryable):
        commands.retry(OWNER, job.async_job_id)
    assert store.jobs == {job.key: job}


def test_job_whose_type_has_become_tracked_or_no_longer_is_is_not_retried(commands: Commands, store: FakeStore) -> None:
    for job in (replace(failed_job(), job_type=GENERIC), new_tracked_job(job_type="service.reads").cancelled(now=NOW)):
        store.jobs[job.key] = job
        with pytest.raises(JobNotRetryable):
            commands.retry(OWNER, job.async_job_id)
        assert store.jobs[job.key] == job


def test_retry_of_another_job_has_no_token(commands: Commands, store: FakeStore) -> None:
    job = failed_job()
    store.jobs[job.key] = job
    assert commands.retry(OWNER, job.async_job_id)[1] is None


def test_worker_token_of_a_deleted_job_is_rejected(commands: Commands, store: FakeStore, clock: FakeClock) -> None:
    submission = commands.submit(OWNER, SubmitRequest(job_type=GENERIC, input={}))
    assert submission.worker_token is not None
    commands.cancel(OWNER, submission.job.async_job_id)
    commands.delete(OWNER, submission.job.async_job_id)
    with pytest.raises(InvalidWorkerToken):
        Reports(store=store, clock=clock).by_worker(submission.job.async_job_id, submission.worker_token, Report(progress=50))


def test_tracked_job_can_be_cancelled(commands: Commands, store: FakeStore) -> None:
    job = new_tracked_job().advanced(now=NOW, progress=50, message=None)
    store.jobs[job.key] = job
    assert commands.cancel(OWNER, job.async_job_id).status is Status.CANCELLED
