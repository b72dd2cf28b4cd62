"""A job that exceeds its timeout is interrupted, and at last ended with its process."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from asyncjobs.core.errors import JobCancelled, TimeLimitExceeded
from asyncjobs.worker import timeouts
from asyncjobs.worker.kernel_timer import INTERRUPTS, ThreadTimer
from asyncjobs.worker.timeouts import call_with_timeout, interrupt_call


def test_call_in_time_returns_its_value() -> None:
    assert call_with_timeout(lambda: 7, timedelta(seconds=5)) == 7


def test_blocking_call_is_interrupted() -> None:
    started = time.monotonic()
    with pytest.raises(TimeLimitExceeded):
        call_with_timeout(lambda: time.sleep(5), timedelta(seconds=0.02))
    assert time.monotonic() - started < 2


def test_except_exception_does_not_swallow_the_timeout() -> None:
    def stubborn() -> None:
        with contextlib.suppress(Exception):
            time.sleep(5)

    with pytest.raises(TimeLimitExceeded):
        call_with_timeout(stubborn, timedelta(seconds=0.02))


def test_no_interruption_is_left_afterward() -> None:
    call_with_timeout(lambda: None, timedelta(seconds=0.05))
    interrupt_call(JobCancelled())
    time.sleep(0.1)


def test_another_thread_interrupts_a_blocking_call() -> None:
    def cancelled() -> None:
        threading.Timer(0.05, interrupt_call, [JobCancelled("It was cancelled.")]).start()
        time.sleep(5)

    started = time.monotonic()
    with pytest.raises(JobCancelled):
        call_with_timeout(cancelled, timedelta(seconds=10))
    assert time.monotonic() - started < 2


def test_clean_up_is_not_interrupted_again() -> None:
    cleaned_up = []

    def cleans_up() -> None:
        try:
            time.sleep(5)
        finally:
            interrupt_call(JobCancelled())
            time.sleep(0.05)
            cleaned_up.append(True)

    with pytest.raises(TimeLimitExceeded):
        call_with_timeout(cleans_up, timedelta(seconds=0.02))
    assert cleaned_up == [True]


def test_call_that_uses_the_alarm_signal_itself_ends_at_its_time_limit() -> None:
    def has_its_own_alarm() -> None:
        previous = signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 5)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        time.sleep(5)

    started = time.monotonic()
    with pytest.raises(TimeLimitExceeded):
        call_with_timeout(has_its_own_alarm, timedelta(seconds=0.05))
    assert time.monotonic() - started < 2


def test_timer_thread_interrupts_where_the_kernel_has_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "interrupt_timer", ThreadTimer)
    monkeypatch.setattr(timeouts._MainThread, "used", None)
    handler = signal.getsignal(INTERRUPTS)
    call = timeouts._MainThread()
    try:
        with pytest.raises(TimeLimitExceeded):
            call.call(lambda: time.sleep(5), timedelta(seconds=0.05))
        assert call.call(lambda: 7, timedelta(seconds=5)) == 7
    finally:
        signal.signal(INTERRUPTS, handler)


HANGS = {
    "blocks the signals": "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); signal.pause()",
    "suppresses the exception": """
    try:
        timeouts.call_with_timeout(lambda: time.sleep(60), timedelta(seconds=0.05))
    except BaseException:
        time.sleep(60)""",
}


def run(block: str) -> subprocess.CompletedProcess[str]:
    program = f"""
import signal, threading, time
from datetime import timedelta
from asyncjobs.worker import timeouts
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()  # as the thread that watches attempts
{block}
"""
    return subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(Path(timeouts.__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


@pytest.mark.parametrize("body", HANGS.values(), ids=HANGS)
def test_job_that_no_exception_ends_is_ended_with_its_process_and_a_traceback(body: str) -> None:
    ended = run(f"def hangs():\n    {body}\nwith timeouts.ProcessEnd(timedelta(seconds=0.3)):\n    hangs()")
    assert ended.returncode != 0
    assert "in hangs" in ended.stderr


def test_process_ends_at_the_earliest_of_its_ends() -> None:
    ended = run("""
def hangs(): time.sleep(60)
with timeouts.ProcessEnd(timedelta(minutes=1)), timeouts.ProcessEnd(timedelta(minutes=2)) as end:
    end.within(timedelta(seconds=0.1))
    hangs()""")
    assert ended.returncode != 0
    assert "in hangs" in ended.stderr


def test_process_lives_after_its_last_end_is_cancelled() -> None:
    ended = run("""
with timeouts.ProcessEnd(timedelta(seconds=0.2)), timeouts.ProcessEnd(timedelta(seconds=0.1)): pass
time.sleep(0.4)""")
    assert (ended.returncode, ended.stderr) == (0, "")
