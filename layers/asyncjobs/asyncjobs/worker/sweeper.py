"""The sweeper handles every due unfinished job: it sends it, takes it over, or ends it. It runs each minute, and may overlap.

It is the reason why no job is lost. A job is in the due index from the write that creates it to the write that ends it. So
when a message, a worker or a sweeper is lost, the next sweep finds the job.

A sweep reads a hundred jobs with one call, but writes to each with one. So it first reads all jobs that may have lost their
worker, and writes only to those that have. Then it handles the jobs that wait, as many as it has time for.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import TypeVar

from asyncjobs.core.clock import Clock, epoch_milliseconds
from asyncjobs.core.errors import Unavailable, Unreadable
from asyncjobs.core.job import (
    FENCE,
    FENCE_AND_DUE,
    FENCE_AND_LEASE,
    AsyncJob,
    DuePart,
    JobKey,
    Priority,
    Status,
    due_shards,
)
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import DueEntry, Lost, Queue, Store
from asyncjobs.limits.backlog import Backlog
from asyncjobs.limits.locks import Locks
from asyncjobs.log import log_event

_T = TypeVar("_T")

THREADS = 8
"""The calls of one sweep at the same time. A client keeps ten connections open."""
BACKED_UP = 1000
"""From this number of messages on, a queue most probably has those of all jobs that wait: more would only cost its workers time."""
_SEND_ANYWAY = 4
"""Each fourth sweep of a job sends it also to such a queue, since its message may be lost all the same."""

_BATCH = 10
_PAGE = 100
_MOST_KEPT = 50_000
"""The waiting jobs that a sweep keeps in memory, about 5 KB each: it has not the time to write to more."""
_TO_SEND = timedelta(seconds=10)
"""The time for the last messages: a queue that does not answer takes about 8 s. With more such queues, jobs are late, not lost."""
_TO_HANDLE_WAITING = timedelta(seconds=30)
"""The time that the search for lost workers leaves for the jobs that wait."""


@dataclass(slots=True)
class Sweep:
    """The counts of one sweep."""

    looked_at: int = 0
    sent: int = 0
    ended: int = 0
    failures: int = 0
    oldest_due: timedelta = field(default=timedelta(0))

    def add(self, other: Sweep) -> None:
        """Add the counts of a part of the sweep."""
        self.looked_at += other.looked_at
        self.sent += other.sent
        self.ended += other.ended
        self.failures += other.failures
        self.oldest_due = max(self.oldest_due, other.oldest_due)


class Sweeper:
    """Sweeps the due index."""

    def __init__(self, *, store: Store, queue: Queue, locks: Locks, clock: Clock, threads: int = 1) -> None:
        """`threads` is the number of calls that are made at the same time. With one, the caller's thread makes them."""
        self._store = store
        self._queue = queue
        self._locks = locks
        self._clock = clock
        self._threads = threads

    def sweep(self, remaining: Callable[[], timedelta]) -> Sweep:
        """Handle all due jobs, until there are no more or only a few seconds remain.

        Raises `Unavailable` when the table does not answer: the next minute's sweep finds the jobs that this one did not reach.
        """
        run = _Run(self._store, self._queue, self._locks, self._clock, remaining)
        running, new, waiting = (run.rotated(due_shards(part)) for part in DuePart)
        failures = [
            *self._side_by_side([*_each(run.handle_all, running), *_each(run.handle_lost, new)]),
            # After all of these: the jobs that wait are many, and each costs a write.
            *self._side_by_side([*_each(run.handle_kept, _pages(run.kept())), *_each(run.handle_all, waiting)]),
        ]
        if failures:
            raise failures[0]
        sweep = run.counts
        log_event(
            "SWEPT",
            lookedAt=sweep.looked_at,
            sent=sweep.sent,
            ended=sweep.ended,
            sweepFailures=sweep.failures,
            oldestDueAgeMs=sweep.oldest_due // timedelta(milliseconds=1),
        )
        return sweep

    def _side_by_side(self, steps: Sequence[Callable[[], None]]) -> Sequence[Exception]:
        """Make the steps. A partition that fails must not keep the sweeper from the others: returns the failures."""

        def failure(step: Callable[[], None]) -> Exception | None:
            try:
                step()
            except Exception as error:  # noqa: BLE001 - see above
                return error
            return None

        if self._threads == 1:
            failures = [failure(step) for step in steps]
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                failures = list(pool.map(failure, steps))
        return [error for error in failures if error is not None]


