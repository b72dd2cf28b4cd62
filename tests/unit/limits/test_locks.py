# ruff: noqa: ARG001 - a job has both arguments
"""Locks of exclusive jobs: taking one, submitting while it is held, and waking the next job."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjobs.aws.items import lock_key
from asyncjobs.context import JobContext
from asyncjobs.core.errors import AnotherIsRunning, Unavailable, Unreadable
from asyncjobs.core.job import (
    FENCE,
    MAX_LOCK_BACKOFF,
    SWEEP_INTERVAL,
    WORKER_LOST,
    AsyncJob,
    JobKey,
    LockOwner,
    Priority,
    Result,
    Status,
)
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import Lost
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import Exclusive, job
from asyncjobs.limits.locks import Locks, _slots
from asyncjobs.service.commands import Commands
from asyncjobs.service.submit import Submission, SubmitRequest
from asyncjobs.worker.executor import TRY_LATER, Executor
from asyncjobs.worker.sweeper import Sweeper
from tests.support.factories import NOW, OWNER, job_types_of, new_job
from tests.support.fakes import FakeClock, FakeObjects, FakeQueue, FakeStore
from tests.support.owners import LONGEST, label, two_owners
from tests.support.parts import make_commands, make_executor, make_sweeper, run_attempt, run_claimed
from tests.unit.conftest import Lines

QUARTER_HOUR = timedelta(minutes=15)
KEY = "1#cache"


@job("lock.none")
def needs_none(input: dict[str, Any], context: JobContext) -> int:
    """Return."""
    return context.attempt


@job("lock.rejects", exclusive=Exclusive("cache"))
def rejects(input: dict[str, Any], context: JobContext) -> int:
    """Return."""
    return context.attempt


@job("lock.rejects_too", exclusive=Exclusive("cache"))
def rejects_too(input: dict[str, Any], context: JobContext) -> int:
    """Return."""
    return context.attempt


@job("lock.joins", exclusive=Exclusive("joined", policy="JOIN"))
def joins(input: dict[str, Any], context: JobContext) -> int:
    """Return."""
    return context.attempt


@job("lock.joins_too", exclusive=Exclusive("joined", policy="JOIN"))
def joins_too(input: dict[str, Any], context: JobContext) -> int:
    """Return."""
    return context.attempt


@job("lock.queues", exclusive=Exclusive("line", policy="QUEUE"))
def queues(input: dict[str, Any], context: JobContext) -> int:
    """Return."""
    return context.attempt


@job("lock.pairs", exclusive=Exclusive("pairs", policy="QUEUE", limit=2))
def pairs(input: dict[str, Any], context: JobContext) -> int:
    """Return."""
    return context.attempt


@dataclass
class RacingStore(FakeStore):
    """A store in which another writer comes first: before each write of a lock, the next of `rivals` runs."""

    rivals: list[Callable[[], object]] = field(default_factory=list)
    before_a_rollback: Callable[[AsyncJob], None] | None = None
    reads: int = 0

    def swap_if_unchanged(self, old: AsyncJob, new: AsyncJob, unchanged: Sequence[str] = FENCE) -> AsyncJob | Lost:
        if new.status is Status.CANCELLED and self.before_a_rollback is not None:
            self.before_a_rollback(old)
        return super().swap_if_unchanged(old, new, unchanged)

    def lock_if_unchanged(self, name: str, lock_owner: LockOwner, *, seen: LockOwner | None, until: datetime) -> bool:
        if self.rivals:
            self.rivals.pop(0)()
        return super().lock_if_unchanged(name, lock_owner, seen=seen, until=until)

    def lock_owner(self, name: str) -> LockOwner | None:
        self.reads += 1
        return super().lock_owner(name)


@pytest.fixture
def store() -> RacingStore:
    return RacingStore()


@pytest.fixture
def locks(store: FakeStore, queue: FakeQueue, clock: FakeClock) -> Locks:
    return Locks(store=store, queue=queue, clock=clock)


@pytest.fixture
def catalog() -> Catalog:
    """Return a catalog of this file's job types."""
    return Catalog(job_types_of(*globals().values()))


