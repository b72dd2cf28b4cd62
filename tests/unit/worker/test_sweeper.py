"""A sweep resends or ends each job that is due."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from asyncjobs.core.errors import Unavailable, Unreadable
from asyncjobs.core.job import DELIVERY, FENCE, SWEEP_INTERVAL, AsyncJob, DuePart, JobKey, Priority, Status, due_shard
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import DueEntry, Lost
from asyncjobs.worker.sweeper import BACKED_UP, Sweeper
from tests.support.factories import NOW, new_job, new_tracked_job, running_job
from tests.support.fakes import FakeClock, FakeQueue, FakeStore
from tests.support.parts import make_sweeper
from tests.unit.conftest import Lines


@pytest.fixture
def sweeper(store: FakeStore, queue: FakeQueue, clock: FakeClock) -> Sweeper:
    return make_sweeper(store=store, queue=queue, clock=clock)


def a_minute() -> timedelta:
    return timedelta(minutes=1)


def at_due_time(store: FakeStore, clock: FakeClock, job: AsyncJob) -> AsyncJob:
    """Store the job, and set the clock to its due time."""
    assert job.due_at is not None
    store.jobs[job.key] = job
    clock.now = job.due_at
    return job


def test_job_with_a_lost_message_is_sent(store: FakeStore, queue: FakeQueue, clock: FakeClock, sweeper: Sweeper) -> None:
    job = at_due_time(store, clock, new_job())
    sweeper.sweep(a_minute)
    assert queue.sent == [JobMessage.of(job)]


@pytest.mark.parametrize("priority", Priority)
def test_job_is_sent_to_its_own_queue(
    store: FakeStore, queue: FakeQueue, clock: FakeClock, sweeper: Sweeper, priority: Priority
) -> None:
    at_due_time(store, clock, new_job(priority=priority))
    sweeper.sweep(a_minute)
    assert [message.priority for message in queue.sent] == [priority]


class OneQueueDown(FakeQueue):
    """A queue that is unavailable for high priority. It keeps each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[tuple[int, set[Priority]]] = []

    def send_all(self, messages: Sequence[JobMessage]) -> Sequence[JobMessage]:
        self.batches.append((len(messages), {message.priority for message in messages}))
        if any(message.priority is Priority.HIGH for message in messages):
            raise Unavailable("down")
        return super().send_all(messages)


def test_unavailable_queue_delays_no_other_and_batches_are_full(store: FakeStore, clock: FakeClock) -> None:
    queue = OneQueueDown()
    for number in range(45):
        job = new_job(async_job_id=f"job-{number}", priority=list(Priority)[number % 3])
        at_due_time(store, clock, job)
    sweep = make_sweeper(store=store, queue=queue, clock=clock).sweep(a_minute)
    high, standard, low = ({priority} for priority in Priority)
    assert sorted(queue.batches, key=repr) == sorted([(n, p) for p in (high, standard, low) for n in (10, 5)], key=repr)
    assert (sweep.sent, {message.priority for message in queue.sent}) == (30, {Priority.STANDARD, Priority.LOW})


def test_job_that_is_not_due_is_left_alone(store: FakeStore, queue: FakeQueue, sweeper: Sweeper) -> None:
    store.jobs[new_job().key] = new_job()
    sweeper.sweep(a_minute)
    assert (queue.sent, store.writes) == ([], 0)


def test_running_job_with_a_valid_lease_is_not_sent_and_due_later(
    store: FakeStore, queue: FakeQueue, clock: FakeClock, sweeper: Sweeper
) -> None:
    job = at_due_time(store, clock, running_job())
    sweeper.sweep(a_minute)
    assert queue.sent == []
    watched = store.jobs[job.key]
    assert watched.due_at is not None
    assert job.lease_until is not None
    assert watched.due_at > job.lease_until


def test_job_of_a_lost_worker_is_sent_again(store: FakeStore, queue: FakeQueue, clock: FakeClock, sweeper: Sweeper) -> None:
    job = running_job(due_at=NOW + timedelta(minutes=2))
    at_due_time(store, clock, job)
    sweeper.sweep(a_minute)
    assert queue.sent == [JobMessage.of(job)]


@pytest.mark.parametrize(
    ("job", "code"),
    [
        (running_job(attempt=3, due_at=NOW + timedelta(minutes=2)), "WORKER_LOST"),
        (new_job(due_at=NOW + timedelta(hours=24)), "DEADLINE_EXCEEDED"),
        (new_tracked_job(), "DEADLINE_EXCEEDED"),
        (new_tracked_job().advanced(now=NOW, progress=50, message=None), "DEADLINE_EXCEEDED"),
        (running_job(due_at=NOW + timedelta(hours=24), lease_until=NOW + timedelta(hours=25)), "DEADLINE_EXCEEDED"),
    ],
    ids=[
        "last attempt lost",
        "waits past its deadline",
        "tracked and never reported",
        "tracked and silent",
        "runs past its deadline",
    ],
)
def test_job_past_its_deadline_or_attempts_is_ended(
    store: FakeStore, queue: FakeQueue, clock: FakeClock, sweeper: Sweeper, lines: Lines, job: AsyncJob, code: str
) -> None:
    at_due_time(store, clock, job)
    sweeper.sweep(a_minute)
    ended = store.jobs[job.key]
    assert (ended.status, ended.error and ended.error.code) == (Status.FAILED, code)
    assert queue.sent == []
    assert "JOB_FAILED" in lines.names()


@pytest.mark.parametrize("due_early", [False, True])
def test_tracked_job_is_never_sent(
    store: FakeStore, queue: FakeQueue, clock: FakeClock, sweeper: Sweeper, lines: Lines, due_early: bool
) -> None:
    job = new_tracked_job()
    job = replace(job, due_at=NOW if due_early else job.deadline_at)
    store.jobs[job.key] = job
    for _ in range(59):
        clock.advance(seconds=60)
        sweeper.sweep(a_minute)
    assert (queue.sent, store.jobs[job.key]) == ([], replace(job, due_at=job.deadline_at))
    assert store.writes == int(due_early)
    assert "SWEEP_FAILED" not in lines.names()


def test_unavailable_queue_delays_the_job(store: FakeStore, queue: FakeQueue, clock: FakeClock, sweeper: Sweeper) -> None:
    job = at_due_time(store, clock, new_job())
    queue.is_down = True
    assert sweeper.sweep(a_minute).sent == 0
    queue.is_down = False
    at_due_time(store, clock, store.jobs[job.key])
    assert sweeper.sweep(a_minute).sent == 1


class StaleIndex(FakeStore):
    """A store whose index still shows a job that another sweeper has moved."""

    def due(self, shard: str, now: datetime) -> Iterator[DueEntry]:
        yield from (DueEntry(key, now) for key in self.jobs if shard == "0")


def test_job_that_only_a_stale_index_shows_is_left_alone(queue: FakeQueue, clock: FakeClock) -> None:
    store = StaleIndex()
    later, ended = new_job(), running_job(async_job_id="0" * 8 + "-0000-4000-8000-" + "0" * 12).cancelled(now=NOW)
    store.jobs = {later.key: later, ended.key: ended, JobKey("alice", "gone"): ended}
    make_sweeper(store=store, queue=queue, clock=clock).sweep(a_minute)
    assert (queue.sent, store.writes) == ([], 0)


class RacingStore(FakeStore):
    """A store in which another sweeper always comes first."""

    def get_all(self, keys: Sequence[JobKey]) -> Mapping[JobKey, AsyncJob | Unreadable]:
        found = super().get_all(keys)
        for key, job in found.items():
            assert isinstance(job, AsyncJob)
            assert job.due_at is not None
            self.jobs[key] = job.rescheduled(job.due_at + timedelta(milliseconds=1))
        return found


def test_only_one_of_two_sweepers_sends_a_job(queue: FakeQueue, clock: FakeClock) -> None:
    store = RacingStore()
    job = at_due_time(store, clock, new_job())
    make_sweeper(store=store, queue=queue, clock=clock).sweep(a_minute)
    assert store.jobs[job.key] != job, "the other sweeper did not come first"
    assert queue.sent == []


class PoisonedStore(FakeStore):
    """A store with one unreadable record."""

    poison: JobKey | None = None

    def get_all(self, keys: Sequence[JobKey]) -> Mapping[JobKey, AsyncJob | Unreadable]:
        return {key: Unreadable("no gen") if key == self.poison else job for key, job in super().get_all(keys).items()}


def test_unreadable_record_does_not_delay_the_others(queue: FakeQueue, clock: FakeClock, lines: Lines) -> None:
    store = PoisonedStore()
    jobs = [new_job(async_job_id=f"00000000-0000-4000-8000-{number:012}") for number in range(3)]
    for job in jobs:
        at_due_time(store, clock, job)
    store.poison = jobs[1].key
    make_sweeper(store=store, queue=queue, clock=clock).sweep(a_minute)
    assert [message.key for message in queue.sent] == [jobs[0].key, jobs[2].key]
    assert "SWEEP_FAILED" in lines.names()


def test_failure_is_counted_with_its_age_each_minute(queue: FakeQueue, clock: FakeClock, lines: Lines) -> None:
    store, job = PoisonedStore(), new_job()
    at_due_time(store, clock, job)
    store.poison = job.key
    for minute in range(3):
        sweep = make_sweeper(store=store, queue=queue, clock=clock).sweep(a_minute)
        assert (sweep.looked_at, sweep.failures, sweep.oldest_due) == (0, 1, timedelta(minutes=minute))
        assert (lines.events[-1]["sweepFailures"], lines.events[-1]["oldestDueAgeMs"]) == (1, minute * 60_000)
        clock.advance(seconds=60)


class ForeignEntry(FakeStore):
    """A store whose index has an entry that is not a job."""

    def due(self, shard: str, now: datetime) -> Iterator[DueEntry]:
        if shard == "0":
            yield DueEntry(None, now - timedelta(hours=1))
        yield from super().due(shard, now)


def test_entry_that_is_not_a_job_does_not_delay_the_others(queue: FakeQueue, clock: FakeClock, lines: Lines) -> None:
    store = ForeignEntry()
    job = at_due_time(store, clock, new_job())
    sweep = make_sweeper(store=store, queue=queue, clock=clock).sweep(a_minute)
    assert queue.sent == [JobMessage.of(job)]
    assert (sweep.failures, sweep.oldest_due) == (1, timedelta(hours=1))
    (failure,) = (line for line in lines.events if line["message"] == "SWEEP_FAILED")
    assert (failure["asyncJobId"], failure["errorType"]) == (None, "Unreadable")


def test_moved_jobs_are_sent_even_if_the_table_fails_afterwards(queue: FakeQueue, clock: FakeClock) -> None:
    class FailingStore(FakeStore):
        def swap_if_unchanged(self, old: AsyncJob, new: AsyncJob, unchanged: Sequence[str] = FENCE) -> AsyncJob | Lost:
            if old.key == jobs[1].key:
                raise Unavailable("throttled")
            return super().swap_if_unchanged(old, new, unchanged)

    store = FailingStore()
    jobs = [new_job(async_job_id=f"job-{number}", now=NOW + timedelta(seconds=number)) for number in range(2)]
    for job in jobs:
        at_due_time(store, clock, job)
    with pytest.raises(Unavailable):
        make_sweeper(store=store, queue=queue, clock=clock).sweep(a_minute)
    assert queue.sent == [JobMessage.of(jobs[0])]


def test_sweep_stops_in_time(store: FakeStore, clock: FakeClock, sweeper: Sweeper) -> None:
    at_due_time(store, clock, new_job())
    assert sweeper.sweep(lambda: timedelta(seconds=4)).looked_at == 0


def test_oldest_due_age_is_logged(store: FakeStore, clock: FakeClock, sweeper: Sweeper, lines: Lines) -> None:
    at_due_time(store, clock, new_job())
    clock.advance(seconds=90)
    sweeper.sweep(a_minute)
    assert lines.events[-1]["oldestDueAgeMs"] == 90_000


