"""The events of a job, and the snapshot in place of what the log does not hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from asyncjobs.core.errors import JobNotFound, Unavailable
from asyncjobs.core.events import EventType, snapshot_of
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.service.event_feed import MOST_EVENTS, EventFeed, EventsPage
from asyncjobs.service.long_poll import LongPoll
from asyncjobs.service.queries import Queries
from tests.support.factories import JOB_ID, NOW, OWNER, new_job, numbered, running_job
from tests.support.fakes import FakeClock, FakeEventLog, FakeObjects, FakeStore

NO_WAIT = timedelta(0)


class World:
    """A job with `seq` changes, of which the log has some."""

    def __init__(self, seq: int, *, logged: int | None = None, has_log: bool = True, is_finished: bool = False) -> None:
        self.job = running_job(seq=seq, progress=seq % 100)
        if is_finished:
            self.job = replace(self.job.cancelled(now=NOW), seq=seq)
        self.clock, self.store, self.log = FakeClock(NOW), FakeStore(jobs={self.job.key: self.job}), FakeEventLog()
        self.slept = 0.0
        self.log_until(seq if logged is None else logged)
        queries = Queries(
            store=self.store,
            objects=FakeObjects(),
            catalog=Catalog({}),
            clock=self.clock,
            long_poll=LongPoll(self.clock, self.sleep),
        )
        self.feed = EventFeed(queries, self.log if has_log else None)

    def log_until(self, seq: int) -> None:
        states = (replace(self.job, seq=number) for number in range(1, seq + 1))
        self.log.append(self.job, [replace(snapshot_of(job), type=EventType.PROGRESS) for job in states])

    def sleep(self, seconds: float) -> None:
        self.clock.advance(seconds=seconds)
        self.slept += seconds
        if self.slept > 5:
            self.change()

    def change(self) -> None:
        self.job = self.store.jobs[self.job.key] = replace(self.job, seq=8)

    def read(self, after: int | None, *, wait: timedelta = NO_WAIT) -> EventsPage:
        return self.feed.after(OWNER, JOB_ID, after, wait=wait)


def shown(page: EventsPage) -> list[tuple[str, int]]:
    return [(event.type.value, event.seq) for event in page.events]


@pytest.mark.parametrize(("after", "first"), [(None, 1), (0, 1), (3, 4), (6, 7)])
def test_later_events_are_returned(after: int | None, first: int) -> None:
    page = World(7).read(after)
    assert shown(page) == [("progress", seq) for seq in range(first, 8)]
    assert (page.seq, page.more) == (7, True)


@pytest.mark.parametrize("logged", range(7))
def test_late_log_is_completed_by_a_snapshot(logged: int) -> None:
    page = World(7, logged=logged).read(None)
    assert shown(page) == [*(("progress", seq) for seq in range(1, logged + 1)), ("snapshot", 7)]
    assert page.seq == 7


def test_job_has_its_first_events_before_the_log_has_any() -> None:
    world = World(1)
    waiting = new_job()
    started = numbered(waiting.claimed(by="w", now=NOW, lease_until=NOW + timedelta(minutes=1)))
    world.log.stored.clear()
    world.store.jobs[started.key] = waiting
    assert shown(world.read(None)) == [("created", 1)]
    world.store.jobs[started.key] = started
    assert shown(world.read(None)) == [("created", 1), ("started", 2)]
    assert shown(world.read(1)) == [("started", 2)]


def test_snapshot_replaces_all_events_after_a_gap() -> None:
    world = World(7)
    del world.log.stored[world.job.key, world.job.created_at][3]
    assert shown(world.read(None)) == [("progress", 1), ("progress", 2), ("snapshot", 7)]
    assert shown(world.read(3)) == [("progress", seq) for seq in range(4, 8)]


def test_without_a_log_each_answer_is_a_snapshot() -> None:
    world = World(7, has_log=False)
    assert shown(world.read(None)) == shown(world.read(5)) == [("snapshot", 7)]
    assert shown(world.read(7)) == []


def test_unknown_number_is_answered_by_a_snapshot() -> None:
    """It is that of a deleted job with the same id: a reader that waited for it would wait forever."""
    page = World(2).read(9, wait=timedelta(seconds=20))
    assert (shown(page), page.seq) == ([("snapshot", 2)], 2)


def test_record_of_an_earlier_release_is_one_snapshot() -> None:
    world = World(0)
    assert shown(world.read(None)) == [("snapshot", 0)]
    assert shown(world.read(0)) == []


@pytest.mark.parametrize(("after", "more"), [(6, False), (7, False)])
def test_nothing_follows_the_end(after: int, *, more: bool) -> None:
    page = World(7, is_finished=True).read(after, wait=timedelta(seconds=20))
    assert (page.more, page.seq) == (more, 7)


def test_wait_ends_with_the_first_change() -> None:
    world = World(7)
    page = world.read(7, wait=timedelta(seconds=20))
    assert shown(page) == [("snapshot", 8)]
    assert world.slept == pytest.approx(5.5, abs=1)


def test_wait_without_a_change_returns_nothing() -> None:
    world = World(7)
    page = world.read(7, wait=timedelta(seconds=3))
    assert (shown(page), page.seq, page.more) == ([], 7, True)


def test_long_history_is_read_in_pages() -> None:
    world = World(MOST_EVENTS + 50, is_finished=True)
    first = world.read(None)
    assert (len(first.events), first.seq, first.more) == (MOST_EVENTS, MOST_EVENTS, True)
    rest = world.read(first.seq)
    assert (len(rest.events), rest.seq, rest.more) == (50, MOST_EVENTS + 50, False)


def test_job_of_another_owner_has_no_events() -> None:
    with pytest.raises(JobNotFound):
        World(7).feed.after("bob", JOB_ID, None, wait=NO_WAIT)


def test_expired_job_has_no_events() -> None:
    world = World(7)
    world.clock.now = world.job.record_expires_at
    with pytest.raises(JobNotFound):
        world.read(None)


def test_unavailable_log_is_an_error_and_not_a_gap() -> None:
    world = World(7)
    world.log.failures = 1
    with pytest.raises(Unavailable):
        world.read(None)
