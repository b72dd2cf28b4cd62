"""Wait for a job in place of a client, which would otherwise poll."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    at_most: timedelta | None
    """How long the request could wait; None if it was refused, because too many requests of its owner wait already."""


class LongPoll:
    """Says when a waiting request reads its job again: about 25 times in the longest wait."""

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

    @contextmanager
    def turns(self, job: AsyncJob, ends_at: datetime) -> Iterator[Iterator[None] | None]:
        """Hold one of the owner's slots inside the `with` block. Return the turns to read the job, or None if no slot is free.

        There is a pause before each turn. The last one is when the time is up.
        """
        ends_at = to_milliseconds(ends_at)
        if self._slots is None or ends_at <= self._clock():
            yield self._turns(ends_at)
            return
        with self._slots().taken(job.owner, ends_at) as is_taken:
            if not is_taken:
                log_event("WAIT_REFUSED", job)
            yield self._turns(ends_at) if is_taken else None

    def _turns(self, ends_at: datetime) -> Iterator[None]:
        pause = _FIRST_PAUSE
        while (left := ends_at - self._clock()) > timedelta(0):
            self._sleep(min(pause, left).total_seconds())
            pause = min(pause * 1.5, _LAST_PAUSE)
            yield
