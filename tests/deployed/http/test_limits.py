"""Submit limits, on a deployment with all of them on: a rejected submit stores nothing."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from local.stack import LocalStack
from tests.conftest import LIMITS, TOKEN_SECONDS
from tests.support.deployed import Caller, LimitedDeployment, wait_until, worker_paused

BURST, MAX_LIVE, MAX_BACKLOG = (int(LIMITS[name]) for name in ("SubmitBurst", "MaxLiveJobsPerOwner", "MaxBacklog"))
POLICY = f'"submit";q={BURST};w={BURST * TOKEN_SECONDS}'
WAITS = {"jobType": "sample.returns", "delaySeconds": 900}


def submit(caller: Caller, key: str | None = None, **more: str) -> httpx.Response:
    return caller.post("/jobs", json={**WAITS, **more}, headers={"idempotency-key": key or uuid.uuid4().hex})


def submit_patiently(caller: Caller, **more: str) -> httpx.Response:
    """Submit, and once more after Retry-After if the rate is exceeded."""
    answer = submit(caller, **more)
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS and answer.json()["code"] == "SUBMIT_RATE_EXCEEDED":
        time.sleep(int(answer.headers["retry-after"]))
        answer = submit(caller, **more)
    return answer


@pytest.fixture(scope="module")
def dave(limited: LimitedDeployment) -> Caller:
    return limited.api.caller("dave")


@pytest.fixture(scope="module", autouse=True)
def jobs_of_dave(dave: Caller) -> Iterator[Future[list[httpx.Response]]]:
    """Submit as many jobs as dave may have, in the background: his rate makes that slow."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(lambda: [submit_patiently(dave) for _ in range(MAX_LIVE)])


def rejection(caller: Caller) -> httpx.Response:
    """Submit until one is rejected, and return that answer."""
    for _ in range(4 * BURST):
        if not (answer := submit(caller)).is_success:
            return answer
    raise AssertionError("no submit was rejected")


def test_accepted_submit_has_rate_limit_headers(limited: LimitedDeployment) -> None:
    """RateLimit, draft 10."""
    answer = submit(limited.api.caller("alice"))
    assert answer.status_code == httpx.codes.ACCEPTED
    assert (answer.headers["ratelimit-policy"], answer.headers["ratelimit"]) == (
        POLICY,
        f'"submit";r={BURST - 1};t={TOKEN_SECONDS}',
    )


def test_exceeded_rate_is_429_with_retry_after(limited: LimitedDeployment) -> None:
    """RFC 6585 4; RateLimit, draft 10."""
    answer = rejection(limited.api.caller("bob"))
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.TOO_MANY_REQUESTS, "SUBMIT_RATE_EXCEEDED")
    assert 1 <= int(answer.headers["retry-after"]) <= TOKEN_SECONDS
    assert answer.headers["ratelimit-policy"] == POLICY
    assert answer.headers["ratelimit"] == f'"submit";r=0;t={answer.headers["retry-after"]}'


def test_submit_after_retry_after_is_accepted(limited: LimitedDeployment) -> None:
    carol = limited.api.caller("carol")
    time.sleep(int(rejection(carol).headers["retry-after"]))
    assert submit(carol).status_code == httpx.codes.ACCEPTED


def test_rejected_submit_stores_nothing(limited: LimitedDeployment) -> None:
    erin = limited.api.caller("erin")
    accepted = []
    while (answer := submit(erin)).is_success:
        accepted.append(answer.json()["asyncJobId"])
    listed = [job["asyncJobId"] for job in erin.get("/jobs").json()["jobs"]]
    assert (answer.status_code, listed) == (httpx.codes.TOO_MANY_REQUESTS, accepted[::-1])


def test_replay_beyond_the_rate_returns_the_accepted_job(limited: LimitedDeployment, key: str) -> None:
    frank = limited.api.caller("frank")
    accepted = submit(frank, key)
    assert rejection(frank).json()["code"] == "SUBMIT_RATE_EXCEEDED"
    again = submit(frank, key)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (httpx.codes.ACCEPTED, "true")
    assert again.json()["asyncJobId"] == accepted.json()["asyncJobId"]
    assert again.headers["ratelimit-policy"] == POLICY


