"""A timer that ends the process, also when nothing in it can run."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from asyncjobs.worker import kernel_timer
from asyncjobs.worker.kernel_timer import INTERRUPTS, KernelTimer, ThreadTimer, TracebackTimer, interrupt_timer, process_timer

HANGS = {
    "with the interpreter's lock": "ctypes.PyDLL(None).sleep(30)",
    "without the lock, with SIGALRM blocked": (
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM]); ctypes.CDLL(None).sleep(30)"
    ),
}
"""How foreign code may hang: Python's lock is held by a call through `PyDLL`, and not by one through `CDLL`."""


ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the timer")
TIMERS = [pytest.param("process_timer()", marks=ON_LINUX, id="kernel"), pytest.param("TracebackTimer()", id="thread")]


def run(timer: str, body: str) -> subprocess.CompletedProcess[str]:
    program = f"""
import ctypes, signal, time
from asyncjobs.worker.kernel_timer import TracebackTimer, process_timer
timer = {timer}
def hangs():
    {body}
timer.start(0.2)
hangs()
"""
    return subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(Path(kernel_timer.__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


@pytest.mark.parametrize("timer", TIMERS)
@pytest.mark.parametrize("body", HANGS.values(), ids=HANGS)
def test_hanging_process_ends_with_a_traceback(timer: str, body: str) -> None:
    ended = run(timer, body)
    assert ended.returncode != 0
    assert "in hangs" in ended.stderr


@pytest.mark.parametrize("timer", TIMERS)
def test_stopped_timer_lets_the_process_live(timer: str) -> None:
    ended = run(timer, "timer.stop(); time.sleep(0.5)")
    assert (ended.returncode, ended.stderr) == (0, "")


@ON_LINUX
def test_timer_is_set_again_for_each_use() -> None:
    ended = run("process_timer()", "[(timer.stop(), timer.start(60), time.sleep(0.3)) for _ in '12']")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_system_without_the_timer_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "PyDLL", lambda *_args, **_options: object())
    assert KernelTimer.create(INTERRUPTS) is None
    assert isinstance(process_timer(), TracebackTimer)
    assert isinstance(interrupt_timer(), ThreadTimer)


@ON_LINUX
def test_failed_call_is_an_error() -> None:
    timer = KernelTimer(ctypes.CDLL(None, use_errno=True), ctypes.c_void_p(0))
    with pytest.raises(OSError, match="nvalid argument"):
        timer.start(-1)
