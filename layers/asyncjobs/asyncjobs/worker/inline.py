"""Short jobs at once: the submit function as a job's first worker, for as long as a caller may be made to wait."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import GRACE, AsyncJob, lease_length
from asyncjobs.core.ports import History
from asyncjobs.estimates.history import CachedHistory
from asyncjobs.jobtypes.decorator import JobType
from asyncjobs.log import log_event
from asyncjobs.worker.event_loop import run_plain, run_side_by_side

if TYPE_CHECKING:
    from asyncjobs.core.durations import Durations
    from asyncjobs.worker.executor import Executor

AT_MOST = timedelta(seconds=5)
"""How long a job runs here at most; then its attempt ends, and the queue has it."""

_ENOUGH = 20
"""Jobs. Of fewer, what they took says too little."""
_NEARLY_ALL, _HALF = 0.95, 0.5


class InlineExecutor:
    """Runs jobs of types that usually take no longer than `threshold`, where they are submitted."""

    def __init__(
        self,
        *,
        threshold: timedelta,
        history: History,
        executor: Callable[[], Executor],
        clock: Clock,
    ) -> None:
        """`executor` is called for the first job to run: most processes run none. It takes no longer than `AT_MOST`."""
        self._threshold = threshold
        self._executor = executor
        self._clock = clock
        self._history = CachedHistory(history)
        self._verdicts: dict[str, tuple[Durations | None, bool | None]] = {}

    def takes(self, job_type: JobType) -> bool:
        """Whether jobs of the type run here: quick ones, with an attempt left for the case that one is not.

        Quick is what has proven so and, while nothing is proven, what declares so. Not those that need a lock: a lock may only
        name a job whose record stands, and here that would be one that runs.
        """
        is_declared = job_type.expected <= self._threshold
        # A type's code may need what only the worker has: it runs here by its author's word, never by having been quick there alone.
        is_allowed = is_declared if job_type.immediate is None else job_type.immediate
        if not is_allowed or job_type.exclusive is not None or job_type.max_attempts <= 1 or self._threshold < timedelta(0):
            return False
        is_proven = self._is_proven_quick(job_type.name)
        return is_declared if is_proven is None else is_proven

    def claimed(self, job: AsyncJob, job_type: JobType) -> AsyncJob:
        """The new job with its first attempt begun, to be stored in one write."""
        now = self._clock()
        return job.claimed(by=f"submit/{secrets.token_hex(8)}", now=now, lease_until=now + lease_length(job_type.timeout))

    def run(self, job: AsyncJob) -> AsyncJob:
        """Run the claimed job. Returns it as it ended or was released, or as it was when that could not be recorded."""
        log_event("JOB_STARTED", job)
        try:
            executor = self._executor()
            plan = executor.plan(job.job_type)
            steps = executor.run_claimed(job, plan, remaining=AT_MOST + GRACE)
            ended = run_side_by_side([steps], AT_MOST)[0] if plan.is_async else run_plain(steps)
        except Unavailable:
            # When its lease is over, the sweeper has it made again.
            return job
        return ended or job

    def _is_proven_quick(self, job_type: str) -> bool | None:
        """Return what past jobs prove of their type, computed once for each read of the history."""
        past = self._history.of(job_type)
        known, verdict = self._verdicts.get(job_type, (None, None))
        if past is not None and past is not known:
            verdict = _is_proven_quick(past, threshold=self._threshold)
        self._verdicts[job_type] = past, verdict
        return None if past is None else verdict


def _is_proven_quick(durations: Durations, *, threshold: timedelta) -> bool | None:
    """What past jobs prove of their type; None when they are too few, or some are quick and some are not.

    Then it is what it declares: a type near the threshold is not quick now and slow a minute later.
    """
    if durations.total < _ENOUGH:
        return None
    if durations.share_within(threshold.total_seconds()) >= _NEARLY_ALL:
        return True
    is_slow = durations.share_beyond(threshold.total_seconds()) >= _HALF
    # Each of the others would have its caller wait for nothing, and cost an attempt.
    ends_here = durations.share_within(AT_MOST.total_seconds()) >= _NEARLY_ALL
    return None if ends_here and not is_slow else False
