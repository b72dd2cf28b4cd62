"""A copy of the project with more jobs and shorter waits. The project itself is not changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from local import sources
from tests.support.pace import SLOWNESS

ROOT = Path(__file__).parents[3]
_FUTURE = "from __future__ import annotations\n"
_JOB = Path("layers/asyncjobs/asyncjobs/core/job.py")
_CLIENTS = Path("layers/asyncjobs/asyncjobs/aws/clients.py")

SHORTER = {
    "HEARTBEAT = timedelta(seconds=8)": f"HEARTBEAT = timedelta(seconds={2.5 * SLOWNESS})",
    "SWEEP_INTERVAL = timedelta(minutes=1)": f"SWEEP_INTERVAL = timedelta(seconds={20 * SLOWNESS})",
    "MAX_SWEEP_BACKOFF = timedelta(minutes=16)": f"MAX_SWEEP_BACKOFF = timedelta(seconds={20 * SLOWNESS})",
    "LEASE_MARGIN = timedelta(seconds=10)": f"LEASE_MARGIN = timedelta(seconds={3 * SLOWNESS})",
}
"""The product's waits and those of the copy. Leases of 7.5 s are still longer than the SDK's tries of one call (7 s), and the sweep
interval is still longer than a lease, so that events have the same order as in the product. On a slower machine they are longer."""

LONGER = {
    "    connect_timeout=1,\n    read_timeout=2,\n": f"    connect_timeout={SLOWNESS},\n    read_timeout={2 * SLOWNESS},\n",
    "    connect_timeout=1,\n    read_timeout=5,\n": f"    connect_timeout={4 * SLOWNESS},\n    read_timeout={30 * SLOWNESS},\n",
}
"""The time that the SDK gives one request: on a slow machine, an answer that is only late would be a second fault.

S3 gets much more, since no test is about a late answer of S3. The cells upload parts of 8 MB at the same time through one
proxy: on a busy machine three late answers made `Unavailable` of an upload, and released its attempt.
"""


def make(tree: Path, *, jobs: Mapping[str, Path]) -> Path:
    """Make the copy, with short waits and with these jobs in addition to the project's own."""
    copy(tree, jobs=jobs)
    rewrite(tree / _JOB, SHORTER)
    rewrite(tree / _CLIENTS, LONGER)
    generate(tree)
    return tree


def copy(tree: Path, *, jobs: Mapping[str, Path]) -> None:
    """Copy the deployed files, with these jobs in addition to the project's own."""
    sources.copy(ROOT, tree)
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


def rewrite(file: Path, replacements: Mapping[str, str]) -> None:
    """Replace texts of a file, each of which it has once."""
    text = file.read_text()
    for product, copy in replacements.items():
        if text.count(product) != 1:
            raise ValueError(f"{file.name} does not contain {product!r} once: adapt tests/proof/crash/tree.py.")
        text = text.replace(product, copy)
    file.write_text(text)
