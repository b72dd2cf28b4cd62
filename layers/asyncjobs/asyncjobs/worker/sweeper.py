"""The sweeper handles every due unfinished job: it sends it, takes it over, or ends it. It runs each minute, and may overlap.

It is the reason why no job is lost. A job is in the due index from the write that creates it to the write that ends it. So
when a message, a worker or a sweeper is lost, the next sweep finds the job.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import Unavailable, Unreadable
from asyncjobs.core.job import FENCE, FENCE_AND_DUE, FENCE_AND_LEASE, JobKey, Priority
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import DueEntry, Queue, Store
from asyncjobs.limits.locks import Locks
from asyncjobs.log import log_event

_BATCH = 10
_TO_SEND = timedelta(seconds=10)
"""The time for the last messages: a queue that does not answer takes about 8 s. With more such queues, jobs are late, not lost."""


@dataclass(slots=True)
class Sweep:
    """The counts of one sweep."""

    looked_at: int = 0
    sent: int = 0
    ended: int = 0
    failures: int = 0
    oldest_due: timedelta = field(default=timedelta(0))


class Sweeper:
    """Sweeps the due index."""

    def __init__(self, *, store: Store, queue: Queue, locks: Locks, clock: Clock) -> None:
        self._store = store
        self._queue = queue
        self._locks = locks
        self._clock = clock

    def sweep(self, remaining: Callable[[], timedelta]) -> Sweep:
        """Handle all due jobs, until there are no more or only a few seconds remain.

        Raises `Unavailable` when the table does not answer: the next minute's sweep continues where this one stopped.
        """
        sweep, to_send = Sweep(), defaultdict[Priority, list[JobMessage]](list)
        try:
            for entry in self._store.due(self._clock()):
                if remaining() < _TO_SEND:
                    break
                for message in self._isolated(entry, sweep):
                    # Batches are per queue, so a batch that one queue refuses has no message of another queue.
                    batch = to_send[message.priority]
                    batch.append(message)
                    if len(batch) == _BATCH:
                        self._send(to_send.pop(message.priority), sweep)
        finally:
            # Their due times have moved already, so no other sweep would send them soon.
            for messages in to_send.values():
                self._send(messages, sweep)
        log_event(
            "SWEPT",
            lookedAt=sweep.looked_at,
            sent=sweep.sent,
            ended=sweep.ended,
            sweepFailures=sweep.failures,
            oldestDueAgeMs=sweep.oldest_due // timedelta(milliseconds=1),
        )
        return sweep

    def _isolated(self, entry: DueEntry, sweep: Sweep) -> Sequence[JobMessage]:
        """Handle the entry's job. A job that cannot be read must not keep the sweeper from the later ones.

        Such a job stays in the index. Its age counts, so that a failure looks like no idle sweep.
        """
        try:
            if entry.key is None:
                raise Unreadable("An entry of the due index that is not a job's.")  # noqa: TRY301 - a failure like the others
            message = self._look_after(entry.key, sweep)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - see above
            sweep.failures += 1
            sweep.oldest_due = max(sweep.oldest_due, self._clock() - entry.due_at)
            log_event("SWEEP_FAILED", asyncJobId=entry.key.async_job_id if entry.key else None, exception=error)
            return ()
        return () if message is None else (message,)

    def _look_after(self, key: JobKey, sweep: Sweep) -> JobMessage | None:
        """Read the job, decide, and write once. Returns the message to send if the job may run now."""
        job, now = self._store.get(key), self._clock()
        if job is None or job.due_at is None or job.due_at > now:
            # The index is later than the table: another sweep has just handled the job, or it has ended.
            return None
        sweep.looked_at += 1
        sweep.oldest_due = max(sweep.oldest_due, now - job.due_at)
        ended = job.ended_by_time(now)
        if ended is not None:
            # A heartbeat in between shows that the worker lives; after its deadline the job ends regardless.
            guard = FENCE if job.deadline_at <= now else FENCE_AND_LEASE
            if self._store.swap_if_unchanged(job, ended, guard) is None:
                sweep.ended += 1
                log_event("JOB_FAILED", ended, errorCode=ended.error and ended.error.code)
                if ended.exclusive_key is not None:
                    self._locks.wake(ended)
            return None
        # Two sweepers may read the same job; only the one that moves its due time sends it.
        if self._store.swap_if_unchanged(job, job.rescheduled(now), FENCE_AND_DUE) is not None:
            return None
        return JobMessage.of(job) if job.is_claimable(now) else None

    def _send(self, messages: Sequence[JobMessage], sweep: Sweep) -> None:
        """Send messages. A message that the queue refuses is late, not lost: its job is in the index, with a later due time."""
        try:
            refused = self._queue.send_all(messages)
        except Unavailable:
            refused = messages
        sweep.sent += len(messages) - len(refused)
        if refused:
            log_event("SEND_DEFERRED", count=len(refused))
