"""The same steps with and without an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from asyncjobs.core.job import GRACE
from asyncjobs.worker import event_loop
from asyncjobs.worker.event_loop import run_plain, run_side_by_side


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


def test_coroutines_run_side_by_side_within_one_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = []

    @contextlib.contextmanager
    def bound(limit: timedelta) -> Iterator[None]:
        bounds.append(limit)
        yield

    monkeypatch.setattr(event_loop, "exit_after", bound)
    both_have_started = asyncio.Barrier(2)

    async def steps(number: int) -> int:
        await both_have_started.wait()
        return number

    limit = timedelta(seconds=5)
    assert run_side_by_side([steps(1), steps(2)], limit) == [1, 2]
    assert bounds == [limit + GRACE]
