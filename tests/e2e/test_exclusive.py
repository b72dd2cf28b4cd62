"""One at a time, on the deployed stack: who is refused, who joins, who waits, and that no two ever run together."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.e2e.conftest import Caller

Job = dict[str, Any]


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


def test_who_comes_second_is_refused_and_told_what_runs_if_that_is_its_own(alice: Caller, bob: Caller) -> None:
    job = alice.submit("zoo.is_alone", {"seconds": 4})
    key = uuid.uuid4().hex
    body = {"jobType": "zoo.is_alone_too", "input": {"seconds": 0}}
    refused = alice.post("/jobs", json=body, headers={"idempotency-key": key})
    assert (refused.status_code, refused.headers["content-type"]) == (httpx.codes.CONFLICT, "application/problem+json")
    assert refused.json()["code"] == "JOB_CREATION_FAILED"
    assert refused.json()["title"] == "Another operation is already running"
    assert refused.json()["asyncJobId"] == job["asyncJobId"]
    stranger = bob.post("/jobs", json=body)
    assert (stranger.status_code, stranger.json()["code"]) == (httpx.codes.CONFLICT, "JOB_CREATION_FAILED")
    assert "asyncJobId" not in stranger.json()
    # A refusal leaves nothing behind, and binds no key: afterwards the same request is accepted.
    listed = alice.get("/jobs", params={"jobType": "zoo.is_alone_too"}).json()["jobs"]
    assert listed == []
    alice.wait_for(job)
    accepted = alice.post("/jobs", json=body, headers={"idempotency-key": key})
    assert accepted.status_code == httpx.codes.ACCEPTED
    assert "idempotency-replayed" not in accepted.headers
    assert at_once([*ran(alice, [job]), *ran(alice, [accepted.json()])]) == 1


def test_of_many_who_come_at_once_one_is_accepted(alice: Caller) -> None:
    def submit(_: int) -> httpx.Response:
        return alice.post("/jobs", json={"jobType": "zoo.is_alone", "input": {"seconds": 10}})

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(submit, range(6)))
    codes = sorted(answer.status_code for answer in answers)
    # So long that it runs until the last one has asked, on a machine that is busy starting functions, too.
    assert codes == [httpx.codes.ACCEPTED, *[httpx.codes.CONFLICT] * 5], [answer.text for answer in answers]
    [accepted] = [answer.json() for answer in answers if answer.status_code == httpx.codes.ACCEPTED]
    ran(alice, [accepted])
    listed = [job for job in alice.get("/jobs", params={"jobType": "zoo.is_alone"}).json()["jobs"] if waits(job)]
    assert listed == []


def test_who_asks_for_what_runs_already_joins_it(alice: Caller, bob: Caller) -> None:
    job = alice.submit("zoo.is_joined", {"seconds": 3})
    again = alice.post("/jobs", json={"jobType": "zoo.is_joined", "input": {"seconds": 3}})
    assert (again.status_code, again.json()["asyncJobId"]) == (httpx.codes.ACCEPTED, job["asyncJobId"])
    assert again.headers["idempotency-replayed"] == "true"
    assert alice.submit("zoo.is_joined", {"seconds": 0})["asyncJobId"] != job["asyncJobId"]
    assert bob.submit("zoo.is_joined", {"seconds": 3})["asyncJobId"] != job["asyncJobId"]
    alice.wait_for(job)
    assert alice.submit("zoo.is_joined", {"seconds": 3})["asyncJobId"] != job["asyncJobId"]


def test_jobs_take_turns_in_the_order_of_coming_and_never_two_at_once(bob: Caller) -> None:
    jobs = [bob.submit("zoo.takes_turns", {"seconds": 5})]
    bob.wait_for(jobs[0], is_running)
    jobs += [bob.submit("zoo.takes_turns", {"seconds": 0.5}) for _ in range(4)]
    # They have all asked for the lock in vain by now. Each end wakes the next: nobody waits for the sweeper.
    began = time.monotonic()
    times = ran(bob, jobs)
    assert time.monotonic() - began < 20
    assert at_once(times) == 1
    assert times == sorted(times)
    assert all(job["attempt"] == 1 for job in map(bob.job, jobs))


def test_a_cancelled_holder_makes_room_at_once(bob: Caller) -> None:
    holder = bob.submit("zoo.takes_turns", {"seconds": 60})
    bob.wait_for(holder, is_running)
    heir = bob.submit("zoo.takes_turns", {"seconds": 0})
    time.sleep(2)
    assert waits(bob.job(heir))
    assert bob.post(f"/jobs/{holder['asyncJobId']}/cancel").is_success
    assert bob.wait_for(heir, seconds=15)["status"] == "COMPLETED"


def test_two_may_run_where_two_are_let_and_no_third(alice: Caller) -> None:
    jobs = [alice.submit("zoo.takes_turns_of_two", {"seconds": 2}) for _ in range(5)]
    assert at_once(ran(alice, jobs)) == 2


def test_a_holder_whose_worker_was_killed_keeps_nobody_waiting_for_longer_than_it_takes_itself(
    widowed: tuple[Caller, Job, Job, float],
) -> None:
    carol, holder, heir, killed_at = widowed
    (began, ended), (next_began, _) = times = ran(carol, [holder, heir], seconds=110)
    assert killed_at < began < killed_at + 90
    assert ended <= next_began < ended + 15
    assert at_once(times) == 1
    assert [carol.job(job)["attempt"] for job in (holder, heir)] == [2, 1]