class _Run:
    """One sweep. Each of its steps handles a part of the due jobs; several may run at the same time."""

    def __init__(self, store: Store, queue: Queue, locks: Locks, clock: Clock, remaining: Callable[[], timedelta]) -> None:
        self._store = store
        self._queue = queue
        self._locks = locks
        self._clock = clock
        self._remaining = remaining
        self._began = clock()
        self._backlog = Backlog(queue, clock)
        self._backed_up: dict[Priority, bool] = {}
        self._kept: list[_Due] = []
        self._one_by_one = threading.Lock()
        self.counts = Sweep()

    def rotated(self, shards: Sequence[str]) -> Sequence[str]:
        """Begin each minute with another partition, so that a sweep that runs out of time never skips the same one again."""
        first = epoch_milliseconds(self._began) // 60_000 % len(shards)
        return [*shards[first:], *shards[:first]]

    def handle_all(self, shard: str) -> None:
        """Handle the due jobs of a partition, oldest first."""
        for page in self._read(shard, until=_TO_SEND):
            self._handle(page)

    def handle_lost(self, shard: str) -> None:
        """Handle the due jobs of a partition, oldest first, and keep those that wait for later."""
        for page in self._read(shard, until=_TO_HANDLE_WAITING):
            self._handle([due for due in page if not self._keeps(due)])

    def kept(self) -> Sequence[_Due]:
        """Return the jobs that were kept for later, oldest first."""
        return sorted(self._kept, key=lambda due: due.since)

    def handle_kept(self, page: Sequence[_Due]) -> None:
        """Handle jobs that were read some seconds ago. If another write has changed one since, the sweep's write fails."""
        if self._remaining() >= _TO_SEND:
            self._handle(page)

    # ── Read ───────────────────────────────────────────────────────────────────────────────────────

    def _read(self, shard: str, *, until: timedelta) -> Iterator[Sequence[_Due]]:
        due = iter(self._store.due(shard, self._began))
        while self._remaining() >= until and (entries := list(islice(due, _PAGE))):
            jobs = self._store.get_all([entry.key for entry in entries if entry.key is not None])
            page = [_Due.of(entry, jobs) for entry in entries]
            now = self._clock()
            page = [due for due in page if due.is_due(now)]
            self._count(Sweep(oldest_due=max((now - due.since for due in page), default=timedelta(0))))
            yield page

    def _keeps(self, due: _Due) -> bool:
        """Keep a job that waits; it may be left to the next sweep, if this one has enough of them."""
        job = due.job
        if not isinstance(job, AsyncJob) or job.status is not Status.PENDING or job.ended_by_time(self._clock()) is not None:
            return False
        if len(self._kept) < _MOST_KEPT:
            self._kept.append(due)
        return True

    # ── Handle ─────────────────────────────────────────────────────────────────────────────────────

    def _handle(self, page: Sequence[_Due]) -> None:
        sweep, to_send = Sweep(), defaultdict[str, list[JobMessage]](list)
        try:
            for due in page:
                for message in self._isolated(due, sweep):
                    # Batches are per queue, so a batch that one queue refuses has no message of another queue.
                    to_send[message.queue].append(message)
        finally:
            # Their due times have moved already, so no other sweep would send them soon.
            for messages in to_send.values():
                self._send(messages, sweep)
            self._count(sweep)

    def _isolated(self, due: _Due, sweep: Sweep) -> Sequence[JobMessage]:
        """Handle the job. A job that cannot be read must not keep the sweeper from the later ones.

        Such a job stays in the index, and its age counts, so that a failure looks like no idle sweep.
        """
        try:
            if isinstance(due.job, Unreadable):
                raise due.job  # noqa: TRY301 - a failure like the others
            message = self._look_after(due.job, sweep) if due.job is not None else None
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - see above
            sweep.failures += 1
            log_event("SWEEP_FAILED", asyncJobId=due.key.async_job_id if due.key else None, exception=error)
            return ()
        return () if message is None else (message,)

    def _look_after(self, job: AsyncJob, sweep: Sweep) -> JobMessage | None:
        """Decide, and write once. Returns the message to send if the job may run now."""
        sweep.looked_at += 1
        now = self._clock()
        ended = job.ended_by_time(now)
        if ended is not None:
            # A heartbeat in between shows that the worker lives; after its deadline the job ends regardless.
            guard = FENCE if job.deadline_at <= now else FENCE_AND_LEASE
            if isinstance(self._store.swap_if_unchanged(job, ended, guard), AsyncJob):
                sweep.ended += 1
                log_event("JOB_FAILED", ended, errorCode=ended.error and ended.error.code)
                self._locks.wake(ended)
            return None
        # Two sweepers may read the same job; only the one that moves its due time sends it.
        if isinstance(self._store.swap_if_unchanged(job, job.rescheduled(now), FENCE_AND_DUE), Lost):
            return None
        return JobMessage.of(job) if job.is_claimable(now) and not self._is_still_queued(job) else None

    def _is_still_queued(self, job: AsyncJob) -> bool:
        """Return whether the job's message is most probably still in its queue, since the queue is backed up."""
        # A worker has consumed the message of a job that it began, of one that waits for a lock, and of a delivery that waits for
        # its next try.
        has_message = job.status is Status.PENDING and job.waits_since is None and not job.is_first_sent_by_sweep
        if job.is_delivery:
            return False
        return has_message and (job.sweeps + 1) % _SEND_ANYWAY != 0 and self._is_backed_up(job.priority)

    def _is_backed_up(self, priority: Priority) -> bool:
        """Return what the queue's length was when this sweep first needed it: its own messages do not count."""
        with self._one_by_one:
            if priority not in self._backed_up:
                self._backed_up[priority] = (self._backlog.waiting(priority) or 0) >= BACKED_UP
            return self._backed_up[priority]

    def _send(self, messages: Sequence[JobMessage], sweep: Sweep) -> None:
        """Send messages. A message that the queue refuses is late, not lost: its job is in the index, with a later due time."""
        for batch in _pages(messages, _BATCH):
            try:
                refused = self._queue.send_all(batch)
            except Unavailable:
                refused = batch
            sweep.sent += len(batch) - len(refused)
            if refused:
                log_event("SEND_DEFERRED", count=len(refused))

    def _count(self, part: Sweep) -> None:
        with self._one_by_one:
            self.counts.add(part)


