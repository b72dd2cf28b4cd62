"""Deduplication: the same input is the same job within the type's window."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.deployed import Api, Caller
from tests.support.prefetch import prefetch


def submit(caller: Caller, number: float, job_type: str = "contract.once", **body: Any) -> httpx.Response:
    return caller.post("/jobs", json={"jobType": job_type, "input": {"number": number}, **body})


@pytest.fixture
def number() -> int:
    """Return a number that no other test uses."""
    return random.randrange(10**12)


def test_same_input_without_a_key_is_a_replay(alice: Caller, number: int) -> None:
    first, again = (submit(alice, number) for _ in range(2))
    assert "idempotency-replayed" not in first.headers
    assert (again.status_code, again.json(), again.headers["idempotency-replayed"]) == (httpx.codes.OK, first.json(), "true")


def test_numbers_are_compared_by_value(alice: Caller, number: int) -> None:
    """RFC 8785 3.2.2.3."""
    ids = {submit(alice, form).json()["asyncJobId"] for form in (number, float(number))}
    assert len(ids) == 1


def test_other_input_creates_another_job(alice: Caller, number: int) -> None:
    assert submit(alice, number).json()["asyncJobId"] != submit(alice, number + 1).json()["asyncJobId"]


def test_same_input_of_another_owner_creates_another_job(alice: Caller, bob: Caller, number: int) -> None:
    assert submit(alice, number).json()["asyncJobId"] != submit(bob, number).json()["asyncJobId"]


def test_concurrent_duplicates_create_one_job(alice: Caller, number: int) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: submit(alice, number, delaySeconds=600), range(4)))
    assert {answer.status_code for answer in answers} == {httpx.codes.ACCEPTED}
    assert len({answer.json()["asyncJobId"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1


def test_failed_job_is_not_a_duplicate(alice: Caller, number: int) -> None:
    body = {"jobType": "contract.once", "input": {"number": number, "turn": "gives up"}}
    first, again = (alice.post("/jobs", json=body) for _ in range(2))
    assert {first.status_code, again.status_code} == {httpx.codes.INTERNAL_SERVER_ERROR}
    assert first.json()["asyncJobId"] != again.json()["asyncJobId"]


def test_cancelled_job_is_not_a_duplicate(alice: Caller, number: int) -> None:
    first = submit(alice, number, delaySeconds=600).json()
    alice.post(f"/jobs/{first['asyncJobId']}/cancel")
    assert submit(alice, number).json()["asyncJobId"] != first["asyncJobId"]


def test_deleted_job_is_not_a_duplicate(alice: Caller, number: int) -> None:
    first = submit(alice, number).json()
    alice.delete(f"/jobs/{first['asyncJobId']}")
    again = submit(alice, number)
    assert (again.status_code, "idempotency-replayed" in again.headers) == (httpx.codes.OK, False)


def test_idempotency_key_overrides_deduplication(alice: Caller, number: int, key: str) -> None:
    body = {"jobType": "contract.once", "input": {"number": number}}
    first = submit(alice, number)
    keyed = alice.post("/jobs", json=body, headers={"idempotency-key": key})
    assert (keyed.status_code, keyed.json()["asyncJobId"] != first.json()["asyncJobId"]) == (httpx.codes.OK, True)


@prefetch
def submitted_twice_with_a_pause(api: Api) -> list[httpx.Response]:
    alice, number = api.caller("alice"), random.randrange(10**12)
    first = submit(alice, number, "contract.once_for_a_second")
    time.sleep(2.1)  # the end of the window is rounded up to a second
    return [first, submit(alice, number, "contract.once_for_a_second")]


def test_same_input_after_the_window_creates_another_job() -> None:
    first, again = submitted_twice_with_a_pause.result()
    assert {first.status_code, again.status_code} == {httpx.codes.OK}
    assert first.json()["asyncJobId"] != again.json()["asyncJobId"]
