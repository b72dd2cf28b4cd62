"""Live changes for the JavaScript client on the deployed stack: the WebSocket in Node.js and in Chromium, cut and back."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import Any

import pytest

from local.stack import FRONT_END
from tests.clients.js.pages import Answer, Request, Site, page
from tests.support.browser import Browser
from tests.support.cuttable import Cuttable, cuttable
from tests.support.deployed import Caller
from tests.support.node import node_with_websocket
from tests.support.pace import SLOWNESS

pytestmark = pytest.mark.slow

FOLLOW = """
import { createClient } from "@asyncjobs/client";

const [scenario, through] = process.argv.slice(-2);
const counts = { GET: 0, POST: 0, sockets: 0, messages: 0 };
const sender = (input, init) => {
  counts[init.method] += 1;
  return fetch(input, init);
};
class Counted extends WebSocket {
  constructor(url) {
    // The test's own way to the gateway, which it can cut.
    super(through === "direct" ? url : url.replace(/^ws:\\/\\/[^/]+/, `ws://${through}`));
    counts.sockets += 1;
    this.addEventListener("message", () => (counts.messages += 1));
  }
}
const options = { fetch: sender, webSocket: Counted };
if (scenario === "expired") {
  // The ticket's time is over before the job is, and the gateway does not close the connection.
  const issued = createClient({ ...options });
  const body = JSON.stringify({ scope: "owner", use: "connect", ttlSeconds: Number(process.env.TTL) });
  options.connect = async () => (await issued.http.send("POST", "tickets", { body })).data;
  const now = performance.now();
  const sleep = (ms, signal) => new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms / 10);
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)));
  });
  options.clock = { now: () => (performance.now() - now) * 10, sleep };
}
const jobs = createClient(options);
const connections = [];
const seen = [];
const job = await jobs.submit("sample.works", { seconds: Number(process.env.SECONDS) });
const submitted = { ...counts };
for await (const { progress, status } of job.updates({ giveUpMs: Infinity, onConnection: (each) => connections.push(each) })) {
  seen.push([status, progress]);
}
console.log(JSON.stringify({ seen, connections, ...counts, GET: counts.GET - submitted.GET, result: await job.result() }));
"""


Found = dict[str, Any]
"""How the changes of a job came."""
Scenario = Callable[[dict[str, str]], Found]


def follow(environment: dict[str, str], scenario: str, *, through: str = "direct", seconds: float) -> Found:
    """Submit a job of so many seconds, or more on a slow machine, in Node.js, and return how its changes came."""
    variables = {**environment, "SECONDS": str(seconds * SLOWNESS), "TTL": str(ceil(3 * SLOWNESS))}
    printed = node_with_websocket("--input-type=module", "--eval", FOLLOW, "--", scenario, through, environment=variables)
    found: Found = json.loads(printed)
    return found


def whole(environment: dict[str, str]) -> Found:
    return follow(environment, "whole", seconds=6)


def cut(environment: dict[str, str]) -> Found:
    with cuttable(environment["ASYNCJOBS_URL"]) as way:
        threading.Thread(target=cut_twice, args=(way,), daemon=True).start()
        return {**follow(environment, "cut", through=way.address, seconds=10), "opened": way.connections}


def cut_twice(way: Cuttable) -> None:
    """Cut each of the first two connections, a second after it was opened."""
    for connections in (1, 2):
        while way.connections < connections:
            time.sleep(0.05)
        time.sleep(1)
        way.cut()


def refused(environment: dict[str, str]) -> Found:
    with cuttable(environment["ASYNCJOBS_URL"]) as way:
        way.close()
        return follow(environment, "refused", through=way.address, seconds=4)


def expired(environment: dict[str, str]) -> Found:
    return follow(environment, "expired", seconds=12)


@pytest.fixture(scope="module")
def followed(environment: dict[str, str]) -> Iterator[Callable[[Scenario], Found]]:
    """Begin every scenario at the same time, since they mostly wait, and return a function that returns how one went."""
    with ThreadPoolExecutor(4) as pool:
        scenarios: list[Scenario] = [expired, cut, whole, refused]
        begun = {scenario: pool.submit(scenario, environment) for scenario in scenarios}
        yield lambda scenario: begun[scenario].result(timeout=600)


def test_changes_come_over_one_connection_and_without_polls(followed: Callable[[Scenario], Found]) -> None:
    found = followed(whole)
    assert found["seen"][-1] == ["COMPLETED", 100]
    assert any(0 < progress < 100 for _, progress in found["seen"])
    assert found["connections"] == ["live"]
    # The end's record and the result; and no more than one for a change that the stream has not brought yet.
    assert (found["sockets"], found["result"]) == (1, "attempt 1")
    assert found["GET"] <= 3, found
    assert found["messages"] >= 2, found


def test_gateway_that_cannot_be_reached_makes_the_wait_poll(followed: Callable[[Scenario], Found]) -> None:
    found = followed(refused)
    assert found["seen"][-1] == ["COMPLETED", 100]
    assert found["connections"][:2] == ["live", "polling"]


def test_connection_that_is_cut_comes_back_and_no_change_is_missed(followed: Callable[[Scenario], Found]) -> None:
    found = followed(cut)
    assert found["opened"] >= 2, found
    assert found["sockets"] >= 2, found
    assert found["seen"][-1] == ["COMPLETED", 100]
    percents = [progress for _, progress in found["seen"]]
    assert percents == sorted(percents)


def test_connection_whose_ticket_is_over_is_replaced(followed: Callable[[Scenario], Found]) -> None:
    found = followed(expired)
    assert found["sockets"] >= 2, found
    assert found["seen"][-1] == ["COMPLETED", 100]
    assert "polling" not in found["connections"], found


# ── In a browser ──


def tickets_of(site: Site, alice: Caller) -> None:
    """Issue tickets as the page's own server would, after a check of its user."""

    def answer(request: Request) -> Answer:
        wanted = dict(each.split("=") for each in request.path.partition("?")[2].split("&"))
        scope = {"jobs": [wanted["jobId"]]} if "jobId" in wanted else {"scope": "owner"}
        return Answer(alice.post("/tickets", json={**scope, "use": wanted["use"]}).json())

    site.answer = answer


