"""Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07): a repeated request creates no second job."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.deployed import Caller

LATER = {"jobType": "sample.returns", "input": {}, "delaySeconds": 600}
QUICK = {"jobType": "sample.is_quick", "input": {"turn": "returns"}}
FAILS = {"jobType": "sample.is_quick", "input": {"turn": "gives up"}}


def test_repeated_request_is_a_replay_of_the_same_job(alice: Caller, key: str) -> None:
    first, again = (alice.post("/jobs", json=LATER, headers={"idempotency-key": key}) for _ in range(2))
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert (again.status_code, again.json(), again.headers["location"]) == (
        httpx.codes.ACCEPTED,
        first.json(),
        first.headers["location"],
    )


def test_key_in_two_headers_is_400(alice: Caller, key: str) -> None:
    """API Gateway joins headers of the same name with a comma."""
    answer = alice.post("/jobs", json=LATER, headers=[("idempotency-key", key), ("idempotency-key", key)])
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.BAD_REQUEST, "INVALID_REQUEST")


def test_quoted_key_equals_the_bare_key(alice: Caller, key: str) -> None:
    """Draft 2.1; RFC 9651 3.3.3."""
    bare = alice.post("/jobs", json=LATER, headers={"idempotency-key": key})
    quoted = alice.post("/jobs", json=LATER, headers={"idempotency-key": f'"{key}"'})
    assert quoted.json()["asyncJobId"] == bare.json()["asyncJobId"]


def test_replay_of_a_finished_job_is_200_with_its_result(alice: Caller, key: str) -> None:
    first, again = (alice.post("/jobs", json=QUICK, headers={"idempotency-key": key}) for _ in range(2))
    assert (again.status_code, again.json()) == (httpx.codes.OK, first.json())
    assert "retry-after" not in again.headers


def test_replay_of_a_failed_job_without_a_wait_is_200(alice: Caller, key: str) -> None:
    failed = alice.post("/jobs", json=FAILS, headers={"idempotency-key": key})
    again = alice.post("/jobs", json=FAILS, headers={"idempotency-key": key})
    assert (failed.status_code, again.status_code) == (httpx.codes.INTERNAL_SERVER_ERROR, httpx.codes.OK)
    assert (again.json()["asyncJobId"], again.json()["status"]) == (failed.json()["asyncJobId"], "FAILED")


def test_replay_of_a_failed_job_with_a_wait_is_500(alice: Caller, key: str) -> None:
    headers = {"idempotency-key": key}
    failed, again = (alice.post("/jobs", json=FAILS, headers={**headers, "prefer": "wait=1"}) for _ in range(2))
    assert (again.status_code, again.headers["idempotency-replayed"]) == (failed.status_code, "true")
    assert again.json()["asyncJobId"] == failed.json()["asyncJobId"]


def test_requests_are_compared_by_value(alice: Caller, key: str) -> None:
    """RFC 8785 3.2.2.3, 3.2.3."""
    headers = {"idempotency-key": key, "content-type": "application/json"}
    first = alice.post("/jobs", content=b'{"delaySeconds": 600, "metadata": {"a": 44, "b": 1}}', headers=headers)
    again = alice.post("/jobs", content=b'{"metadata":{"b":1.0,"a":4.4e1},"delaySeconds":600.0}', headers=headers)
    assert (again.status_code, again.json()["asyncJobId"]) == (httpx.codes.ACCEPTED, first.json()["asyncJobId"])


def test_prefer_is_not_part_of_the_request(alice: Caller, key: str) -> None:
    later = alice.post("/jobs", json=QUICK, headers={"idempotency-key": key, "prefer": "respond-async"})
    now = alice.post("/jobs", json=QUICK, headers={"idempotency-key": key, "prefer": "wait=15"})
    assert (later.status_code, now.status_code) == (httpx.codes.ACCEPTED, httpx.codes.OK)
    assert (now.json()["asyncJobId"], now.json()["status"]) == (later.json()["asyncJobId"], "COMPLETED")


def test_key_of_another_request_is_422_and_reveals_nothing_of_it(alice: Caller, key: str) -> None:
    """Draft 2.7."""
    alice.post("/jobs", json={**LATER, "message": "canary"}, headers={"idempotency-key": key})
    other = alice.post("/jobs", json=LATER, headers={"idempotency-key": key})
    assert (other.status_code, other.json()["code"]) == (httpx.codes.UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED")
    assert "canary" not in other.text


def test_same_key_of_another_owner_creates_another_job(alice: Caller, bob: Caller, key: str) -> None:
    answers = [caller.post("/jobs", json=LATER, headers={"idempotency-key": key}) for caller in (alice, bob)]
    assert [answer.headers.get("idempotency-replayed") for answer in answers] == [None, None]
    assert len({answer.json()["asyncJobId"] for answer in answers}) == 2


def test_key_of_a_deleted_job_is_free_again(alice: Caller, key: str) -> None:
    first = alice.post("/jobs", json=QUICK, headers={"idempotency-key": key})
    assert alice.delete(f"/jobs/{first.json()['asyncJobId']}").status_code == httpx.codes.NO_CONTENT
    again = alice.post("/jobs", json={**QUICK, "message": "another"}, headers={"idempotency-key": key})
    assert (again.status_code, "idempotency-replayed" in again.headers) == (httpx.codes.OK, False)


def test_concurrent_requests_return_one_job_and_none_is_409(alice: Caller, key: str) -> None:
    """Draft 2.6 suggests 409, but the job exists already."""
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: alice.post("/jobs", json=LATER, headers={"idempotency-key": key}), range(4)))
    assert {answer.status_code for answer in answers} == {httpx.codes.ACCEPTED}
    assert len({answer.json()["asyncJobId"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1


@pytest.mark.parametrize("key", ["k", "x" * 255, '"order 7"', '"say \\"hi\\""', "!#$%&'*+-.^_`|~:/"])
def test_key_has_1_to_255_visible_characters_and_spaces_only_in_quotes(alice: Caller, key: str) -> None:
    assert alice.post("/jobs", json=LATER, headers={"idempotency-key": key}).status_code == httpx.codes.ACCEPTED


@pytest.mark.parametrize("key", ["", '""', "a b", "x" * 256, '"open', 'a"b'])
def test_invalid_key_is_400(alice: Caller, key: str) -> None:
    answer = alice.post("/jobs", json=LATER, headers={"idempotency-key": key})
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.BAD_REQUEST, "INVALID_REQUEST")
