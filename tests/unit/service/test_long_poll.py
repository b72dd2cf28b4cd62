"""Waiting for a job: it is read often enough and not too often."""

from __future__ import annotations

from datetime import timedelta

import pytest

from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import AsyncJob, JobKey
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.limits.waits import WaitSlots
from asyncjobs.service.long_poll import MAX_WAIT, LongPoll, Waited
from asyncjobs.service.queries import Queries
from tests.support.factories import JOB_ID, NOW, OWNER, new_job, running_job
from tests.support.fakes import FakeClock, FakeObjects, FakeQueue, FakeStore
from tests.support.parts import make_commands
from tests.unit.conftest import Lines

ENDED = running_job().cancelled(now=NOW)


class EndingJob(FakeStore):
    """A job that ends after a while. Each read but the first one takes time."""

    def __init__(self, clock: FakeClock, *, ends_after: float, takes: float = 0.01) -> None:
        super().__init__()
        self.reads: list[float] = []
        self._clock, self._ends_after, self._takes = clock, ends_after, takes

    def get(self, key: JobKey) -> AsyncJob | None:
        self._fail()
        if self.reads:
            self._clock.advance(seconds=self._takes)
        self.reads.append((self._clock() - NOW).total_seconds())
        return ENDED if self.reads[-1] >= self._ends_after else new_job()


def wait(
    clock: FakeClock, store: FakeStore, seconds: float, *, longest: timedelta = MAX_WAIT, slots: int | None = None
) -> Waited:
    limit = None if slots is None else lambda: WaitSlots(store=store, clock=clock, slots=slots)
    long_poll = LongPoll(clock, lambda seconds: clock.advance(seconds=seconds), longest=longest, slots=limit)
    queries = Queries(store=store, objects=FakeObjects(), catalog=Catalog({}), clock=clock, long_poll=long_poll)
    return queries.wait_for_job(OWNER, JOB_ID, lambda job: job.is_finished, timedelta(seconds=seconds))


def test_finished_job_is_read_once(clock: FakeClock) -> None:
    store = EndingJob(clock, ends_after=0)
    assert wait(clock, store, 20, slots=1) == (ENDED, timedelta(seconds=20))
    assert (store.reads, store.writes) == ([0], 0)


@pytest.mark.parametrize("after", [0.2, 1, 7.5, 19.9])
def test_change_is_seen_soon(clock: FakeClock, after: float) -> None:
    store = EndingJob(clock, ends_after=after)
    assert wait(clock, store, 20).job == ENDED
    assert store.reads[-1] - after <= min(1.02, after)


@pytest.mark.parametrize("seconds", [0.05, 3, 20, 1000])
def test_job_is_returned_when_the_time_is_up(clock: FakeClock, seconds: float) -> None:
    store = EndingJob(clock, ends_after=10**6)
    job, at_most = wait(clock, store, seconds)
    assert (job.is_finished, at_most) == (False, timedelta(seconds=min(seconds, 20)))
    assert store.reads[-1] == pytest.approx(min(seconds, 20), abs=0.05)


def test_longest_wait_takes_about_25_reads(clock: FakeClock) -> None:
    store = EndingJob(clock, ends_after=10**6)
    wait(clock, store, 20)
    assert 20 <= len(store.reads) <= 30


@pytest.mark.parametrize("longest", [0, 5])
def test_wait_is_no_longer_than_the_deployments_longest(clock: FakeClock, longest: float) -> None:
    store = EndingJob(clock, ends_after=10**6, takes=0)
    waited = wait(clock, store, 20, longest=timedelta(seconds=longest))
    assert (store.reads[-1], waited.at_most) == (longest, timedelta(seconds=longest))


def test_refused_wait_is_logged(clock: FakeClock, lines: Lines) -> None:
    store = EndingJob(clock, ends_after=10**6)
    store.wait_slots[OWNER, 0] = NOW + timedelta(seconds=20)
    job, at_most = wait(clock, store, 20, slots=1)
    assert (job.is_finished, at_most, store.reads, lines.names()) == (False, None, [0], ["WAIT_REFUSED"])


def test_slow_reads_do_not_make_the_wait_much_longer(clock: FakeClock) -> None:
    store = EndingJob(clock, ends_after=10**6, takes=2)
    wait(clock, store, 5)
    assert store.reads[-1] <= 5 + 2 + 1


def test_slot_is_free_after_a_wait_that_ended_early(clock: FakeClock) -> None:
    store = EndingJob(clock, ends_after=3)
    assert wait(clock, store, 20, slots=1).job == ENDED
    assert (store.writes, store.wait_slots) == (2, {})


def test_unavailable_table_is_raised_and_the_slot_is_free(clock: FakeClock) -> None:
    class Failing(EndingJob):
        def get(self, key: JobKey) -> AsyncJob | None:
            if self.reads:
                raise Unavailable("throttled")
            return super().get(key)

    store = Failing(clock, ends_after=10**6)
    with pytest.raises(Unavailable):
        wait(clock, store, 1, slots=1)
    assert (store.writes, store.wait_slots) == (2, {})


@pytest.mark.parametrize("at_most", [0, 3])
def test_submit_that_took_longer_than_the_wait_takes_no_slot(clock: FakeClock, at_most: float) -> None:
    store = EndingJob(clock, ends_after=10**6)
    long_poll = LongPoll(clock, slots=lambda: WaitSlots(store=store, clock=clock, slots=1))
    commands = make_commands(
        store=store, queue=FakeQueue(), objects=FakeObjects(), catalog=Catalog({}), clock=clock, long_poll=long_poll
    )
    job, limit = new_job(), timedelta(seconds=at_most)
    clock.advance(seconds=3)
    assert commands.wait(job, NOW, limit) == (job, limit)
    assert (store.reads, store.writes) == ([], 0)
