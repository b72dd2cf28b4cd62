"""Bounds of processor time and memory for a block that reads data of an unknown sender."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from asyncjobs.worker.memory import data_in_use

if sys.platform == "linux":
    import resource

_MEGABYTE = 1_000_000
_AGAIN = 0.5
"""Seconds after which a block that has swallowed `OutOfTime` gets it again."""


class OutOfTime(BaseException):
    """A block has used its processor time. Like `TimeLimitExceeded`, no `except Exception` catches it."""


@contextmanager
def budget(*, seconds: float, megabytes: int) -> Iterator[None]:
    """Raise `OutOfTime` in the block after this much processor time, and `MemoryError` beyond this much more memory.

    The time is the process's, so that a machine that is busy with other things takes nothing away. It is bounded in the main
    thread only, where Python runs signal handlers, and memory on Linux only.
    """
    # The time ends first, so that it cannot come between here and the usual limit of memory.
    with _memory(megabytes * _MEGABYTE), _time(seconds):
        yield


@contextmanager
def _time(seconds: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    running = True

    def interrupt(_signal: int, _frame: object) -> None:
        if running:
            raise OutOfTime

    previous = signal.signal(signal.SIGPROF, interrupt)
    try:
        signal.setitimer(signal.ITIMER_PROF, max(seconds, 0.001), _AGAIN)
        try:
            yield
        finally:
            running = False
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)


@contextmanager
def _memory(more: int) -> Iterator[None]:
    if sys.platform != "linux":
        yield
        return
    usual, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = data_in_use() + more
    if usual != resource.RLIM_INFINITY:
        limit = min(limit, usual)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (usual, most))