def test_each_owner_has_its_own_rate(limited: LimitedDeployment) -> None:
    rejection(limited.api.caller("grace"))
    assert submit(limited.api.caller("heidi")).status_code == httpx.codes.ACCEPTED


def test_rate_limit_headers_are_absent_without_a_rate(alice: Caller) -> None:
    answer = alice.post("/jobs", json={})
    assert not [name for name in answer.headers if name.startswith("ratelimit")]


def test_too_many_unfinished_jobs_are_429_until_one_has_ended(dave: Caller, jobs_of_dave: Future[list[httpx.Response]]) -> None:
    jobs = jobs_of_dave.result(timeout=300)
    assert {answer.status_code for answer in jobs} == {httpx.codes.ACCEPTED}
    answer = submit_patiently(dave)
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.TOO_MANY_REQUESTS, "TOO_MANY_LIVE_JOBS")
    assert int(answer.headers["retry-after"]) > 0
    assert dave.post(f"/jobs/{jobs[0].json()['asyncJobId']}/cancel").is_success
    assert submit_patiently(dave).status_code == httpx.codes.ACCEPTED
    assert submit_patiently(dave).json()["code"] == "TOO_MANY_LIVE_JOBS"


@dataclass(frozen=True)
class Queue:
    """The standard queue while no worker reads it."""

    sqs: Any
    url: str

    def fill(self) -> None:
        for start in range(0, MAX_BACKLOG, 10):
            entries = [{"Id": str(number), "MessageBody": "{}"} for number in range(start, start + 10)]
            self.sqs.send_message_batch(QueueUrl=self.url, Entries=entries)

    def clear(self) -> None:
        self.sqs.purge_queue(QueueUrl=self.url)


@pytest.fixture
def queue(stack: LocalStack, limited: LimitedDeployment) -> Iterator[Queue]:
    url = limited.api.outputs.queue_url
    with worker_paused(stack, url, worker_name=limited.worker_name):
        yield Queue(stack.session.client("sqs", endpoint_url=stack.endpoint_url), url)


def test_full_queue_is_503_and_stores_nothing(limited: LimitedDeployment, queue: Queue) -> None:
    """RFC 9110 15.6.4."""
    ivan = limited.api.caller("ivan")
    waits = ivan.post("/jobs", json={"jobType": "sample.returns"}).json()
    delayed = submit(ivan).json()
    queue.fill()
    listed: list[str] = []

    def ids() -> list[str]:
        return [job["asyncJobId"] for job in ivan.get("/jobs").json()["jobs"]]

    def is_rejected() -> bool:
        # Each process reads the backlog every few seconds, and accepts as many jobs as other limits allow until then.
        listed[:] = ids()
        answer = submit(ivan)
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            assert answer.json()["code"] == "SUBMIT_RATE_EXCEEDED"
            return False
        if answer.status_code == httpx.codes.ACCEPTED:
            return False
        assert (answer.status_code, answer.json()["code"]) == (httpx.codes.SERVICE_UNAVAILABLE, "BUSY")
        assert int(answer.headers["retry-after"]) > 0
        return True

    wait_until(is_rejected)
    assert ids() == listed
    # Each owner may have one job in a full queue, so that nobody fills it for all others.
    assert submit(limited.api.caller("ivana")).status_code == httpx.codes.ACCEPTED
    # A waiting job shows the queue depth, itself included; a delayed one does not. Other queues have room.
    assert ivan.job(waits)["queueDepth"] == 1 + MAX_BACKLOG
    assert "queueDepth" not in ivan.job(delayed)
    assert submit_patiently(ivan, priority="low").status_code == httpx.codes.ACCEPTED
    queue.clear()
    wait_until(lambda: submit_patiently(ivan).status_code == httpx.codes.ACCEPTED)
