"""Measure a cold start of `submit` and `status`, as a ratio to a bare handler that makes the same boto3 calls.

Each cold start is a fresh process, from its start to the first answered request. Ours and the bare one alternate, so that a
machine that slows down slows both.

    make bench            # or: python -m bench.cold_start [runs]
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench import functions

_RUN = """
import json, os, sys
sys.path[:0] = json.loads(sys.argv[1])
import app
answer = app.handler(json.loads(sys.argv[2]), Context())
assert answer["statusCode"] in (200, 202), answer
os._exit(0)
"""
"""The end of the process is no part of a cold start: Lambda keeps it."""


@dataclass(frozen=True)
class Cost:
    """Seconds of one cold start: on the clock, and of processor time, which a busy machine disturbs less."""

    wall: float
    cpu: float


def cold_start(path: list[str], function: str, endpoint: str) -> Cost:
    """Start the function once."""
    code = functions.CONTEXT + _RUN
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [functions.TOOLS.lambda_python, "-c", code, json.dumps(path), json.dumps(functions.event(function))],
        check=True,
        stdout=subprocess.DEVNULL,
        env=functions.environment(endpoint),
    )
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main(runs: int) -> None:
    """Measure and print."""
    functions.build()
    with functions.stub() as endpoint, tempfile.TemporaryDirectory() as folder:
        for function in functions.FUNCTIONS:
            ours, bare = functions.ours(function), functions.bare(function, Path(folder))
            pairs = [(cold_start(ours, function, endpoint), cold_start(bare, function, endpoint)) for _ in range(runs + 1)][
                1:
            ]  # the first pair warms the file cache
            print(
                f"{function:7}", *(_row(kind, pairs) for kind in ("cpu", "wall")), f"budget {functions.BUDGET:.2f}", sep="   "
            )


def _row(kind: str, pairs: list[tuple[Cost, Cost]]) -> str:
    ours, floor = ([getattr(cost, kind) for cost in costs] for costs in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in zip(ours, floor, strict=True))
    return f"{kind} {statistics.median(ours) * 1000:4.0f} ms, bare {statistics.median(floor) * 1000:4.0f} ms, ratio {ratio:.2f}"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
