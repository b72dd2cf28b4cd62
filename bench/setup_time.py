"""Measure `make run` from a fresh clone with empty caches, before and after a change: `python -m bench.setup_time OLD [NEW]`.

OLD and NEW are commits; NEW is HEAD unless it is named. They run one after the other, so that both meet the same machine,
network and load.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from local import process

ROOT = Path(__file__).parents[1]


class Times(NamedTuple):
    """Seconds until the stack is ready, until the sample job has ended, and for a second `make run`."""

    ready: float
    done: float
    again: float


def main() -> None:
    """Measure both commits and print their times and ratio."""
    parser = argparse.ArgumentParser(prog="python -m bench.setup_time", description=__doc__)
    parser.add_argument("old")
    parser.add_argument("new", nargs="?", default="HEAD")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    # Everything is kept until the end: for half a minute, ext4 creates files slowly after many have been deleted.
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            old, new = (measure(commit, Path(folder) / f"{number}-{commit}") for commit in (options.old, options.new))
            print(f"{'':24}{'ready':>8}{'job':>8}{'total':>8}{'again':>8}")
            for name, times in ((options.old, old), (options.new, new)):
                cells = (times.ready, times.done - times.ready, times.done, times.again)
                print(f"{name:24}{''.join(f'{seconds:6.1f} s' for seconds in cells)}")
            print(f"{'new / old':24}{'':16}{new.done / old.done:8.2f}", flush=True)


def measure(commit: str, folder: Path) -> Times:
    """Clone the commit into an empty folder and time `make run` there, twice."""
    clone, home = folder / "clone", folder / "home"
    home.mkdir(parents=True)
    subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
    subprocess.run(["git", "checkout", "-q", commit], cwd=clone, check=True)
    caches = {name: str(home / name) for name in ("XDG_CACHE_HOME", "PIP_CACHE_DIR", "UV_CACHE_DIR")}
    env = {**os.environ, **caches, "HOME": str(home)}
    python = str(Path(sys.executable).resolve())  # not of this environment
    command = ["make", "run", f"PORT={process.free_port()}", f"PYTHON={python}"]
    try:
        ready, done = _timed(command, clone, env)
        _, again = _timed(command, clone, env)
    finally:
        subprocess.run(["make", "stop", f"PYTHON={python}"], cwd=clone, env=env, check=True, stdout=subprocess.DEVNULL)
    return Times(ready, done, again)


def _timed(command: list[str], clone: Path, env: dict[str, str]) -> tuple[float, float]:
    """Return the seconds until the stack was ready, and until the command ended."""
    os.sync()  # what was written before is not paid for here
    began, ready = time.monotonic(), 0.0
    with subprocess.Popen(command, cwd=clone, env=env, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if line.startswith("Ready after"):
                ready = time.monotonic() - began
    if running.returncode != 0:
        sys.exit(f"`make run` failed in {clone}.")
    return ready, time.monotonic() - began


if __name__ == "__main__":
    main()
