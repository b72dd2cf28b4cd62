"""Where a job runs follows what the jobs before took, whatever its type declares: the real stream, learner and table."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Caller

ENOUGH = 20
"""Jobs of a type that must have ended before what they took counts for anything."""


@dataclass(frozen=True)
class Turn:
    """How a type's submits were answered: by `before`, so many times, and then by `after`."""

    before: int
    times: int
    after: int
    job: dict[str, Any]


@pytest.fixture(scope="module")
def turns(caller: Callable[[str], Caller]) -> dict[str, Turn]:
    """Both at the same time: each takes a minute, for which a process keeps what it knew."""
    with ThreadPoolExecutor() as threads:
        found = {
            name: threads.submit(submit_until_it_turns, caller(user), name)
            for user, name in (("frank", "zoo.proves_quick"), ("grace", "zoo.proves_slow"))
        }
        return {name: turn.result() for name, turn in found.items()}


def submit_until_it_turns(caller: Caller, job_type: str, *, seconds: float = 180) -> Turn:
    """Submit one job after the other, until one is answered otherwise than the first."""
    deadline = time.monotonic() + seconds
    before, times = None, 0
    while True:
        answer = caller.post("/jobs", json={"jobType": job_type})
        assert answer.status_code in {httpx.codes.OK, httpx.codes.ACCEPTED}, answer.text
        assert answer.headers["vary"] == "Prefer"
        assert "preference-applied" not in answer.headers
        if before not in {None, answer.status_code}:
            return Turn(before or 0, times, answer.status_code, answer.json())
        before, times = answer.status_code, times + 1
        if answer.status_code == httpx.codes.ACCEPTED:
            caller.wait_for(answer.json())
        time.sleep(0.2)
        assert time.monotonic() < deadline, f"after {times} jobs it is still {before}"


def test_a_type_declared_slow_that_proves_quick_is_answered_with_its_result(turns: dict[str, Turn]) -> None:
    turn = turns["zoo.proves_quick"]
    assert (turn.before, turn.after) == (httpx.codes.ACCEPTED, httpx.codes.OK)
    assert turn.times >= ENOUGH
    assert (turn.job["status"], turn.job["attempt"], turn.job["result"]) == ("COMPLETED", 1, 1)


def test_a_type_declared_quick_that_proves_slow_goes_to_the_queue(
    turns: dict[str, Turn], caller: Callable[[str], Caller]
) -> None:
    turn = turns["zoo.proves_slow"]
    assert (turn.before, turn.after) == (httpx.codes.OK, httpx.codes.ACCEPTED)
    assert turn.times >= ENOUGH
    assert (turn.job["status"], turn.job["attempt"]) == ("PENDING", 0)
    ended = caller("grace").wait_for(turn.job)
    assert (ended["status"], ended["attempt"]) == ("COMPLETED", 1)
