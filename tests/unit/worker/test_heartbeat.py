"""The background thread that writes progress and renews the lease."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core.errors import Fatal, JobCancelled, JobInterrupted, LeaseLost, Unavailable
from asyncjobs.core.job import FENCE, AsyncJob
from asyncjobs.core.named_events import MAX_EVENTS, NamedEvent
from asyncjobs.core.ports import Lost
from asyncjobs.worker.heartbeat import LEAST_PAUSE, Heartbeat
from tests.support.factories import running_job
from tests.support.fakes import FakeClock, FakeStore
from tests.unit.conftest import Lines


@pytest.fixture
def job(store: FakeStore) -> AsyncJob:
    job = running_job()
    store.jobs[job.key] = job
    return job


@pytest.fixture
def heartbeat(store: FakeStore, job: AsyncJob, clock: FakeClock) -> Heartbeat:
    return Heartbeat(store, job, clock, renews_lease=False, interrupt=lambda _reason: None)


def eventually(what: str, happened: Callable[[], object]) -> None:
    """Wait briefly until the thread has done its work."""
    end = time.monotonic() + 5
    while not happened():
        assert time.monotonic() < end, what
        time.sleep(0.001)


def test_attempt_without_a_report_writes_nothing(store: FakeStore, heartbeat: Heartbeat) -> None:
    with heartbeat:
        pass
    assert store.writes == 0


def test_progress_is_written_soon_without_blocking_the_job(store: FakeStore, job: AsyncJob, heartbeat: Heartbeat) -> None:
    with heartbeat:
        heartbeat.report(45, "Reading page 9 of 20")
        eventually("nothing was written", lambda: store.writes)
    written = store.jobs[job.key]
    assert (written.progress, written.message) == (45, "Reading page 9 of 20")
    assert heartbeat.job == written


def test_frequent_progress_is_written_once_a_second(store: FakeStore, heartbeat: Heartbeat) -> None:
    with heartbeat:
        for percent in range(100):
            heartbeat.report(percent, None)
        eventually("nothing was written", lambda: store.writes)
    assert store.writes == 1


def test_unsent_progress_goes_with_the_next_write(heartbeat: Heartbeat) -> None:
    heartbeat._progress, heartbeat._message = 70, "Nearly"
    newest = heartbeat.newest()
    assert (newest.progress, newest.message) == (70, "Nearly")


@pytest.mark.parametrize(("reported", "written"), [(-5, 0), (150, 100), (float("nan"), 0), (float("inf"), 0), (33.4, 33)])
def test_progress_is_a_whole_percent_from_0_to_100(heartbeat: Heartbeat, reported: float, written: int) -> None:
    with heartbeat:
        heartbeat.report(reported, None)
    assert heartbeat.newest().progress == written


def test_long_message_is_cut(heartbeat: Heartbeat) -> None:
    with heartbeat:
        heartbeat.report(1, "x" * 10_000)
    assert len(heartbeat.newest().message or "") == 256


def test_lone_surrogate_in_a_message_is_replaced(heartbeat: Heartbeat) -> None:
    with heartbeat:
        heartbeat.report(1, "a\ud800b")
    assert heartbeat.newest().message == "a?b"


def test_heartbeat_renews_the_lease(store: FakeStore, job: AsyncJob, clock: FakeClock) -> None:
    heartbeat = Heartbeat(store, job, clock, renews_lease=True, interrupt=lambda _reason: None)
    clock.advance(seconds=70)
    heartbeat.beat()
    assert store.jobs[job.key].lease_until == clock.now + timedelta(seconds=24)


def test_report_of_a_short_job_keeps_its_lease(store: FakeStore, job: AsyncJob, heartbeat: Heartbeat) -> None:
    heartbeat.beat()
    assert store.jobs[job.key].lease_until == job.lease_until


@pytest.mark.parametrize(("is_cancelled", "reason"), [(True, JobCancelled), (False, LeaseLost)])
def test_refused_write_stops_the_job_at_its_next_report(
    store: FakeStore, job: AsyncJob, heartbeat: Heartbeat, clock: FakeClock, *, is_cancelled: bool, reason: type[JobInterrupted]
) -> None:
    clock.advance(seconds=100)
    other = job.cancelled(now=clock.now) if is_cancelled else job.claimed(by="w2", now=clock.now, lease_until=clock.now)
    store.jobs[job.key] = other
    heartbeat.beat()
    with heartbeat, pytest.raises(reason):
        heartbeat.report()
    with heartbeat, pytest.raises(reason):
        heartbeat.report(50, "half")
    assert store.jobs[job.key] == other


def test_delayed_heartbeat_does_not_undo_a_later_one(
    store: FakeStore, job: AsyncJob, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeat = Heartbeat(store, job, clock, renews_lease=True, interrupt=lambda _reason: None)
    held_up: list[Any] = []
    clock.advance(seconds=70)
    with monkeypatch.context() as patch:

        def hold_up(*write: Any) -> None:
            held_up.append(write)
            raise Unavailable("no answer in time")

        patch.setattr(store, "swap_if_unchanged", hold_up)
        heartbeat.beat()
    clock.advance(seconds=8)
    heartbeat.beat()
    assert store.swap_if_unchanged(*held_up[0]) == Lost(heartbeat.job)
    assert store.jobs[job.key].lease_until == clock.now + timedelta(seconds=24)


def test_next_heartbeat_continues_from_one_with_a_lost_answer(
    store: FakeStore, job: AsyncJob, heartbeat: Heartbeat, clock: FakeClock
) -> None:
    # The answer was lost, so the attempt does not know that the write succeeded.
    store.jobs[job.key] = job.reported(now=clock.now, progress=10, message=None, lease_until=clock.now)
    clock.advance(seconds=1)
    with heartbeat:
        heartbeat.report(20)
        eventually("it was not sent again", lambda: store.jobs[job.key].progress == 20)
    assert heartbeat.interruption is None
    assert heartbeat.job == store.jobs[job.key]


@pytest.mark.parametrize("error", [Unavailable("throttled"), RuntimeError("the token expired")])
def test_unavailable_table_only_delays_the_report(
    store: FakeStore, job: AsyncJob, heartbeat: Heartbeat, error: Exception
) -> None:
    store.failures.append(error)
    heartbeat.beat()
    assert heartbeat.interruption is None
    assert heartbeat.job == job
    heartbeat.beat()
    assert store.jobs[job.key] == heartbeat.job


# ── Events of the job's code ──


def ticks(store: FakeStore) -> list[str]:
    """Keep the events that are written, in a list that is returned."""
    written, swap = list[str](), store.swap_if_unchanged

    def keep(old: AsyncJob, new: AsyncJob, unchanged: Sequence[str] = FENCE) -> AsyncJob | Lost:
        outcome = swap(old, new, unchanged)
        if isinstance(outcome, AsyncJob) and outcome.named_event is not None:
            written.append(outcome.named_event)
        return outcome

    store.swap_if_unchanged = keep  # type: ignore[method-assign]
    return written


def test_each_event_is_a_write_with_a_number_of_its_own(store: FakeStore, job: AsyncJob, heartbeat: Heartbeat) -> None:
    written, began = ticks(store), time.monotonic()
    with heartbeat:
        heartbeat.report(10)
        for number in range(20):
            heartbeat.send(NamedEvent("tick", f'{{"number":{number % 2}}}'))
    assert [event.partition(" ")[2] for event in written] == [f'tick {{"number":{number % 2}}}' for number in range(20)]
    numbers = [int(event.partition(" ")[0]) for event in written]
    assert numbers == list(range(numbers[0], numbers[0] + 20))
    assert store.jobs[job.key].seq == numbers[-1]
    # They wait neither for each other nor for the pause between reports.
    assert time.monotonic() - began < LEAST_PAUSE.total_seconds()


def test_event_is_written_soon_after_a_report(store: FakeStore, heartbeat: Heartbeat) -> None:
    written = ticks(store)
    with heartbeat:
        heartbeat.report(10)
        eventually("no progress was written", lambda: store.writes)
        began = time.monotonic()
        heartbeat.send(NamedEvent("tick", "{}"))
        eventually("no event was written", lambda: written)
        assert time.monotonic() - began < LEAST_PAUSE.total_seconds()


def test_event_carries_the_newest_progress(heartbeat: Heartbeat) -> None:
    heartbeat._progress = 70
    heartbeat._events.append(NamedEvent("tick", "{}"))
    newest = heartbeat.newest()
    assert (newest.progress, newest.named_event) == (70, f"{heartbeat.job.seq + 1} tick {{}}")


def test_event_whose_answer_was_lost_is_not_sent_twice(
    store: FakeStore, job: AsyncJob, heartbeat: Heartbeat, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    heartbeat._events.extend([NamedEvent("tick", "{}")] * 2)
    swap = store.swap_if_unchanged

    def lose_the_answer(*write: Any) -> None:
        swap(*write)
        raise Unavailable("no answer in time")

    with monkeypatch.context() as patch:
        patch.setattr(store, "swap_if_unchanged", lose_the_answer)
        assert not heartbeat.beat()
    clock.advance(seconds=1)
    seqs = []
    while heartbeat._events:
        assert heartbeat.beat()
        seqs.append(store.jobs[job.key].seq)
    assert store.jobs[job.key].named_event == f"{job.seq + 2} tick {{}}"
    assert seqs == [job.seq + 1, job.seq + 2]


def test_events_of_a_table_that_does_not_answer_are_dropped_at_the_end_and_reported(
    store: FakeStore, heartbeat: Heartbeat, lines: Lines
) -> None:
    store.failures.extend([Unavailable("throttled")] * 9)
    with heartbeat:
        for _ in range(3):
            heartbeat.send(NamedEvent("tick", "{}"))
    line = lines.events[-1]
    assert (line["message"], line["count"]) == ("EVENTS_DROPPED", 3)
    assert len(store.failures) >= 6


def test_event_beyond_the_most_is_fatal(heartbeat: Heartbeat) -> None:
    with heartbeat:
        for _ in range(MAX_EVENTS):
            heartbeat.send(NamedEvent("tick", "{}"))
        with pytest.raises(Fatal, match="more than 100 events") as raised:
            heartbeat.send(NamedEvent("tick", "{}"))
    assert raised.value.code == "TOO_MANY_EVENTS"


def test_event_of_a_cancelled_job_is_not_written_and_stops_it(
    store: FakeStore, job: AsyncJob, heartbeat: Heartbeat, clock: FakeClock
) -> None:
    cancelled = job.cancelled(now=clock.now)
    store.jobs[job.key] = cancelled
    with heartbeat:
        heartbeat.send(NamedEvent("tick", "{}"))
        eventually("the job was not stopped", lambda: heartbeat.interruption)
        with pytest.raises(JobCancelled):
            heartbeat.send(NamedEvent("tick", "{}"))
    assert store.jobs[job.key] == cancelled
