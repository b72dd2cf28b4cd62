"""Whether a job is taken: each limit refuses by its own name, costs nothing when it is off, and keeps nothing back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core.errors import Busy, SubmitRateExceeded, TooManyLiveJobs, Unavailable
from asyncjobs.core.job import DEADLINE_EXCEEDED, AsyncJob, JobKey, Priority
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


def wait_in(queue: FakeQueue, count: int, priority: Priority = Priority.STANDARD) -> None:
    for number in range(count):
        queue.send(JobMessage(JobKey("bob", str(number)), "gen", "sample.returns", priority=priority))


# ── Off ────────────────────────────────────────────────────────────────────────────────────────────


def test_without_limits_nothing_is_asked_and_the_job_is_left_as_it_was(
    admission: Make, store: FakeStore, queue: FakeQueue
) -> None:
    store.failures.append(AssertionError("asked"))
    queue.is_down = True
    new = job()
    assert admission().admit(new) == (new, None)
    assert store.writes == 0


# ── Rate ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_burst_is_taken_and_what_comes_too_soon_after_it_refused(admission: Make) -> None:
    limits = admission(rate=TWO_AND_ONE_A_SECOND)
    left = [limits.admit(job(number))[1] for number in range(2)]
    assert [quota and quota.remaining for quota in left] == [1, 0]
    with pytest.raises(SubmitRateExceeded) as refused:
        limits.admit(job(2))
    assert refused.value.retry_after == timedelta(seconds=1)
    assert refused.value.quota is not None
    assert (refused.value.quota.remaining, refused.value.quota.next_token) == (0, timedelta(seconds=1))


def test_who_waits_as_long_as_told_is_taken(admission: Make, clock: FakeClock) -> None:
    limits = admission(rate=TWO_AND_ONE_A_SECOND)
    for number in range(2):
        limits.admit(job(number))
    with pytest.raises(SubmitRateExceeded) as refused:
        limits.admit(job(2))
    clock.advance(seconds=refused.value.retry_after.total_seconds())
    limits.admit(job(2))


def test_owners_have_buckets_of_their_own_and_functions_share_them(admission: Make) -> None:
    here, there = admission(rate=TWO_AND_ONE_A_SECOND), admission(rate=TWO_AND_ONE_A_SECOND)
    here.admit(job(0))
    there.admit(job(1))
    for function in (here, there):
        with pytest.raises(SubmitRateExceeded):
            function.admit(job(2))
    here.admit(job(3, owner="bob"))


def test_a_table_that_does_not_answer_takes_nobody(admission: Make, store: FakeStore) -> None:
    # The put would fail, too; and who wears out one bucket must not thereby be rid of it.
    store.failures.append(Unavailable("The table is down."))
    with pytest.raises(Unavailable):
        admission(rate=TWO_AND_ONE_A_SECOND).admit(job())


# ── Live jobs ──────────────────────────────────────────────────────────────────────────────────────


def keep(store: FakeStore, admitted: AsyncJob) -> AsyncJob:
    assert store.add_if_absent(admitted, NOW) is None
    return admitted


def test_an_owner_with_enough_unfinished_jobs_waits_until_one_ends(admission: Make, store: FakeStore) -> None:
    limits = admission(max_live=2)
    first, _ = (keep(store, limits.admit(job(number))[0]) for number in range(2))
    with pytest.raises(TooManyLiveJobs) as refused:
        limits.admit(job(2))
    assert refused.value.retry_after > timedelta(0)
    keep(store, limits.admit(job(3, owner="bob"))[0])
    store.swap_if_unchanged(first, first.cancelled(now=NOW))
    limits.admit(job(2))


def test_jobs_are_marked_to_be_counted_only_where_they_are(admission: Make) -> None:
    assert admission(max_live=2).admit(job())[0].live_owner == OWNER
    assert admission(rate=TWO_AND_ONE_A_SECOND, max_backlog=9).admit(job())[0].live_owner is None


def test_who_is_refused_for_live_jobs_keeps_the_token(admission: Make, store: FakeStore) -> None:
    limits = admission(rate=TWO_AND_ONE_A_SECOND, max_live=1)
    keep(store, limits.admit(job())[0])
    before = dict(store.buckets)
    with pytest.raises(TooManyLiveJobs):
        limits.admit(job(1))
    assert store.buckets == before


def test_a_tracked_job_counts_until_its_worker_ends_it(admission: Make) -> None:
    counted, _ = admission(max_live=2).admit(new_tracked_job())
    advanced = counted.advanced(now=NOW, progress=50, message=None)
    assert (counted.live_owner, advanced.live_owner) == (OWNER, OWNER)
    assert advanced.failed(now=NOW, error=DEADLINE_EXCEEDED).live_owner is None


# ── Backlog ────────────────────────────────────────────────────────────────────────────────────────


def test_while_too_many_wait_nobody_is_taken(admission: Make, queue: FakeQueue) -> None:
    wait_in(queue, 3)
    admission(max_backlog=4).admit(job())
    with pytest.raises(Busy) as refused:
        admission(max_backlog=3).admit(job())
    assert refused.value.retry_after > timedelta(0)


def test_a_job_is_shed_for_those_that_it_would_wait_behind_and_for_no_others(admission: Make, queue: FakeQueue) -> None:
    wait_in(queue, 3, Priority.LOW)
    limits = admission(max_backlog=3)
    for taken in (Priority.HIGH, Priority.STANDARD):
        limits.admit(replace(job(), priority=taken))
    with pytest.raises(Busy):
        limits.admit(replace(job(), priority=Priority.LOW))


def test_unavailable_queue_rejects_no_job(admission: Make, queue: FakeQueue) -> None:
    wait_in(queue, 3)
    queue.is_down = True
    admission(max_backlog=3).admit(job())


def test_who_is_shed_keeps_the_token_and_is_not_counted(admission: Make, store: FakeStore, queue: FakeQueue) -> None:
    wait_in(queue, 3)
    with pytest.raises(Busy):
        admission(rate=TWO_AND_ONE_A_SECOND, max_live=2, max_backlog=3).admit(job())
    assert (store.buckets, store.writes) == ({}, 0)


def test_a_tracked_job_does_not_wait_in_the_queue_and_so_is_taken(admission: Make, queue: FakeQueue) -> None:
    wait_in(queue, 3)
    limits = admission(max_backlog=3)
    with pytest.raises(Busy):
        limits.admit(job())
    assert limits.admit(new_tracked_job())[0].is_tracked
