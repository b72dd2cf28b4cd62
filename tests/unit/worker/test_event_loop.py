"""Coroutine jobs side by side, and the interruption of one of them."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from asyncjobs.core.errors import JobCancelled
from asyncjobs.worker import event_loop
from asyncjobs.worker.event_loop import JobTask, run_side_by_side
from asyncjobs.worker.timeouts import ProcessEnd

MINUTE = timedelta(minutes=1)


def test_coroutines_run_side_by_side_within_one_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = []

    @contextlib.contextmanager
    def bound(limit: timedelta) -> Iterator[None]:
        bounds.append(limit)
        yield

    monkeypatch.setattr(event_loop, "ProcessEnd", bound)
    both_have_started = asyncio.Barrier(2)

    async def steps(number: int) -> int:
        await both_have_started.wait()
        return number

    limit = timedelta(seconds=5)
    assert run_side_by_side([steps(1), steps(2)], limit) == [1, 2]
    assert bounds == [limit]


def test_threads_that_are_left_behind_are_not_waited_for() -> None:
    done = threading.Event()

    async def leaves_a_thread() -> None:
        asyncio.get_running_loop().run_in_executor(None, done.wait, 20)
        await asyncio.sleep(0.01)

    began = time.monotonic()
    run_side_by_side([leaves_a_thread()], MINUTE)
    took = time.monotonic() - began
    done.set()
    assert took < 5


def test_tasks_that_are_left_behind_are_cancelled() -> None:
    cancelled = []

    async def left() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.append(True)

    async def leaves_a_task(tasks: list[asyncio.Task[None]]) -> None:
        tasks.append(asyncio.get_running_loop().create_task(left()))
        await asyncio.sleep(0.01)

    run_side_by_side([leaves_a_task([])], MINUTE)
    assert cancelled == [True]


def test_system_exit_in_a_task_of_a_job_ends_no_other_job() -> None:
    async def exits() -> None:
        sys.exit(3)

    async def starts_a_task() -> str:
        try:
            await asyncio.get_running_loop().create_task(exits())
        except SystemExit:
            return "exited"
        return "went on"

    async def other() -> str:
        await asyncio.sleep(0.05)
        return "returned"

    assert run_side_by_side([starts_a_task(), other()], MINUTE) == ["exited", "returned"]


@pytest.mark.parametrize("head_start", [0, 0.2], ids=["in the call", "before the call"])
def test_interruption_reaches_a_call_that_blocks(head_start: float) -> None:
    async def steps() -> None:
        with ProcessEnd() as process_end:
            task = JobTask(process_end, MINUTE)
            interruption = threading.Timer(0.1, task.interrupt, [JobCancelled()])
            interruption.start()
            interruption.join(head_start)
            await task.call(lambda: time.sleep(20), seconds=60)

    began = time.monotonic()
    with pytest.raises(JobCancelled):
        run_side_by_side([steps()], MINUTE)
    assert time.monotonic() - began < 10


def test_call_of_one_of_several_jobs_that_blocks_beyond_its_time_ends_the_process() -> None:
    program = """
import asyncio, time
from datetime import timedelta
from asyncjobs.worker.event_loop import JobTask, run_side_by_side
from asyncjobs.worker.timeouts import ProcessEnd
async def blocks():
    with ProcessEnd() as process_end:
        await JobTask(process_end, timedelta(seconds=0.1)).call(lambda: time.sleep(30), seconds=0.1)
async def waits(): await asyncio.sleep(30)
run_side_by_side([blocks(), waits()], timedelta(minutes=1))
"""
    began = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(Path(event_loop.__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode != 0
    assert "in <lambda>" in ran.stderr
    assert time.monotonic() - began < 25


def test_plain_job_after_a_coroutine_may_call_get_event_loop() -> None:
    """In a process of its own: another test may have called `asyncio.run`."""
    program = """
import asyncio, warnings
from datetime import timedelta
from asyncjobs.worker.event_loop import run_side_by_side
from asyncjobs.worker.steps import run_plain
warnings.simplefilter("ignore", DeprecationWarning)
async def coroutine(): await asyncio.sleep(0)
async def plain(): return asyncio.get_event_loop_policy().get_event_loop().run_until_complete(asyncio.sleep(0, "ran"))
run_side_by_side([coroutine()], timedelta(minutes=1))
print(run_plain(plain()))
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(Path(event_loop.__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("ran\n", "")
