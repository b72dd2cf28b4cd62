from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and "outcomes" in getattr(item, "fixturenames", ()):
            item.add_marker("e2e")
            item.add_marker("slow")
