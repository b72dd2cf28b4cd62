"""A copy of the project with more jobs and shorter waits. The project itself is not changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[3]
_DEPLOYED = ("template.yaml", "samconfig.toml", "functions", "layers")
_FUTURE = "from __future__ import annotations\n"
_JOB = Path("layers/asyncjobs/asyncjobs/core/job.py")

SHORTER = {
    "HEARTBEAT = timedelta(seconds=8)": "HEARTBEAT = timedelta(seconds=2.5)",
    "SWEEP_INTERVAL = timedelta(minutes=1)": "SWEEP_INTERVAL = timedelta(seconds=20)",
    "MAX_SWEEP_BACKOFF = timedelta(minutes=16)": "MAX_SWEEP_BACKOFF = timedelta(seconds=20)",
    "LEASE_MARGIN = timedelta(seconds=10)": "LEASE_MARGIN = timedelta(seconds=3)",
}
"""The product's waits and those of the copy. Leases of 7.5 s are still longer than the SDK's tries of one call (7 s), and the sweep
interval is still longer than a lease, so that events have the same order as in the product."""


def make(tree: Path, *, jobs: Mapping[str, Path]) -> Path:
    """Make the copy, with short waits and with these jobs in addition to the project's own."""
    copy(tree, jobs=jobs)
    _shorten_waits(tree / _JOB)
    generate(tree)
    return tree


def copy(tree: Path, *, jobs: Mapping[str, Path]) -> None:
    """Copy the deployed files, with these jobs in addition to the project's own."""
    tree.mkdir(parents=True)
    for name in _DEPLOYED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree / name)
    for name, source in jobs.items():
        shutil.copy(source, tree / f"layers/jobs/jobs/{name}.py")


def generate(tree: Path) -> None:
    """Generate the catalog, as `make catalog` does."""
    subprocess.run(
        [sys.executable, "-m", "asyncjobs.codegen"],
        check=True,
        env={**os.environ, "PYTHONPATH": f"{tree}/layers/asyncjobs:{tree}/layers/jobs"},
    )


def add_crashpoints(tree: Path) -> None:
    """Make each function of the copy import the crash points first."""
    shutil.copy(Path(__file__).with_name("crashpoints.py"), tree / "layers/asyncjobs/crashpoints.py")
    for function in tree.glob("functions/*/app.py"):
        before, future, after = function.read_text().rpartition(_FUTURE)
        function.write_text(f"{before}{future}import crashpoints  # noqa: F401\n{after}")


def _shorten_waits(job: Path) -> None:
    text = job.read_text()
    for long, short in SHORTER.items():
        if text.count(long) != 1:
            raise ValueError(f"job.py no longer says {long!r} once: adapt SHORTER.")
        text = text.replace(long, short)
    job.write_text(text)
