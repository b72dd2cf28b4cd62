"""A new in-memory API for each test."""

from __future__ import annotations

import pytest

from tests.unit.http.in_memory_api import InMemoryApi, SimulatedWait


@pytest.fixture
def api() -> InMemoryApi:
    return InMemoryApi()


@pytest.fixture
def wait(api: InMemoryApi) -> SimulatedWait:
    return api.wait
