"""What a caller may do about time and about its jobs: wait, not wait, retry, delete."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx
import pytest

from local.stack import LocalStack
from tests.e2e.conftest import Caller, log_events


def quick(caller: Caller, turn: str = "returns", job_type: str = "zoo.is_quick", **headers: str) -> httpx.Response:
    return caller.post("/jobs", json={"jobType": job_type, "input": {"turn": turn}}, headers=headers)


# ── Now or later ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("job_type", ["zoo.is_quick", "zoo.is_quick_async"])
def test_a_quick_job_is_answered_with_its_result(alice: Caller, stack: LocalStack, job_type: str) -> None:
    answer = quick(alice, job_type=job_type)
    job = answer.json()
    assert (answer.status_code, job["status"], job["result"], job["attempt"]) == (httpx.codes.OK, "COMPLETED", 1, 1)
    assert answer.headers["vary"] == "Prefer"
    assert alice.job(job) == job
    names = [line["message"] for line in log_events(stack, job, until="JOB_COMPLETED")]
    assert names == ["JOB_ACCEPTED", "JOB_STARTED", "JOB_COMPLETED"]


def test_a_sample_job_is_quick(alice: Caller) -> None:
    answer = alice.post("/jobs", json={"jobType": "text.search", "input": {"query": "lease"}})
    assert (answer.status_code, answer.json()["status"]) == (httpx.codes.OK, "COMPLETED")


@pytest.mark.parametrize(
    ("job_type", "headers"), [("zoo.is_quick", {"prefer": "respond-async"}), ("zoo.is_quick_elsewhere", {})]
)
def test_who_wants_it_later_or_elsewhere_gets_202(alice: Caller, job_type: str, headers: dict[str, str]) -> None:
    answer = quick(alice, job_type=job_type, **headers)
    assert answer.status_code == httpx.codes.ACCEPTED
    assert answer.headers.get("preference-applied") == headers.get("prefer")
    assert alice.wait_for(answer.json())["result"] == 1


def test_a_job_type_has_routes_of_its_own(alice: Caller) -> None:
    later = alice.post("/search", params={"query": "lease"}, json={"limit": 2}, headers={"prefer": "respond-async"})
    assert (later.status_code, later.json()["jobType"]) == (httpx.codes.ACCEPTED, "text.search")
    at_once = alice.get("/search", params={"query": "lease", "limit": 2})
    assert at_once.status_code == httpx.codes.OK
    assert len(at_once.json()["matches"]) == 2
    assert alice.wait_for(later.json())["result"] == at_once.json()
    refused = alice.get("/search", params={"query": "lease", "limit": "two"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (httpx.codes.BAD_REQUEST, "/limit")


def test_a_quick_job_that_dawdles_goes_on_in_the_queue_as_its_next_attempt(alice: Caller, stack: LocalStack) -> None:
    began = time.monotonic()
    answer = quick(alice, "dawdles")
    took = time.monotonic() - began
    job = answer.json()
    assert (answer.status_code, job["status"], job["attempt"]) == (httpx.codes.ACCEPTED, "PENDING", 1)
    assert job["error"]["code"] == "HANDED_OVER"
    assert 5 <= took < 10
    assert alice.wait_for(job)["result"] == 2
    started = [line["attempt"] for line in log_events(stack, job, until="JOB_COMPLETED") if line["message"] == "JOB_STARTED"]
    assert sorted(started) == [1, 2]


def test_a_quick_job_that_fails_is_500_with_its_error(alice: Caller, key: str) -> None:
    answer = quick(alice, "gives up", **{"idempotency-key": key})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["error"]["code"]) == (500, "JOB_FAILED", "HOPELESS")
    assert alice.job(problem)["status"] == "FAILED"
    again = quick(alice, "gives up", **{"idempotency-key": key})
    assert (again.status_code, again.json()["asyncJobId"]) == (httpx.codes.OK, problem["asyncJobId"])


def test_a_quick_job_that_takes_its_process_along_is_accepted_all_the_same(alice: Caller, key: str) -> None:
    assert quick(alice, "dies", **{"idempotency-key": key}).status_code >= 500
    again = quick(alice, "dies", **{"idempotency-key": key})
    assert (again.status_code, again.headers["idempotency-replayed"]) == (httpx.codes.ACCEPTED, "true")
    assert (again.json()["status"], again.json()["attempt"]) == ("IN_PROGRESS", 1)
    assert alice.post(f"/jobs/{again.json()['asyncJobId']}/cancel").status_code == httpx.codes.OK


# ── Waiting ────────────────────────────────────────────────────────────────────────────────────────


def test_a_submit_that_prefers_to_wait_gets_the_finished_job(alice: Caller) -> None:
    answer = alice.post("/jobs", json={"jobType": "zoo.returns", "input": {}}, headers={"prefer": "wait=15"})
    assert (answer.status_code, answer.json()["status"]) == (httpx.codes.OK, "COMPLETED")
    assert answer.headers["preference-applied"] == "wait=15"


def test_a_submit_waits_no_longer_than_it_prefers_to(alice: Caller) -> None:
    answer = alice.post("/jobs", json={"jobType": "zoo.returns", "delaySeconds": 60}, headers={"prefer": "wait=1"})
    assert answer.status_code == httpx.codes.ACCEPTED
    assert alice.post(f"/jobs/{answer.json()['asyncJobId']}/cancel").status_code == httpx.codes.OK


def test_a_long_poll_hears_of_the_end_at_once(alice: Caller) -> None:
    job = alice.post("/jobs", json={"jobType": "zoo.returns", "delaySeconds": 60}).json()
    path = f"/jobs/{job['asyncJobId']}"
    cancel = threading.Timer(2, lambda: alice.post(f"{path}/cancel"))
    cancel.start()
    began = time.monotonic()
    answer = alice.get(path, params={"wait": 20})
    took = time.monotonic() - began
    cancel.join()
    assert (answer.status_code, answer.json()["status"]) == (httpx.codes.OK, "CANCELLED")
    assert 1.5 < took < 8


def test_what_has_not_changed_is_304_without_a_body(alice: Caller) -> None:
    job = alice.wait_for(alice.submit("zoo.returns"))
    first = alice.get(f"/jobs/{job['asyncJobId']}")
    again = alice.get(f"/jobs/{job['asyncJobId']}", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])


# ── Retry and delete ───────────────────────────────────────────────────────────────────────────────


def test_a_failed_job_is_retried_under_its_own_name(alice: Caller) -> None:
    failed = alice.wait_for(alice.submit("zoo.gives_up"))
    answer = alice.post(f"/jobs/{failed['asyncJobId']}/retry")
    again: dict[str, Any] = answer.json()
    assert (answer.status_code, again["status"], again["attempt"]) == (httpx.codes.ACCEPTED, "PENDING", 0)
    assert (again["asyncJobId"], again["createdAt"]) == (failed["asyncJobId"], failed["createdAt"])
    ended = alice.wait_for(again)
    assert (ended["status"], ended["attempt"], ended["startedAt"] > failed["endedAt"]) == ("FAILED", 1, True)


def test_a_deleted_job_is_gone_with_its_result(alice: Caller, stack: LocalStack) -> None:
    job = alice.wait_for(alice.submit("zoo.returns_much", {"size": 20_000}))
    assert job["resultType"] == "S3"
    assert alice.delete(f"/jobs/{job['asyncJobId']}").status_code == httpx.codes.NO_CONTENT
    assert alice.get(f"/jobs/{job['asyncJobId']}").status_code == httpx.codes.NOT_FOUND
    s3 = stack.session.client("s3", endpoint_url=stack.endpoint_url)
    found = s3.list_objects_v2(Bucket=stack.outputs.bucket_name, Prefix=f"results/{job['asyncJobId']}/")
    assert "Contents" not in found
    assert alice.delete(f"/jobs/{job['asyncJobId']}").status_code == httpx.codes.NOT_FOUND


def test_a_job_that_goes_on_cannot_be_deleted(alice: Caller) -> None:
    job = alice.post("/jobs", json={"jobType": "zoo.returns", "delaySeconds": 60}).json()
    answer = alice.delete(f"/jobs/{job['asyncJobId']}")
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.CONFLICT, "JOB_NOT_FINISHED")
    assert alice.post(f"/jobs/{job['asyncJobId']}/cancel").status_code == httpx.codes.OK
