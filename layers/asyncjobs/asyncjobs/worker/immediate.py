"""Immediate execution: the submit function has quick jobs run while their caller waits."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import JobProcessLost
from asyncjobs.core.job import (
    HANDED_OVER,
    IMMEDIATE_TIMEOUT,
    PROCESS_LOST,
    SUBMIT_CLAIMANT,
    AsyncJob,
    durations_name,
    lease_length,
)
from asyncjobs.core.ports import History, Store
from asyncjobs.estimates.history import CachedHistory
from asyncjobs.jobtypes.decorator import JobType
from asyncjobs.log import log_event

if TYPE_CHECKING:
    from asyncjobs.core.durations import Durations
    from asyncjobs.worker.job_process import JobProcess

_ENOUGH = 20
"""The fewest past jobs that decide whether a type is quick."""
_NEARLY_ALL, _HALF = 0.95, 0.5


class ImmediateExecutor:
    """Has jobs run, of types that usually take no longer than `threshold`, before their submit is answered.

    The first of them makes the `job_process`: most processes never run one.
    """

    def __init__(
        self,
        *,
        threshold: timedelta,
        history: History,
        store: Store,
        job_process: Callable[[], JobProcess],
        clock: Clock,
    ) -> None:
        self._threshold = threshold
        self._store = store
        self._job_process = job_process
        self._clock = clock
        self._history = CachedHistory(history)
        self._verdicts: dict[str, tuple[Durations | None, bool | None]] = {}

    def takes(self, job_type: JobType, estimate: timedelta | None = None, *, size_class: int | None = None) -> bool:
        """Return whether a job of the type runs here: of a quick type with more than one attempt, and without a lock.

        A job is quick by its caller's `estimate`; without one, by the past jobs of its type and size or, without enough of them,
        by its declaration. An exclusive job cannot run here: a lock may only name a job whose record is stored, and here that job
        would run already.
        """
        is_declared = job_type.expected <= self._threshold
        # Its code may need the worker's memory, role or network. So the author permits it; past durations alone never do.
        is_allowed = is_declared if job_type.immediate is None else job_type.immediate
        if not is_allowed or job_type.exclusive is not None or job_type.max_attempts <= 1 or self._threshold < timedelta(0):
            return False
        if estimate is not None:
            return estimate <= self._threshold
        is_proven = self._is_proven_quick(job_type.name, size_class)
        return is_declared if is_proven is None else is_proven

    def claimed(self, job: AsyncJob, job_type: JobType) -> AsyncJob:
        """Begin the new job's first attempt, to be stored in one write."""
        now = self._clock()
        return job.claimed(
            by=f"{SUBMIT_CLAIMANT}{secrets.token_hex(8)}", now=now, lease_until=now + lease_length(job_type.timeout)
        )

    def run(self, job: AsyncJob) -> AsyncJob:
        """Run the claimed job. Return it as it ended or was released, or unchanged if that could not be recorded.

        The job is accepted, so nothing that happens here may turn its answer into an error: when its lease has ended, the
        sweeper sends it again.
        """
        log_event("JOB_STARTED", job)
        try:
            try:
                return self._job_process().run(job) or job
            except JobProcessLost:
                return self._release(job)
        except Exception as error:  # noqa: BLE001 - see above
            log_event("INLINE_RUN_FAILED", job, exception=error)
            return job

    def _release(self, job: AsyncJob) -> AsyncJob:
        """End the attempt of a process that is lost, so that the job need not wait until its lease ends."""
        now = self._clock()
        reason = HANDED_OVER if now - job.updated_at >= IMMEDIATE_TIMEOUT else PROCESS_LOST
        released = job.released(now=now, error=reason, after=timedelta(0))
        outcome = self._store.swap_if_unchanged(job, released)
        if isinstance(outcome, AsyncJob):
            log_event("JOB_RETRIED", outcome, errorCode=reason.code)
            return outcome
        # The process had recorded its end, or somebody has cancelled the job.
        is_same = outcome.current is not None and outcome.current.generation == job.generation
        return outcome.current if outcome.current is not None and is_same else job

    def _is_proven_quick(self, job_type: str, size_class: int | None) -> bool | None:
        """Return what past jobs prove of their type and size.

        Without enough jobs of a size, the next one decides: where smaller jobs are slow, or larger ones quick, so is this one.
        """
        verdict = self._verdict(durations_name(job_type, size_class))
        if verdict is not None or size_class is None:
            return verdict
        if size_class > 0 and self._verdict(durations_name(job_type, size_class - 1)) is False:
            return False
        return True if self._verdict(durations_name(job_type, size_class + 1)) else None

    def _verdict(self, name: str) -> bool | None:
        """Return what past jobs of this name prove, computed once for each read of the history."""
        past = self._history.of(name)
        known, verdict = self._verdicts.get(name, (None, None))
        if past is not None and past is not known:
            verdict = _judge(past, threshold=self._threshold)
        self._verdicts[name] = past, verdict
        return None if past is None else verdict


def _judge(durations: Durations, *, threshold: timedelta) -> bool | None:
    """Return what past jobs prove of their type; None if they are too few, or some are quick and some are not.

    The declaration decides then, so a type near the threshold does not change each minute.
    """
    if durations.total < _ENOUGH:
        return None
    if durations.share_within(threshold.total_seconds()) >= _NEARLY_ALL:
        return True
    is_slow = durations.share_beyond(threshold.total_seconds()) >= _HALF
    # A job that does not end here makes its caller wait in vain, and costs an attempt.
    ends_here = durations.share_within(IMMEDIATE_TIMEOUT.total_seconds()) >= _NEARLY_ALL
    return None if ends_here and not is_slow else False