@dataclass(frozen=True, slots=True)
class _Due:
    """A due job, or why it cannot be read; None if it does not exist any more."""

    key: JobKey | None
    at: datetime
    job: AsyncJob | Unreadable | None

    @classmethod
    def of(cls, entry: DueEntry, jobs: Mapping[JobKey, AsyncJob | Unreadable]) -> _Due:
        if entry.key is None:
            return cls(None, entry.due_at, Unreadable("An entry of the due index that is not a job's."))
        return cls(entry.key, entry.due_at, jobs.get(entry.key))

    @property
    def since(self) -> datetime:
        """When the job was due. Of one that cannot be read, only the index has the time."""
        return self.job.due_at or self.at if isinstance(self.job, AsyncJob) else self.at

    def is_due(self, now: datetime) -> bool:
        """Return whether the job is due in the table, too: another sweep may have handled it, or it has ended."""
        if isinstance(self.job, AsyncJob):
            return self.job.due_at is not None and self.job.due_at <= now
        return self.job is not None


def _each(step: Callable[[_T], None], parts: Iterable[_T]) -> Iterator[Callable[[], None]]:
    return (partial(step, part) for part in parts)


def _pages(items: Iterable[_T], size: int = _PAGE) -> Iterator[Sequence[_T]]:
    rest = iter(items)
    while page := list(islice(rest, size)):
        yield page
