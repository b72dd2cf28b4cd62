"""Node.js and the development packages of the JavaScript client."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from local.process import PROJECT

CLIENT = PROJECT / "clients" / "js"
PACKAGES = CLIENT / "node_modules"
NEWER = PROJECT / ".local/node/bin"
"""Where `make test` installs Node.js if the system's is too old."""
FIRST_VERSION = 20
"""The first version of Node.js that the client supports."""


def node(*arguments: str | Path, cwd: Path = CLIENT, environment: Mapping[str, str] | None = None) -> str:
    """Run a program in Node.js and return what it printed. It must succeed. Without Node.js, the test is skipped."""
    return run("node", *arguments, cwd=cwd, environment=environment)


def node_with_websocket(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a program in Node.js, as `node` does, with the WebSocket that Node.js 22 and later have as it is."""
    return node("--experimental-websocket", *arguments, environment=environment)


def npm(*arguments: str | Path, cwd: Path = CLIENT) -> str:
    """Run npm without a network. It must succeed."""
    offline = {"npm_config_offline": "true", "npm_config_cache": str(PROJECT / ".local" / "npm")}
    return run("npm", *arguments, cwd=cwd, environment=offline)


def tsc(*arguments: str | Path, cwd: Path = CLIENT) -> str:
    """Run the TypeScript compiler. It must find no error."""
    # It ends before V8 has gained what optimized code costs.
    return node("--no-opt", package("typescript") / "bin" / "tsc", *arguments, cwd=cwd)


def package(name: str) -> Path:
    """Return the folder of a development package. Without it, the test is skipped."""
    folder = PACKAGES / name
    if not folder.exists():
        pytest.skip(f"This test needs the npm package {name}: `make test` installs it where npm reaches its registry.")
    return folder


def run(program: str, *arguments: str | Path, cwd: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a program and return what it printed. Without Node.js, the test is skipped."""
    require(program)
    done = subprocess.run(
        [program, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHON": sys.executable, "NO_COLOR": "1", **(environment or {})},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def require(program: str) -> None:
    """Skip the test if this program, or a Node.js that is new enough, is missing."""
    if shutil.which(program) is None or _version() < FIRST_VERSION:
        pytest.skip(
            f"This test needs Node.js {FIRST_VERSION} or later and npm: apt-get install nodejs npm, then `make test`, which brings "
            "a newer Node.js if npm reaches its registry; or https://nodejs.org"
        )


@cache
def _version() -> int:
    done = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    return int(done.stdout.removeprefix("v").partition(".")[0])
