"""The contract of the clients against the deployed stack, with a proxy between them that causes the faults: `clients/contract/deployed`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clients.contract import proxy
from tests.clients.python.harness import ASYNC, SYNC, FakeAsyncClock, FakeClock, Flavor
from tests.clients.python.test_contract import Run
from tests.support.deployed import Api
from tests.support.prefetch import collected

pytestmark = pytest.mark.slow


class RealClock(FakeClock):
    """A clock that goes, and counts how long the client has slept."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
        super().sleep(seconds)


class RealAsyncClock(FakeAsyncClock):
    """The same for asyncio."""

    def now(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await super().sleep(seconds)


FLAVORS = (replace(SYNC, clock=RealClock), replace(ASYNC, clock=RealAsyncClock))


@pytest.fixture(scope="module")
def faults(api: Api) -> Iterator[proxy.FaultProxy]:
    with proxy.serve(api.outputs.api_url) as running:
        yield running


@pytest.fixture(scope="module")
def begun(
    request: pytest.FixtureRequest, faults: proxy.FaultProxy, api: Api, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, str], Future[None]]]:
    """Begin the collected cases, three at a time, since they mostly wait."""
    pool = ThreadPoolExecutor(3)
    cases = [(case["flavor"], case["name"]) for case in collected(request)]
    yield {
        (flavor.name, name): pool.submit(keep, flavor, name, faults, api, tmp_path_factory.mktemp("case"))
        for flavor, name in cases
    }
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", proxy.names())
@pytest.mark.parametrize("flavor", FLAVORS, ids=lambda flavor: flavor.name)
def test_client_keeps_the_contract_against_the_real_api(
    flavor: Flavor, name: str, begun: dict[tuple[str, str], Future[None]]
) -> None:
    begun[flavor.name, name].result(timeout=600)


def keep(flavor: Flavor, name: str, faults: proxy.FaultProxy, api: Api, folder: Path) -> None:
    """Run a case with a client, which has to keep the contract."""
    caller = api.caller(f"{flavor.name}-{name}")  # with no other jobs
    token = caller.http.headers["authorization"].removeprefix("Bearer ")
    session = faults.begin(name)
    case = with_token(proxy.case(name), token)
    run = Run(flavor, case, faults.sessions[session].base, folder)
    found = asyncio.run(run.outcome())
    verdict = faults.verdict(session)
    requests = {route: verdict["requests"].get(route, 0) for route in case["requests"]}
    assert (verdict["problems"], verdict["left"], requests) == ([], 0, case["requests"]), found
    run.check(found)
    if "jobs" in case:
        assert len(caller.get("/jobs").json()["jobs"]) == case["jobs"]


@pytest.mark.parametrize("name", proxy.names())
def test_case_is_well_formed(name: str) -> None:
    case = proxy.case(name)
    assert case["name"] == name
    assert case["behavior"].endswith(".")
    members = {"name", "behavior", "client", "lacks", "calls", "exchanges", "outcome", "requests", "jobs"}
    assert case.keys() <= members
    assert members - case.keys() <= {"client", "lacks", "jobs"}
    assert case["requests"]


def with_token(case: Mapping[str, Any], token: str) -> dict[str, Any]:
    """Return the case with the user's token, and time for cold starts."""
    given = {"tokens": ["{token}"], "timeout": 120, **case.get("client", {})}
    given["tokens"] = [token if each == "{token}" else each for each in given["tokens"]]
    return {**case, "client": given}
