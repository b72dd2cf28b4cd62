"""`<job-progress>` in Chromium, with an API whose answers the test decides."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from typing import Any

import pytest

from tests.clients.js.pages import CANCELLED, COMPLETED, FAILED, JOB, TOKEN, Answer, Request, Site, job, page
from tests.support.browser import Browser
from tests.support.node import package
from tests.support.pace import SLOWNESS

pytestmark = pytest.mark.slow

SCRIPT = 'import { JobProgress } from "/src/element.js";\nJobProgress.client = window.client;'
ELEMENT = f'<job-progress job-id="{JOB}" label="Import" cancelable><p slot="done">Open it</p><p slot="failed">Try again</p></job-progress>'


def opened(browser: Browser, site: Site, *, body: str = ELEMENT, script: str = SCRIPT) -> None:
    """Open a page with the element."""
    site.page = page(body, script)
    browser.open(site.url)
    browser.wait_for("window.isReady")


def part(name: str) -> str:
    return f"document.querySelector('job-progress').shadowRoot.querySelector('[part={name}]')"


def seen(browser: Browser) -> list[list[Any]]:
    found: list[list[Any]] = browser.run("seen")
    return found


def settled(site: Site) -> int:
    """Return the number of requests after a while in which a client that polls would have polled several times."""
    time.sleep(0.5 * SLOWNESS)
    return len(site.requests)


def test_bar_is_indeterminate_without_progress_and_then_shows_it(browser: Browser, site: Site) -> None:
    opened(browser, site)
    browser.wait_for(f"{part('text')}.textContent == 'Running …'")
    assert browser.run(f"[{part('bar')}.hasAttribute('value'), {part('percent')}.textContent]") == [False, ""]
    site.shows(job(progress=45, message="Page 9 of 20"))
    browser.wait_for(f"{part('bar')}.value == 45")
    assert browser.run(f"[{part('percent')}.textContent, {part('text')}.textContent]") == ["45 %", "Page 9 of 20"]


def test_end_is_reported_once_and_nothing_is_requested_after_it(browser: Browser, site: Site) -> None:
    opened(browser, site)
    browser.wait_for("seen.length == 1")
    site.shows(job(progress=60))
    browser.wait_for("seen.length == 2")
    site.shows(COMPLETED)
    browser.wait_for("seen.length == 4")
    requests = settled(site)
    assert settled(site) == requests
    assert seen(browser) == [
        ["job-update", "IN_PROGRESS", 0],
        ["job-update", "IN_PROGRESS", 60],
        ["job-update", "COMPLETED", 100],
        ["job-complete", "COMPLETED", 100],
    ]


@pytest.mark.parametrize(
    ("ended", "shown", "text"),
    [
        (COMPLETED, ["done"], "Done"),
        (FAILED, ["failed"], "Failed: The file is not a PDF."),
        (CANCELLED, ["failed"], "Cancelled"),
        (job(status="EXPIRED", endedAt="2026-11-26T12:00:09.000Z"), ["failed"], "EXPIRED"),
    ],
    ids=lambda value: value["status"] if isinstance(value, dict) else "",
)
def test_end_shows_its_slot_and_its_reason(
    browser: Browser, site: Site, ended: dict[str, Any], shown: list[str], text: str
) -> None:
    site.shows(ended)
    opened(browser, site)
    browser.wait_for("seen.length == 2")
    assert seen(browser)[1][0] == ("job-complete" if ended is COMPLETED else "job-error")
    slots = "[...document.querySelectorAll('[slot]')].filter(each => each.checkVisibility()).map(each => each.slot)"
    assert browser.run(slots) == shown
    assert browser.run(f"{part('text')}.textContent") == text


def test_failed_requests_are_no_end_and_the_element_goes_on(browser: Browser, site: Site) -> None:
    opened(browser, site)
    browser.wait_for("seen.length == 1")
    site.answer = lambda _: Answer({"message": "Service Unavailable"}, 503)
    before = len(site.requests)
    while len(site.requests) < before + 3:
        time.sleep(0.02)
    site.shows(COMPLETED)
    browser.wait_for("seen.length == 3")
    assert [name for name, *_ in seen(browser)] == ["job-update", "job-update", "job-complete"]


def test_job_that_is_deleted_is_unavailable_and_has_no_end(browser: Browser, site: Site) -> None:
    opened(browser, site)
    browser.wait_for("seen.length == 1")
    site.answer = lambda _: Answer({"status": 404, "code": "JOB_NOT_FOUND", "title": "Job not found"}, 404)
    browser.wait_for("seen.length == 2")
    assert seen(browser)[1][:2] == ["job-unavailable", 404]
    assert browser.run(f"{part('text')}.textContent") == "The job cannot be shown."


def test_hidden_page_requests_nothing_and_goes_on_when_it_is_shown(browser: Browser, site: Site) -> None:
    opened(browser, site)
    browser.wait_for("seen.length == 1")
    hide = "Object.defineProperty(document, 'hidden', {configurable: true, value: %s}); document.dispatchEvent(new Event('visibilitychange'))"
    browser.run(hide % "true")
    requests = settled(site)
    site.shows(COMPLETED)
    assert settled(site) == requests
    assert browser.run("document.querySelector('job-progress').dataset.connection") == "paused"
    browser.run(hide % "false")
    browser.wait_for("seen.length == 3")
    assert [name for name, *_ in seen(browser)] == ["job-update", "job-update", "job-complete"]


def test_element_that_is_removed_requests_nothing(browser: Browser, site: Site) -> None:
    opened(browser, site)
    browser.wait_for("seen.length == 1")
    browser.run("window.removed = document.querySelector('job-progress'); removed.remove()")
    requests = settled(site)
    assert settled(site) == requests
    site.shows(job(progress=70))
    browser.run("document.querySelector('main').append(removed)")
    browser.wait_for("seen.length == 2")


def test_element_that_is_moved_after_the_end_does_not_report_it_again(browser: Browser, site: Site) -> None:
    site.shows(COMPLETED)
    opened(browser, site)
    browser.wait_for("seen.length == 2")
    browser.run("document.querySelector('main').prepend(document.querySelector('job-progress'))")
    settled(site)
    assert len(seen(browser)) == 2


def test_another_id_follows_that_job(browser: Browser, site: Site) -> None:
    other = "11111111-55aa-4d6c-9a52-6f1d2c3b4a50"
    site.answer = lambda request: Answer({**COMPLETED, "asyncJobId": request.path.rpartition("/")[2]})
    opened(browser, site)
    browser.wait_for("seen.length == 2")
    browser.run(f"document.querySelector('job-progress').setAttribute('job-id', '{other}')")
    browser.wait_for("seen.length == 4")
    assert browser.run("document.querySelector('job-progress').job.id") == other


def test_element_without_an_id_requests_nothing(browser: Browser, site: Site) -> None:
    opened(browser, site, body="<job-progress></job-progress>")
    assert settled(site) == 0


def test_another_client_follows_the_job_again(browser: Browser, site: Site) -> None:
    opened(browser, site)
    browser.wait_for("seen.length == 1")
    site.shows(COMPLETED)
    browser.run("document.querySelector('job-progress').client = client.with({ token: 'another' }); 0")
    browser.wait_for("seen.length == 3")
    assert site.requests[-1].authorization == "Bearer another"


def test_page_that_is_online_again_does_not_wait_for_the_next_try(browser: Browser, site: Site) -> None:
    opened(browser, site)
    browser.wait_for("seen.length == 1")
    offline = "new Promise((failed) => { window.fetch = async () => { failed(); throw new TypeError('offline'); }; })"
    browser.run(f"const online = fetch; Math.random = () => 10_000; {offline}")
    site.shows(COMPLETED)
    browser.run("window.fetch = online; dispatchEvent(new Event('online'))")
    browser.wait_for("seen.length == 3")  # the next try by itself would come after four minutes


def test_element_waits_for_a_client(browser: Browser, site: Site) -> None:
    site.shows(COMPLETED)
    opened(browser, site, script='window.JobProgress = (await import("/src/element.js")).JobProgress;')
    assert settled(site) == 0
    browser.run("JobProgress.client = client; 0")
    browser.wait_for("seen.length == 2")


def test_client_that_is_set_before_the_element_is_defined_counts(browser: Browser, site: Site) -> None:
    site.shows(COMPLETED)
    set_first = 'document.querySelector("job-progress").client = window.client;\nawait import("/src/element.js");'
    opened(browser, site, script=set_first)
    browser.wait_for("seen.length == 2")
    assert {request.authorization for request in site.requests} == {f"Bearer {TOKEN}"}


def test_markup_has_no_token(browser: Browser, site: Site) -> None:
    opened(browser, site)
    browser.wait_for("seen.length == 1")
    element = "document.querySelector('job-progress')"
    assert TOKEN not in browser.run(f"{element}.outerHTML + {element}.shadowRoot.innerHTML")
    assert {request.authorization for request in site.requests} == {f"Bearer {TOKEN}"}


def test_element_reads_with_a_ticket_of_the_pages_server_and_renews_it(browser: Browser, site: Site) -> None:
    tickets = iter(["ajt_1", "ajt_2"])

    def answer(request: Request) -> Answer:
        if request.path == f"/own-server?jobId={JOB}&use=read":
            return Answer({"ticket": next(tickets)})
        if request.authorization == "Bearer ajt_1" and len(site.requests) > 3:
            return Answer({"status": 401, "code": "INVALID_TICKET", "title": "Invalid ticket"}, 401)
        return Answer(COMPLETED if request.authorization == "Bearer ajt_2" else job())

    site.answer = answer
    element = f'<job-progress job-id="{JOB}" ticket-url="/api/v1/own-server"></job-progress>'
    opened(browser, site, body=element, script='import "/src/element.js";')
    browser.wait_for("seen.length == 3")
    assert [name for name, *_ in seen(browser)] == ["job-update", "job-update", "job-complete"]
    read = [request.path for request in site.requests if request.authorization]
    assert set(read) == {f"/tickets/jobs/{JOB}"}


def test_element_requests_one_ticket_to_read(browser: Browser, site: Site) -> None:
    site.answer = lambda request: Answer({"ticket": "ajt_1"} if "own-server" in request.path else COMPLETED)
    attributes = 'label="Import" base-url="/" ticket-url="/api/v1/own-server"'
    opened(browser, site, body=f'<job-progress job-id="{JOB}" {attributes}></job-progress>', script='import "/src/element.js";')
    browser.wait_for("seen.length == 2")
    assert [request.path for request in site.requests] == [f"/own-server?jobId={JOB}&use=read", f"/tickets/jobs/{JOB}"]


def test_refused_ticket_is_unavailable(browser: Browser, site: Site) -> None:
    site.answer = lambda _: Answer({"message": "sign in"}, 403)
    element = f'<job-progress job-id="{JOB}" ticket-url="/api/v1/own-server"></job-progress>'
    opened(browser, site, body=element, script='import "/src/element.js";')
    browser.wait_for("seen.length == 1")
    assert seen(browser)[0][:2] == ["job-unavailable", 403]


# ── Keyboards and screen readers ──


def test_keyboard_reaches_the_button_and_cancels(browser: Browser, site: Site) -> None:
    opened(browser, site)
    browser.wait_for("seen.length == 1")

    def answer(request: Request) -> Answer:
        if request.method == "POST":
            site.shows(CANCELLED)
        return Answer(CANCELLED if request.method == "POST" else job())

    site.answer = answer
    browser.press("Tab")
    assert browser.run("document.activeElement.shadowRoot.activeElement.textContent") == "Cancel"
    browser.press("Enter")
    browser.wait_for("seen.length == 3")
    assert [name for name, *_ in seen(browser)] == ["job-update", "job-update", "job-error"]
    assert [request.path for request in site.requests if request.method == "POST"] == [f"/jobs/{JOB}/cancel"]
    assert browser.run(f"{part('cancel')}.hidden")


def test_screen_reader_finds_a_named_progress_bar_with_its_value(browser: Browser, site: Site) -> None:
    site.shows(job(progress=45, message="Page 9 of 20"))
    opened(browser, site)
    browser.wait_for("seen.length == 1")
    found = browser.accessible()
    (bar,) = (node for node in found if node["role"] == "progressbar")
    assert (bar["name"], float(bar["value"])) == ("Import", 45)
    assert [node["role"] for node in found].count("status") == 1
    assert [node["name"] for node in found if node["role"] == "StaticText"].count("Page 9 of 20 45 %") == 1


def test_announcements_are_rare_and_the_end_is_immediate(browser: Browser, site: Site) -> None:
    site.shows(job(progress=5))
    opened(browser, site)
    browser.wait_for("seen.length == 1")
    browser.run(
        "const status = document.querySelector('job-progress').shadowRoot.querySelector('[role=status]');"
        "window.said = [[performance.now(), status.textContent]];"
        "new MutationObserver(() => said.push([performance.now(), status.textContent])).observe(status, {childList: true})"
    )
    for progress in range(10, 90, 10):
        site.shows(job(progress=progress))
        browser.wait_for(f"{part('bar')}.value == {progress}")
        time.sleep(0.3)
    site.shows(COMPLETED)
    browser.wait_for("seen.at(-1)[0] == 'job-complete'")
    said = browser.run("said")
    assert said[0][1] == "Running … 5 %"
    assert said[-1][1] == "Done 100 %"
    # The observer may see each some time after it was said, and the first one long after.
    times = [at for at, _ in said[1:-1]]
    assert all(later - earlier > 4_000 for earlier, later in pairwise(times))
    assert len(said) < len(seen(browser))


@pytest.mark.parametrize(
    "shown", [job(), job(progress=45), COMPLETED, FAILED], ids=["started", "running", "completed", "failed"]
)
def test_axe_finds_nothing(browser: Browser, site: Site, shown: dict[str, Any]) -> None:
    package("axe-core")
    site.shows(shown)
    opened(browser, site)
    browser.wait_for("seen.length > 0")
    browser.run("import('/npm/axe-core/axe.min.js').then(() => 0)")
    results = browser.run(
        "axe.run().then(({violations, passes}) => JSON.stringify([violations.map(each => each.id), passes.length]))"
    )
    violations, passes = json.loads(results)
    assert (violations, passes > 5) == ([], True)
