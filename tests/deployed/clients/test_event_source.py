"""A browser's `EventSource` with a ticket, on a page of another origin than the API's."""

from __future__ import annotations

import json

import pytest

from local.stack import FRONT_END
from tests.clients.js.pages import Site, page
from tests.support.browser import Browser
from tests.support.deployed import Caller, Job
from tests.support.pace import SLOWNESS

pytestmark = pytest.mark.slow

PATIENCE = 30 * SLOWNESS
FOLLOW = """
  window.opened = 0;
  window.events = [];
  window.source = new EventSource(url);
  source.onopen = () => { opened += 1; };
  source.onmessage = ({ data, lastEventId }) => events.push({ id: lastEventId, ...JSON.parse(data) });
"""


def follow(browser: Browser, site: Site, environment: dict[str, str], alice: Caller, job: Job, **ticket: int) -> None:
    """Open a page that follows the job. Its own server would check its user, and issue the ticket."""
    text = alice.post("/tickets", json={"jobs": [job["asyncJobId"]], **ticket}).json()["ticket"]
    url = f"{environment['ASYNCJOBS_URL']}/api/v1/tickets/jobs/{job['asyncJobId']}/events?ticket={text}"
    site.page = page("", f"const url = {json.dumps(url)};\n{FOLLOW}")
    browser.open(f"{FRONT_END}/")
    browser.wait_for("window.events?.length", seconds=PATIENCE)


def test_event_source_follows_a_job_to_its_end(
    browser: Browser, site: Site, environment: dict[str, str], alice: Caller
) -> None:
    job = alice.post("/jobs", json={}).json()
    follow(browser, site, environment, alice, job)
    for progress in (20, 60):
        alice.patch(f"/jobs/{job['asyncJobId']}", json={"progress": progress})
        browser.wait_for(f"events.at(-1).progress === {progress}", seconds=PATIENCE)
    alice.patch(f"/jobs/{job['asyncJobId']}", json={"status": "COMPLETED", "result": 1})
    browser.wait_for("events.at(-1).status === 'COMPLETED'", seconds=PATIENCE)
    # 204 to the next connection: any answer but 200 and 204 would be an error, and after a lost connection it would go on.
    browser.wait_for("source.readyState === EventSource.CLOSED", seconds=PATIENCE)
    ids = [int(event["id"]) for event in browser.run("events")]
    # Each connection goes on after the last id: the first event would come again otherwise.
    assert ids == sorted(set(ids))
    assert ids[-1] == alice.job(job)["seq"]
    assert browser.run("opened") >= 3


def test_event_source_of_a_deleted_job_stops(browser: Browser, site: Site, environment: dict[str, str], alice: Caller) -> None:
    job = alice.post("/jobs", json={}).json()
    follow(browser, site, environment, alice, job)
    for method, path in (("POST", "/cancel"), ("DELETE", "")):
        assert alice.http.request(method, f"/jobs/{job['asyncJobId']}{path}").is_success
    browser.wait_for("source.readyState === EventSource.CLOSED", seconds=PATIENCE)
