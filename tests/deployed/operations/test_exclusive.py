"""Exclusive jobs: waiting ones run in order, and no two at the same time. (tests/deployed/http has the answers.)"""

from __future__ import annotations

import time
from collections.abc import Sequence

from local.stack import LocalStack
from tests.support.deployed import Caller, Job, log_events
from tests.support.pace import SLOWNESS


def is_running(job: Job) -> bool:
    return bool(job["status"] == "IN_PROGRESS" and job["progress"] > 0)


def waits(job: Job) -> bool:
    return bool(job["status"] == "PENDING")


def ran(caller: Caller, jobs: Sequence[Job], *, seconds: float = 60) -> list[tuple[float, float]]:
    """Return when each of the jobs began and ended."""
    done = [caller.wait_for(job, seconds=seconds) for job in jobs]
    assert {job["status"] for job in done} == {"COMPLETED"}
    return [(job["result"]["began"], job["result"]["ended"]) for job in done]


def most_together(times: Sequence[tuple[float, float]]) -> int:
    """Return the largest number of jobs that ran at the same time."""
    return max(sum(began <= moment < ended for began, ended in times) for moment, _ in times)


def test_exclusive_jobs_run_in_order_and_never_two_at_the_same_time(bob: Caller, stack: LocalStack) -> None:
    jobs = [bob.submit("sample.takes_turns", {"seconds": 15 * SLOWNESS})]
    bob.wait_for(jobs[0], is_running)
    jobs += [bob.submit("sample.takes_turns", {"seconds": 0.5}) for _ in range(4)]
    for job in jobs[1:]:
        assert "JOB_WAITS" in [line["message"] for line in log_events(stack, job, until="JOB_WAITS")]
    assert is_running(bob.job(jobs[0])), "the lock was released before every job had tried it"
    # Each end wakes the next job without the sweeper.
    times = ran(bob, jobs)
    assert times[-1][1] - times[0][1] < 20 * SLOWNESS
    assert most_together(times) == 1
    assert times == sorted(times)
    assert all(job["attempt"] == 1 for job in map(bob.job, jobs))


def test_cancelled_job_releases_the_lock_immediately(bob: Caller) -> None:
    lock_owner = bob.submit("sample.takes_turns", {"seconds": 60})
    bob.wait_for(lock_owner, is_running)
    next_job = bob.submit("sample.takes_turns", {"seconds": 0})
    time.sleep(2)
    assert waits(bob.job(next_job))
    assert bob.post(f"/jobs/{lock_owner['asyncJobId']}/cancel").is_success
    assert bob.wait_for(next_job, seconds=15 * SLOWNESS)["status"] == "COMPLETED"


def test_limit_of_two_allows_two_jobs_and_not_three(alice: Caller) -> None:
    jobs = [alice.submit("sample.takes_turns_of_two", {"seconds": 2}) for _ in range(5)]
    assert most_together(ran(alice, jobs)) == 2
