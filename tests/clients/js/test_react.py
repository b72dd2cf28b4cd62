"""The React hooks in Chromium, in React's strict mode, with an API whose answers the test decides."""

from __future__ import annotations

import time

import pytest

from tests.clients.js.pages import CANCELLED, COMPLETED, FAILED, JOB, Answer, Request, Site, job, page
from tests.support.browser import Browser
from tests.support.node import package
from tests.support.pace import SLOWNESS

pytestmark = pytest.mark.slow

SCRIPT = """
import { StrictMode, createElement as h, useState } from "react";
import { createRoot } from "react-dom/client";
import { JobsProvider, useJob, useSubmit } from "/src/react.js";

window.ended = [];
function Shown({ id, enabled }) {
  const { status, progress, result, error, connection, cancel, retry } = useJob(id, {
    enabled,
    onComplete: (job) => ended.push(["complete", job.id]),
    onError: (job) => ended.push(["error", job.error?.code]),
  });
  Object.assign(window, { cancel, retry });
  return h("p", null, JSON.stringify([status, progress, result, error?.code, connection]));
}
function App() {
  const [{ id, enabled = true, isShown = true }, set] = useState(START);
  const { submit, job, isPending, error } = useSubmit("text.search");
  Object.assign(window, { set, submit });
  return h("div", null, isShown && h(Shown, { id: job ?? id, enabled }), h("i", null, JSON.stringify([job?.id, isPending, error?.status])));
}
createRoot(document.querySelector("main")).render(h(StrictMode, null, h(JobsProvider, { client }, h(App))));
"""


def opened(browser: Browser, site: Site, start: str = f'{{ id: "{JOB}" }}') -> None:
    package("react-dom")
    site.page = page("", SCRIPT.replace("START", start))
    browser.open(site.url)
    browser.wait_for("window.isReady && document.querySelector('i')")


def shows(browser: Browser, text: str, element: str = "p") -> None:
    browser.wait_for(f"document.querySelector('{element}')?.textContent == '{text}'")


def settled(site: Site) -> int:
    """Return the number of requests after a while in which a client that polls would have polled several times."""
    time.sleep(0.5 * SLOWNESS)
    return len(site.requests)


def test_hook_shows_progress_and_the_result_and_reports_the_end_once(browser: Browser, site: Site) -> None:
    site.shows(job(progress=45))
    opened(browser, site)
    shows(browser, '["IN_PROGRESS",45,null,null,"polling"]')
    site.shows(COMPLETED)
    shows(browser, '["COMPLETED",100,{"matches":2},null,"closed"]')
    requests = settled(site)
    assert settled(site) == requests
    assert browser.run("ended") == [["complete", JOB]]


def test_hook_shows_why_a_job_failed(browser: Browser, site: Site) -> None:
    site.shows(FAILED)
    opened(browser, site)
    shows(browser, '["FAILED",40,null,"BROKEN_PDF","closed"]')
    assert browser.run("ended") == [["error", "BROKEN_PDF"]]


def test_job_that_the_hook_cancels_ends(browser: Browser, site: Site) -> None:
    opened(browser, site)
    shows(browser, '["IN_PROGRESS",0,null,null,"polling"]')
    site.answer = lambda _: Answer(CANCELLED)
    browser.run("cancel()")
    shows(browser, '["CANCELLED",40,null,null,"closed"]')
    assert [request.path for request in site.requests if request.method == "POST"] == [f"/jobs/{JOB}/cancel"]


def test_retried_job_is_followed_again_and_ends_again(browser: Browser, site: Site) -> None:
    site.shows(FAILED)
    opened(browser, site)
    browser.wait_for("ended.length == 1")

    def answer(request: Request) -> Answer:
        if request.method == "POST":
            site.shows({**COMPLETED, "endedAt": "2026-11-26T12:01:00.000Z"})
            return Answer(job(status="PENDING"), 202)
        return Answer(FAILED)

    site.answer = answer
    browser.run("retry()")
    browser.wait_for("ended.length == 2")
    assert browser.run("ended[1]") == ["complete", JOB]


def test_hook_without_an_id_or_disabled_requests_nothing_and_starts_later(browser: Browser, site: Site) -> None:
    opened(browser, site, "{ id: null }")
    shows(browser, '[null,0,null,null,"idle"]')
    browser.run(f"set({{ id: '{JOB}', enabled: false }})")
    assert settled(site) == 0
    site.shows(COMPLETED)
    browser.run(f"set({{ id: '{JOB}', enabled: true }})")
    shows(browser, '["COMPLETED",100,{"matches":2},null,"closed"]')


def test_component_that_is_unmounted_requests_nothing(browser: Browser, site: Site) -> None:
    opened(browser, site)
    browser.wait_for("document.querySelector('p').textContent.includes('IN_PROGRESS')")
    browser.run(f"set({{ id: '{JOB}', isShown: false }})")
    requests = settled(site)
    assert settled(site) == requests


def test_another_id_shows_no_state_of_the_job_before(browser: Browser, site: Site) -> None:
    site.shows(COMPLETED)
    opened(browser, site)
    browser.wait_for("ended.length == 1")
    site.answer = lambda _: Answer(job(asyncJobId="other", progress=5))
    browser.run("set({ id: 'other' })")
    shows(browser, '["IN_PROGRESS",5,null,null,"polling"]')
    assert browser.run("ended.length") == 1


def test_submit_is_pending_then_has_its_job_which_is_followed(browser: Browser, site: Site) -> None:
    opened(browser, site, "{ id: null }")
    shows(browser, "[null,false,null]", "i")
    site.answer = lambda request: Answer(job(status="PENDING"), 202) if request.method == "POST" else Answer(COMPLETED)
    browser.run("submit({ query: 'lease' }).then(() => 0)")
    shows(browser, f'["{JOB}",false,null]', "i")
    shows(browser, '["COMPLETED",100,{"matches":2},null,"closed"]')
    (submitted,) = (request for request in site.requests if request.method == "POST")
    assert submitted.body == {"jobType": "text.search", "input": {"query": "lease"}}


def test_failed_submit_is_an_error_of_the_hook(browser: Browser, site: Site) -> None:
    opened(browser, site, "{ id: null }")
    site.answer = lambda _: Answer({"status": 400, "code": "INVALID_REQUEST", "title": "Invalid request"}, 400)
    assert browser.run("submit({}).catch((error) => error.code)") == "INVALID_REQUEST"
    shows(browser, "[null,false,400]", "i")
