"""The contract of the clients against the deployed stack, with a proxy between them that causes the faults: `clients/contract/deployed`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clients.contract import proxy
from tests.clients.python.harness import ASYNC, SYNC, FakeAsyncClock, FakeClock, Flavor
from tests.clients.python.test_contract import Run
from tests.support.deployed import Api

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


@pytest.mark.parametrize("name", proxy.names())
@pytest.mark.parametrize("flavor", FLAVORS, ids=lambda flavor: flavor.name)
def test_client_keeps_the_contract_against_the_real_api(
    flavor: Flavor, name: str, faults: proxy.FaultProxy, api: Api, tmp_path: Path
) -> None:
    caller = api.caller(f"{flavor.name}-{name}")  # with no other jobs
    token = caller.http.headers["authorization"].removeprefix("Bearer ")
    session = faults.begin(name)
    case = with_token(proxy.case(name), token)
    run = Run(flavor, case, faults.sessions[session].base, tmp_path)
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
