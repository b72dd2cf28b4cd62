"""Routes of a job type's own: path, query and body together are its input."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.deployed import Api, Caller, Job
from tests.support.prefetch import Timed, prefetch

SEARCH = "/jobs/search/subject/war%20%26%20peace"
REFRESH = "/jobs/cache/refresh/3"


def asked(answer: httpx.Response) -> Any:
    """What its input was, by what the job returned."""
    return answer.json()["result"]["asked"]


def test_path_and_query_become_the_input_each_as_what_its_schema_says(alice: Caller) -> None:
    query: dict[str, Any] = {"limit": "10", "ratio": "0.25", "exact": "true", "tags": "a,b"}
    answer = alice.post(SEARCH, params=query)
    assert answer.status_code == httpx.codes.OK
    assert (
        asked(answer).items()
        >= {"subject": "war & peace", "limit": 10, "ratio": 0.25, "exact": True, "tags": ["a", "b"]}.items()
    )


def test_the_body_gives_further_fields_as_they_are(alice: Caller) -> None:
    answer = alice.post(SEARCH, params={"limit": 10}, json={"exact": True, "tags": ["a,b"]})
    assert asked(answer).items() >= {"subject": "war & peace", "limit": 10, "exact": True, "tags": ["a,b"]}.items()


def test_without_query_and_body_the_path_is_enough(alice: Caller) -> None:
    assert asked(alice.post(SEARCH))["subject"] == "war & peace"


def test_it_is_answered_as_a_submit_is(alice: Caller) -> None:
    answer = alice.post(SEARCH, headers={"prefer": "respond-async"})
    job = answer.json()
    assert (answer.status_code, job["jobType"], job["status"]) == (httpx.codes.ACCEPTED, "contract.searches", "PENDING")
    assert answer.headers["location"] == f"/api/v1/jobs/{job['asyncJobId']}"
    assert int(answer.headers["retry-after"]) > 0
    assert (answer.headers["preference-applied"], answer.headers["vary"]) == ("respond-async", "Prefer")


def test_a_failure_of_a_job_that_ran_at_once_is_500(alice: Caller) -> None:
    answer = alice.post(SEARCH, params={"turn": "gives up"})
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.INTERNAL_SERVER_ERROR, "JOB_FAILED")


def test_it_takes_an_idempotency_key(alice: Caller, key: str) -> None:
    first, again = (alice.post(SEARCH, headers={"idempotency-key": key}) for _ in range(2))
    other = alice.post(SEARCH, params={"limit": 1}, headers={"idempotency-key": key})
    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
    assert (other.status_code, other.json()["code"]) == (httpx.codes.UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED")


def test_the_same_request_by_its_own_route_and_by_post_jobs_is_the_same(alice: Caller, key: str) -> None:
    own = alice.post(SEARCH, params={"limit": 1}, headers={"idempotency-key": key})
    body = {"jobType": "contract.searches", "input": {"subject": "war & peace", "limit": 1}}
    plain = alice.post("/jobs", json=body, headers={"idempotency-key": key})
    assert (plain.status_code, plain.json()) == (httpx.codes.OK, own.json())


@pytest.mark.parametrize(
    ("query", "body", "pointer"),
    [
        ({"limit": "ten"}, None, "/limit"),
        ({"limit": "1000"}, None, "/limit"),
        ({"limit": "1.0"}, None, "/limit"),
        ({"ratio": "nan"}, None, "/ratio"),
        ({"exact": "yes"}, None, "/exact"),
        ({"colour": "red"}, None, "/colour"),
        ({"limit": "1"}, {"limit": 2}, "/limit"),
        ({}, {"subject": "peace"}, "/subject"),
        ({"subject": "peace"}, None, "/subject"),
        ({}, {"limit": "10"}, "/limit"),
        ({}, [], ""),
    ],
    ids=str,
)
def test_what_does_not_fit_is_named_where_the_caller_put_it(
    alice: Caller, query: dict[str, str], body: Any, pointer: str
) -> None:
    answer = alice.post(SEARCH, params=query, **({} if body is None else {"json": body}))
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.BAD_REQUEST, "INVALID_REQUEST")
    assert {error["pointer"] for error in answer.json()["errors"]} == {pointer}


# ── For callers that know nothing of jobs ──────────────────────────────────────────────────────────


def test_a_synchronous_route_answers_the_bare_result_and_where_its_job_is(alice: Caller) -> None:
    answer = alice.get(SEARCH, params={"limit": 2})
    job = alice.get(answer.headers["location"].removeprefix("/api/v1")).json()
    assert (answer.status_code, answer.json()["asked"]["limit"]) == (httpx.codes.OK, 2)
    assert (job["jobType"], job["status"], job["result"]) == ("contract.searches", "COMPLETED", answer.json())


def test_it_takes_an_idempotency_key_too(alice: Caller, key: str) -> None:
    first, again = (alice.get(SEARCH, headers={"idempotency-key": key}) for _ in range(2))
    other = alice.get(SEARCH, params={"limit": 1}, headers={"idempotency-key": key})
    assert (again.json(), again.headers["location"]) == (first.json(), first.headers["location"])
    assert (other.status_code, other.json()["code"]) == (httpx.codes.UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED")


def test_it_waits_for_what_does_not_run_at_once(api: Api) -> None:
    answer = api.caller("kim").get(REFRESH)
    assert (answer.status_code, answer.json()) == (httpx.codes.OK, 3)


def test_a_result_too_large_for_an_answer_is_303_to_where_it_is(alice: Caller) -> None:
    """RFC 9110 15.4.4."""
    answer = alice.get(SEARCH, params={"size": 20_000})
    assert (answer.status_code, answer.json()) == (httpx.codes.SEE_OTHER, {"location": answer.headers["location"]})
    result = alice.get(answer.headers["location"].removeprefix("/api/v1"))
    assert (result.status_code, answer.headers["location"].endswith("/result")) == (httpx.codes.SEE_OTHER, True)


def test_a_failure_is_500_with_the_jobs_id_and_its_error(alice: Caller) -> None:
    answer = alice.get(SEARCH, params={"turn": "gives up"})
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.INTERNAL_SERVER_ERROR, "JOB_FAILED")
    assert answer.json()["error"]["code"] == "HOPELESS"
    assert alice.job(answer.json())["status"] == "FAILED"


def test_what_does_not_fit_is_400_there_too(alice: Caller) -> None:
    answer = alice.get(SEARCH, params={"limit": "two"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (httpx.codes.BAD_REQUEST, "/limit")


def test_the_samples_search_has_both(alice: Caller) -> None:
    later = alice.post("/search", params={"query": "lease"}, json={"limit": 2}, headers={"prefer": "respond-async"})
    at_once = alice.get("/search", params={"query": "lease", "limit": 2})
    assert (later.status_code, later.json()["jobType"]) == (httpx.codes.ACCEPTED, "text.search")
    assert (at_once.status_code, len(at_once.json()["matches"])) == (httpx.codes.OK, 2)


@pytest.fixture
def refreshing(alice: Caller) -> Iterator[str]:
    """A job of alice's that keeps out others of its type."""
    answer = alice.post(REFRESH, params={"seconds": 50})
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    yield answer.json()["asyncJobId"]
    alice.post(f"/jobs/{answer.json()['asyncJobId']}/cancel")


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_while_another_operation_runs_both_are_409(alice: Caller, refreshing: str, method: str) -> None:
    answer = alice.http.request(method, REFRESH)
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.CONFLICT, "JOB_CREATION_FAILED")
    assert answer.json()["asyncJobId"] == refreshing


