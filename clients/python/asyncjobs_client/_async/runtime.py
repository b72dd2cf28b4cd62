"""What the two clients do differently, for asyncio. `_sync/runtime.py` has the same names, and is written by hand."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")

Token = str | Callable[[], str | Awaitable[str]]
"""A token, or a function that returns one, which may be a coroutine function."""
Callback = Callable[[Any], object]

INTERRUPTIONS = (KeyboardInterrupt, asyncio.CancelledError)
"""Exceptions that end a wait from outside."""


class Clock:
    """The time that passes, for waits. Tests replace it."""

    def now(self) -> float:
        """Return seconds of a clock that nobody sets."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


async def result_of(value: T | Awaitable[T]) -> T:
    """Return the value, or that of a coroutine."""
    return await value if inspect.isawaitable(value) else value


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function that blocks, such as one that reads a file."""
    return await asyncio.to_thread(function, *arguments)
