"""Exclusive jobs: while another job holds the lock, a submit is rejected, joined to it, or queued."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.deployed import Api, Caller, Job

BODY = {"jobType": "contract.works_alone", "input": {"seconds": 60}}
TOO = {"jobType": "contract.works_alone_too", "input": {"seconds": 0}}
JOINED = {"jobType": "sample.is_joined", "input": {"seconds": 60}}


def cancel(caller: Caller, job: Job) -> None:
    """Cancel the job if it has not ended."""
    assert caller.post(f"/jobs/{job['asyncJobId']}/cancel").status_code in (httpx.codes.OK, httpx.codes.CONFLICT)


@pytest.fixture
def lock_owner(alice: Caller, key: str) -> Iterator[Job]:
    answer = alice.post("/jobs", json=BODY, headers={"idempotency-key": key})
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    yield answer.json()
    cancel(alice, answer.json())


@pytest.mark.usefixtures("lock_owner")
def test_submit_is_409_with_retry_after_while_the_lock_is_held(alice: Caller) -> None:
    refused = alice.post("/jobs", json=TOO)
    assert (refused.status_code, refused.json()["code"]) == (httpx.codes.CONFLICT, "JOB_CREATION_FAILED")
    assert refused.json()["title"] == "Another operation is already running"
    assert int(refused.headers["retry-after"]) > 0


def test_rejection_names_the_callers_own_job(alice: Caller, lock_owner: Job) -> None:
    assert alice.post("/jobs", json=TOO).json()["asyncJobId"] == lock_owner["asyncJobId"]


def test_rejection_does_not_name_another_owners_job(bob: Caller, lock_owner: Job) -> None:
    refused = bob.post("/jobs", json=TOO)
    assert (refused.status_code, refused.json()["code"]) == (httpx.codes.CONFLICT, "JOB_CREATION_FAILED")
    assert "asyncJobId" not in refused.json()
    assert lock_owner["asyncJobId"] not in refused.text


@pytest.mark.usefixtures("lock_owner")
def test_rejected_submit_stores_nothing(api: Api) -> None:
    judy = api.caller("judy")
    assert judy.post("/jobs", json=TOO).status_code == httpx.codes.CONFLICT
    assert judy.get("/jobs").json() == {"jobs": [], "nextCursor": None}


def test_rejection_keeps_the_idempotency_key_free(bob: Caller, alice: Caller, key: str) -> None:
    lock_owner = alice.post("/jobs", json=BODY).json()
    refused = bob.post("/jobs", json=TOO, headers={"idempotency-key": key})
    cancel(alice, lock_owner)
    accepted = bob.post("/jobs", json={**TOO, "message": "another request"}, headers={"idempotency-key": key})
    assert (refused.status_code, accepted.status_code) == (httpx.codes.CONFLICT, httpx.codes.ACCEPTED)
    assert "idempotency-replayed" not in accepted.headers
    cancel(bob, accepted.json())


def test_replay_returns_its_job_while_that_holds_the_lock(alice: Caller, lock_owner: Job, key: str) -> None:
    again = alice.post("/jobs", json=BODY, headers={"idempotency-key": key})
    assert (again.status_code, again.headers["idempotency-replayed"]) == (httpx.codes.ACCEPTED, "true")
    assert again.json()["asyncJobId"] == lock_owner["asyncJobId"]


@pytest.mark.usefixtures("lock_owner")
def test_delayed_job_is_accepted_while_the_lock_is_held(alice: Caller) -> None:
    answer = alice.post("/jobs", json={**TOO, "delaySeconds": 600})
    assert (answer.status_code, answer.json()["status"]) == (httpx.codes.ACCEPTED, "PENDING")
    cancel(alice, answer.json())


def test_ended_job_releases_the_lock(alice: Caller) -> None:
    for _ in range(2):
        answer = alice.post("/jobs", json=BODY)
        assert answer.status_code == httpx.codes.ACCEPTED
        cancel(alice, answer.json())


def test_join_policy_returns_the_callers_running_job(alice: Caller) -> None:
    first, again = (alice.post("/jobs", json=JOINED) for _ in range(2))
    assert "idempotency-replayed" not in first.headers
    assert (again.status_code, again.headers["idempotency-replayed"]) == (httpx.codes.ACCEPTED, "true")
    assert (again.json()["asyncJobId"], again.headers["location"]) == (first.json()["asyncJobId"], first.headers["location"])
    cancel(alice, first.json())


def test_lock_per_input_allows_other_owners_and_inputs(alice: Caller, bob: Caller) -> None:
    other: dict[str, object] = {**JOINED, "input": {"seconds": 59}}
    answers = [
        (alice, alice.post("/jobs", json=JOINED)),
        (alice, alice.post("/jobs", json=other)),
        (bob, bob.post("/jobs", json=JOINED)),
    ]
    assert {answer.status_code for _, answer in answers} == {httpx.codes.ACCEPTED}
    assert len({answer.json()["asyncJobId"] for _, answer in answers}) == 3
    for caller, answer in answers:
        cancel(caller, answer.json())


def test_queue_policy_accepts_a_pending_job(alice: Caller) -> None:
    body = {"jobType": "sample.takes_turns", "input": {"seconds": 60}}
    answers = [alice.post("/jobs", json=body) for _ in range(2)]
    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(httpx.codes.ACCEPTED, "PENDING")] * 2
    assert len({answer.json()["asyncJobId"] for answer in answers}) == 2
    for answer in reversed(answers):
        cancel(alice, answer.json())


def test_one_of_many_concurrent_submits_is_accepted(alice: Caller) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: alice.post("/jobs", json=BODY), range(6)))
    accepted = [answer.json() for answer in answers if answer.status_code == httpx.codes.ACCEPTED]
    assert sorted(answer.status_code for answer in answers) == [httpx.codes.ACCEPTED, *[httpx.codes.CONFLICT] * 5]
    for job in accepted:
        cancel(alice, job)
