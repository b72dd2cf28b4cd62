"""Wait for a job in place of a client, which would otherwise poll."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from asyncjobs.core.clock import Clock
from asyncjobs.core.job import AsyncJob

MAX_WAIT = timedelta(seconds=20)
"""API Gateway ends a request after 30 s; the answer must come before that."""
_FIRST_PAUSE = timedelta(seconds=0.1)
_LAST_PAUSE = timedelta(seconds=1)


class LongPoll:
    """Reads a job until it is in the state that the caller waits for: about 25 reads in the longest wait."""

    def __init__(self, clock: Clock, sleep: Callable[[float], None] = time.sleep) -> None:
        self._clock = clock
        self._sleep = sleep

    def wait(self, read: Callable[[], AsyncJob], until: Callable[[AsyncJob], bool], at_most: timedelta) -> AsyncJob:
        """Return the job when `until` is true for it, or as it is when the time is up. Raises what `read` raises."""
        ends_at = self._clock() + min(at_most, MAX_WAIT)
        pause = _FIRST_PAUSE
        while not until(job := read()):
            left = ends_at - self._clock()
            if left <= timedelta(0):
                break
            self._sleep(min(pause, left).total_seconds())
            pause = min(pause * 1.5, _LAST_PAUSE)
        return job
