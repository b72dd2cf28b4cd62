"""Timeouts: end a job that takes too long, first by an exception inside it, then by ending its process."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from types import FrameType
from typing import TypeVar

from asyncjobs.core.errors import TimeLimitExceeded
from asyncjobs.core.job import GRACE
from asyncjobs.worker.kernel_timer import KernelTimer, ThreadTimer

T = TypeVar("T")


def call_with_timeout(function: Callable[[], T], limit: timedelta) -> T:
    """Call the function, and raise `TimeLimitExceeded` inside it at the time limit, also in a blocking call.

    This uses a signal, since nothing else wakes a sleeping or waiting call. So it needs the main thread, where Lambda runs
    handlers. `finally` blocks run; `exit_after` bounds their time.
    """

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise TimeLimitExceeded(f"The time limit of {limit.total_seconds():g} s is over.")

    previous = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, max(limit.total_seconds(), 0.001))
        try:
            return function()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, previous)


@contextmanager
def exit_after(limit: timedelta) -> Iterator[None]:
    """End the whole process, with a traceback on stderr, if the block takes longer than `limit` and the grace.

    This is for a job that no exception can reach, since it hangs in foreign code. Without it, the lease would end, another
    attempt would begin, and this one would use the rest of Lambda's 15 minutes. Lambda starts a new process.
    """
    timer = _process_timer()
    timer.start(limit + GRACE)
    try:
        yield
    finally:
        timer.stop()


@cache
def _process_timer() -> KernelTimer | ThreadTimer:
    return KernelTimer.create() or ThreadTimer()
