"""Programs that other people use on the OpenAPI document: a linter, and generators of clients for Python and TypeScript."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local.process import PROJECT
from tests.support import node

REDOCLY = "@redocly/cli@2.77.0"
OPENAPI_TYPESCRIPT = "openapi-typescript@7.13.0"
TYPESCRIPT = "typescript@5.9.3"

_OFFLINE = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT")


def python_client(document: Path, folder: Path) -> str:
    """Generate the package `asyncjobs_client` in the folder, and return what the generator printed. Warnings fail it."""
    command: list[str | Path] = [
        *(sys.executable, "-m", "openapi_python_client", "generate", "--path", document, "--meta", "none"),
        *("--output-path", folder / "asyncjobs_client", "--fail-on-warning"),
    ]
    # The generator formats its files with ruff, if that is on the PATH, and warns if it is not.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env={**os.environ, "PATH": path})
    assert done.returncode == 0, done.stdout + done.stderr
    return f"{done.stdout}{done.stderr}"


def npx(folder: Path, package: str, *command: str | Path) -> str:
    """Run a program of an npm package in the folder, and return what it printed. Skip the test where that is impossible."""
    node.require("npx")
    environment = {
        **os.environ,
        "npm_config_cache": str(PROJECT / ".local" / "npm"),
        "npm_config_update_notifier": "false",
        "REDOCLY_TELEMETRY": "off",
        "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
    }
    packages = [f"--package={name}" for name in package.split()]
    done = subprocess.run(
        ["npx", "--yes", *packages, "--", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=environment,
    )
    if done.returncode != 0 and _OFFLINE.search(done.stderr):
        pytest.skip(f"npm cannot reach its registry for {package}: repeat the test with a network")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
