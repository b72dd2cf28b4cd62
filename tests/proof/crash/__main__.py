# ruff: noqa: T201 - a command prints
"""python -m tests.proof.crash: run the matrix and print it as Markdown; exit with 1 unless every cell is right."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.proof.crash import matrix, report


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m tests.proof.crash", description=__doc__)
    arguments.add_argument("--rows", default="", help="only rows whose name contains this")
    arguments.add_argument(
        "--batch", type=int, default=1, help="how many messages a worker takes; above 1, no process is killed"
    )
    arguments.add_argument("--keep", type=Path, help="work in this folder and leave it there")
    arguments.add_argument("--times", action="store_true", help="also print the time of each cell")
    # SIGTERM also stops the started processes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = arguments.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        cells: matrix.Cells = [(row, fault) for row, fault in matrix.ALL if options.rows in row.name]
        outcomes = matrix.run(folder, cells if options.batch == 1 else matrix.side_by_side(cells), batch=options.batch)
    print(report.markdown(outcomes))
    if options.times:
        for outcome in sorted(outcomes, key=lambda outcome: outcome.seconds):
            print(f"{outcome.seconds:6.1f} s  {outcome.row.name}, {outcome.fault}: {outcome.life}")
    wrong = [outcome for outcome in outcomes if outcome.failure is not None]
    for outcome in wrong:
        print(f"\n{outcome.row.name}, {outcome.fault}: {outcome.failure}\n  {outcome.life}", file=sys.stderr)
    print(f"\n{time.monotonic() - began:.0f} s, slowest cell {max(outcome.seconds for outcome in outcomes):.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
