"""How slow this machine is now, for the tests that are about seconds.

Most bounds only end a test that hangs, so they have much room. A test that is about a time multiplies its seconds by `SLOWNESS`.
`python -m tests` measures it before its processes compete with each other, and passes it on.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

VARIABLE = "ASYNCJOBS_TEST_SLOWNESS"
_QUIET = 0.15
"""Seconds that the measured work takes on a quiet machine with two cores."""
_WORK = "import asyncio, decimal, email.message, hashlib, http.client, json, ssl, urllib.request, uuid; sum(range(1_000_000))"


def measure() -> float:
    """Return 1 on a quiet machine, 2 if everything takes twice as long, at most 4: leases and jobs of tests last as much longer.

    The work is that of a cold start, a process and its imports, on all processors at a time: a process alone takes turns with
    what else runs, and hardly shows it.
    """
    return min(4.0, max(1.0, statistics.median(_seconds() for _ in range(5)) / _QUIET))


def _seconds() -> float:
    began = time.monotonic()
    processes = [subprocess.Popen([sys.executable, "-I", "-c", _WORK]) for _ in range(os.cpu_count() or 1)]
    if not all(process.wait() == 0 for process in processes):
        raise RuntimeError("The work that measures this machine failed.")
    return time.monotonic() - began


SLOWNESS = float(os.environ.get(VARIABLE) or measure())
