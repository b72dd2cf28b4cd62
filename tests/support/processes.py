"""Processes of this machine, from `ps`, which Macs have as well as Linux."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class Process:
    """A process that has not ended."""

    pid: int
    parent: int
    age_seconds: int


def running() -> dict[int, Process]:
    """Return the processes by pid, without those that have ended and are still listed (zombies)."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,etime=,stat="], check=True, capture_output=True, text=True).stdout
    found = {}
    for line in listed.splitlines():
        pid, parent, elapsed, state = line.split()[:4]
        if not state.startswith("Z"):
            found[int(pid)] = Process(int(pid), int(parent), seconds(elapsed))
    return found


def seconds(elapsed: str) -> int:
    """Return the seconds of `ps`'s elapsed time, [[days-]hours:]minutes:seconds."""
    days, hours, minutes, rest = [0, 0, 0, *map(int, re.split("[-:]", elapsed))][-4:]
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest
