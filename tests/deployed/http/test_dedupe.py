"""Job types that declare that the same input is the same job for a while."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.deployed import Api, Caller
from tests.support.prefetch import prefetch


def ask(caller: Caller, number: float, job_type: str = "contract.once", **body: Any) -> httpx.Response:
    return caller.post("/jobs", json={"jobType": job_type, "input": {"number": number}, **body})


@pytest.fixture
def number() -> int:
    """That no other test asks for."""
    return random.randrange(10**12)


def test_the_same_input_is_the_same_job_without_any_key_and_says_so(alice: Caller, number: int) -> None:
    first, again = (ask(alice, number) for _ in range(2))
    assert "idempotency-replayed" not in first.headers
    assert (again.status_code, again.json(), again.headers["idempotency-replayed"]) == (httpx.codes.OK, first.json(), "true")


def test_the_same_input_is_the_same_however_it_is_written(alice: Caller, number: int) -> None:
    """RFC 8785 3.2.2.3."""
    ids = {ask(alice, form).json()["asyncJobId"] for form in (number, float(number))}
    assert len(ids) == 1


def test_another_input_is_another_job(alice: Caller, number: int) -> None:
    assert ask(alice, number).json()["asyncJobId"] != ask(alice, number + 1).json()["asyncJobId"]


def test_the_same_input_of_another_owner_is_another_job(alice: Caller, bob: Caller, number: int) -> None:
    assert ask(alice, number).json()["asyncJobId"] != ask(bob, number).json()["asyncJobId"]


def test_duplicates_at_once_are_one_job(alice: Caller, number: int) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: ask(alice, number, delaySeconds=600), range(4)))
    assert {answer.status_code for answer in answers} == {httpx.codes.ACCEPTED}
    assert len({answer.json()["asyncJobId"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1


def test_a_job_that_failed_does_not_count(alice: Caller, number: int) -> None:
    body = {"jobType": "contract.once", "input": {"number": number, "turn": "gives up"}}
    first, again = (alice.post("/jobs", json=body) for _ in range(2))
    assert {first.status_code, again.status_code} == {httpx.codes.INTERNAL_SERVER_ERROR}
    assert first.json()["asyncJobId"] != again.json()["asyncJobId"]


def test_a_job_that_was_cancelled_does_not_count(alice: Caller, number: int) -> None:
    first = ask(alice, number, delaySeconds=600).json()
    alice.post(f"/jobs/{first['asyncJobId']}/cancel")
    assert ask(alice, number).json()["asyncJobId"] != first["asyncJobId"]


def test_a_job_that_was_deleted_does_not_count(alice: Caller, number: int) -> None:
    first = ask(alice, number).json()
    alice.delete(f"/jobs/{first['asyncJobId']}")
    again = ask(alice, number)
    assert (again.status_code, "idempotency-replayed" in again.headers) == (httpx.codes.OK, False)


def test_a_key_goes_before_it(alice: Caller, number: int, key: str) -> None:
    body = {"jobType": "contract.once", "input": {"number": number}}
    first = ask(alice, number)
    keyed = alice.post("/jobs", json=body, headers={"idempotency-key": key})
    assert (keyed.status_code, keyed.json()["asyncJobId"] != first.json()["asyncJobId"]) == (httpx.codes.OK, True)


@prefetch
def asked_twice_with_a_pause(api: Api) -> list[httpx.Response]:
    alice, number = api.caller("alice"), random.randrange(10**12)
    first = ask(alice, number, "contract.once_for_a_second")
    time.sleep(2.1)  # the end of its second is rounded up
    return [first, ask(alice, number, "contract.once_for_a_second")]


def test_after_its_time_the_same_input_is_a_new_job() -> None:
    first, again = asked_twice_with_a_pause.result()
    assert {first.status_code, again.status_code} == {httpx.codes.OK}
    assert first.json()["asyncJobId"] != again.json()["asyncJobId"]
