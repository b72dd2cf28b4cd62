"""What the two clients do differently, without asyncio. `_async/runtime.py` has the same names."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

Token = str | Callable[[], str]
"""A token, or a function that returns one."""
Callback = Callable[[Any], object]

INTERRUPTIONS = (KeyboardInterrupt,)
"""Exceptions that end a wait from outside."""


class Clock:
    """The time that passes, for waits. Tests replace it."""

    def now(self) -> float:
        """Return seconds of a clock that nobody sets."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def result_of(value: T) -> T:
    """Return the value."""
    return value


def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function that blocks, in this thread: it blocks nobody else."""
    return function(*arguments)
