"""Behavior of the running stack: costs, permissions, priorities, killed workers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.deployed import Api
from tests.support.prefetch import start_all


@pytest.fixture(scope="session", autouse=True)
def prefetched(api: Api) -> Iterator[None]:
    pool = ThreadPoolExecutor(4)
    start_all(pool, api, Path(__file__).parent)
    yield
    pool.shutdown(cancel_futures=True)
