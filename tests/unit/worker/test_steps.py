"""The steps of a plain job run in the main thread; calls that block do not hold up coroutine jobs."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from contextvars import ContextVar
from datetime import timedelta

import pytest

from asyncjobs.worker.event_loop import run_side_by_side
from asyncjobs.worker.steps import blocking, run_plain

MINUTE = timedelta(minutes=1)


async def plain() -> int:
    return threading.get_ident()


def test_plain_steps_run_in_this_thread_without_a_loop() -> None:
    async def running_loop() -> asyncio.AbstractEventLoop | None:
        with contextlib.suppress(RuntimeError):
            return asyncio.get_running_loop()
        return None

    assert run_plain(plain()) == threading.get_ident()
    assert run_plain(running_loop()) is None


def test_error_of_plain_steps_is_raised() -> None:
    async def fails() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        run_plain(fails())


def test_plain_steps_that_wait_are_closed() -> None:
    closed = []

    async def waits() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            closed.append(True)

    with pytest.raises(RuntimeError, match="plain job"):
        run_plain(waits())
    assert closed == [True]


def test_blocking_call_of_a_plain_job_is_made_in_this_thread() -> None:
    async def steps() -> int:
        return await blocking(threading.get_ident)

    assert run_plain(steps()) == threading.get_ident()


def test_blocking_calls_do_not_hold_up_the_other_coroutines() -> None:
    all_block = threading.Barrier(3, timeout=30)

    async def steps() -> int:
        return await blocking(all_block.wait)

    assert sorted(run_side_by_side([steps(), steps(), steps()], MINUTE)) == [0, 1, 2]


def test_blocking_calls_see_the_context_variables_of_their_caller() -> None:
    variable = ContextVar("variable", default=0)

    async def steps(number: int) -> int:
        variable.set(number)
        return await blocking(variable.get)

    assert run_side_by_side([steps(1), steps(2)], MINUTE) == [1, 2]
