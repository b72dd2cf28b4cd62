"""Measure a warm call of `submit` and `status`, as a ratio of processor time to a bare handler that makes the same boto3 calls.

Ours and the bare handler each have a process of their own, which stays warm. The two take turns, some calls each, so that a
machine that slows down slows both. A warm call mostly waits for AWS, so the clock would show little: processor time is what
a Lambda function's memory pays for.

    make bench            # or: python -m bench.warm [turns]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import functions

CALLS = 50
"""In a turn."""

_RUN = """
import json, os, sys, time
answers = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what the function logs
sys.path[:0] = json.loads(sys.argv[1])
import app
context = Context()
for line in sys.stdin:
    event = json.loads(sys.argv[2])
    started = time.process_time()
    for _ in range(int(line)):
        answer = app.handler(event, context)
    taken = time.process_time() - started
    assert answer["statusCode"] in (200, 202), answer
    print(taken, file=answers, flush=True)
"""


class Warm:
    """A process in which a function has been called before."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.milliseconds_per_call()

    @classmethod
    @contextmanager
    def of(cls, path: list[str], function: str, endpoint: str) -> Iterator[Warm]:
        """Start it, and end it afterwards."""
        code, event = functions.CONTEXT + _RUN, json.dumps(functions.event(function))
        with subprocess.Popen(
            [functions.TOOLS.lambda_python, "-c", code, json.dumps(path), event],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=functions.environment(endpoint),
        ) as process:
            yield cls(process)
            process.communicate()

    def milliseconds_per_call(self) -> float:
        """Take a turn."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(CALLS, file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline()) / CALLS * 1000


def main(turns: int) -> None:
    """Measure and print."""
    functions.build()
    with functions.stub() as endpoint, tempfile.TemporaryDirectory() as folder:
        for function in functions.FUNCTIONS:
            with (
                Warm.of(functions.ours(function), function, endpoint) as ours,
                Warm.of(functions.bare(function, Path(folder)), function, endpoint) as bare,
            ):
                pairs = [(ours.milliseconds_per_call(), bare.milliseconds_per_call()) for _ in range(turns)]
            ratio = statistics.median(one / other for one, other in pairs)
            medians = [statistics.median(column) for column in zip(*pairs, strict=True)]
            print(
                f"{function:7}   cpu {medians[0]:.2f} ms, bare {medians[1]:.2f} ms, ratio {ratio:.2f}   budget {functions.BUDGET:.2f}"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 25)
