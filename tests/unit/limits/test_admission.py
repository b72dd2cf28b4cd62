"""Admission: each limit rejects with its own error, costs nothing when it is off, and stores nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core.errors import Busy, SubmitRateExceeded, TooManyLiveJobs, Unavailable
from asyncjobs.core.job import DEADLINE_EXCEEDED, AsyncJob, Priority
from asyncjobs.core.message import JobMessage
from asyncjobs.core.rate import SubmitRate
from asyncjobs.limits.admission import Admission
from tests.support.factories import NOW, OWNER, new_job, new_tracked_job
from tests.support.fakes import FakeClock, FakeQueue, FakeStore

TWO_AND_ONE_A_SECOND = SubmitRate(per_minute=60, burst=2)

Make = Callable[..., Admission]


@pytest.fixture
def admission(store: FakeStore, queue: FakeQueue, clock: FakeClock) -> Make:
    def make(**limits: Any) -> Admission:
        return Admission(store=store, queue=queue, clock=clock, **limits)

    return make


def job(number: int = 0, *, owner: str = OWNER) -> AsyncJob:
    return new_job(owner=owner, async_job_id=f"00000000-0000-4000-8000-{number:012}")


# ── No limits ────────────────────────────────────────────────────────────────────────────────────────────


def test_admission_without_limits_reads_nothing_and_keeps_the_job(admission: Make, store: FakeStore, queue: FakeQueue) -> None:
    store.failures.append(AssertionError("asked"))
    queue.is_down = True
    new = job()
    assert admission().admit(new) == (new, None)
    assert store.writes == 0


# ── Rate ───────────────────────────────────────────────────────────────────────────────────────────


def test_submit_beyond_the_burst_is_rejected(admission: Make) -> None:
    limits = admission(rate=TWO_AND_ONE_A_SECOND)
    left = [limits.admit(job(number))[1] for number in range(2)]
    assert [quota and quota.remaining for quota in left] == [1, 0]
    with pytest.raises(SubmitRateExceeded) as refused:
        limits.admit(job(2))
    assert refused.value.retry_after == timedelta(seconds=1)
    assert refused.value.quota is not None
    assert (refused.value.quota.remaining, refused.value.quota.next_token) == (0, timedelta(seconds=1))


def test_submit_after_retry_after_is_admitted(admission: Make, clock: FakeClock) -> None:
    limits = admission(rate=TWO_AND_ONE_A_SECOND)
    for number in range(2):
        limits.admit(job(number))
    with pytest.raises(SubmitRateExceeded) as refused:
        limits.admit(job(2))
    clock.advance(seconds=refused.value.retry_after.total_seconds())
    limits.admit(job(2))


def test_each_owner_has_one_bucket_for_all_functions(admission: Make) -> None:
    here, there = admission(rate=TWO_AND_ONE_A_SECOND), admission(rate=TWO_AND_ONE_A_SECOND)
    here.admit(job(0))
    there.admit(job(1))
    for function in (here, there):
        with pytest.raises(SubmitRateExceeded):
            function.admit(job(2))
    here.admit(job(3, owner="bob"))


def test_unavailable_table_admits_no_job(admission: Make, store: FakeStore) -> None:
    # The put would fail too, and an owner must not escape the rate by overloading one bucket.
    store.failures.append(Unavailable("The table is down."))
    with pytest.raises(Unavailable):
        admission(rate=TWO_AND_ONE_A_SECOND).admit(job())


# ── Live jobs ──────────────────────────────────────────────────────────────────────────────────────


def keep(store: FakeStore, admitted: AsyncJob) -> AsyncJob:
    assert store.add_if_absent(admitted, NOW) is None
    return admitted


def test_owner_with_too_many_unfinished_jobs_is_rejected_until_one_ends(admission: Make, store: FakeStore) -> None:
    limits = admission(max_live=2)
    first, _ = (keep(store, limits.admit(job(number))[0]) for number in range(2))
    with pytest.raises(TooManyLiveJobs) as refused:
        limits.admit(job(2))
    assert refused.value.retry_after > timedelta(0)
    keep(store, limits.admit(job(3, owner="bob"))[0])
    store.swap_if_unchanged(first, first.cancelled(now=NOW))
    limits.admit(job(2))


def test_jobs_are_counted_only_with_a_limit(admission: Make) -> None:
    assert admission(max_live=2).admit(job())[0].live_owner == OWNER
    assert admission(rate=TWO_AND_ONE_A_SECOND, max_backlog=9).admit(job())[0].live_owner is None


def test_rejection_for_unfinished_jobs_takes_no_token(admission: Make, store: FakeStore) -> None:
    limits = admission(rate=TWO_AND_ONE_A_SECOND, max_live=1)
    keep(store, limits.admit(job())[0])
    before = dict(store.buckets)
    with pytest.raises(TooManyLiveJobs):
        limits.admit(job(1))
    assert store.buckets == before


def test_tracked_job_counts_until_it_ends(admission: Make) -> None:
    counted, _ = admission(max_live=2).admit(new_tracked_job())
    advanced = counted.advanced(now=NOW, progress=50, message=None)
    assert (counted.live_owner, advanced.live_owner) == (OWNER, OWNER)
    assert advanced.failed(now=NOW, error=DEADLINE_EXCEEDED).live_owner is None


# ── Backlog ────────────────────────────────────────────────────────────────────────────────────────


def add_waiting(store: FakeStore, queue: FakeQueue, priority: Priority = Priority.STANDARD, **changes: Any) -> None:
    """Add three messages to a queue, one of them of a job of the owner."""
    waiting = replace(job(99), priority=priority, **changes)
    store.jobs[waiting.key] = waiting
    queue.add_waiting(2, priority)
    queue.send(JobMessage.of(waiting))


def test_full_queue_rejects_jobs(admission: Make, store: FakeStore, queue: FakeQueue) -> None:
    add_waiting(store, queue)
    admission(max_backlog=4).admit(job())
    with pytest.raises(Busy) as refused:
        admission(max_backlog=3).admit(job())
    assert refused.value.retry_after > timedelta(0)


@pytest.mark.parametrize(
    "others",
    [
        [],
        [replace(job(1), owner="bob")],
        [replace(job(1), priority=Priority.LOW)],
        [job(1).cancelled(now=NOW)],
        [job(1).claimed(by="w", now=NOW, lease_until=NOW + timedelta(minutes=1))],
        [new_job(delay=timedelta(minutes=5))],
        [new_tracked_job()],
    ],
    ids=["none", "another owner's", "in another queue", "ended", "running", "delayed", "tracked"],
)
def test_full_queue_admits_an_owner_who_has_no_job_waiting_in_it(
    admission: Make, store: FakeStore, queue: FakeQueue, others: list[AsyncJob]
) -> None:
    # Otherwise an owner could keep all others out, with many messages and few jobs.
    store.jobs = {other.key: other for other in others}
    queue.add_waiting(1000)
    admission(max_backlog=3).admit(job())


def test_owners_jobs_are_read_only_while_the_queue_is_full(admission: Make, store: FakeStore, queue: FakeQueue) -> None:
    queue.add_waiting(2)
    store.failures.append(AssertionError("read"))
    admission(max_backlog=3).admit(job())


def test_only_the_jobs_own_queue_counts(admission: Make, store: FakeStore, queue: FakeQueue) -> None:
    add_waiting(store, queue, Priority.LOW)
    limits = admission(max_backlog=3)
    for taken in (Priority.HIGH, Priority.STANDARD):
        limits.admit(replace(job(), priority=taken))
    with pytest.raises(Busy):
        limits.admit(replace(job(), priority=Priority.LOW))


def test_unavailable_queue_rejects_no_job(admission: Make, queue: FakeQueue) -> None:
    queue.add_waiting(3)
    queue.is_down = True
    admission(max_backlog=3).admit(job())
    assert queue.backlog_reads == 1


def test_rejection_for_a_full_queue_takes_no_token_and_writes_nothing(
    admission: Make, store: FakeStore, queue: FakeQueue
) -> None:
    add_waiting(store, queue)
    with pytest.raises(Busy):
        admission(rate=TWO_AND_ONE_A_SECOND, max_live=2, max_backlog=3).admit(job())
    assert (store.buckets, store.writes) == ({}, 0)


def test_full_queue_admits_tracked_jobs(admission: Make, store: FakeStore, queue: FakeQueue) -> None:
    add_waiting(store, queue)
    limits = admission(max_backlog=3)
    with pytest.raises(Busy):
        limits.admit(job())
    assert limits.admit(new_tracked_job())[0].is_tracked
