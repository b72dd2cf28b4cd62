"""Run coroutine jobs side by side in an event loop: their attempts' steps, and each job in a task of its own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

from asyncjobs.core.errors import JobInterrupted, TimeLimitExceeded
from asyncjobs.worker.process_state import fresh_decimals
from asyncjobs.worker.raised import out_of_time
from asyncjobs.worker.steps import blocking, step_threads
from asyncjobs.worker.timeouts import ProcessEnd, call_with_timeout, interrupt_call

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from concurrent.futures import Executor

T = TypeVar("T")

_FAREWELL = timedelta(seconds=1)
"""How long tasks that jobs have left behind may take to end."""


def run_side_by_side(steps: Sequence[Coroutine[Any, Any, T]], within: timedelta) -> list[T]:
    """Run all of them in one event loop, and return what they return.

    The process ends if that takes longer than `within`: what the slowest may take, its grace, and time to record its end.
    Threads that a job has left behind are not waited for.
    """
    import asyncio  # noqa: PLC0415 - a tenth of a cold start, and only coroutine jobs need it

    async def gathered() -> list[T]:
        return await asyncio.gather(*steps)

    # Not by `asyncio.run`: it waits for threads, and afterwards a plain job could not call `asyncio.get_event_loop`.
    loop = asyncio.new_event_loop()
    with ProcessEnd(within):
        threads = _thread_pool(len(steps))
        token = step_threads.set(threads)
        try:
            return _run(loop, gathered())
        finally:
            step_threads.reset(token)
            if threads is not None:
                threads.shutdown(wait=False)
            _close(loop)


class JobTask:
    """A job's coroutine in a task of its own, which another thread, or the time limit, may interrupt."""

    def __init__(self, process_end: ProcessEnd, grace: timedelta) -> None:
        import asyncio  # noqa: PLC0415 - see above

        self._loop = asyncio.get_running_loop()
        self._interrupted = self._loop.create_future()
        self._reason: JobInterrupted | None = None
        self._process_end = process_end
        self._grace = grace

    def interrupt(self, reason: JobInterrupted) -> None:
        """Interrupt the job, from another thread. A job that blocks the loop for longer than the grace ends with its process."""
        self._reason = reason
        self._process_end.within(self._grace)
        self._loop.call_soon_threadsafe(self._notice)
        interrupt_call(reason)

    async def call(self, function: Callable[[], T], *, seconds: float) -> T:
        """Call a function that runs code of the job's and blocks: a validator of its input, a serializer of its result.

        Raises the interruption, or `TimeLimitExceeded`. Beside other jobs it runs in a thread, which no exception can reach:
        the process ends when the grace is over, too.
        """

        def call() -> T:
            # An interruption that came before this call had nothing to raise in.
            if self._reason is not None:
                raise self._reason
            return function()

        limit = timedelta(seconds=seconds)
        if step_threads.get() is None:
            return call_with_timeout(call, limit)
        with ProcessEnd(limit + self._grace):
            return await blocking(call)

    async def run(self, job: Coroutine[Any, Any, T], *, seconds: float) -> T:
        """Run the job and return what it returns.

        Raises the interruption, or `TimeLimitExceeded`. A job that suppresses its cancellation is left behind: it ends with the
        loop.
        """
        import asyncio  # noqa: PLC0415 - see above

        task = self._loop.create_task(_with_error(job))
        await asyncio.wait({task, self._interrupted}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            returned, error = task.result()
            if error is not None:
                raise error
            return cast(T, returned)
        reason = self._reason or TimeLimitExceeded("The time limit is over.")
        task.cancel()
        await asyncio.wait({task}, timeout=self._grace.total_seconds())
        if not task.done():
            raise reason
        returned, error = task.result()
        if error is not None:
            raise self._reason or out_of_time(error)
        return cast(T, returned)

    def _notice(self) -> None:
        self._process_end.cancel()
        if not self._interrupted.done():
            self._interrupted.set_result(None)


async def _with_error(job: Coroutine[Any, Any, T]) -> tuple[T | None, BaseException | None]:
    """Return what the job returns, or raises: a task that raises `SystemExit` would end the loop."""
    fresh_decimals()
    try:
        return await job, None
    except BaseException as error:  # noqa: BLE001 - raised again where the job is awaited
        return None, error


def _thread_pool(steps: int) -> Executor | None:
    """Return a thread for the calls of each attempt. Not the loop's own threads: jobs may keep all of those busy."""
    if steps == 1:
        return None
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - see above

    return ThreadPoolExecutor(steps, "steps")


def _run(loop: AbstractEventLoop, main: Coroutine[Any, Any, T]) -> T:
    """Run until `main` has ended. A `SystemExit` in a task of a job ends the loop before: the task has failed, and the loop goes on."""
    task = loop.create_task(main)
    while True:
        try:
            return loop.run_until_complete(task)
        except SystemExit:
            if task.done():
                raise


def _close(loop: AbstractEventLoop) -> None:
    import asyncio  # noqa: PLC0415 - see above

    try:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            _run(loop, asyncio.wait(left, timeout=_FAREWELL.total_seconds()))
        _run(loop, asyncio.wait_for(loop.shutdown_asyncgens(), _FAREWELL.total_seconds()))
    except TimeoutError:
        pass
    finally:
        loop.close()