@pytest.fixture
def commands(store: FakeStore, queue: FakeQueue, objects: FakeObjects, clock: FakeClock, catalog: Catalog) -> Commands:
    return make_commands(store=store, queue=queue, objects=objects, catalog=catalog, clock=clock)


@pytest.fixture
def executor(store: FakeStore, queue: FakeQueue, objects: FakeObjects, clock: FakeClock, catalog: Catalog) -> Executor:
    return make_executor(store=store, queue=queue, objects=objects, catalog=catalog, clock=clock)


@pytest.fixture
def sweeper(store: FakeStore, queue: FakeQueue, clock: FakeClock) -> Sweeper:
    return make_sweeper(store=store, queue=queue, clock=clock)


def put(store: FakeStore, number: int, *, key: str = KEY, **changes: Any) -> AsyncJob:
    """Store an exclusive job that was submitted `number` seconds after the first."""
    job = new_job(async_job_id=f"00000000-0000-4000-8000-{number:012}", now=NOW + timedelta(seconds=number))
    job = replace(job.exclusively(key), **changes)
    store.jobs[job.key] = job
    return job


def stored(store: FakeStore, job: AsyncJob) -> AsyncJob:
    return store.jobs[job.key]


def take(locks: Locks, job: AsyncJob) -> AsyncJob | None:
    return locks.take(job.exclusive_key or "", LockOwner.of(job))


def submit(
    commands: Commands, name: str, *, owner: str = OWNER, value: Any = None, key: str | None = None, **asked: Any
) -> Submission:
    return commands.submit(owner, SubmitRequest(job_type=name, input=value or {}, **asked), idempotency_key=key)


def begin(executor: Executor, store: FakeStore, job: AsyncJob, *, by: str = "w") -> AsyncJob | timedelta | None:
    """Claim the job for a worker and leave it running."""
    return executor._claim(JobMessage.of(stored(store, job)), executor.plan(job.job_type), by, QUARTER_HOUR)


# ── Key ───────────────────────────────────────────────────────────────────────────────────────────


def test_lock_is_global_or_per_owner_or_per_input() -> None:
    def keys(scope: Any) -> int:
        lock = Exclusive("cache", scope=scope)
        return len({Locks.exclusive_key(lock, owner, value) for owner in ("alice", "bob") for value in (b"1", b"2")})

    assert (keys("GLOBAL"), keys("OWNER"), keys("INPUT")) == (1, 2, 4)


def test_other_owner_or_name_gives_another_lock() -> None:
    locks = [
        Locks.exclusive_key(Exclusive(name, scope=scope), owner, b"{}")
        for name in ("cache", "cache.a")
        for scope in ("GLOBAL", "OWNER", "INPUT")
        for owner in ("a", "cache", "cache.a")
    ]
    assert len(set(locks)) == 2 * (1 + 3 + 3)


SCOPES: Sequence[Any] = ("GLOBAL", "OWNER", "INPUT")


@settings(max_examples=200)
@given(two_owners(), st.sampled_from(SCOPES[1:]), st.sampled_from(SCOPES), st.sampled_from([b"1", b"2"]))
def test_no_two_owners_share_a_lock(owners: tuple[str, str], one_scope: Any, other_scope: Any, value: bytes) -> None:
    digest = hashlib.sha256(b"1").hexdigest()
    one = Locks.exclusive_key(Exclusive("cache", scope=one_scope, limit=10), owners[0], b"1")
    # The second owner has the digest of the first one's input in its name, and a slot's number.
    for owner in (owners[1], f"{owners[0]}#{digest}", f"{owners[0]}#0"):
        other = Locks.exclusive_key(Exclusive("cache", scope=other_scope, limit=10), owner, value)
        assert not set(_slots(one)) & set(_slots(other))


@pytest.mark.parametrize("owner", LONGEST, ids=label)
def test_lock_of_the_longest_owner_fits_into_a_key(owner: str) -> None:
    """DynamoDB allows 2,048 bytes."""
    key = Locks.exclusive_key(Exclusive("n" * 50, scope="INPUT", limit=10), owner, b"{}")
    assert all(len(lock_key(slot)["pk"]["S"].encode()) <= 2048 for slot in _slots(key))
    assert len(key.encode()) <= 2048  # the index waiting


