# ruff: noqa: SLF001 - gaps are closed inside the emulator
"""Functions: when a call is over."""

import fcntl
import struct
import termios
import time
from typing import Any

from local.gaps.emulator import module

_READERS_TURN = 0.01
"""Seconds in which a thread that waits for a line has surely taken what was there."""


def answer_when_nothing_is_left_to_log() -> None:
    """AWS answers when the handler has returned.

    The emulator keeps back each answer of a handler that logged nothing for 50 ms, in case that a line comes yet. But whatever
    a handler wrote, it wrote before it returned: when its pipe is empty, nothing comes.
    """
    worker = module("core.lambda_runtime").Worker
    drain = worker._drain_stderr_bounded

    def drain_what_is_there(self: Any) -> Any:
        deadline = time.monotonic() + 0.05
        while self._proc is not None and _unread(self._proc.stderr.fileno()) and time.monotonic() < deadline:
            time.sleep(0.001)
        return drain(self, first_line_wait=_READERS_TURN)

    worker._drain_stderr_bounded = drain_what_is_there


def _unread(descriptor: int) -> int:
    """The bytes that lie in a pipe."""
    (count,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))
    return int(count)
