"""A job that exceeds its timeout is interrupted, and at last ended with its process."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from asyncjobs.core.errors import TimeLimitExceeded
from asyncjobs.worker import timeouts
from asyncjobs.worker.timeouts import call_with_timeout


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


def test_no_alarm_is_left_afterward() -> None:
    before = signal.getsignal(signal.SIGALRM)
    call_with_timeout(lambda: None, timedelta(seconds=5))
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    assert signal.getsignal(signal.SIGALRM) == before


def test_job_that_no_exception_reaches_ends_with_its_process_and_a_traceback() -> None:
    program = """
import signal
from datetime import timedelta
from asyncjobs.worker import timeouts
timeouts.GRACE = timedelta(0)
def hangs():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])  # as foreign code that never returns to Python
    signal.pause()
with timeouts.exit_after(timedelta(seconds=0.1)):
    hangs()
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(Path(timeouts.__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode != 0
    assert "in hangs" in ended.stderr
