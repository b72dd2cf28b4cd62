# ruff: noqa: T201 - a command prints
"""python -m tests: run every test, in parallel processes. Options go to all of them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO

from tests.support import pace


@dataclass(frozen=True)
class Group:
    """Folders that one process tests, and by how much it yields to the others."""

    folders: tuple[str, ...]
    niceness: int

    def excluded(self) -> list[str]:
        """Return the folders within these that other groups test."""
        others = [folder for group in GROUPS if group != self for folder in group.folders]
        return [folder for folder in others if any(folder.startswith(f"{own}/") for own in self.folders)]


GROUPS: tuple[Group, ...] = (
    Group(("tests/deployed/http",), 0),
    Group(("tests/deployed/operations",), 0),
    Group(("tests/deployed/clients", "tests/deployed/console"), 0),
    Group(("tests/proof/crash", "tests/proof/soak"), 0),
    Group(("tests/proof/model", "tests/proof/stateful"), 5),
    Group(("tests/deployed/openapi",), 5),
    Group(("tests/local", "tests/template"), 5),
    Group(("examples",), 5),
    Group(("tests",), 5),  # without the folders of the other groups
)
"""In the order of their starts. The first four mostly wait, for deployed functions, leases and sweeps. The others need the
processor and no clock: they yield, but not so much that another program on this machine stops them."""

SIDE_BY_SIDE = 5
"""The number of groups that run at a time. With more, two cores are so busy that what waits for a function waits for the others."""


@dataclass(frozen=True)
class Running:
    """A group's process and what it prints."""

    group: Group
    process: subprocess.Popen[bytes]
    output: IO[bytes]

    @property
    def name(self) -> str:
        return " ".join(self.group.folders)

    def text(self) -> str:
        """Return everything that the process has printed."""
        self.output.seek(0)
        return self.output.read().decode(errors="replace")


def main(options: Sequence[str]) -> int:
    """Run the groups and return the exit status. At the end, print what was skipped, and the output of groups with failures."""
    os.environ[pace.VARIABLE] = str(pace.SLOWNESS)
    print(
        f"Testing in {SIDE_BY_SIDE} processes. This machine takes {pace.SLOWNESS:.1f} times as long as a quiet one.", flush=True
    )
    with ExitStack() as stack:
        ended = _run([*GROUPS], options, stack)
        for found in ended:
            if found.process.returncode != 0:
                print(f"\n{found.name}\n{found.text()}")
                continue
            for line in found.text().splitlines():
                if line.startswith("SKIPPED"):
                    print(line)
    return int(any(found.process.returncode for found in ended))


def _start(group: Group, options: Sequence[str], stack: ExitStack) -> Running:
    ignored = [f"--ignore={folder}" for folder in group.excluded()]
    output = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - it is entered
    command = ["nice", "-n", str(group.niceness), sys.executable, "-m", "pytest", *group.folders, *ignored, *options]
    process = stack.enter_context(subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT))
    return Running(group, process, output)


def _run(waiting: list[Group], options: Sequence[str], stack: ExitStack) -> list[Running]:
    """Run the groups, print the last line of each when it ends, and return them in the order of their ends."""
    running, ended = list[Running](), list[Running]()
    while waiting or running:
        try:
            while waiting and len(running) < SIDE_BY_SIDE:
                running.append(_start(waiting.pop(0), options, stack))
            for found in [each for each in running if each.process.poll() is not None]:
                running.remove(found)
                ended.append(found)
                lines = found.text().strip().splitlines() or ["nothing"]
                print(f"{found.name}: {lines[-1].strip('= ')}", flush=True)
            time.sleep(0.2)
        except KeyboardInterrupt:  # which they got as well: they stop their engines
            waiting.clear()
            print("Stopping ...")
    return ended


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