def test_unavailable_table_ends_the_sweep(store: FakeStore, sweeper: Sweeper) -> None:
    store.failures.append(Unavailable("throttled"))
    with pytest.raises(Unavailable):
        sweeper.sweep(a_minute)


# ── Order ──────────────────────────────────────────────────────────────────────────────────────────


class NotingStore(FakeStore):
    """A store that notes the swapped jobs and the sizes of the batches that were read."""

    def __init__(self, *jobs: AsyncJob) -> None:
        super().__init__(jobs={job.key: job for job in jobs})
        self.swapped: list[str] = []
        self.read: list[int] = []

    def get_all(self, keys: Sequence[JobKey]) -> Mapping[JobKey, AsyncJob | Unreadable]:
        self.read.append(len(keys))
        return super().get_all(keys)

    def swap_if_unchanged(self, old: AsyncJob, new: AsyncJob, unchanged: Sequence[str] = FENCE) -> AsyncJob | Lost:
        self.swapped.append(old.async_job_id)
        return super().swap_if_unchanged(old, new, unchanged)


def waiting_jobs(count: int) -> list[AsyncJob]:
    return [new_job(async_job_id=f"waits-{number}", now=NOW - timedelta(minutes=5)) for number in range(count)]


def lost_job(part: DuePart = DuePart.NEW) -> AsyncJob:
    return running_job(async_job_id="lost", lease_until=NOW, due_at=NOW, due_part=part)


@pytest.mark.parametrize("part", [DuePart.NEW, DuePart.RUNNING])
@pytest.mark.parametrize("threads", [1, 4])
def test_lost_worker_is_found_before_the_first_write_to_a_waiting_job(
    queue: FakeQueue, clock: FakeClock, part: DuePart, threads: int
) -> None:
    store = NotingStore(*waiting_jobs(300), lost_job(part))
    clock.advance(seconds=1)
    sweep = make_sweeper(store=store, queue=queue, clock=clock, threads=threads).sweep(a_minute)
    assert store.swapped[0] == "lost"
    assert (sweep.looked_at, sweep.sent, len(set(store.swapped))) == (301, 301, 301)
    assert {message.key for message in queue.sent} == store.jobs.keys()


def test_lost_worker_is_found_by_a_sweep_that_has_no_time_for_the_waiting_jobs(queue: FakeQueue, clock: FakeClock) -> None:
    store = NotingStore(*waiting_jobs(300), lost_job())
    clock.advance(seconds=1)
    sweeper = make_sweeper(store=store, queue=queue, clock=clock)
    sweep = sweeper.sweep(lambda: timedelta(seconds=9 if store.swapped else 31))
    assert store.swapped == ["lost"] == [message.key.async_job_id for message in queue.sent]
    assert sweep.oldest_due == timedelta(minutes=4, seconds=1)


def test_jobs_that_waited_in_an_earlier_sweep_come_last(queue: FakeQueue, clock: FakeClock) -> None:
    first, second = waiting_jobs(1)[0], replace(new_job(), async_job_id="waits since this minute")
    store = NotingStore(first)
    make_sweeper(store=store, queue=queue, clock=clock).sweep(a_minute)
    assert store.jobs[first.key].due_part is DuePart.WAITING
    store.jobs[second.key] = second
    clock.advance(seconds=300)
    make_sweeper(store=store, queue=queue, clock=clock).sweep(a_minute)
    assert store.swapped == [first.async_job_id, second.async_job_id, first.async_job_id]


