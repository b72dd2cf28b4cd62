"""Which tests may run side by side: `make test` has two processes, and what shares a stack stays in one of them."""

from __future__ import annotations

from pathlib import Path

import pytest

APART = ("e2e", "crash", "soak", "local", "model", "security", "stateful", "template")
"""Folders whose tests share something that takes long to make."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if folder in APART:
            item.add_marker(pytest.mark.xdist_group(folder))
