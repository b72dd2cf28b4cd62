"""Wait for a job in place of a client, which would otherwise poll."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from asyncjobs.core.clock import Clock, to_milliseconds
from asyncjobs.core.job import AsyncJob
from asyncjobs.log import log_event

if TYPE_CHECKING:
    from asyncjobs.limits.waits import WaitSlots

MAX_WAIT = timedelta(seconds=20)
"""API Gateway ends a request after 30 s; the answer must come before that."""
_FIRST_PAUSE = timedelta(seconds=0.1)
_LAST_PAUSE = timedelta(seconds=1)


class Waited(NamedTuple):
    """The job after a wait."""

    job: AsyncJob
    is_refused: bool = False
    """Whether the job is returned without waiting, because too many requests of its owner wait already."""


class LongPoll:
    """Reads a job until it is in the state that the caller waits for: about 25 reads in the longest wait."""

    def __init__(
        self,
        clock: Clock,
        sleep: Callable[[float], None] = time.sleep,
        *,
        longest: timedelta = MAX_WAIT,
        slots: Callable[[], WaitSlots] | None = None,
    ) -> None:
        """`longest` may be 0: then no request waits. `slots` is called by the first wait; without it, any number may wait."""
        self._clock = clock
        self._sleep = sleep
        self._slots = slots
        self.longest = min(longest, MAX_WAIT)

    def wait(
        self, job: AsyncJob, read: Callable[[], AsyncJob], until: Callable[[AsyncJob], bool], at_most: timedelta
    ) -> Waited:
        """Return the job when `until` is true for it, or as it is when the time is up. Raises what `read` raises."""
        ends_at = to_milliseconds(self._clock() + min(at_most, self.longest))
        if until(job) or ends_at <= self._clock():
            return Waited(job)
        if self._slots is None:
            return Waited(self._watch(job, read, until, ends_at))
        with self._slots().taken(job.owner, ends_at) as is_taken:
            if is_taken:
                return Waited(self._watch(job, read, until, ends_at))
        log_event("WAIT_REFUSED", job)
        return Waited(job, is_refused=True)

    def _watch(
        self, job: AsyncJob, read: Callable[[], AsyncJob], until: Callable[[AsyncJob], bool], ends_at: datetime
    ) -> AsyncJob:
        pause = _FIRST_PAUSE
        while (left := ends_at - self._clock()) > timedelta(0):
            self._sleep(min(pause, left).total_seconds())
            pause = min(pause * 1.5, _LAST_PAUSE)
            job = read()
            if until(job):
                break
        return job
