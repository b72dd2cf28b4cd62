"""Jobs in every state, most of them for all tests together: none of these may be changed."""

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
    """What looks at all answers together comes last of this folder."""
    places = [place for place, item in enumerate(items) if item.path.parent == HERE]
    here = sorted((items[place] for place in places), key=lambda item: item.path.name == LAST)
    for place, item in zip(places, here, strict=True):
        items[place] = item


@pytest.fixture(scope="session", autouse=True)
def prefetched(api: Api) -> Iterator[None]:
    pool = ThreadPoolExecutor(3)  # functions start by the processor, and it has other lines to look at meanwhile
    start_all(pool, api, HERE)
    yield
    pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def anyone(api: Api) -> httpx.Client:
    """Somebody without a token."""
    return api.client()


Later = Callable[..., Job]


@pytest.fixture(scope="session")
def later(alice: Caller) -> Later:
    """Submits a job of alice's that waits for ten minutes."""

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
    """In a worker, and for longer than these tests take; the next folder's need that worker."""
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
    """Completed, with a result that lies in the bucket."""
    body = {"jobType": "contract.searches", "input": {"subject": "x", "size": 20_000}}
    job: Job = alice.post("/jobs", json=body).json()
    return job


@pytest.fixture
def tracked(alice: Caller) -> Job:
    """A new one for each test, with its worker's token."""
    job: Job = alice.post("/jobs", json={}).json()
    return job


@pytest.fixture(params=["waiting", "running"])
def unfinished(request: pytest.FixtureRequest) -> Job:
    """In each state that is not terminal."""
    job: Job = request.getfixturevalue(request.param)
    return job