def test_owner_of_an_earlier_release_keeps_its_locks() -> None:
    assert Locks.exclusive_key(Exclusive("cache", scope="OWNER"), "auth0|a b%23/c", b"{}") == "1#cache#auth0|a b%23/c"


# ── Take ───────────────────────────────────────────────────────────────────────────────────────────


def test_second_job_finds_the_lock_owner(store: FakeStore, locks: Locks) -> None:
    first, second = put(store, 1), put(store, 2)
    assert take(locks, first) is None
    assert take(locks, second) == first
    assert take(locks, first) is None


OVER: dict[str, Callable[[AsyncJob], AsyncJob | None]] = {
    "it completed": lambda job: job.claimed(by="w", now=NOW, lease_until=NOW).completed(now=NOW, result=Result(text="1")),
    "it failed": lambda job: job.claimed(by="w", now=NOW, lease_until=NOW).failed(now=NOW, error=WORKER_LOST),
    "it was cancelled": lambda job: job.cancelled(now=NOW),
    "it was retried": lambda job: job.cancelled(now=NOW).retried(
        max_attempts=1, timeout=timedelta(minutes=1), deadline=timedelta(hours=1), now=NOW
    ),
    "it expired": lambda job: replace(job, record_expires_at=NOW),
    "its record is gone": lambda _: None,
}


@pytest.mark.parametrize("how", OVER)
def test_lock_is_taken_from_an_ended_owner(how: str, store: FakeStore, locks: Locks) -> None:
    first, second = put(store, 0), put(store, 0, async_job_id="00000000-0000-4000-8000-000000000002")
    take(locks, first)
    after = OVER[how](first)
    if after is None:
        del store.jobs[first.key]
    else:
        store.jobs[first.key] = after
    assert take(locks, second) is None


@pytest.mark.parametrize(
    "change",
    [
        {"status": Status.IN_PROGRESS, "lease_until": NOW - timedelta(days=1)},
        {"not_before": NOW + timedelta(hours=1)},
        {"attempt": 3, "status": Status.IN_PROGRESS, "lease_until": NOW - timedelta(days=1)},
        {"deadline_at": NOW - timedelta(days=1)},
    ],
    ids=["lease ended", "waits for a retry", "last attempt lost", "deadline passed"],
)
def test_lock_is_never_taken_from_an_unfinished_owner(change: Any, store: FakeStore, locks: Locks) -> None:
    first, second = put(store, 1), put(store, 2)
    take(locks, first)
    store.jobs[first.key] = replace(first, **change)
    assert take(locks, second) == stored(store, first)


def test_one_of_two_that_see_the_same_ended_owner_gets_the_lock(store: RacingStore, locks: Locks) -> None:
    first, second, third = (put(store, number) for number in (1, 2, 3))
    take(locks, first)
    store.jobs[first.key] = first.cancelled(now=NOW)
    store.rivals = [lambda: take(locks, third)]
    assert take(locks, second) == third
    assert store.rivals == []


