"""Run the steps of attempts: coroutine jobs side by side in an event loop, plain jobs without one.

The steps are the same, so they are written once, as a coroutine. Around a plain job it never waits for anything: the job runs
inside its first step, in the main thread, where a signal can interrupt it.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from datetime import timedelta
from typing import Any, TypeVar

from asyncjobs.core.job import GRACE
from asyncjobs.worker.timeouts import exit_after

T = TypeVar("T")


def run_plain(steps: Coroutine[Any, Any, T]) -> T:
    """Run steps that never wait, and return what they return. Needs the main thread."""
    try:
        steps.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    steps.close()
    raise RuntimeError("The steps of a plain job have waited for an event loop.")


def run_side_by_side(steps: Iterable[Coroutine[Any, Any, T]], limit: timedelta) -> list[T]:
    """Run all of them in one event loop, and return what they return. `limit` is the timeout of the slowest."""
    import asyncio  # noqa: PLC0415 - a tenth of a cold start, and only coroutine jobs need it

    async def gathered() -> list[T]:
        return await asyncio.gather(*steps)

    # Around the loop, because closing it waits for threads that a coroutine may have left behind. Twice the grace, because
    # the slowest attempt also records its end in here. Its lease still lasts longer.
    with exit_after(limit + GRACE):
        return asyncio.run(gathered())
