"""GET /jobs/{asyncJobId}?wait=N: the answer comes when the job changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import httpx
import pytest

from asyncjobs.aws.items import wait_slots_key
from local.stack import LocalStack
from tests.support.deployed import Api, Caller, Job
from tests.support.prefetch import Timed, answered_within, prefetch
from tests.template.source import template

A_WAIT = 18
"""Seconds: less than a wait of 20, and enough for any other answer on a machine that is busy with cold starts."""

SLOTS = template()["Parameters"]["MaxWaitsPerOwner"]["Default"]
LATER = {"jobType": "sample.returns", "delaySeconds": 600}


def poll_during(caller: Caller, body: dict[str, object], change: Callable[[str, int], object]) -> Timed:
    """Send a long poll of 20 s and change the job every two seconds meanwhile."""
    path, answered = f"/jobs/{caller.post('/jobs', json=body).json()['asyncJobId']}", threading.Event()

    def change_repeatedly() -> None:
        for number in count():
            if answered.wait(2):
                return
            change(path, number)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(change_repeatedly)
        try:
            return Timed.call(lambda: caller.get(path, params={"wait": 20}))
        finally:
            answered.set()


@prefetch
def poll_during_a_cancel(api: Api) -> Timed:
    alice = api.caller("alice")
    return poll_during(alice, LATER, lambda path, _: alice.post(f"{path}/cancel"))


def test_long_poll_returns_when_the_job_ends() -> None:
    polled = answered_within(A_WAIT, poll_during_a_cancel)
    assert (polled.answer.status_code, polled.answer.json()["status"]) == (httpx.codes.OK, "CANCELLED")
    assert 1.5 < polled.seconds < A_WAIT


@prefetch
def poll_during_progress(api: Api) -> Timed:
    alice = api.caller("alice")
    return poll_during(alice, {}, lambda path, number: alice.patch(path, json={"progress": 45 + number}))


def test_long_poll_returns_on_progress() -> None:
    polled = answered_within(A_WAIT, poll_during_progress)
    assert (polled.answer.status_code, polled.answer.json()["progress"] >= 45) == (httpx.codes.OK, True)
    assert 1.5 < polled.seconds < A_WAIT


@prefetch
def poll_without_a_change(api: Api) -> Timed:
    alice = api.caller("alice")
    job = alice.post("/jobs", json=LATER).json()
    return Timed.call(lambda: alice.get(f"/jobs/{job['asyncJobId']}", params={"wait": 2}))


def test_long_poll_without_a_change_returns_the_job() -> None:
    polled = answered_within(A_WAIT, poll_without_a_change)
    assert (polled.answer.status_code, polled.answer.json()["status"]) == (httpx.codes.OK, "PENDING")
    assert int(polled.answer.headers["retry-after"]) > 0
    assert 2 <= polled.seconds < A_WAIT


@prefetch
def poll_with_the_current_tag(api: Api) -> Timed:
    alice = api.caller("alice")
    path = f"/jobs/{alice.post('/jobs', json=LATER).json()['asyncJobId']}"
    known = {"if-none-match": alice.get(path).headers["etag"]}
    return Timed.call(lambda: alice.get(path, params={"wait": 2}, headers=known))


def test_long_poll_with_the_current_tag_waits_and_is_304() -> None:
    polled = answered_within(A_WAIT, poll_with_the_current_tag)
    assert (polled.answer.status_code, polled.answer.content) == (httpx.codes.NOT_MODIFIED, b"")
    assert 2 <= polled.seconds < A_WAIT


@pytest.fixture
def greedy(api: Api, stack: LocalStack) -> Caller:
    """Return a caller whose slots are all taken for an hour."""
    caller, until = api.caller("greedy"), {"N": str(int((time.time() + 3600) * 1000))}
    item: Any = {**wait_slots_key(caller.owner), **{f"s{slot}": until for slot in range(SLOTS)}}
    dynamodb = stack.session.client("dynamodb", endpoint_url=stack.endpoint_url)
    dynamodb.put_item(TableName=stack.outputs.table_name, Item=item)
    return caller


def test_waits_beyond_an_owners_slots_are_answered_immediately_and_other_owners_wait(greedy: Caller, bob: Caller) -> None:
    path, others = (f"/jobs/{caller.post('/jobs', json=LATER).json()['asyncJobId']}" for caller in (greedy, bob))
    refused = Timed.call(lambda: greedy.get(path, params={"wait": 20}))
    assert (refused.answer.status_code, refused.answer.headers["preference-applied"]) == (httpx.codes.OK, "wait=0")
    assert int(refused.answer.headers["retry-after"]) > 0
    assert refused.seconds < A_WAIT
    submitted = greedy.post("/jobs", json=LATER, headers={"prefer": "wait=20"})
    assert (submitted.status_code, submitted.headers["preference-applied"]) == (httpx.codes.ACCEPTED, "wait=0")
    waited = Timed.call(lambda: bob.get(others, params={"wait": 1}))
    assert (waited.answer.headers["preference-applied"], waited.seconds >= 1) == ("wait=1", True)


def test_long_poll_with_an_old_tag_returns_immediately(alice: Caller, tracked: Job) -> None:
    path = f"/jobs/{tracked['asyncJobId']}"
    known = {"if-none-match": alice.get(path).headers["etag"]}
    alice.patch(path, json={"progress": 45})
    polled = Timed.call(lambda: alice.get(path, params={"wait": 20}, headers=known))
    assert (polled.answer.status_code, polled.answer.json()["progress"]) == (httpx.codes.OK, 45)
    assert polled.seconds < A_WAIT


def test_long_poll_of_a_finished_job_does_not_wait(alice: Caller, completed: Job) -> None:
    path = f"/jobs/{completed['asyncJobId']}"
    polled = Timed.call(lambda: alice.get(path, params={"wait": 20}))
    again = Timed.call(lambda: alice.get(path, params={"wait": 20}, headers={"if-none-match": polled.answer.headers["etag"]}))
    assert (polled.answer.status_code, again.answer.status_code) == (httpx.codes.OK, httpx.codes.NOT_MODIFIED)
    assert max(polled.seconds, again.seconds) < A_WAIT


@pytest.mark.parametrize("wait", ["21", "-1", "1.5", "soon", ""])
def test_wait_is_a_whole_number_of_seconds_from_0_to_20(alice: Caller, waiting: Job, wait: str) -> None:
    answer = alice.get(f"/jobs/{waiting['asyncJobId']}", params={"wait": wait})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (httpx.codes.BAD_REQUEST, "/wait")


def test_unknown_parameter_is_named(alice: Caller, waiting: Job) -> None:
    answer = alice.get(f"/jobs/{waiting['asyncJobId']}", params={"wiat": "5"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (httpx.codes.BAD_REQUEST, "/wiat")
