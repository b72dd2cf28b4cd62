"""Processes of this machine, from `ps`, which Macs have as well as Linux."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.support.programs import output


@dataclass(frozen=True)
class Process:
    """A process that has not ended."""

    pid: int
    parent: int
    age_seconds: int
    command: str


def running() -> dict[int, Process]:
    """Return the processes by pid, without those that have ended and are still listed (zombies)."""
    found = {}
    for line in output("ps", "-A", "-ww", "-o", "pid=,ppid=,etime=,stat=,args=", package="procps").splitlines():
        pid, parent, elapsed, state, *command = line.split(maxsplit=4)
        if not state.startswith("Z"):
            found[int(pid)] = Process(int(pid), int(parent), seconds(elapsed), "".join(command))
    return found


def seconds(elapsed: str) -> int:
    """Return the seconds of `ps`'s elapsed time, [[days-]hours:]minutes:seconds."""
    days, hours, minutes, rest = [0, 0, 0, *map(int, re.split("[-:]", elapsed))][-4:]
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest
