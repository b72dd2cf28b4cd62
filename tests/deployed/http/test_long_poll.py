"""GET /jobs/{asyncJobId}?wait=N: a look that is answered as soon as there is news."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import httpx
import pytest

from tests.support.deployed import Api, Caller, Job
from tests.support.prefetch import Timed, prefetch

A_WAIT = 18
"""Seconds in which whatever does not wait for 20 is answered, on a machine that is busy starting functions, too."""

LATER = {"jobType": "sample.returns", "delaySeconds": 600}


def look_while(caller: Caller, body: dict[str, object], happens: Callable[[str, int], object]) -> Timed:
    """A look that would wait for 20 s, while something happens to the job every two seconds."""
    path, answered = f"/jobs/{caller.post('/jobs', json=body).json()['asyncJobId']}", threading.Event()

    def happen() -> None:
        for number in count():
            if answered.wait(2):
                return
            happens(path, number)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(happen)
        try:
            return Timed.call(lambda: caller.get(path, params={"wait": 20}))
        finally:
            answered.set()


@prefetch
def while_it_is_cancelled(api: Api) -> Timed:
    alice = api.caller("alice")
    return look_while(alice, LATER, lambda path, _: alice.post(f"{path}/cancel"))


def test_a_look_that_waits_hears_of_the_end_as_soon_as_it_comes() -> None:
    heard = while_it_is_cancelled.result()
    assert (heard.answer.status_code, heard.answer.json()["status"]) == (httpx.codes.OK, "CANCELLED")
    assert 1.5 < heard.seconds < A_WAIT


@prefetch
def while_it_gets_on(api: Api) -> Timed:
    alice = api.caller("alice")
    return look_while(alice, {}, lambda path, number: alice.patch(path, json={"progress": 45 + number}))


def test_a_look_that_waits_hears_of_progress_as_soon_as_it_is_made() -> None:
    heard = while_it_gets_on.result()
    assert (heard.answer.status_code, heard.answer.json()["progress"] >= 45) == (httpx.codes.OK, True)
    assert 1.5 < heard.seconds < A_WAIT


@prefetch
def while_nothing_happens(api: Api) -> Timed:
    alice = api.caller("alice")
    job = alice.post("/jobs", json=LATER).json()
    return Timed.call(lambda: alice.get(f"/jobs/{job['asyncJobId']}", params={"wait": 2}))


def test_a_look_in_whose_time_nothing_happens_tells_how_the_job_stands() -> None:
    waited = while_nothing_happens.result()
    assert (waited.answer.status_code, waited.answer.json()["status"]) == (httpx.codes.OK, "PENDING")
    assert int(waited.answer.headers["retry-after"]) > 0
    assert 2 <= waited.seconds < A_WAIT


@prefetch
def while_nothing_happens_that_is_not_known(api: Api) -> Timed:
    alice = api.caller("alice")
    path = f"/jobs/{alice.post('/jobs', json=LATER).json()['asyncJobId']}"
    known = {"if-none-match": alice.get(path).headers["etag"]}
    return Timed.call(lambda: alice.get(path, params={"wait": 2}, headers=known))


def test_who_says_what_it_knows_waits_and_is_then_told_that_nothing_has_changed() -> None:
    waited = while_nothing_happens_that_is_not_known.result()
    assert (waited.answer.status_code, waited.answer.content) == (httpx.codes.NOT_MODIFIED, b"")
    assert 2 <= waited.seconds < A_WAIT


def test_who_says_what_it_knows_is_told_at_once_what_it_has_missed(alice: Caller, tracked: Job) -> None:
    path = f"/jobs/{tracked['asyncJobId']}"
    known = {"if-none-match": alice.get(path).headers["etag"]}
    alice.patch(path, json={"progress": 45})
    told = Timed.call(lambda: alice.get(path, params={"wait": 20}, headers=known))
    assert (told.answer.status_code, told.answer.json()["progress"]) == (httpx.codes.OK, 45)
    assert told.seconds < A_WAIT


def test_nobody_waits_for_what_has_finished(alice: Caller, completed: Job) -> None:
    path = f"/jobs/{completed['asyncJobId']}"
    told = Timed.call(lambda: alice.get(path, params={"wait": 20}))
    again = Timed.call(lambda: alice.get(path, params={"wait": 20}, headers={"if-none-match": told.answer.headers["etag"]}))
    assert (told.answer.status_code, again.answer.status_code) == (httpx.codes.OK, httpx.codes.NOT_MODIFIED)
    assert max(told.seconds, again.seconds) < A_WAIT


@pytest.mark.parametrize("wait", ["21", "-1", "1.5", "soon", ""])
def test_a_wait_is_a_whole_number_of_seconds_from_0_to_20(alice: Caller, waiting: Job, wait: str) -> None:
    answer = alice.get(f"/jobs/{waiting['asyncJobId']}", params={"wait": wait})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (httpx.codes.BAD_REQUEST, "/wait")


def test_a_parameter_that_there_is_none_of_is_named(alice: Caller, waiting: Job) -> None:
    answer = alice.get(f"/jobs/{waiting['asyncJobId']}", params={"wiat": "5"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (httpx.codes.BAD_REQUEST, "/wiat")
