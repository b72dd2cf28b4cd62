# ruff: noqa: T201 - a command prints
"""python -m tests: run every test, in two processes. Options go to both."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence

IN_BACKGROUND = ["tests/proof/model", "tests/deployed/openapi", "tests/proof/stateful"]
"""Tests that need the processor and no clock. They run at low priority beside the others, which mostly wait."""


def main(options: Sequence[str]) -> int:
    """Run both processes and return the exit status."""
    pytest = [sys.executable, "-m", "pytest", *options]
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(["nice", "-n", "19", *pytest, *IN_BACKGROUND], stdout=output, stderr=subprocess.STDOUT) as second,
        subprocess.Popen([*pytest, *(f"--ignore={folder}" for folder in IN_BACKGROUND)]) as first,
    ):
        statuses = [_wait(first), _wait(second)]
        output.seek(0)
        print(f"\nIn the background: {' '.join(IN_BACKGROUND)}\n{output.read().decode(errors='replace')}")
    return int(any(statuses))


def _wait(tests: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            return tests.wait()
        except KeyboardInterrupt:  # the processes received it too, and stop what they started
            print("Stopping ...")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
