"""The durations of earlier jobs decide where a job runs, whatever its type declares: with the real stream and table."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.deployed import Api, Caller
from tests.support.prefetch import prefetch

ENOUGH = 20
"""Jobs of a type that must have ended before their durations count."""


@dataclass(frozen=True)
class Turn:
    """The status of a type's submits: `before` for a number of times, then `after`."""

    before: int
    times: int
    after: int
    job: dict[str, Any]


@prefetch
def proves_quick(api: Api) -> Turn:
    """Submit until the answer changes. It takes a minute, for which a process caches durations."""
    return submit_until_it_turns(api.caller("frank"), "sample.proves_quick")


@prefetch
def proves_slow(api: Api) -> Turn:
    return submit_until_it_turns(api.caller("grace"), "sample.proves_slow")


def submit_until_it_turns(caller: Caller, job_type: str, *, seconds: float = 400) -> Turn:
    """Submit one job after another until the status differs from the first."""
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


def test_type_declared_slow_that_is_quick_returns_its_result() -> None:
    turn = proves_quick.result()
    assert (turn.before, turn.after) == (httpx.codes.ACCEPTED, httpx.codes.OK)
    assert turn.times >= ENOUGH
    assert (turn.job["status"], turn.job["attempt"], turn.job["result"]) == ("COMPLETED", 1, 1)


def test_type_declared_quick_that_is_slow_goes_to_the_queue(caller: Callable[[str], Caller]) -> None:
    turn = proves_slow.result()
    assert (turn.before, turn.after) == (httpx.codes.OK, httpx.codes.ACCEPTED)
    assert turn.times >= ENOUGH
    assert (turn.job["status"], turn.job["attempt"]) == ("PENDING", 0)
    ended = caller("grace").wait_for(turn.job)
    assert (ended["status"], ended["attempt"]) == ("COMPLETED", 1)
