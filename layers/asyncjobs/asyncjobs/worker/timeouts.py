"""Interruptions: end a job that must not run on, first by an exception inside it, then by ending its process."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from types import FrameType
from typing import ClassVar, Self, TypeVar

from asyncjobs.core.errors import JobInterrupted, TimeLimitExceeded
from asyncjobs.worker.kernel_timer import INTERRUPTS, Timer, interrupt_main_thread, interrupt_timer, process_timer

T = TypeVar("T")

_LEAST = 0.001
"""Seconds. A timer that is set to zero never fires."""


def call_with_timeout(function: Callable[[], T], limit: timedelta) -> T:
    """Call the function, and raise `TimeLimitExceeded` inside it at the time limit, also in a blocking call.

    This uses a signal, since nothing else wakes a sleeping or waiting call. So it needs the main thread, where Lambda runs
    handlers. `finally` blocks run; a `ProcessEnd` bounds their time.
    """
    return _main_thread().call(function, limit)


def prepare_interruptions() -> None:
    """Set the handlers of their signals, which are a part of the state that is restored after each job. Needs the main thread."""
    _main_thread()
    _process_ends()


def interrupt_call(reason: JobInterrupted) -> None:
    """Raise the reason inside the present `call_with_timeout`, from another thread. Does nothing when there is none."""
    if _MainThread.used is not None:
        _MainThread.used.interrupt(reason)


class _MainThread:
    """The call that runs in the main thread. One exception is raised in it at most: a second one would cut its `finally` short."""

    used: ClassVar[_MainThread | None] = None

    def __init__(self) -> None:
        self._may_interrupt = False
        self._reason: JobInterrupted | None = None
        self._timer = interrupt_timer()
        signal.signal(INTERRUPTS, self._raise)
        _MainThread.used = self

    def call(self, function: Callable[[], T], limit: timedelta) -> T:
        self._reason = None
        try:
            self._may_interrupt = True
            self._timer.start(max(limit.total_seconds(), _LEAST))
            try:
                return function()
            finally:
                # The signal may come up to here, and then raises in place of what the function returned.
                self._may_interrupt = False
        finally:
            self._timer.stop()

    def interrupt(self, reason: JobInterrupted) -> None:
        self._reason = reason
        interrupt_main_thread()

    def _raise(self, _signal: int, _frame: FrameType | None) -> None:
        if not self._may_interrupt:
            return
        self._may_interrupt = False
        raise self._reason or TimeLimitExceeded("The time limit is over.")


class ProcessEnd:
    """A time at which this process ends, with a traceback on stderr, unless it is put off or cancelled.

    The process ends at the earliest of all such times. Lambda starts a new process.

    This is for a job that no exception can reach, since it hangs in foreign code. Without it, the lease would end, another
    attempt would begin, and this one would use the rest of Lambda's 15 minutes.
    """

    def __init__(self, limit: timedelta | None = None) -> None:
        """`limit` is the time from the beginning of a `with` block on; None for no end so far."""
        self._limit = limit

    def __enter__(self) -> Self:
        if self._limit is not None:
            self.within(self._limit)
        return self

    def __exit__(self, *exception: object) -> None:
        self.cancel()

    def within(self, limit: timedelta) -> None:
        """Let the process end after this time; again, from any thread, to change it."""
        _process_ends().set(self, time.monotonic() + limit.total_seconds())

    def cancel(self) -> None:
        """Let the process live."""
        _process_ends().set(self, None)


class _ProcessEnds:
    """All such times, and the one timer of the process."""

    def __init__(self, timer: Timer) -> None:
        self._timer = timer
        self._ends: dict[ProcessEnd, float] = {}
        self._lock = threading.Lock()

    def set(self, owner: ProcessEnd, end: float | None) -> None:
        with self._lock:
            ends = self._ends
            ends.pop(owner, None)
            if end is not None:
                ends[owner] = end
            if ends:
                self._timer.start(max(min(ends.values()) - time.monotonic(), _LEAST))
            else:
                self._timer.stop()


@cache
def _process_ends() -> _ProcessEnds:
    return _ProcessEnds(process_timer())


@cache
def _main_thread() -> _MainThread:
    return _MainThread()
