"""Timers that send this process a signal, whatever the process is doing.

Python's own timers (`signal.alarm`, `signal.setitimer`) belong to the jobs' code, which may set and clear them. So these are
other timers, with signals that nothing else uses. One signal interrupts the main thread, where Python code handles it. The
other ends the process: foreign code may hold the interpreter's lock and never return, and then only the kernel can end it.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import struct
import threading
from typing import Any, Protocol, Self

if hasattr(signal, "SIGRTMAX"):
    # Real-time signals, for which nothing else has a use.
    ENDS_PROCESS, INTERRUPTS = int(signal.SIGRTMAX) - 1, int(signal.SIGRTMAX) - 2
else:
    ENDS_PROCESS, INTERRUPTS = int(signal.SIGUSR1), int(signal.SIGUSR2)

_CLOCK_MONOTONIC = 1
_SIGEVENT = "@QiI48x"
"""`struct sigevent` of 64-bit Linux: a value, the signal, how to notify, and what other ways of notifying need."""
_SIGEV_SIGNAL = 0
_ITIMERSPEC = struct.Struct("@qqqq")
"""`struct itimerspec`: the interval, of which a timer that fires once has none, and the time; seconds and nanoseconds each."""
_NEVER = _ITIMERSPEC.pack(0, 0, 0, 0)
_STDERR = 2


class Timer(Protocol):
    """A timer that fires once for each start."""

    def start(self, seconds: float) -> None:
        """Fire after this time, unless `stop` or another start comes first."""
        ...

    def stop(self) -> None:
        """Do not fire."""
        ...


def process_timer() -> Timer:
    """Return a timer that ends the process, with a traceback on stderr."""
    timer = KernelTimer.create(ENDS_PROCESS)
    if timer is None:
        return TracebackTimer()
    show_traceback_at_the_end()
    return timer


def show_traceback_at_the_end() -> None:
    """Let a handler in C write the traceback; then the signal's default action ends the process. Again after that was changed."""
    faulthandler.unregister(ENDS_PROCESS)
    faulthandler.register(ENDS_PROCESS, file=_STDERR, all_threads=True, chain=True)


def interrupt_timer() -> Timer:
    """Return a timer that sends `INTERRUPTS`."""
    return KernelTimer.create(INTERRUPTS) or ThreadTimer()


class KernelTimer:
    """A timer of the kernel. It is set again for each use, which costs a system call."""

    def __init__(self, libc: Any, timer: ctypes.c_void_p) -> None:
        self._libc = libc
        self._timer = timer

    @classmethod
    def create(cls, number: int) -> Self | None:
        """Create a timer of this signal. Return None where the system has none, such as macOS or an old C library."""
        # Its calls do not block, so the interpreter's lock need not be given away and taken again.
        libc: Any = ctypes.PyDLL(None, use_errno=True)
        if not hasattr(libc, "timer_create") or not hasattr(signal, "SIGRTMAX"):
            return None
        event = struct.pack(_SIGEVENT, 0, number, _SIGEV_SIGNAL)
        timer = ctypes.c_void_p()
        if libc.timer_create(_CLOCK_MONOTONIC, event, ctypes.byref(timer)) != 0:
            return None
        return cls(libc, timer)

    def start(self, seconds: float) -> None:
        """See `Timer`."""
        whole = int(seconds)
        self._set(_ITIMERSPEC.pack(0, 0, whole, int((seconds - whole) * 1e9)))

    def stop(self) -> None:
        """See `Timer`."""
        self._set(_NEVER)

    def _set(self, times: bytes) -> None:
        if self._libc.timer_settime(self._timer, 0, times, None) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


class ThreadTimer:
    """A timer by a thread of its own for each use, which interrupts the main thread."""

    def __init__(self) -> None:
        self._thread: threading.Timer | None = None

    def start(self, seconds: float) -> None:
        """See `Timer`."""
        self.stop()
        self._thread = threading.Timer(seconds, interrupt_main_thread)
        self._thread.daemon = True
        self._thread.start()

    def stop(self) -> None:
        """See `Timer`."""
        if self._thread is not None:
            self._thread.cancel()


class TracebackTimer:
    """A timer by a thread of `faulthandler`, which ends the process and does not need the interpreter's lock."""

    def start(self, seconds: float) -> None:
        """See `Timer`."""
        faulthandler.dump_traceback_later(seconds, exit=True, file=_STDERR)

    def stop(self) -> None:
        """See `Timer`."""
        faulthandler.cancel_dump_traceback_later()


def interrupt_main_thread() -> None:
    """Send `INTERRUPTS` to the main thread, from any thread. It also wakes a blocking call there."""
    main = threading.main_thread().ident
    if main is not None:
        signal.pthread_kill(main, INTERRUPTS)
