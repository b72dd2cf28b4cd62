"""Programs of the system that some tests run."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from local.process import PROJECT


def require(program: str, package: str) -> None:
    """Skip the test if the program is missing, and name the package that brings it."""
    if shutil.which(program) is None:
        pytest.skip(f"This test needs {program}: apt-get install {package}")


def output(program: str, *arguments: str, package: str) -> str:
    """Run a program in the project's folder and return what it printed. It must succeed. Without it, the test is skipped."""
    require(program, package)
    return subprocess.run([program, *arguments], cwd=PROJECT, capture_output=True, text=True, check=True).stdout


def tracked_files(*patterns: str) -> list[str]:
    """Return the project's files. An archive of the source has no `.git`, which lists them: there, the test is skipped."""
    if not (PROJECT / ".git").exists():
        pytest.skip("This test needs a clone of the repository: git clone")
    return output("git", "ls-files", *patterns, package="git").splitlines()
