"""Programs of the system that some tests run, as a reader of the documents does."""

from __future__ import annotations

import shutil

import pytest


def require(program: str, package: str) -> None:
    """Skip the test if the program is missing, and name the package that brings it."""
    if shutil.which(program) is None:
        pytest.skip(f"This test needs {program}: apt-get install {package}")
