"""Short jobs at once: the submit function as a job's first worker, for as long as a caller may be made to wait."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from asyncjobs import log
from asyncjobs.clock import Clock
from asyncjobs.deadline import exit_after
from asyncjobs.errors import Unavailable
from asyncjobs.lifecycle import GRACE, AsyncJob, lease_length
from asyncjobs.registry import JobType

if TYPE_CHECKING:
    from asyncjobs.executor import Executor

AT_MOST = timedelta(seconds=5)
"""How long a job runs here at most; then its attempt ends, and the queue has it."""


class FirstWorker:
    """Runs jobs of quick types where they are submitted. `make_executor` is called when there is the first one to run."""

    def __init__(self, *, threshold: timedelta, clock: Clock, make_executor: Callable[[], Executor]) -> None:
        self._threshold = threshold
        self._clock = clock
        self._make_executor = make_executor
        self._executor: Executor | None = None

    def takes(self, job_type: JobType) -> bool:
        """Whether jobs of the type run here: quick ones, with an attempt left for the case that one is not."""
        return job_type.immediate and job_type.expected <= self._threshold and job_type.max_attempts > 1

    def claimed(self, job: AsyncJob, job_type: JobType) -> AsyncJob:
        """The new job with its first attempt begun, to be stored in one write."""
        now = self._clock()
        return job.claimed(by=f"submit/{secrets.token_hex(8)}", now=now, lease_until=now + lease_length(job_type.time_limit))

    def run(self, job: AsyncJob) -> AsyncJob:
        """Run the claimed job. Returns it as it ended or was released, or as it was when that could not be recorded."""
        if self._executor is None:
            self._executor = self._make_executor()
        log.event("JOB_STARTED", job)
        try:
            if self._executor.is_async(job.job_type):
                import asyncio  # noqa: PLC0415 - a tenth of a cold start, and only coroutine jobs need it

                with exit_after(AT_MOST + GRACE):
                    ended = asyncio.run(self._executor.run_claimed_async(job, AT_MOST + GRACE))
            else:
                ended = self._executor.run_claimed(job, AT_MOST + GRACE)
        except Unavailable:
            # When its lease is over, the sweeper has it made again.
            return job
        return ended or job
