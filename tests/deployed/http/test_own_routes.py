"""Routes of a job type's own: path, query and body together are the input."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.deployed import Api, Caller, Job, followed
from tests.support.pace import SLOWNESS
from tests.support.prefetch import Timed, prefetch

SEARCH = "/jobs/search/subject/war%20%26%20peace"
REFRESH = "/jobs/cache/refresh/3"


def asked(answer: httpx.Response) -> Any:
    """Return the job's input, from its result."""
    return answer.json()["result"]["asked"]


def test_path_and_query_are_read_as_their_schema_types(alice: Caller) -> None:
    answer = alice.post(f"{SEARCH}?limit=10&ratio=0.25&exact=true&tags=a,b")
    assert answer.status_code == httpx.codes.OK
    assert (
        asked(answer).items()
        >= {"subject": "war & peace", "limit": 10, "ratio": 0.25, "exact": True, "tags": ["a", "b"]}.items()
    )


def test_comma_in_a_value_of_a_list_is_encoded(alice: Caller) -> None:
    answer = alice.post(SEARCH, params={"tags": ["Smith, John", "Doe, Jane"]})
    assert asked(answer)["tags"] == ["Smith, John", "Doe, Jane"]
    assert asked(alice.post(SEARCH, params={"tags": "a,b"}))["tags"] == ["a,b"]


def test_percent_sign_in_the_path_arrives(alice: Caller) -> None:
    assert asked(alice.post("/jobs/search/subject/100%25%20%2B%C3%BC"))["subject"] == "100% +\u00fc"


def test_field_given_twice_in_the_query_is_400(alice: Caller) -> None:
    answer = alice.post(SEARCH, params={"limit": ["1", "2"]})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (httpx.codes.BAD_REQUEST, "/limit")


def test_nul_in_the_query_is_400(alice: Caller) -> None:
    answer = alice.post(f"{SEARCH}?tags=a%00b")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (httpx.codes.BAD_REQUEST, "/tags")


def test_body_fields_are_added_unchanged(alice: Caller) -> None:
    answer = alice.post(SEARCH, params={"limit": 10}, json={"exact": True, "tags": ["a,b"]})
    assert asked(answer).items() >= {"subject": "war & peace", "limit": 10, "exact": True, "tags": ["a,b"]}.items()


def test_path_alone_is_enough(alice: Caller) -> None:
    assert asked(alice.post(SEARCH))["subject"] == "war & peace"


def test_route_answers_as_a_submit(alice: Caller) -> None:
    answer = alice.post(SEARCH, headers={"prefer": "respond-async"})
    job = answer.json()
    assert (answer.status_code, job["jobType"], job["status"]) == (httpx.codes.ACCEPTED, "contract.searches", "PENDING")
    assert alice.get(followed(answer)).json()["asyncJobId"] == job["asyncJobId"]
    assert int(answer.headers["retry-after"]) > 0
    assert (answer.headers["preference-applied"], answer.headers["vary"]) == ("respond-async", "Prefer")


def test_failure_of_a_quick_job_is_500(alice: Caller) -> None:
    answer = alice.post(SEARCH, params={"turn": "gives up"})
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.INTERNAL_SERVER_ERROR, "JOB_FAILED")


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_input_that_the_job_rejects_is_400(alice: Caller, method: str) -> None:
    answer = (alice.get if method == "GET" else alice.post)(SEARCH, params={"ratio": -1})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["error"]["code"]) == (400, "INVALID_INPUT", "INVALID_INPUT")
    assert "the ratio must not be negative" in problem["error"]["message"]
    assert answer.headers["location"].endswith(f"jobs/{problem['asyncJobId']}")


