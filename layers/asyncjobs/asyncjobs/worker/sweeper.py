"""Looks after every unfinished job that is due: sends it, takes it over, ends it. Runs each minute, and may overlap itself.

It is why nothing is lost: a job is in the due index from the write that creates it to the write that ends it, so whatever
dies, message, worker or sweeper, the next sweep finds the job.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import FENCE, FENCE_AND_DUE, FENCE_AND_LEASE, JobKey, Priority
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import Queue, Store
from asyncjobs.limits.locks import Locks
from asyncjobs.log import log_event

_BATCH = 10
_TO_SEND = timedelta(seconds=10)
"""What is left for the last messages: a queue that does not answer takes some 8 s. Should more be silent, jobs are late, not lost."""


@dataclass(slots=True)
class Sweep:
    """What one sweep did."""

    looked_at: int = 0
    sent: int = 0
    ended: int = 0
    oldest_due: timedelta = field(default=timedelta(0))


class Sweeper:
    """Sweeps the due index."""

    def __init__(self, *, store: Store, queue: Queue, locks: Locks, clock: Clock) -> None:
        self._store = store
        self._queue = queue
        self._locks = locks
        self._clock = clock

    def sweep(self, remaining: Callable[[], timedelta]) -> Sweep:
        """Look after all that is due, until there is no more or only a few seconds remain.

        Raises `Unavailable` when the table does not answer: the next minute's sweep goes on where this one stopped.
        """
        sweep, to_send = Sweep(), defaultdict[Priority, list[JobMessage]](list)
        try:
            for key in self._store.due(self._clock()):
                if remaining() < _TO_SEND:
                    break
                for message in self._isolated(key, sweep):
                    # By queue: batches are full, and one that a queue does not take holds none of another queue.
                    batch = to_send[message.priority]
                    batch.append(message)
                    if len(batch) == _BATCH:
                        self._send(to_send.pop(message.priority), sweep)
        finally:
            # They were moved on already, so nobody else would send them soon.
            for messages in to_send.values():
                self._send(messages, sweep)
        log_event(
            "SWEPT",
            lookedAt=sweep.looked_at,
            sent=sweep.sent,
            ended=sweep.ended,
            oldestDueAgeMs=sweep.oldest_due // timedelta(milliseconds=1),
        )
        return sweep

    def _isolated(self, key: JobKey, sweep: Sweep) -> Sequence[JobMessage]:
        """Look after the job. One that cannot be read must not keep the sweeper from all that come behind it."""
        try:
            message = self._look_after(key, sweep)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - see above
            log_event("SWEEP_FAILED", asyncJobId=key.async_job_id, exception=error)
            return ()
        return () if message is None else (message,)

    def _look_after(self, key: JobKey, sweep: Sweep) -> JobMessage | None:
        """Read the job, decide, and write once. Returns the message to send, if it may be run now."""
        job, now = self._store.get(key), self._clock()
        if job is None or job.due_at is None or job.due_at > now:
            # The index lags behind the table: somebody else has just looked after it, or it has ended.
            return None
        sweep.looked_at += 1
        sweep.oldest_due = max(sweep.oldest_due, now - job.due_at)
        ended = job.ended_by_time(now)
        if ended is not None:
            # A heartbeat in between shows that a holder taken for lost lives; past its deadline a job ends regardless.
            guard = FENCE if job.deadline_at <= now else FENCE_AND_LEASE
            if self._store.swap_if_unchanged(job, ended, guard) is None:
                sweep.ended += 1
                log_event("JOB_FAILED", ended, errorCode=ended.error and ended.error.code)
                if ended.exclusive_key is not None:
                    self._locks.wake(ended)
            return None
        # Two sweepers may look at the same job; only the one that moves it on sends it.
        if self._store.swap_if_unchanged(job, job.rescheduled(now), FENCE_AND_DUE) is not None:
            return None
        return JobMessage.of(job) if job.is_claimable(now) else None

    def _send(self, messages: Sequence[JobMessage], sweep: Sweep) -> None:
        """What the queue does not take now stays in the index, with a later due time: late, not lost."""
        try:
            refused = self._queue.send_all(messages)
        except Unavailable:
            refused = messages
        sweep.sent += len(messages) - len(refused)
        if refused:
            log_event("SEND_DEFERRED", count=len(refused))
