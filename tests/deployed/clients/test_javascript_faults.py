"""The contract of the clients against the deployed stack, kept by the JavaScript client: `clients/contract/deployed`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from clients.contract import proxy
from tests.support.deployed import Api
from tests.support.node import node
from tests.support.prefetch import collected

pytestmark = pytest.mark.slow

RUN = """
import { readFileSync } from "node:fs";
import { run } from "./test/contract.js";

const [baseUrl, file, token] = process.argv.slice(-3);
const described = JSON.parse(readFileSync(file, "utf8"));
const { tokens = ["{token}"], ...client } = described.client ?? {};
described.client = { timeout: 120, ...client, tokens: tokens.map((each) => each.replace("{token}", token)) };
const clock = {
  now: () => performance.now(),
  sleep: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
};
(await run(baseUrl, described, clock)).compare();
"""


@pytest.fixture(scope="module")
def faults(api: Api) -> Iterator[proxy.FaultProxy]:
    with proxy.serve(api.outputs.api_url) as running:
        yield running


@pytest.fixture(scope="module")
def begun(request: pytest.FixtureRequest, faults: proxy.FaultProxy, api: Api) -> Iterator[dict[str, Future[None]]]:
    """Begin the collected cases, three at a time, since they mostly wait."""
    pool = ThreadPoolExecutor(3)
    yield {case["name"]: pool.submit(keep, case["name"], faults, api) for case in collected(request)}
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", proxy.names())
def test_client_keeps_the_contract_against_the_real_api(name: str, begun: dict[str, Future[None]]) -> None:
    begun[name].result(timeout=600)


def keep(name: str, faults: proxy.FaultProxy, api: Api) -> None:
    """Run a case with the client, which has to keep the contract."""
    case = proxy.case(name)
    caller = api.caller(f"javascript-{name}")  # with no other jobs
    token = caller.http.headers["authorization"].removeprefix("Bearer ")
    session = faults.begin(name)
    node("--input-type=module", "--eval", RUN, "--", faults.sessions[session].base, proxy.CASES / f"{name}.json", token)
    verdict = faults.verdict(session)
    requests = {route: verdict["requests"].get(route, 0) for route in case["requests"]}
    assert (verdict["problems"], verdict["left"], requests) == ([], 0, case["requests"])
    if "jobs" in case:
        assert len(caller.get("/jobs").json()["jobs"]) == case["jobs"]
