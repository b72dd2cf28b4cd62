"""Ends a job that takes too long: first politely, inside the job, then for good, from outside."""

from __future__ import annotations

import faulthandler
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import TypeVar

from asyncjobs.core.errors import TimeLimitExceeded
from asyncjobs.core.job import GRACE

T = TypeVar("T")


def call_with_timeout(function: Callable[[], T], limit: timedelta) -> T:
    """Call it, and raise `TimeLimitExceeded` inside it when the time is up, wherever it is, also in a blocking call.

    By a signal, since nothing else wakes a sleeping or waiting call; so it needs the main thread, where Lambda runs
    handlers. `finally` blocks run; what they do is bounded by `exit_after`.
    """

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise TimeLimitExceeded(f"The time limit of {limit.total_seconds():g} s is over.")

    previous = signal.signal(signal.SIGALRM, ring)
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
    """End the whole process, with a stack trace on stderr, if the block takes longer than `limit` and the grace.

    For a job that cannot be reached by an exception, since it hangs in foreign code: its lease would end, another attempt
    would begin, and this one would still burn the rest of Lambda's quarter of an hour. Lambda starts a new process.
    """
    faulthandler.dump_traceback_later((limit + GRACE).total_seconds(), exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