COUNTED = """
window.sockets = [];
window.WebSocket = class extends WebSocket {
  constructor(url) { super(url); sockets.push(this); }
};
"""


def opened(browser: Browser, site: Site, element: str, environment: dict[str, str], script: str) -> None:
    attributes = f'base-url="{environment["ASYNCJOBS_URL"]}" ticket-url="{FRONT_END}/api/v1/own-server"'
    site.page = page(element.replace("ATTRIBUTES", attributes), f"{COUNTED}\n{script}")
    browser.open(f"{FRONT_END}/")
    browser.wait_for("window.isReady")


def test_element_is_live_with_tickets(browser: Browser, site: Site, environment: dict[str, str], alice: Caller) -> None:
    tickets_of(site, alice)
    job = alice.submit("sample.works", {"seconds": 5})
    element = f'<job-progress job-id="{job["asyncJobId"]}" ATTRIBUTES></job-progress>'
    opened(browser, site, element, environment, 'await import("/src/element.js");')
    browser.wait_for("document.querySelector('job-progress').dataset.connection == 'live' && sockets[0]?.readyState == 1")
    browser.wait_for("seen.some(([name]) => name == 'job-complete')")
    assert browser.run("sockets.length") == 1


def test_list_is_live_with_tickets_and_comes_back_after_a_cut(
    browser: Browser, site: Site, environment: dict[str, str], alice: Caller
) -> None:
    tickets_of(site, alice)
    script = """
      await import("/src/my-jobs.js");
      window.shown = (id) => {
        const job = document.querySelector("my-jobs").jobs.find((job) => job.id === id);
        return job && [job.status, job.progress];
      };
    """
    opened(browser, site, "<my-jobs ATTRIBUTES></my-jobs>", environment, script)
    browser.wait_for("document.querySelector('my-jobs').dataset.connection == 'live' && sockets[0]?.readyState == 1")

    def shows(job_id: str, state: str) -> None:
        browser.wait_for(f"JSON.stringify(shown('{job_id}')) == '{state}'")

    # A job that is submitted elsewhere appears, runs and ends without a reload.
    first = alice.post("/jobs", json={}).json()["asyncJobId"]
    shows(first, '["PENDING",0]')
    alice.patch(f"/jobs/{first}", json={"progress": 40})
    shows(first, '["IN_PROGRESS",40]')
    browser.run("sockets[0].close()")
    alice.patch(f"/jobs/{first}", json={"status": "COMPLETED"})
    second = alice.post("/jobs", json={}).json()["asyncJobId"]
    shows(first, '["COMPLETED",100]')
    shows(second, '["PENDING",0]')
    browser.wait_for("sockets.at(-1).readyState == 1 && sockets.length >= 2")
    assert browser.run("document.querySelector('my-jobs').dataset.connection") == "live"
