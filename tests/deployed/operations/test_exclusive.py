"""One at a time: those who wait take turns, and no two ever run together. (What a submit is answered: `contract_http`.)"""

from __future__ import annotations

import time
from collections.abc import Sequence

from local.stack import LocalStack
from tests.support.deployed import Caller, Job, log_events


def is_running(job: Job) -> bool:
    return bool(job["status"] == "IN_PROGRESS" and job["progress"] > 0)


def waits(job: Job) -> bool:
    return bool(job["status"] == "PENDING")


def ran(caller: Caller, jobs: Sequence[Job], *, seconds: float = 60) -> list[tuple[float, float]]:
    """When each of them began and ended."""
    done = [caller.wait_for(job, seconds=seconds) for job in jobs]
    assert {job["status"] for job in done} == {"COMPLETED"}
    return [(job["result"]["began"], job["result"]["ended"]) for job in done]


def at_once(times: Sequence[tuple[float, float]]) -> int:
    """How many ran at the same time at most."""
    return max(sum(began <= moment < ended for began, ended in times) for moment, _ in times)


def test_jobs_take_turns_in_the_order_of_coming_and_never_two_at_once(bob: Caller, stack: LocalStack) -> None:
    jobs = [bob.submit("sample.takes_turns", {"seconds": 15})]
    bob.wait_for(jobs[0], is_running)
    jobs += [bob.submit("sample.takes_turns", {"seconds": 0.5}) for _ in range(4)]
    for job in jobs[1:]:
        assert "JOB_WAITS" in [line["message"] for line in log_events(stack, job, until="JOB_WAITS")]
    assert is_running(bob.job(jobs[0])), "not all have asked for the lock while it was held"
    # Each end wakes the next: nobody waits for the sweeper.
    times = ran(bob, jobs)
    assert times[-1][1] - times[0][1] < 20
    assert at_once(times) == 1
    assert times == sorted(times)
    assert all(job["attempt"] == 1 for job in map(bob.job, jobs))


def test_a_cancelled_holder_makes_room_at_once(bob: Caller) -> None:
    holder = bob.submit("sample.takes_turns", {"seconds": 60})
    bob.wait_for(holder, is_running)
    heir = bob.submit("sample.takes_turns", {"seconds": 0})
    time.sleep(2)
    assert waits(bob.job(heir))
    assert bob.post(f"/jobs/{holder['asyncJobId']}/cancel").is_success
    assert bob.wait_for(heir, seconds=15)["status"] == "COMPLETED"


def test_two_may_run_where_two_are_let_and_no_third(alice: Caller) -> None:
    jobs = [alice.submit("sample.takes_turns_of_two", {"seconds": 2}) for _ in range(5)]
    assert at_once(ran(alice, jobs)) == 2