def test_due_jobs_are_read_in_batches_of_a_hundred(queue: FakeQueue, clock: FakeClock) -> None:
    jobs = [job for job in waiting_jobs(6000) if due_shard(job.async_job_id, DuePart.NEW) == "7"]
    assert len(jobs) > 200
    store = NotingStore(*jobs)
    make_sweeper(store=store, queue=queue, clock=clock).sweep(a_minute)
    assert store.read == [100] * (len(jobs) // 100) + [len(jobs) % 100]


def test_partition_that_fails_keeps_no_other_from_being_swept(queue: FakeQueue, clock: FakeClock) -> None:
    class ThrottledPartition(NotingStore):
        def due(self, shard: str, now: datetime) -> Iterator[DueEntry]:
            if shard == "3":
                raise Unavailable("throttled")
            yield from super().due(shard, now)

    jobs = waiting_jobs(100)
    store = ThrottledPartition(*jobs)
    with pytest.raises(Unavailable):
        make_sweeper(store=store, queue=queue, clock=clock).sweep(a_minute)
    reached = {job.async_job_id for job in jobs if due_shard(job.async_job_id, DuePart.NEW) != "3"}
    assert set(store.swapped) == {message.key.async_job_id for message in queue.sent} == reached
    assert 0 < len(reached) < 100


# ── Backed up queues ───────────────────────────────────────────────────────────────────────────────


def sweeps_that_send(store: FakeStore, queue: FakeQueue, clock: FakeClock, job: AsyncJob, *, sweeps: int) -> list[int]:
    """Sweep at each of the job's due times, and return which of these sweeps sent it."""
    at_due_time(store, clock, job)
    sent = []
    for number in range(sweeps):
        before = len(queue.sent)
        make_sweeper(store=store, queue=queue, clock=clock).sweep(a_minute)
        if len(queue.sent) > before:
            sent.append(number)
        at_due_time(store, clock, store.jobs[job.key])
    return sent


@pytest.mark.parametrize(("messages", "expected"), [(BACKED_UP - 8, list(range(8))), (BACKED_UP, [3, 7])])
def test_waiting_job_is_sent_by_each_fourth_sweep_while_its_queue_is_backed_up(
    store: FakeStore, queue: FakeQueue, clock: FakeClock, messages: int, expected: list[int]
) -> None:
    queue.add_waiting(messages)
    assert sweeps_that_send(store, queue, clock, new_job(), sweeps=8) == expected


def test_queue_of_another_priority_that_is_backed_up_keeps_no_job_back(
    store: FakeStore, queue: FakeQueue, clock: FakeClock
) -> None:
    queue.add_waiting(BACKED_UP, Priority.LOW)
    assert sweeps_that_send(store, queue, clock, new_job(), sweeps=2) == [0, 1]


@pytest.mark.parametrize(
    "job",
    [
        running_job(due_at=NOW + timedelta(minutes=2)),
        new_job().exclusively("1#cache"),
        new_job(delay=timedelta(hours=1)),
        new_job(job_type=DELIVERY),
    ],
    ids=["its worker is lost", "it waited for a lock", "it starts later than the queue can delay it", "it has another queue"],
)
def test_job_whose_message_cannot_be_in_the_queue_is_sent_to_a_backed_up_queue(
    store: FakeStore, queue: FakeQueue, clock: FakeClock, job: AsyncJob
) -> None:
    queue.add_waiting(BACKED_UP)
    assert sweeps_that_send(store, queue, clock, job, sweeps=1) == [0]


def test_queue_whose_length_is_unknown_is_not_backed_up(store: FakeStore, clock: FakeClock) -> None:
    class Mute(FakeQueue):
        def backlog(self, priority: Priority) -> int:
            raise Unavailable("throttled")

    assert sweeps_that_send(store, Mute(), clock, new_job(), sweeps=2) == [0, 1]


def test_sweep_reads_the_length_of_a_queue_once_and_only_for_waiting_jobs(
    store: FakeStore, queue: FakeQueue, clock: FakeClock
) -> None:
    store.jobs = {job.key: job for job in (*waiting_jobs(250), running_job(due_at=NOW))}
    make_sweeper(store=store, queue=queue, clock=clock).sweep(a_minute)
    assert queue.backlog_reads == 1
    clock.advance(seconds=SWEEP_INTERVAL.total_seconds() / 2)
    make_sweeper(store=store, queue=queue, clock=clock).sweep(a_minute)
    assert queue.backlog_reads == 1
