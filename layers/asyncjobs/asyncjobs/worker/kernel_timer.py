"""A timer of the kernel that ends the process, with a traceback, whatever the process is doing.

Foreign code may hold the interpreter's lock and never return. Then no Python thread and no Python signal handler runs, and only
the kernel can end the process. Python has one such timer, `setitimer`, which interrupts jobs politely, so this is a second one.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import struct
from datetime import timedelta
from typing import Any, Self

_CLOCK_MONOTONIC = 1
_SIGEVENT = "@QiI48x"
"""`struct sigevent` of 64-bit Linux: a value, the signal, how to notify, and what other ways of notifying need."""
_SIGEV_SIGNAL = 0
_ITIMERSPEC = "@qqqq"
"""`struct itimerspec`: the interval, of which a timer that fires once has none, and the time; seconds and nanoseconds each."""
_STDERR = 2


class KernelTimer:
    """One timer of this process. It is set again for each use, which costs a system call."""

    def __init__(self, libc: Any, timer: ctypes.c_void_p) -> None:
        self._libc = libc
        self._timer = timer

    @classmethod
    def create(cls) -> Self | None:
        """Create the timer. Return None where the system has none, such as macOS or an old C library."""
        libc: Any = ctypes.CDLL(None, use_errno=True)
        if not hasattr(libc, "timer_create") or not hasattr(signal, "SIGRTMAX"):
            return None
        ends_process = signal.SIGRTMAX - 1  # a real-time signal, for which nothing else has a use
        event = struct.pack(_SIGEVENT, 0, ends_process, _SIGEV_SIGNAL)
        timer = ctypes.c_void_p()
        if libc.timer_create(_CLOCK_MONOTONIC, event, ctypes.byref(timer)) != 0:
            return None
        # Written by a handler in C; then the signal's default action ends the process.
        faulthandler.register(ends_process, file=_STDERR, all_threads=True, chain=True)
        return cls(libc, timer)

    def start(self, after: timedelta) -> None:
        """Let the process end after this time, unless `stop` comes first."""
        seconds, rest = divmod(after, timedelta(seconds=1))
        self._set(seconds, rest // timedelta(microseconds=1) * 1000)

    def stop(self) -> None:
        """Let the process live."""
        self._set(0, 0)

    def _set(self, seconds: int, nanoseconds: int) -> None:
        if self._libc.timer_settime(self._timer, 0, struct.pack(_ITIMERSPEC, 0, 0, seconds, nanoseconds), None) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


class ThreadTimer:
    """The same by a thread of `faulthandler`, which does not need the interpreter's lock. It is started for each use."""

    def start(self, after: timedelta) -> None:
        """Let the process end after this time, unless `stop` comes first."""
        faulthandler.dump_traceback_later(after.total_seconds(), exit=True, file=_STDERR)

    def stop(self) -> None:
        """Let the process live."""
        faulthandler.cancel_dump_traceback_later()
