"""Waiting for a job: it is read often enough and not too often."""

from __future__ import annotations

from datetime import timedelta

import pytest

from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import AsyncJob
from asyncjobs.limits.waits import WaitSlots
from asyncjobs.service.long_poll import LongPoll
from tests.support.factories import NOW, OWNER, new_job, running_job
from tests.support.fakes import FakeClock, FakeStore
from tests.unit.conftest import Lines

ENDED = running_job().cancelled(now=NOW)


class Reads:
    """Reads of a job that ends after a while. Each read takes time."""

    def __init__(self, clock: FakeClock, *, ends_after: float, takes: float = 0.01) -> None:
        self.times: list[float] = []
        self._clock, self._ends_after, self._takes = clock, ends_after, takes

    def __call__(self) -> AsyncJob:
        self._clock.advance(seconds=self._takes)
        self.times.append((self._clock() - NOW).total_seconds())
        return ENDED if self.times[-1] >= self._ends_after else new_job()


def wait(clock: FakeClock, reads: Reads, seconds: float) -> AsyncJob:
    long_poll = LongPoll(clock, sleep=lambda seconds: clock.advance(seconds=seconds))
    return long_poll.wait(new_job(), reads, lambda job: job.is_finished, timedelta(seconds=seconds)).job


def test_finished_job_is_not_read_again(clock: FakeClock) -> None:
    reads = Reads(clock, ends_after=0)
    waited = LongPoll(clock).wait(ENDED, reads, lambda job: job.is_finished, timedelta(seconds=20))
    assert (waited.job, reads.times) == (ENDED, [])


@pytest.mark.parametrize("after", [0.2, 1, 7.5, 19.9])
def test_change_is_seen_soon(clock: FakeClock, after: float) -> None:
    reads = Reads(clock, ends_after=after)
    assert wait(clock, reads, 20) == ENDED
    assert reads.times[-1] - after <= min(1.02, after)


@pytest.mark.parametrize("seconds", [0.05, 3, 20, 1000])
def test_job_is_returned_when_the_time_is_up(clock: FakeClock, seconds: float) -> None:
    reads = Reads(clock, ends_after=10**6)
    assert not wait(clock, reads, seconds).is_finished
    assert reads.times[-1] == pytest.approx(min(seconds, 20), abs=0.05)


def test_longest_wait_takes_about_25_reads(clock: FakeClock) -> None:
    reads = Reads(clock, ends_after=10**6)
    wait(clock, reads, 20)
    assert 20 <= len(reads.times) <= 30


@pytest.mark.parametrize("longest", [0, 5])
def test_wait_is_no_longer_than_the_deployments_longest(clock: FakeClock, longest: float) -> None:
    reads = Reads(clock, ends_after=10**6, takes=0)
    long_poll = LongPoll(clock, lambda seconds: clock.advance(seconds=seconds), longest=timedelta(seconds=longest))
    waited = long_poll.wait(new_job(), reads, lambda job: job.is_finished, timedelta(seconds=20))
    assert ([0, *reads.times][-1], waited.is_refused) == (longest, False)


def test_refused_wait_is_logged(clock: FakeClock, lines: Lines) -> None:
    store = FakeStore(wait_slots={(OWNER, 0): NOW + timedelta(seconds=20)})
    slots = WaitSlots(store=store, clock=clock, slots=1)
    reads = Reads(clock, ends_after=10**6)
    long_poll = LongPoll(clock, slots=lambda: slots)
    waited = long_poll.wait(new_job(), reads, lambda job: job.is_finished, timedelta(seconds=20))
    assert (waited.is_refused, reads.times, lines.names()) == (True, [], ["WAIT_REFUSED"])


def test_slow_reads_do_not_make_the_wait_much_longer(clock: FakeClock) -> None:
    reads = Reads(clock, ends_after=10**6, takes=2)
    wait(clock, reads, 5)
    assert reads.times[-1] <= 5 + 2 + 1


def test_unavailable_table_is_raised(clock: FakeClock) -> None:
    def fails() -> AsyncJob:
        raise Unavailable("throttled")

    with pytest.raises(Unavailable):
        LongPoll(clock, lambda seconds: clock.advance(seconds=seconds)).wait(
            new_job(), fails, lambda job: job.is_finished, timedelta(seconds=1)
        )
