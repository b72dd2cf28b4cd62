"""Workers that are killed in the middle of a job. A takeover takes up to a minute and a half, so every test of it is prefetched.

All jobs have high priority: the standard workers are busy with the jobs of other tests.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from datetime import datetime

from tests.support import processes
from tests.support.deployed import Api, Caller, Job, wait_until
from tests.support.pace import SLOWNESS
from tests.support.prefetch import prefetch

SECONDS = 12


@dataclass(frozen=True)
class KilledWorker:
    """A worker that was killed in the middle of a job."""

    job: Job
    pid: int
    at: float


def kill_the_worker_of(caller: Caller, job: Job) -> KilledWorker:
    running = caller.wait_for(job, lambda found: found["status"] == "IN_PROGRESS" and found["progress"] > 0)
    pid = int(running["message"].split()[1])
    os.kill(pid, signal.SIGKILL)
    killed = KilledWorker(running, pid, time.time())
    wait_until(lambda: pid not in processes.running(), seconds=10)
    return killed


@prefetch
def killed_worker(api: Api) -> KilledWorker:
    alice = api.caller("alice")
    return kill_the_worker_of(alice, alice.submit("sample.works", {"seconds": SECONDS}, priority="high"))


def test_killed_worker_is_replaced_within_90_seconds(alice: Caller) -> None:
    killed = killed_worker.result()
    done = alice.wait_for(killed.job, seconds=150 * SLOWNESS)
    assert (done["status"], done["result"], done["attempt"]) == ("COMPLETED", "attempt 2", 2)
    assert str(killed.pid) not in done["message"]
    # The job itself takes SECONDS. Of the 90 s, lease and sweep may take 84; on a machine that starts jobs slowly, the second
    # start takes longer than the rest.
    slowness = timestamp(killed.job["startedAt"]) - timestamp(killed.job["createdAt"])
    assert timestamp(done["endedAt"]) - SECONDS < killed.at + 90 + 3 * slowness


@prefetch
def dying(api: Api) -> Job:
    return api.caller("alice").submit("sample.dies_once", priority="high")


def test_job_that_kills_its_process_is_completed_by_another_attempt(alice: Caller) -> None:
    done = alice.wait_for(dying.result(), seconds=150 * SLOWNESS)
    assert (done["status"], done["result"], done["attempt"]) == ("COMPLETED", "attempt 2", 2)


@dataclass(frozen=True)
class KilledLockOwner:
    """The killed owner of a lock, and the job that waits for the lock."""

    lock_owner: KilledWorker
    next_job: Job


@prefetch
def killed_lock_owner(api: Api) -> KilledLockOwner:
    carol = api.caller("carol")
    job = carol.submit("sample.takes_turns", {"seconds": 10}, priority="high")
    carol.wait_for(job, lambda found: found["progress"] > 0)
    next_job = carol.submit("sample.takes_turns", {"seconds": 0}, priority="high")
    return KilledLockOwner(kill_the_worker_of(carol, job), next_job)


def test_lock_of_a_killed_worker_is_released_soon_after_its_job_ends(api: Api) -> None:
    carol, found = api.caller("carol"), killed_lock_owner.result()
    lock_owner, next_job = (carol.wait_for(job, seconds=150 * SLOWNESS) for job in (found.lock_owner.job, found.next_job))
    assert found.lock_owner.at < lock_owner["result"]["began"] < found.lock_owner.at + 120 * SLOWNESS
    assert lock_owner["result"]["ended"] <= next_job["result"]["began"] < lock_owner["result"]["ended"] + 15 * SLOWNESS
    assert [job["attempt"] for job in (lock_owner, next_job)] == [2, 1]


def timestamp(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()
