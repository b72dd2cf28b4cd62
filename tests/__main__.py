# ruff: noqa: T201 - a command prints
"""python -m tests: check, and run every test, in parallel processes. Options go to pytest."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import IO

from local.process import PROJECT
from tests.support import pace


@dataclass(frozen=True)
class Group:
    """Folders that one process tests, and by how much it yields to the others. Without folders, it is `make check`."""

    folders: tuple[str, ...]
    niceness: int
    has_second_try: bool = False
    """Whether what fails beside the other groups is tried again, alone: for tests that wait for a local engine, but for the proof."""

    @property
    def name(self) -> str:
        return " ".join(self.folders) or "make check"

    def excluded(self) -> list[str]:
        """Return the folders within these that other groups test."""
        others = [folder for group in GROUPS if group != self for folder in group.folders]
        return [folder for folder in others if any(folder.startswith(f"{own}/") for own in self.folders)]

    def command(self, options: Sequence[str]) -> list[str]:
        """Return what the process runs. It keeps the names of failed tests apart from those of other groups."""
        if not self.folders:
            return [*CHECKS]
        ignored = [f"--ignore={folder}" for folder in self.excluded()]
        cache = f"cache_dir={PROJECT}/.pytest_cache/{self.folders[0].replace('/', '-')}"
        return [sys.executable, "-m", "pytest", *self.folders, *ignored, "-o", cache, *options]


GROUPS: tuple[Group, ...] = (
    Group(("tests/deployed/clients", "tests/deployed/console"), 0, has_second_try=True),
    Group(("tests/deployed/operations",), 0, has_second_try=True),
    Group(("tests/deployed/http",), 0, has_second_try=True),
    Group(("tests/proof/crash", "tests/proof/soak"), 0),
    Group(("tests/proof/stateful",), 5),
    Group(("tests",), 5),  # without the folders of the other groups
    Group(("tests/local", "tests/template"), 5, has_second_try=True),
    Group(("tests/deployed/openapi",), 5, has_second_try=True),
    Group(("examples",), 5, has_second_try=True),
    Group((), 5),  # make check
    Group(("tests/proof/model",), 5),
)
"""In the order of their starts. The first four mostly wait, for deployed functions, leases and sweeps. The longest of the others
come first, so that both processors have work to the end. Those that yield do not yield so much that another program stops them."""

CHECKS = ("make", "check")
FEW = 5
"""Failed tests of a group that may have been too slow beside the others. More have a cause that another try would only hide."""

SIDE_BY_SIDE = 6
"""The number of groups that run at a time. With more, two cores are so busy that what waits for a function waits for the others."""


@dataclass(frozen=True)
class Running:
    """A group's process and what it prints."""

    group: Group
    process: subprocess.Popen[bytes]
    output: IO[bytes]

    @property
    def has_failed(self) -> bool:
        return self.process.returncode != 0

    def lines(self) -> list[str]:
        """Return everything that the process has printed."""
        self.output.seek(0)
        return self.output.read().decode(errors="replace").splitlines()

    def summary(self) -> str:
        """Return the last line of pytest, or how the check ended."""
        lines = [line for line in self.lines() if line.strip()]
        if self.group.folders and lines:
            return lines[-1].strip("= ")
        return "failed" if self.has_failed else "passed"

    def failures(self) -> list[str]:
        """Return the lines that name the tests that have failed."""
        return [line for line in self.lines() if line.startswith(("FAILED ", "ERROR "))]

    def may_have_been_slow(self) -> bool:
        """Return whether few tests that wait for an engine failed, and nothing else."""
        return self.group.has_second_try and self.process.returncode == _TESTS_FAILED and len(self.failures()) <= FEW


_TESTS_FAILED = 1
"""pytest's exit status if tests ran and some failed."""


def main(options: Sequence[str]) -> int:
    """Run the groups and return the exit status.

    At the end, print what was skipped, and the output of groups with failures: also of those that passed when they were tried
    again.
    """
    os.environ[pace.VARIABLE] = str(pace.SLOWNESS)
    print(
        f"Testing in {SIDE_BY_SIDE} processes. This machine takes {pace.SLOWNESS:.1f} times as long as a quiet one.", flush=True
    )
    with ExitStack() as stack:
        stack.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, _terminate))
        ended, is_interrupted = _run(GROUPS, options, stack)
        failed = [found for found in ended if found.has_failed]
        for found in ended:
            if found.has_failed:
                print("\n".join(["", found.group.name, *found.lines()]), flush=True)
                continue
            for line in found.lines():
                if line.startswith("SKIPPED"):
                    print(line, flush=True)
        if not is_interrupted:
            failed = [found for found in failed if not found.may_have_been_slow() or not _passes_alone(found, options, stack)]
    return int(is_interrupted or bool(failed))


def _passes_alone(failed: Running, options: Sequence[str], stack: ExitStack) -> bool:
    """Run the failed tests once more, now that nothing runs beside them. Say whether all of them passed; exit if interrupted."""
    failures = failed.failures()
    print("\nFailed beside the other groups, and tried again alone:", *failures, sep="\n", flush=True)
    only_these = [*options, "--last-failed", "--last-failed-no-failures=none"]
    [again], is_interrupted = _run([replace(failed.group, niceness=0)], only_these, stack)
    print("\n".join(again.lines()))
    if is_interrupted:
        sys.exit(1)
    # A test of what all others did together is skipped alone, which proves nothing.
    passes = not again.has_failed and re.search(rf"\b{len(failures)} passed\b", again.summary()) is not None
    print("Passed alone. A time limit has too little room, or there is a race: look for it." if passes else "Not passed alone.")
    return passes


class _Terminated(KeyboardInterrupt):
    """SIGTERM, as a CI system sends it to the command alone, or `make` passes it on. Ctrl-C reaches all processes."""


def _terminate(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # another one would interrupt the stop
    raise _Terminated


def _start(group: Group, options: Sequence[str], stack: ExitStack) -> Running:
    output = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - it is entered
    command = ["nice", "-n", str(group.niceness), *group.command(options)]
    process = stack.enter_context(subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT))
    return Running(group, process, output)


def _run(groups: Sequence[Group], options: Sequence[str], stack: ExitStack) -> tuple[list[Running], bool]:
    """Run the groups and print how each ends. Return them in the order of their ends, and whether they were interrupted."""
    waiting, running, ended = [*groups], list[Running](), list[Running]()
    is_interrupted = False
    while running or (waiting and not is_interrupted):
        try:
            while waiting and not is_interrupted and len(running) < SIDE_BY_SIDE:
                running.append(_start(waiting.pop(0), options, stack))
            for found in [each for each in running if each.process.poll() is not None]:
                running.remove(found)
                ended.append(found)
                print(f"{found.group.name}: {found.summary()}", flush=True)
            time.sleep(0.2)
        except KeyboardInterrupt as interruption:
            is_interrupted = True
            print("Stopping ...", flush=True)
            if isinstance(interruption, _Terminated):
                for found in running:
                    # pytest stops its engines, and make its command.
                    found.process.send_signal(signal.SIGINT if found.group.folders else signal.SIGTERM)
    return ended, is_interrupted


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
