"""A job's transitions, and its due times, leases, deadlines and retention."""

from __future__ import annotations

import random
import uuid
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjobs.core.errors import IllegalMove
from asyncjobs.core.job import (
    DEADLINE_EXCEEDED,
    FINISHED,
    HEARTBEAT,
    MAX_RETRY_BACKOFF,
    SHORT_LEASE,
    SWEEP_INTERVAL,
    WORKER_LOST,
    AsyncJob,
    DuePart,
    JobFailure,
    LockOwner,
    Priority,
    Result,
    RetentionFrom,
    Status,
    due_shard,
    due_shards,
    is_short,
    job_id_for,
    lease_length,
    retry_backoff,
)
from tests.support.factories import NOW, OWNER, new_job, new_tracked_job, running_job

FAILURE = JobFailure(code="JOB_RAISED", message="…", type="ValueError", retryable=True)
SECOND = timedelta(seconds=1)


# ── Beginning ──────────────────────────────────────────────────────────────────────────────────────


def test_new_job_is_due_immediately() -> None:
    job = new_job()
    assert job.status is Status.PENDING
    assert job.due_at is not None
    assert job.due_at <= NOW + SWEEP_INTERVAL


@pytest.mark.parametrize("limit", [timedelta(seconds=s) for s in (1, 30, 60, 61, 890)])
def test_first_claim_never_moves_the_due_time(limit: timedelta) -> None:
    # To move it would cost two more index writes per job.
    job = new_job(timeout=limit)
    claimed = job.claimed(by="w", now=NOW, lease_until=NOW + lease_length(limit))
    assert claimed.due_at == job.due_at


def test_claim_counts_the_attempt_and_resets_its_progress() -> None:
    job = new_job(attempt=1, progress=70, progress_at=NOW)
    claimed = job.claimed(by="w", now=NOW, lease_until=NOW + SECOND * 75)
    assert (claimed.status, claimed.attempt, claimed.claimed_by) == (Status.IN_PROGRESS, 2, "w")
    assert (claimed.progress, claimed.progress_at) == (0, None)


def test_started_at_is_the_start_of_the_first_attempt() -> None:
    first = running_job()
    again = first.released(now=NOW, error=FAILURE, after=SECOND).claimed(
        by="w2", now=NOW + SECOND, lease_until=NOW + SECOND * 76
    )
    assert again.started_at == NOW


# ── Going on ───────────────────────────────────────────────────────────────────────────────────────


@given(reports=st.lists(st.integers(min_value=0, max_value=100)))
def test_progress_never_decreases_within_an_attempt(reports: list[int]) -> None:
    job = running_job()
    seen = [0]
    for progress in reports:
        job = job.reported(now=NOW, progress=progress, message=None, lease_until=NOW)
        seen.append(job.progress)
    assert seen == sorted(seen)


def test_progress_at_changes_only_with_the_progress() -> None:
    job = running_job()
    since = []
    for seconds, progress in enumerate([0, 25, 25, 10, 50, 50]):
        job = job.reported(now=NOW + SECOND * seconds, progress=progress, message="Alive", lease_until=NOW)
        since.append(job.progress_at and (job.progress_at - NOW) // SECOND)
    assert since == [None, 1, 1, 1, 4, 4]
    assert job.failed(now=NOW, error=FAILURE).progress_at is None, "no longer needed"


def test_progress_at_of_a_tracked_job_changes_only_with_the_progress() -> None:
    advanced = new_tracked_job().advanced(now=NOW, progress=25, message=None)
    assert advanced.advanced(now=NOW + SECOND, progress=None, message="Alive").progress_at == NOW


def test_report_never_shortens_the_lease() -> None:
    job = running_job()
    assert job.reported(now=NOW, progress=1, message=None, lease_until=NOW).lease_until == job.lease_until


def test_report_without_a_message_keeps_the_last_one() -> None:
    job = running_job(message="Reading")
    assert job.reported(now=NOW, progress=1, message=None, lease_until=NOW).message == "Reading"


def test_released_job_waits_and_is_due_soon_after() -> None:
    job = running_job().released(now=NOW, error=FAILURE, after=SECOND * 5)
    assert (job.status, job.not_before, job.claimed_by, job.lease_until) == (Status.PENDING, NOW + SECOND * 5, None, None)
    assert job.due_at == NOW + SECOND * 5 + SWEEP_INTERVAL
    assert job.error == FAILURE


# ── Ending ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
def test_ended_job_leaves_the_due_index_and_its_retention_begins(end: str) -> None:
    job = running_job()
    now = NOW + timedelta(hours=1)
    ended = {
        "completed": job.completed(now=now, result=Result(text="1")),
        "failed": job.failed(now=now, error=FAILURE),
        "cancelled": job.cancelled(now=now),
    }[end]
    assert ended.is_finished
    assert (ended.due_at, ended.lease_until, ended.ended_at) == (None, None, now)
    assert ended.record_expires_at == now + job.retention
    # Kept, so that a completion whose answer was lost differs from one by another worker.
    assert ended.claimed_by == job.claimed_by


def test_counted_job_counts_for_its_owner_until_it_ends() -> None:
    job = new_job().counted()
    running = job.claimed(by="w", now=NOW, lease_until=NOW + timedelta(seconds=75))
    assert (new_job().live_owner, job.live_owner, running.live_owner) == (None, OWNER, OWNER)
    assert running.cancelled(now=NOW).live_owner is None


def test_completion_clears_the_errors_of_earlier_attempts() -> None:
    completed = running_job(error=FAILURE).completed(now=NOW, result=Result(text="1"))
    assert (completed.error, completed.progress) == (None, 100)


@pytest.mark.parametrize("status", sorted(FINISHED))
def test_finished_job_never_changes(status: Status) -> None:
    job = running_job(status=status, due_at=None)
    moves: list[Any] = [
        lambda: job.claimed(by="w", now=NOW + timedelta(hours=1), lease_until=NOW),
        lambda: job.completed(now=NOW, result=Result(text="1")),
        lambda: job.failed(now=NOW, error=FAILURE),
        lambda: job.released(now=NOW, error=FAILURE, after=SECOND),
        lambda: job.cancelled(now=NOW),
    ]
    for move in moves:
        with pytest.raises(IllegalMove):
            move()
    assert job.ended_by_time(NOW + timedelta(days=2)) is None


# ── Tracked ────────────────────────────────────────────────────────────────────────────────────────


def test_tracked_job_is_due_at_its_deadline() -> None:
    job = new_tracked_job()
    assert job.is_tracked
    assert job.due_at == job.deadline_at == NOW + timedelta(hours=1)
    assert not new_job().is_tracked


@pytest.mark.parametrize("status", sorted(Status))
@pytest.mark.parametrize("after", [0, 3599, 3600, 90_000])
def test_new_tracked_job_is_never_claimable(status: Status, after: int) -> None:
    assert not new_tracked_job(status=status).is_claimable(NOW + SECOND * after)


def test_only_the_deadline_ends_a_new_tracked_job() -> None:
    for job in (new_tracked_job(), new_tracked_job().advanced(now=NOW, progress=50, message=None)):
        assert job.ended_by_time(job.deadline_at - SECOND) is None
        ended = job.ended_by_time(job.deadline_at)
        assert ended is not None
        assert (ended.status, ended.error, ended.due_at) == (Status.FAILED, DEADLINE_EXCEEDED, None)


@pytest.mark.parametrize("job", [new_tracked_job(), new_tracked_job().advanced(now=NOW, progress=50, message=None)])
def test_tracked_job_that_is_swept_early_is_next_due_at_its_deadline(job: AsyncJob) -> None:
    assert replace(job, due_at=NOW).rescheduled(NOW).due_at == job.deadline_at


def test_only_an_unfinished_tracked_job_advances() -> None:
    for job in (new_job(), running_job(), new_tracked_job().cancelled(now=NOW)):
        with pytest.raises(IllegalMove):
            job.advanced(now=NOW, progress=1, message=None)


# ── Time ───────────────────────────────────────────────────────────────────────────────────────────


def test_lost_last_attempt_ends_the_job() -> None:
    job = running_job(attempt=3)
    assert job.lease_until is not None
    assert job.ended_by_time(job.lease_until) is None
    ended = job.ended_by_time(job.lease_until + SECOND)
    assert ended is not None
    assert ended.error is not None
    assert ended.error.code == "WORKER_LOST"


def test_lost_earlier_attempt_leaves_the_job_claimable() -> None:
    job = running_job()
    assert job.lease_until is not None
    later = job.lease_until + SECOND
    assert job.ended_by_time(later) is None
    assert job.is_claimable(later)


@pytest.mark.parametrize("job", [new_job(), running_job()], ids=["waiting", "running"])
def test_deadline_ends_a_waiting_or_running_job(job: Any) -> None:
    ended = job.ended_by_time(job.deadline_at)
    assert ended.error.code == "DEADLINE_EXCEEDED"


def test_sweeps_of_a_waiting_job_become_rarer() -> None:
    job, now, pauses = new_job(), NOW, []
    for _ in range(6):
        assert job.due_at is not None
        now = job.due_at
        job = job.rescheduled(now)
        assert job.due_at is not None
        pauses.append((job.due_at - now) // SWEEP_INTERVAL)
    assert pauses == [1, 2, 4, 8, 16, 16]


@given(st.lists(st.floats(0, 59), min_size=90, max_size=90))
def test_waiting_job_is_sent_within_18_minutes_after_its_type_is_resumed(delays: list[float]) -> None:
    """A resume may follow the sweep that sent a message in vain. Sweeps come every minute, each up to a minute late."""
    job, sent = new_job(), [NOW]
    for number, delay in enumerate(delays):
        now = NOW + number * SWEEP_INTERVAL + timedelta(seconds=delay)
        if job.due_at is not None and job.due_at <= now:
            job, sent = job.rescheduled(now), [*sent, now]
    longest = max(later - earlier for earlier, later in pairwise(sent))
    assert timedelta(minutes=16) <= longest <= timedelta(minutes=18)


def test_next_sweep_of_a_running_job_is_at_the_end_of_its_lease() -> None:
    job = running_job(due_at=NOW)
    again = job.rescheduled(NOW)
    assert job.lease_until is not None
    assert again.due_at is not None
    assert job.lease_until < again.due_at <= job.lease_until + SECOND


@settings(max_examples=30)
@given(
    limit=st.timedeltas(min_value=timedelta(minutes=1, milliseconds=1), max_value=timedelta(minutes=14)),
    died_after=st.timedeltas(min_value=timedelta(0), max_value=timedelta(minutes=14)),
    phase=st.timedeltas(min_value=timedelta(0), max_value=SWEEP_INTERVAL),
)
def test_dead_worker_of_a_long_job_is_noticed_within_85_seconds(
    limit: timedelta, died_after: timedelta, phase: timedelta
) -> None:
    """Heartbeats come every 8 s until the worker dies, sweeps every minute. 5 of the promised 90 s are for the message."""
    job = new_job(timeout=limit).claimed(by="w", now=NOW, lease_until=NOW + lease_length(limit))
    died_at, sweep_at, beat_at = NOW + died_after, NOW + phase, NOW + HEARTBEAT
    while True:
        while beat_at <= min(died_at, sweep_at):
            job = job.reported(now=beat_at, progress=0, message=None, lease_until=beat_at + SHORT_LEASE)
            beat_at += HEARTBEAT
        if job.due_at is not None and job.due_at <= sweep_at:
            if job.is_claimable(sweep_at):
                break
            job = job.rescheduled(sweep_at)
        sweep_at += SWEEP_INTERVAL
    assert sweep_at - died_at <= timedelta(seconds=85)
    assert sweep_at > died_at, "a live worker was declared lost"


@given(attempt=st.integers(min_value=1, max_value=10), seed=st.integers())
def test_backoff_is_random_below_a_bound_that_doubles(attempt: int, seed: int) -> None:
    wait = retry_backoff(attempt, jitter=random.Random(seed))
    assert timedelta(0) <= wait <= min(SECOND * 2**attempt, MAX_RETRY_BACKOFF)


def test_only_long_jobs_take_short_leases() -> None:
    assert is_short(timedelta(seconds=60))
    assert lease_length(timedelta(seconds=60)) == SECOND * 75
    assert not is_short(timedelta(seconds=61))
    assert lease_length(timedelta(seconds=61)) == SECOND * 24


# ── Names ──────────────────────────────────────────────────────────────────────────────────────────


@given(owner=st.text(min_size=1), key=st.text(min_size=1))
def test_key_always_gives_the_same_version_4_uuid(owner: str, key: str) -> None:
    async_job_id = job_id_for(owner, key)
    assert async_job_id == job_id_for(owner, key)
    assert (uuid.UUID(async_job_id).version, uuid.UUID(async_job_id).variant) == (4, uuid.RFC_4122)


@given(one=st.tuples(st.text(), st.text()), other=st.tuples(st.text(), st.text()))
def test_other_owner_or_key_gives_another_id(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (job_id_for(*one) == job_id_for(*other)) is (one == other)


def test_owner_and_key_are_separated_in_the_id() -> None:
    assert job_id_for("a", "bc") != job_id_for("ab", "c")


def test_id_without_a_key_is_random() -> None:
    assert job_id_for("alice", None) != job_id_for("alice", None)


def test_jobs_spread_over_all_shards_of_the_due_index() -> None:
    ids = [job_id_for("alice", str(number)) for number in range(300)]
    for part in DuePart:
        assert {due_shard(async_job_id, part) for async_job_id in ids} == set(due_shards(part))


def test_partitions_of_an_earlier_release_are_swept() -> None:
    # It had four, without parts.
    assert {"0", "1", "2", "3"} <= set(due_shards(DuePart.NEW))


def test_keys_of_waiting_jobs_sort_after_all_others() -> None:
    # A claim compares them as text.
    others = [shard for part in (DuePart.NEW, DuePart.RUNNING) for shard in due_shards(part)]
    assert max(others) < DuePart.WAITING.value < min(due_shards(DuePart.WAITING))


def test_only_a_change_that_moves_the_due_time_moves_a_job_to_another_part_of_the_due_index() -> None:
    job = new_job()
    minute = timedelta(minutes=1)
    assert job.due_part is DuePart.NEW
    running = job.claimed(by="w", now=NOW, lease_until=NOW + 2 * minute)
    assert (running.due_part, running.due_at) == (DuePart.NEW, job.due_at)
    assert running.rescheduled(NOW + minute).due_part is DuePart.RUNNING
    waiting = job.rescheduled(NOW + minute)
    assert waiting.due_part is DuePart.WAITING
    # Its due time is before the end of the lease, but a sweep would find it only after all jobs of the other parts.
    claimed = waiting.claimed(by="w", now=NOW + minute, lease_until=NOW + 5 * minute)
    assert (claimed.due_part, claimed.due_at, claimed.sweeps) == (DuePart.RUNNING, claimed.lease_until, 0)
    lost = claimed.rescheduled(NOW + 6 * minute)
    assert (lost.due_part, lost.sweeps) == (DuePart.RUNNING, 1)
    released = claimed.released(now=NOW + minute, error=WORKER_LOST, after=minute)
    assert (released.due_part, released.is_first_sent_by_sweep) == (DuePart.NEW, False)


@pytest.mark.parametrize(("delay", "expected"), [(0, False), (900, False), (901, True)])
def test_job_that_starts_later_than_a_message_can_be_delayed_is_first_sent_by_a_sweep(delay: int, expected: bool) -> None:
    job = new_job(delay=timedelta(seconds=delay))
    assert job.is_first_sent_by_sweep is expected
    assert not job.rescheduled(NOW + timedelta(hours=1)).is_first_sent_by_sweep


def test_effect_key_is_the_same_on_every_attempt_and_new_for_a_new_record() -> None:
    job = new_job()
    assert job.effect_key == job.claimed(by="w", now=NOW, lease_until=NOW).effect_key
    assert job.effect_key != new_job().effect_key


# ── Retention ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("retention_from", "kept_for"), [(RetentionFrom.END, timedelta(days=7)), (RetentionFrom.CREATION, timedelta(days=6))]
)
def test_retention_begins_at_creation_or_at_the_end(retention_from: RetentionFrom, kept_for: timedelta) -> None:
    end = NOW + timedelta(days=1)
    job = new_job(retention_from=retention_from).cancelled(now=end)
    assert job.record_expires_at - end == kept_for


def test_job_that_outlives_its_retention_is_kept_for_a_minute() -> None:
    end = NOW + timedelta(days=8)
    job = new_job(retention_from=RetentionFrom.CREATION).cancelled(now=end)
    assert job.record_expires_at - end == timedelta(minutes=1)


# ── Retry and delete ───────────────────────────────────────────────────────────────────────────────

ENDED_BADLY = [
    running_job(attempt=3).failed(now=NOW, error=WORKER_LOST),
    running_job().cancelled(now=NOW),
    new_job().cancelled(now=NOW),
]
LATER = NOW + timedelta(days=2)


def retried(job: AsyncJob) -> AsyncJob:
    return job.retried(max_attempts=3, timeout=timedelta(minutes=1), deadline=timedelta(hours=1), now=LATER)


@pytest.mark.parametrize("job", ENDED_BADLY)
def test_retried_job_equals_a_new_submit_with_the_same_key(job: AsyncJob) -> None:
    again = retried(job)
    fresh = new_job(now=LATER)
    assert again == replace(
        fresh,
        generation=again.generation,
        created_at=job.created_at,
        deadline_at=LATER + timedelta(hours=1),
        record_expires_at=LATER + timedelta(hours=1, days=7),
    )
    assert again.is_claimable(LATER)
    assert not again.is_expired(LATER + timedelta(hours=1))


def test_retried_job_keeps_what_its_submit_set() -> None:
    kept: dict[str, Any] = {
        "request_hash": b"another",
        "priority": Priority.LOW,
        "retention": timedelta(days=3),
        "retention_from": RetentionFrom.CREATION,
        "input": None,
        "input_location": "inputs/alice/1",
        "metadata": '{"a":1}',
        "exclusive_key": "1#cache",
    }
    again = retried(new_job(**kept).cancelled(now=NOW))
    assert {name: getattr(again, name) for name in kept} == kept


@pytest.mark.parametrize("job", ENDED_BADLY)
def test_retried_job_has_a_new_generation(job: AsyncJob) -> None:
    assert retried(job).generation != job.generation


@pytest.mark.parametrize("job", [new_job(), running_job(), running_job().completed(now=NOW, result=Result("1"))])
def test_unfinished_or_completed_job_is_not_retryable(job: AsyncJob) -> None:
    with pytest.raises(IllegalMove):
        retried(job)


def test_forgotten_job_is_expired_immediately() -> None:
    job = running_job().completed(now=NOW, result=Result("1"))
    at = NOW + timedelta(seconds=1, milliseconds=500)
    marked_deleted = job.marked_deleted(now=at)
    assert marked_deleted.is_expired(at)
    # An already expired job changes too, so that a swap that compares the expiry loses.
    assert marked_deleted.marked_deleted(now=at).record_expires_at < marked_deleted.record_expires_at


def test_unfinished_job_is_not_forgotten() -> None:
    with pytest.raises(IllegalMove):
        running_job().marked_deleted(now=NOW)


# ── Locks ──────────────────────────────────────────────────────────────────────────────────────────


def test_exclusive_job_waits_until_it_starts_and_keeps_its_lock_for_a_retry() -> None:
    job, later = new_job().exclusively("1#cache"), new_job(delay=timedelta(hours=1)).exclusively("1#cache")
    assert (job.waits_since, later.waits_since) == (NOW, NOW + timedelta(hours=1))
    running = job.claimed(by="w", now=NOW, lease_until=NOW + timedelta(seconds=75))
    cancelled = job.cancelled(now=NOW)
    assert (running.waits_since, cancelled.waits_since) == (None, None)
    later_on = NOW + timedelta(seconds=9)
    retried = cancelled.retried(max_attempts=3, timeout=timedelta(minutes=1), deadline=timedelta(hours=1), now=later_on)
    assert (retried.exclusive_key, retried.waits_since) == ("1#cache", later_on)


def test_rolled_back_job_has_an_error_and_a_short_retention() -> None:
    rolled_back = new_job().exclusively("1#cache").rolled_back(now=NOW)
    assert (rolled_back.status, rolled_back.error and rolled_back.error.code) == (Status.CANCELLED, "JOB_CREATION_FAILED")
    assert (rolled_back.due_at, rolled_back.waits_since, rolled_back.record_expires_at) == (
        None,
        None,
        NOW + timedelta(minutes=1),
    )


def test_generation_is_over_when_its_job_ended_expired_or_was_retried() -> None:
    job = new_job()
    lock_owner = LockOwner.of(job)
    assert not lock_owner.is_over(job, NOW)
    assert lock_owner.is_over(None, NOW)
    assert lock_owner.is_over(job.cancelled(now=NOW), NOW)
    assert lock_owner.is_over(replace(job, generation="another"), NOW)
    assert lock_owner.is_over(job, job.record_expires_at)
