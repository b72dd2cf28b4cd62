"""A block that reads data of an unknown sender takes its time and memory, and no more."""

from __future__ import annotations

import contextlib
import resource
import signal
import sys
import threading
import time

import pytest

from jobs.budget import OutOfTime, budget

LIMITED = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the limit")


def work(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_block_within_its_budget_is_not_disturbed() -> None:
    with budget(seconds=10, megabytes=100):
        assert len(bytearray(1_000_000)) == 1_000_000


def test_block_that_works_too_long_is_interrupted() -> None:
    before = time.process_time()
    with pytest.raises(OutOfTime), budget(seconds=0.1, megabytes=100):
        work(20)
    assert time.process_time() - before < 5


def test_waiting_takes_no_processor_time() -> None:
    with budget(seconds=0.5, megabytes=100):
        time.sleep(0.8)


def test_except_exception_does_not_catch_the_end_of_the_time() -> None:
    with pytest.raises(OutOfTime), budget(seconds=0.1, megabytes=100), contextlib.suppress(Exception):
        work(20)


def test_block_that_swallows_it_is_interrupted_again() -> None:
    def stubborn() -> None:
        with contextlib.suppress(OutOfTime):
            work(20)
        work(20)

    with pytest.raises(OutOfTime), budget(seconds=0.1, megabytes=100):
        stubborn()


@LIMITED
def test_block_that_takes_too_much_memory_gets_an_error() -> None:
    with pytest.raises(MemoryError), budget(seconds=10, megabytes=50):
        bytearray(100_000_000)


@LIMITED
def test_lower_limit_of_the_process_stays() -> None:
    usual = resource.getrlimit(resource.RLIMIT_DATA)
    with budget(seconds=10, megabytes=50):
        outer = resource.getrlimit(resource.RLIMIT_DATA)
        with budget(seconds=10, megabytes=1000):
            assert resource.getrlimit(resource.RLIMIT_DATA) == outer
    assert resource.getrlimit(resource.RLIMIT_DATA) == usual


@pytest.mark.parametrize("error", [None, ValueError])
def test_nothing_is_left_behind(error: type[Exception] | None) -> None:
    def state() -> tuple[object, ...]:
        return signal.getsignal(signal.SIGPROF), signal.getitimer(signal.ITIMER_PROF), resource.getrlimit(resource.RLIMIT_DATA)

    before = state()
    with contextlib.suppress(ValueError), budget(seconds=10, megabytes=100):
        assert state() != before
        if error is not None:
            raise error
    assert state() == before


def test_other_threads_have_a_budget_of_memory_only() -> None:
    done: list[bool] = []

    def read() -> None:
        with budget(seconds=0.001, megabytes=100):
            work(0.1)
            done.append(True)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert done == [True]