def test_route_accepts_an_idempotency_key(alice: Caller, key: str) -> None:
    first, again = (alice.post(SEARCH, headers={"idempotency-key": key}) for _ in range(2))
    other = alice.post(SEARCH, params={"limit": 1}, headers={"idempotency-key": key})
    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
    assert (other.status_code, other.json()["code"]) == (httpx.codes.UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED")


def test_request_by_the_route_and_by_post_jobs_is_the_same(alice: Caller, key: str) -> None:
    own = alice.post(SEARCH, params={"limit": 1}, headers={"idempotency-key": key})
    body = {"jobType": "contract.searches", "input": {"subject": "war & peace", "limit": 1}}
    plain = alice.post("/jobs", json=body, headers={"idempotency-key": key})
    assert (plain.status_code, plain.json()) == (httpx.codes.OK, own.json())


@pytest.mark.parametrize(
    ("query", "body", "pointer"),
    [
        ({"limit": "ten"}, None, "/limit"),
        ({"limit": "1000"}, None, "/limit"),
        ({"limit": "1.5"}, None, "/limit"),
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
def test_invalid_field_is_named_where_the_caller_put_it(alice: Caller, query: dict[str, str], body: Any, pointer: str) -> None:
    answer = alice.post(SEARCH, params=query, **({} if body is None else {"json": body}))
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.BAD_REQUEST, "INVALID_REQUEST")
    assert {error["pointer"] for error in answer.json()["errors"]} == {pointer}


# ── Synchronous routes ───────────────────────────────────────────────────────────────────────────────


def test_synchronous_route_returns_the_bare_result_and_the_jobs_location(alice: Caller) -> None:
    answer = alice.get(SEARCH, params={"limit": 2})
    job = alice.get(followed(answer)).json()
    assert (answer.status_code, answer.json()["asked"]["limit"]) == (httpx.codes.OK, 2)
    assert (job["jobType"], job["status"], job["result"]) == ("contract.searches", "COMPLETED", answer.json())


def test_synchronous_route_accepts_an_idempotency_key(alice: Caller, key: str) -> None:
    first, again = (alice.get(SEARCH, headers={"idempotency-key": key}) for _ in range(2))
    other = alice.get(SEARCH, params={"limit": 1}, headers={"idempotency-key": key})
    assert (again.json(), again.headers["location"]) == (first.json(), first.headers["location"])
    assert (other.status_code, other.json()["code"]) == (httpx.codes.UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED")


def test_synchronous_route_waits_for_a_worker(api: Api) -> None:
    answer = api.caller("kim").get(REFRESH)
    assert (answer.status_code, answer.json()) == (httpx.codes.OK, 3)


def test_synchronous_route_redirects_to_a_large_result(alice: Caller) -> None:
    """RFC 9110 15.4.4."""
    answer = alice.get(SEARCH, params={"size": 20_000})
    assert (answer.status_code, answer.json()) == (httpx.codes.SEE_OTHER, {"location": answer.headers["location"]})
    result = alice.get(followed(answer))
    assert (result.status_code, answer.headers["location"].endswith("/result")) == (httpx.codes.SEE_OTHER, True)


def test_synchronous_route_is_500_when_the_job_fails(alice: Caller) -> None:
    answer = alice.get(SEARCH, params={"turn": "gives up"})
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.INTERNAL_SERVER_ERROR, "JOB_FAILED")
    assert answer.json()["error"]["code"] == "HOPELESS"
    assert alice.job(answer.json())["status"] == "FAILED"


def test_synchronous_route_is_400_for_an_invalid_field(alice: Caller) -> None:
    answer = alice.get(SEARCH, params={"limit": "two"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (httpx.codes.BAD_REQUEST, "/limit")


def test_text_search_has_both_routes(alice: Caller) -> None:
    later = alice.post("/search", params={"query": "lease"}, json={"limit": 2}, headers={"prefer": "respond-async"})
    at_once = alice.get("/search", params={"query": "lease", "limit": 2})
    assert (later.status_code, later.json()["jobType"]) == (httpx.codes.ACCEPTED, "text.search")
    assert (at_once.status_code, len(at_once.json()["matches"])) == (httpx.codes.OK, 2)


@pytest.fixture
def refreshing(alice: Caller) -> Iterator[str]:
    """Start a job of alice that holds the lock of its type."""
    answer = alice.post(REFRESH, params={"seconds": 50})
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    yield answer.json()["asyncJobId"]
    alice.post(f"/jobs/{answer.json()['asyncJobId']}/cancel")


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_both_routes_are_409_while_the_lock_is_held(alice: Caller, refreshing: str, method: str) -> None:
    answer = alice.http.request(method, REFRESH)
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.CONFLICT, "JOB_CREATION_FAILED")
    assert answer.json()["asyncJobId"] == refreshing


@prefetch
def too_slow(api: Api) -> tuple[Timed, Job]:
    """Return the answer, and the job at that time."""
    grace = api.caller("grace")
    slow = Timed.call(lambda: grace.get(REFRESH, params={"seconds": 50}))
    job = grace.job(slow.answer.json())
    grace.post(f"/jobs/{job['asyncJobId']}/cancel")
    return slow, job


def test_synchronous_route_is_504_after_20_seconds_with_the_jobs_location() -> None:
    """RFC 9110 15.6.5."""
    slow, job = too_slow.result()
    problem = slow.answer.json()
    assert (slow.answer.status_code, problem["code"]) == (httpx.codes.GATEWAY_TIMEOUT, "JOB_NOT_COMPLETED")
    assert 20 <= slow.seconds < 20 + 20 * SLOWNESS
    assert slow.answer.headers["location"] == f"../../../jobs/{problem['asyncJobId']}"
    assert int(slow.answer.headers["retry-after"]) > 0
    assert job["asyncJobId"] == problem["asyncJobId"]
    assert job["status"] in {"IN_PROGRESS", "PENDING"}  # the workers may be busy


@prefetch
def cancelled_while_waited_for(api: Api) -> httpx.Response:
    mallory = api.caller("mallory")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(lambda: mallory.get(REFRESH, params={"seconds": 40}))
        while not (jobs := mallory.get("/jobs").json()["jobs"]):
            time.sleep(0.2)
        mallory.post(f"/jobs/{jobs[0]['asyncJobId']}/cancel")
        return answer.result()


def test_synchronous_route_is_409_when_the_job_is_cancelled() -> None:
    answer = cancelled_while_waited_for.result()
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.CONFLICT, "JOB_CANCELLED")
    assert answer.headers["location"] == f"../../../jobs/{answer.json()['asyncJobId']}"
