"""Jobs that are cancelled while they run give their workers back, although they report nothing."""

from __future__ import annotations

import time

import pytest

from tests.support.deployed import Caller
from tests.support.pace import SLOWNESS

WORKERS = 2
"""The workers of low priority, as the template sets them."""
SECONDS = 200


@pytest.mark.parametrize("is_stubborn", [False, True], ids=["lets the interruption pass", "suppresses the interruption"])
@pytest.mark.parametrize("name", ["sample.is_silent_for_long", "sample.is_silent_for_long_async"])
def test_caller_without_live_jobs_holds_no_worker(alice: Caller, bob: Caller, name: str, *, is_stubborn: bool) -> None:
    request = {"seconds": SECONDS, "is_stubborn": is_stubborn}
    jobs = [alice.submit(name, request, priority="low") for _ in range(WORKERS)]
    for job in jobs:
        alice.wait_for(job, lambda found: found["status"] == "IN_PROGRESS", seconds=60 * SLOWNESS)
    for job in jobs:
        alice.post(f"/jobs/{job['asyncJobId']}/cancel")
    began = time.monotonic()
    bob.wait_for(bob.submit("sample.returns", priority="low"), seconds=60 * SLOWNESS)
    assert time.monotonic() - began < min(SECONDS / 4 * SLOWNESS, SECONDS - 30)
