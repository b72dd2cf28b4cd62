"""Workers that are killed in the middle of a job. A takeover takes up to a minute and a half, so every test of it is prefetched.

All are of high priority: the standard workers have the other tests' jobs to do, which would be waited for besides.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.support.deployed import Api, Caller, Job
from tests.support.prefetch import prefetch

SECONDS = 12


@dataclass(frozen=True)
class Killing:
    """A worker that was killed in the middle of a job."""

    job: Job
    pid: int
    at: float


def kill_the_worker_of(caller: Caller, job: Job) -> Killing:
    running = caller.wait_for(job, lambda found: found["status"] == "IN_PROGRESS" and found["progress"] > 0)
    pid = int(running["message"].split()[1])
    os.kill(pid, signal.SIGKILL)
    killed = Killing(running, pid, time.time())
    while pid_is_alive(pid):
        assert time.time() < killed.at + 10, "it is not to be killed"
        time.sleep(0.01)
    return killed


@prefetch
def killing(api: Api) -> Killing:
    alice = api.caller("alice")
    return kill_the_worker_of(alice, alice.submit("sample.works", {"seconds": SECONDS}, priority="high"))


def test_a_killed_worker_is_replaced_within_90_seconds_of_its_death(alice: Caller) -> None:
    killed = killing.result()
    done = alice.wait_for(killed.job, seconds=150)
    assert (done["status"], done["result"], done["attempt"]) == ("COMPLETED", "attempt 2", 2)
    assert str(killed.pid) not in done["message"]
    # From beginning to end, it has then worked for so long. Of the 90 s, lease and sweep may take 84: on a machine that is slow to
    # begin a job, beginning it once more takes longer than the rest.
    slowness = timestamp(killed.job["startedAt"]) - timestamp(killed.job["createdAt"])
    assert timestamp(done["endedAt"]) - SECONDS < killed.at + 90 + 3 * slowness


@prefetch
def suicide(api: Api) -> Job:
    return api.caller("alice").submit("sample.dies_once", priority="high")


def test_a_job_whose_process_is_killed_is_done_by_another_attempt(alice: Caller) -> None:
    done = alice.wait_for(suicide.result(), seconds=150)
    assert (done["status"], done["result"], done["attempt"]) == ("COMPLETED", "attempt 2", 2)


@dataclass(frozen=True)
class Widowed:
    """A killed holder of a lock, and who waits for that lock."""

    holder: Killing
    heir: Job


@prefetch
def widowed(api: Api) -> Widowed:
    carol = api.caller("carol")
    job = carol.submit("sample.takes_turns", {"seconds": 10}, priority="high")
    carol.wait_for(job, lambda found: found["progress"] > 0)
    heir = carol.submit("sample.takes_turns", {"seconds": 0}, priority="high")
    return Widowed(kill_the_worker_of(carol, job), heir)


def test_a_holder_whose_worker_was_killed_keeps_nobody_waiting_for_longer_than_it_takes_itself(api: Api) -> None:
    carol, found = api.caller("carol"), widowed.result()
    holder, heir = (carol.wait_for(job, seconds=150) for job in (found.holder.job, found.heir))
    assert found.holder.at < holder["result"]["began"] < found.holder.at + 120
    assert holder["result"]["ended"] <= heir["result"]["began"] < holder["result"]["ended"] + 15
    assert [job["attempt"] for job in (holder, heir)] == [2, 1]


def timestamp(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()


def pid_is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
