"""The command line `asyncjobs`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run a command, and return the exit code."""
    try:
        from asyncjobs_client.cli.app import run  # noqa: PLC0415 - its packages are an extra
    except ImportError as error:
        if error.name not in {"typer", "rich"}:
            raise
        sys.stderr.write("The command line needs more packages: pip install 'asyncjobs-client[cli]'\n")
        return 2
    return run(sys.argv[1:])
