"""New dialects in memory for each test."""

from __future__ import annotations

import pytest

from tests.unit.http.dialects.in_memory_dialects import InMemoryDialects


@pytest.fixture
def dialects() -> InMemoryDialects:
    return InMemoryDialects()
