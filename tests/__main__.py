# ruff: noqa: T201 - a command prints
"""python -m tests: every test, in two processes. What it is given goes to both."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence

BESIDE = ["tests/proof/model", "tests/deployed/openapi", "tests/proof/stateful"]
"""They need the processor and no clock, the others mostly wait: so these run beside them, and yield to them."""


def main(options: Sequence[str]) -> int:
    """The exit status."""
    pytest = [sys.executable, "-m", "pytest", *options]
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(["nice", "-n", "19", *pytest, *BESIDE], stdout=output, stderr=subprocess.STDOUT) as beside,
        subprocess.Popen([*pytest, *(f"--ignore={folder}" for folder in BESIDE)]) as others,
    ):
        statuses = [_wait(others), _wait(beside)]
        output.seek(0)
        print(f"\nBeside them: {' '.join(BESIDE)}\n{output.read().decode(errors='replace')}")
    return int(any(statuses))


def _wait(tests: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            return tests.wait()
        except KeyboardInterrupt:  # which they got as well: they stop what they have started
            print("Stopping ...")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