@prefetch
def too_slow(api: Api) -> tuple[Timed, Job]:
    """The answer, and the job as it stood then."""
    grace = api.caller("grace")
    slow = Timed.call(lambda: grace.get(REFRESH, params={"seconds": 50}))
    job = grace.job(slow.answer.json())
    grace.post(f"/jobs/{job['asyncJobId']}/cancel")
    return slow, job


def test_what_takes_longer_than_20_seconds_is_504_with_where_to_look_for_it() -> None:
    """RFC 9110 15.6.5."""
    slow, job = too_slow.result()
    problem = slow.answer.json()
    assert (slow.answer.status_code, problem["code"]) == (httpx.codes.GATEWAY_TIMEOUT, "JOB_NOT_COMPLETED")
    assert 20 <= slow.seconds < 40
    assert slow.answer.headers["location"] == f"/api/v1/jobs/{problem['asyncJobId']}"
    assert int(slow.answer.headers["retry-after"]) > 0
    assert (job["asyncJobId"], job["status"]) == (problem["asyncJobId"], "IN_PROGRESS")


@prefetch
def cancelled_while_waited_for(api: Api) -> httpx.Response:
    mallory = api.caller("mallory")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(lambda: mallory.get(REFRESH, params={"seconds": 40}))
        while not (jobs := mallory.get("/jobs").json()["jobs"]):
            time.sleep(0.2)
        mallory.post(f"/jobs/{jobs[0]['asyncJobId']}/cancel")
        return answer.result()


def test_a_job_that_is_cancelled_while_its_caller_waits_is_409() -> None:
    answer = cancelled_while_waited_for.result()
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.CONFLICT, "JOB_CANCELLED")
    assert answer.headers["location"] == f"/api/v1/jobs/{answer.json()['asyncJobId']}"
