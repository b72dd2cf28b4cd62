"""A new in-memory API for each test."""

from __future__ import annotations

import pytest

from tests.support.http_events import Answer
from tests.unit.http.in_memory_api import InMemoryApi, SimulatedWait


@pytest.fixture
def api() -> InMemoryApi:
    return InMemoryApi()


@pytest.fixture
def wait(api: InMemoryApi) -> SimulatedWait:
    return api.wait


@pytest.fixture
def tracked(api: InMemoryApi) -> Answer:
    """Return the answer to the submit of a tracked job."""
    return api.submit({"message": "Upload queued", "metadata": {"fileName": "contract.pdf"}})
