"""Run the steps of an attempt, which are one coroutine for plain jobs and for coroutine jobs.

The coroutine of a plain job never suspends: `run_plain` runs it to its end in the main thread, where a signal can interrupt the
job, and `blocking(f)` is `f()`. In an event loop (`event_loop`), `blocking` calls `f` in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Executor

T = TypeVar("T")
P = ParamSpec("P")

step_threads: ContextVar[Executor | None] = ContextVar("step_threads", default=None)
"""The threads for calls that block. None for a plain job, and for a coroutine job that runs alone: there is no other to hold up."""


def run_plain(steps: Coroutine[Any, Any, T]) -> T:
    """Run steps that never wait, and return what they return. Needs the main thread."""
    try:
        steps.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    steps.close()
    raise RuntimeError("The steps of a plain job have waited for an event loop.")


async def blocking(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Make a call that blocks, such as to AWS, without holding up the jobs that run side by side."""
    threads = step_threads.get()
    if threads is None:
        return function(*args, **kwargs)
    import asyncio  # noqa: PLC0415 - a tenth of a cold start, and only coroutine jobs need it

    call = partial(copy_context().run, function, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(threads, call)
