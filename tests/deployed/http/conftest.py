"""Jobs in every state. Session fixtures are shared by all tests, which must not change them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.deployed import Api, Caller, Job
from tests.support.prefetch import start_all

HERE = Path(__file__).parent
LAST = "test_coverage.py"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the test of coverage last in this folder."""
    places = [place for place, item in enumerate(items) if item.path.parent == HERE]
    here = sorted((items[place] for place in places), key=lambda item: item.path.name == LAST)
    for place, item in zip(places, here, strict=True):
        items[place] = item


@pytest.fixture(scope="session", autouse=True)
def prefetched(api: Api) -> Iterator[None]:
    pool = ThreadPoolExecutor(3)  # few, since cold starts need the processor
    start_all(pool, api, HERE)
    yield
    pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def anyone(api: Api) -> httpx.Client:
    """Return a client without a token."""
    return api.client()


Later = Callable[..., Job]


@pytest.fixture(scope="session")
def later(alice: Caller) -> Later:
    """Return a function that submits a job of alice with a delay of ten minutes."""

    def submit(**body: Any) -> Job:
        answer = alice.post("/jobs", json={"jobType": "sample.returns", "delaySeconds": 600, **body})
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        job: Job = answer.json()
        return job

    return submit


@pytest.fixture(scope="session")
def waiting(later: Later) -> Job:
    return later()


@pytest.fixture(scope="package")
def running(alice: Caller) -> Iterator[Job]:
    """Start a job that runs longer than these tests. It is cancelled afterwards: the next folder needs its worker."""
    job = alice.submit("sample.works", {"seconds": 600})
    yield alice.wait_for(job, lambda found: found["progress"] > 0)
    alice.post(f"/jobs/{job['asyncJobId']}/cancel")


@pytest.fixture(scope="session")
def completed(alice: Caller) -> Job:
    job: Job = alice.post("/jobs", json={"jobType": "sample.is_quick", "message": "Queued", "metadata": {"order": 7}}).json()
    return job


@pytest.fixture(scope="session")
def failed(alice: Caller) -> Job:
    problem = alice.post("/jobs", json={"jobType": "sample.is_quick", "input": {"turn": "gives up"}}).json()
    return alice.job(problem)


@pytest.fixture(scope="session")
def cancelled(alice: Caller, later: Later) -> Job:
    job: Job = alice.post(f"/jobs/{later()['asyncJobId']}/cancel").json()
    return job


@pytest.fixture(scope="session")
def large(alice: Caller) -> Job:
    """Complete a job with a result in the bucket."""
    body = {"jobType": "contract.searches", "input": {"subject": "x", "size": 20_000}}
    job: Job = alice.post("/jobs", json=body).json()
    return job


@pytest.fixture
def tracked(alice: Caller) -> Job:
    """Create a tracked job for each test, with its worker's token."""
    job: Job = alice.post("/jobs", json={}).json()
    return job


@pytest.fixture(params=["waiting", "running"])
def unfinished(request: pytest.FixtureRequest) -> Job:
    """Return a job in each state that is not terminal."""
    job: Job = request.getfixturevalue(request.param)
    return job