def test_concurrent_jobs_get_as_many_locks_as_the_limit(store: RacingStore, locks: Locks) -> None:
    for limit in (1, 2):
        jobs = [put(store, 10 * limit + number, key=f"{limit}#at.once.{limit}") for number in range(8)]
        barrier, taken = threading.Barrier(8), list[AsyncJob]()
        reads, together = store.reads, threading.Barrier(8)

        def race(job: AsyncJob, barrier: threading.Barrier = barrier, taken: list[AsyncJob] = taken) -> None:
            barrier.wait()
            if take(locks, job) is None:
                taken.append(job)

        # Every thread reads the free lock before the first one takes it.
        store.rivals = [together.wait] * 8
        threads = [threading.Thread(target=race, args=(job,)) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.reads - reads > 8 * limit, "no thread lost the race"
        assert len(taken) == limit


def test_lock_owner_keeps_its_slot_of_a_lock_for_two(store: FakeStore, locks: Locks) -> None:
    first, second, third = (put(store, number, key="2#pairs") for number in (1, 2, 3))
    assert [take(locks, job) for job in (first, second)] == [None, None]
    assert take(locks, third) in (first, second)
    store.jobs[first.key] = first.cancelled(now=NOW)
    # The first slot is free now; the owner of the second does not take it too.
    assert take(locks, second) is None
    assert take(locks, third) is None
    assert {owner.key for owner in store.locks.values()} == {second.key, third.key}


# ── Submit ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["lock.rejects", "lock.rejects_too"])
def test_submit_is_rejected_and_stores_nothing_while_the_lock_is_held(
    name: str, commands: Commands, store: FakeStore, queue: FakeQueue
) -> None:
    running = submit(commands, "lock.rejects").job
    writes = store.writes
    with pytest.raises(AnotherIsRunning) as refused:
        submit(commands, name, key="k")
    assert refused.value.async_job_id == running.async_job_id
    assert (list(store.jobs.values()), store.writes, queue.sent) == ([running], writes, [JobMessage.of(running)])


def test_rejection_does_not_name_another_owners_job(commands: Commands) -> None:
    submit(commands, "lock.rejects")
    with pytest.raises(AnotherIsRunning) as refused:
        submit(commands, "lock.rejects", owner="bob")
    assert refused.value.async_job_id is None


def test_rejection_keeps_the_idempotency_key_free(commands: Commands) -> None:
    running = submit(commands, "lock.rejects", key="first").job
    for _ in range(2):
        with pytest.raises(AnotherIsRunning):
            submit(commands, "lock.rejects", key="second")
    # A replay returns the accepted job although the lock is held: by the job itself.
    again = submit(commands, "lock.rejects", key="first")
    assert (again.job, again.replayed) == (running, True)
    commands.cancel(OWNER, running.async_job_id)
    assert not submit(commands, "lock.rejects", key="second").replayed
    # The same holds after another job taken the lock.
    assert submit(commands, "lock.rejects", key="first").job.async_job_id == running.async_job_id


def test_submit_joins_the_owners_running_job_of_the_same_type(commands: Commands, store: FakeStore) -> None:
    running = submit(commands, "lock.joins").job
    joined = submit(commands, "lock.joins", key="k")
    assert (joined.job, joined.replayed) == (running, True)
    assert list(store.jobs) == [running.key]
    with pytest.raises(AnotherIsRunning):
        submit(commands, "lock.joins_too")
    with pytest.raises(AnotherIsRunning):
        submit(commands, "lock.joins", owner="bob")


def test_queued_job_is_accepted_without_reading_the_lock(commands: Commands, store: RacingStore, queue: FakeQueue) -> None:
    jobs = [submit(commands, "lock.queues").job for _ in range(3)]
    assert (store.locks, store.reads, store.writes) == ({}, 0, 3)
    assert [message.exclusive_key for message in queue.sent] == ["1#line"] * 3
    assert all(job.status is Status.PENDING for job in jobs)


def test_delayed_job_is_accepted_and_takes_the_lock_when_it_starts(commands: Commands) -> None:
    submit(commands, "lock.rejects")
    later = submit(commands, "lock.rejects", delay=timedelta(hours=1)).job
    assert later.waits_since == NOW + timedelta(hours=1)


def test_slower_submit_rolls_its_job_back(
    commands: Commands, store: RacingStore, locks: Locks, queue: FakeQueue, clock: FakeClock
) -> None:
    rival = put(store, 1)
    store.rivals = [lambda: take(locks, rival)]
    with pytest.raises(AnotherIsRunning) as refused:
        submit(commands, "lock.rejects", key="k")
    assert store.rivals == []
    assert refused.value.async_job_id == rival.async_job_id
    [rolled_back] = [job for key, job in store.jobs.items() if key != rival.key]
    assert (rolled_back.status, rolled_back.error and rolled_back.error.code) == (Status.CANCELLED, "JOB_CREATION_FAILED")
    assert (rolled_back.due_at, rolled_back.waits_since, queue.sent) == (None, None, [])
    # A concurrent caller with the same key received the job and can read its end. Afterwards the key is free.
    assert commands.cancel(OWNER, rolled_back.async_job_id) == rolled_back
    clock.advance(seconds=62)
    store.jobs[rival.key] = rival.cancelled(now=clock.now)
    assert not submit(commands, "lock.rejects", key="k").replayed


@pytest.mark.parametrize("is_free", [False, True], ids=["held", "free"])
def test_rolled_back_submit_is_never_replayed(
    is_free: bool, commands: Commands, store: RacingStore, locks: Locks, clock: FakeClock
) -> None:
    rival = put(store, 1)
    store.rivals = [lambda: take(locks, rival)]
    with pytest.raises(AnotherIsRunning):
        submit(commands, "lock.rejects", key="k")
    clock.advance(seconds=10)
    if is_free:
        store.jobs[rival.key] = rival.cancelled(now=clock.now)
    with pytest.raises(AnotherIsRunning) as refused:
        submit(commands, "lock.rejects", key="k")
    assert timedelta(0) < refused.value.retry_after <= timedelta(minutes=1)
    clock.advance(seconds=refused.value.retry_after.total_seconds() if is_free else 60)
    store.jobs[rival.key] = rival.cancelled(now=clock.now)
    assert not submit(commands, "lock.rejects", key="k").replayed


def test_slower_submit_wakes_the_next_waiting_job(
    commands: Commands, store: RacingStore, locks: Locks, queue: FakeQueue
) -> None:
    rival, next_job = put(store, -2), put(store, -1)
    store.rivals = [lambda: take(locks, rival)]
    store.jobs[rival.key] = rival.claimed(by="w", now=NOW, lease_until=NOW + timedelta(minutes=1))
    with pytest.raises(AnotherIsRunning):
        submit(commands, "lock.rejects")
    assert queue.sent == [JobMessage.of(next_job)]


def test_slower_submit_joins_the_faster_one(commands: Commands, store: RacingStore, locks: Locks) -> None:
    rival = put(store, 1, key="1#joined", job_type="lock.joins")
    store.rivals = [lambda: take(locks, rival)]
    assert submit(commands, "lock.joins").job == rival


def test_job_that_started_before_its_rollback_is_accepted(
    commands: Commands, store: RacingStore, locks: Locks, executor: Executor
) -> None:
    # The submit pauses after it read the lock owner. The owner ends, and the sweeper starts the new job.
    rival = put(store, 1)
    begun: list[object] = []

    def start_the_new_job(old: AsyncJob) -> None:
        store.jobs[rival.key] = rival.cancelled(now=NOW)
        begun.append(begin(executor, store, old))

    store.rivals = [lambda: take(locks, rival)]
    store.before_a_rollback = start_the_new_job
    job = submit(commands, "lock.rejects").job
    assert isinstance(begun[0], AsyncJob)
    assert stored(store, job).status is Status.IN_PROGRESS


def test_submit_that_died_before_the_lock_blocks_no_job_and_its_own_runs(
    commands: Commands, store: RacingStore, executor: Executor, queue: FakeQueue
) -> None:
    def die() -> None:
        raise KeyboardInterrupt

    store.rivals = [die]
    with pytest.raises(KeyboardInterrupt):
        submit(commands, "lock.rejects")
    assert store.locks == {}
    other = submit(commands, "lock.rejects").job
    [orphan] = [job for job in store.jobs.values() if job.key != other.key]
    commands.cancel(OWNER, other.async_job_id)
    assert queue.sent[-1] == JobMessage.of(orphan)
    assert isinstance(begin(executor, store, orphan), AsyncJob)


def test_submit_with_an_unavailable_lock_accepts_the_job(commands: Commands, store: RacingStore, queue: FakeQueue) -> None:
    def fail() -> None:
        raise Unavailable("throttled")

    store.rivals = [fail]
    job = submit(commands, "lock.rejects").job
    assert (job.status, queue.sent) == (Status.PENDING, [JobMessage.of(job)])


def test_job_without_a_lock_costs_nothing_extra(commands: Commands, store: RacingStore, queue: FakeQueue) -> None:
    job = submit(commands, "lock.none").job
    assert (store.writes, store.reads, job.exclusive_key, job.waits_since) == (1, 0, None, None)
    assert "exclusiveKey" not in queue.sent[0].to_body()


# ── Run ────────────────────────────────────────────────────────────────────────────────────────────


def test_exclusive_job_runs_with_its_lock_and_its_end_wakes_the_longest_waiting_one(
    commands: Commands, store: FakeStore, queue: FakeQueue, executor: Executor, clock: FakeClock
) -> None:
    jobs = []
    for _ in range(3):
        jobs.append(submit(commands, "lock.queues").job)
        clock.advance(seconds=1)
    queue.sent.clear()
    claim = begin(executor, store, jobs[0])
    assert isinstance(claim, AsyncJob)
    # The message is acknowledged and no attempt is counted.
    assert [begin(executor, store, job) for job in jobs[1:]] == [None, None]
    assert [stored(store, job).attempt for job in jobs] == [1, 0, 0]
    run_claimed(executor, claim)
    assert stored(store, jobs[0]).is_finished
    assert queue.sent == [JobMessage.of(jobs[1])]


def test_woken_job_is_sent_to_its_own_queue(store: FakeStore, queue: FakeQueue, executor: Executor, clock: FakeClock) -> None:
    first, *_ = (
        put(store, number, job_type="lock.pairs", key="2#pairs", priority=priority) for number, priority in enumerate(Priority)
    )
    clock.advance(seconds=3)
    claim = begin(executor, store, first)
    assert isinstance(claim, AsyncJob)
    run_claimed(executor, claim)
    assert [message.priority for message in queue.sent] == [Priority.STANDARD, Priority.LOW]


def test_as_many_jobs_are_woken_as_may_run(commands: Commands, store: FakeStore, queue: FakeQueue, executor: Executor) -> None:
    jobs = [submit(commands, "lock.pairs").job for _ in range(5)]
    begun = [begin(executor, store, job) for job in jobs]
    assert [isinstance(claim, AsyncJob) for claim in begun] == [True, True, False, False, False]
    queue.sent.clear()
    assert isinstance(begun[0], AsyncJob)
    run_claimed(executor, begun[0])
    assert len(queue.sent) == 2


def test_two_woken_jobs_do_not_run_together(commands: Commands, store: FakeStore, executor: Executor) -> None:
    first, second = (submit(commands, "lock.queues").job for _ in range(2))
    claims = [begin(executor, store, job, by=f"w{n}") for n, job in enumerate((first, second, second, first))]
    assert [isinstance(claim, AsyncJob) for claim in claims] == [True, False, False, False]


def test_job_that_waits_for_its_retry_keeps_the_lock(store: FakeStore, executor: Executor) -> None:
    first, second = (
        put(store, 0, async_job_id=f"00000000-0000-4000-8000-00000000000{n}", job_type="lock.rejects") for n in "12"
    )
    claim = begin(executor, store, first)
    assert isinstance(claim, AsyncJob)
    store.jobs[first.key] = claim.released(now=NOW, error=WORKER_LOST, after=timedelta(minutes=5))
    assert begin(executor, store, second) is None


def test_message_returns_while_the_lock_is_unavailable(commands: Commands, store: FakeStore, executor: Executor) -> None:
    job = submit(commands, "lock.queues").job
    store.failures.append(Unavailable("throttled"))
    assert begin(executor, store, job) == TRY_LATER
    assert stored(store, job).attempt == 0


def test_worker_that_died_between_lock_and_claim_is_followed_by_another(
    commands: Commands, store: FakeStore, executor: Executor, locks: Locks
) -> None:
    job, other = (submit(commands, "lock.queues").job for _ in range(2))
    take(locks, job)
    assert begin(executor, store, other) is None
    assert isinstance(begin(executor, store, job), AsyncJob)


def test_message_of_an_ended_job_blocks_no_other_job(commands: Commands, store: FakeStore, executor: Executor) -> None:
    over, next_one = (submit(commands, "lock.queues").job for _ in range(2))
    message = JobMessage.of(over)
    commands.cancel(OWNER, over.async_job_id)
    assert executor._claim(message, executor.plan(message.job_type), "w", QUARTER_HOUR) is None
    assert isinstance(begin(executor, store, next_one), AsyncJob)


# ── Wake ───────────────────────────────────────────────────────────────────────────────────────────


def test_cancel_wakes_the_next_job(commands: Commands, store: FakeStore, queue: FakeQueue, executor: Executor) -> None:
    first, second = (submit(commands, "lock.queues").job for _ in range(2))
    begin(executor, store, first)
    queue.sent.clear()
    commands.cancel(OWNER, first.async_job_id)
    assert queue.sent == [JobMessage.of(second)]


def test_sweeper_wakes_the_next_job_after_a_lost_owner(
    store: FakeStore, queue: FakeQueue, executor: Executor, sweeper: Sweeper, clock: FakeClock
) -> None:
    lost, next_job = (put(store, number, max_attempts=1, job_type="lock.rejects") for number in (0, 1))
    assert isinstance(begin(executor, store, lost), AsyncJob)
    clock.advance(seconds=100)
    store.jobs[next_job.key] = replace(next_job, due_at=clock.now + timedelta(seconds=1))
    sweeper.sweep(lambda: timedelta(minutes=1))
    assert stored(store, lost).status is Status.FAILED
    assert queue.sent == [JobMessage.of(next_job)]


def test_sweeper_soon_sends_a_job_that_could_not_be_woken(
    commands: Commands, store: FakeStore, queue: FakeQueue, executor: Executor, sweeper: Sweeper, clock: FakeClock, lines: Lines
) -> None:
    running, next_job = (submit(commands, "lock.queues").job for _ in range(2))
    begin(executor, store, running)
    queue.is_down = True
    commands.cancel(OWNER, running.async_job_id)
    assert "WAKE_DEFERRED" in lines.names()
    queue.is_down = False
    queue.sent.clear()
    clock.advance(seconds=SWEEP_INTERVAL.total_seconds())
    sweeper.sweep(lambda: timedelta(minutes=1))
    assert queue.sent == [JobMessage.of(next_job)]
    for _ in range(9):
        due_at = stored(store, next_job).due_at
        assert due_at is not None
        assert due_at - clock.now <= MAX_LOCK_BACKOFF
        clock.now = due_at
        sweeper.sweep(lambda: timedelta(minutes=1))


@pytest.mark.parametrize(("name", "most_messages"), [("lock.queues", 49), ("lock.pairs", 2 * 50)])
def test_fifty_waiting_jobs_run_in_one_chain_of_messages_and_each_message_follows_an_ended_job(
    name: str, most_messages: int, commands: Commands, store: FakeStore, queue: FakeQueue, executor: Executor, clock: FakeClock
) -> None:
    jobs = []
    for _ in range(50):
        jobs.append(submit(commands, name).job)
        clock.advance(seconds=1)
    first, *_ = [begin(executor, store, job) for job in jobs]  # the others find the lock taken, and their messages are used up
    queue.sent.clear()
    assert isinstance(first, AsyncJob)
    run_claimed(executor, first)
    hops = [1] * len(queue.sent)
    for message, hop in zip(queue.sent, hops, strict=False):  # both grow
        run_attempt(executor, message)
        hops += [hop + 1] * (len(queue.sent) - len(hops))
    ended = [job for job in jobs if stored(store, job).status is Status.COMPLETED]
    assert len(ended) >= 49  # of a pair, the second lock is held by a job that this test leaves running
    assert 16 < max(hops) <= len(queue.sent) <= most_messages


def test_failed_wake_keeps_the_recorded_end(commands: Commands, store: FakeStore, executor: Executor, lines: Lines) -> None:
    running = submit(commands, "lock.queues").job
    claim = begin(executor, store, running)
    assert isinstance(claim, AsyncJob)
    waiting = store.waiting

    def fail(*_: Any, **__: Any) -> Any:
        raise Unavailable("throttled")

    store.waiting = fail  # type: ignore[method-assign]  # only this call fails
    run_claimed(executor, claim)
    store.waiting = waiting  # type: ignore[method-assign]
    assert stored(store, running).status is Status.COMPLETED
    assert lines.names()[-1] == "WAKE_DEFERRED"


def test_unreadable_waiting_job_keeps_the_recorded_end(
    commands: Commands, store: FakeStore, executor: Executor, lines: Lines
) -> None:
    running, waiting = submit(commands, "lock.queues").job, submit(commands, "lock.queues").job
    claim = begin(executor, store, running)
    assert isinstance(claim, AsyncJob)
    get = store.get

    def read(key: JobKey) -> AsyncJob | None:
        if key == waiting.key:
            raise Unreadable("of a newer release")
        return get(key)

    store.get = read  # type: ignore[method-assign]  # only this record cannot be read
    run_claimed(executor, claim)
    store.get = get  # type: ignore[method-assign]
    assert stored(store, running).status is Status.COMPLETED
    assert lines.names()[-1] == "WAKE_DEFERRED"


def test_lagging_index_wakes_the_next_claimable_job(store: FakeStore, queue: FakeQueue, locks: Locks) -> None:
    gone, begun, ended, next_job = (put(store, -4 + number) for number in range(4))
    keys = [job.key for job in (gone, begun, ended, next_job)]
    del store.jobs[gone.key]
    store.jobs[begun.key] = begun.claimed(by="w", now=NOW, lease_until=NOW + timedelta(minutes=1))
    store.jobs[ended.key] = ended.cancelled(now=NOW)

    def lagging(*_: Any, at_most: int, **__: Any) -> list[JobKey]:
        return keys[:at_most]

    store.waiting = lagging  # type: ignore[method-assign]
    locks.wake(ended)
    assert queue.sent == [JobMessage.of(next_job)]


def test_retried_job_waits_for_its_lock_behind_the_others(
    commands: Commands, store: FakeStore, executor: Executor, clock: FakeClock
) -> None:
    first, second = (submit(commands, "lock.queues").job for _ in range(2))
    commands.cancel(OWNER, first.async_job_id)
    clock.advance(seconds=5)
    retried, _ = commands.retry(OWNER, first.async_job_id)
    assert (retried.exclusive_key, retried.waits_since) == ("1#line", clock.now)
    assert list(store.waiting("1#line", clock.now, at_most=9)) == [second.key, first.key]
    # The lock names the earlier generation, which is over.
    assert isinstance(begin(executor, store, retried), AsyncJob)


# ── Messages that lie ──────────────────────────────────────────────────────────────────────────────


def test_message_without_its_lock_runs_nothing_beside_the_lock_owner(
    store: FakeStore, executor: Executor, lines: Lines
) -> None:
    running, waiting = two_jobs(store, "lock.rejects", KEY)
    run_claim = store.claim_if_claimable(JobMessage.of(running), by="w", now=NOW, lease_until=NOW + QUARTER_HOUR)
    assert isinstance(run_claim, AsyncJob)
    lie = replace(JobMessage.of(waiting), exclusive_key=None)
    assert run_attempt(executor, lie) is None
    assert store.jobs[waiting.key] == waiting
    assert (lines.names()[-1], lines.events[-1]["status"]) == ("DELIVERY_IGNORED", None)


def test_message_of_another_type_sets_no_lease(store: FakeStore, executor: Executor) -> None:
    waiting, _ = two_jobs(store, "lock.none", None)
    assert run_attempt(executor, replace(JobMessage.of(waiting), job_type="lock.rejects")) is None
    assert store.jobs[waiting.key] == waiting


@pytest.mark.parametrize("named", [None, "1#other", "1#cache#alice"])
def test_lock_that_names_a_job_of_no_such_lock_is_free(
    store: FakeStore, locks: Locks, executor: Executor, named: str | None
) -> None:
    other, needs = two_jobs(store, "lock.none", named)[0], two_jobs(store, "lock.rejects", KEY)[1]
    # A message says that the other job runs under the lock: the lock then names it, but its record does not name the lock.
    run_attempt(executor, replace(JobMessage.of(other), exclusive_key=KEY))
    assert store.locks["cache#0"] == LockOwner.of(other)
    assert locks.take(KEY, LockOwner.of(needs)) is None


def two_jobs(store: FakeStore, job_type: str, exclusive_key: str | None) -> list[AsyncJob]:
    jobs = [new_job(async_job_id=f"{job_type}-{number}", job_type=job_type) for number in range(2)]
    jobs = jobs if exclusive_key is None else [each.exclusively(exclusive_key) for each in jobs]
    store.jobs |= {each.key: each for each in jobs}
    return jobs
