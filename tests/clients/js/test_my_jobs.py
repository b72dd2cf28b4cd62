"""`<my-jobs>` in Chromium, with an API whose answers the test decides."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.clients.js.pages import CANCELLED, COMPLETED, FAILED, TOKEN, Answer, Request, Site, job, page
from tests.support.browser import Browser
from tests.support.node import package
from tests.support.pace import SLOWNESS

pytestmark = pytest.mark.slow

SCRIPT = """
import { MyJobs } from "/src/my-jobs.js";
MyJobs.client = window.client;
window.MyJobs = MyJobs;
window.updates = [];
addEventListener("jobs-update", ({ detail }) => updates.push(detail.map(({ id, status, progress }) => [id, status, progress])));
"""
WAITING = job(asyncJobId="w", status="PENDING", createdAt="2026-11-26T12:00:00.000Z")
RUNNING = job(asyncJobId="r", progress=45, message="Page 9 of 20", createdAt="2026-11-26T11:59:00.000Z")
ALL = [
    WAITING,
    RUNNING,
    {**COMPLETED, "asyncJobId": "c", "createdAt": "2026-11-26T11:58:00.000Z"},
    {**FAILED, "asyncJobId": "f", "createdAt": "2026-11-26T11:57:00.000Z"},
    {**CANCELLED, "asyncJobId": "x", "createdAt": "2026-11-26T11:56:00.000Z"},
]
ROOT = "document.querySelector('my-jobs').shadowRoot"


def listing(site: Site, *jobs: dict[str, Any]) -> None:
    """Answer with this list from now on. There is no WebSocket."""

    def answer(request: Request) -> Answer:
        if request.method == "POST":
            return Answer({"status": 400, "code": "INVALID_REQUEST", "title": "Invalid request"}, 400)
        limit = 20
        for name, _, value in (each.partition("=") for each in request.path.partition("?")[2].split("&")):
            limit = int(value) if name == "limit" else limit
        return Answer({"jobs": list(jobs[:limit]), "nextCursor": None if len(jobs) <= limit else "next"})

    site.answer = answer


def opened(browser: Browser, site: Site, *, body: str = "<my-jobs></my-jobs>", script: str = SCRIPT) -> None:
    site.page = page(body, script)
    browser.open(site.url)
    browser.wait_for("window.isReady")


def rows(browser: Browser) -> list[list[str]]:
    """Return what each row shows: type, status, progress, text."""
    script = (
        f"[...{ROOT}.querySelectorAll('li')].map(({{children: [name, status, bar, text]}}) => "
        "[name.textContent, status.textContent, bar.hidden ? '' : String(bar.getAttribute('value')), text.textContent])"
    )
    found: list[list[str]] = browser.run(script)
    return found


def settled(site: Site) -> int:
    """Return the number of requests after a while in which an element that polls would have polled."""
    time.sleep(SLOWNESS)
    return len(site.requests)


def note(browser: Browser) -> str:
    """Return what is shown in place of rows."""
    text: str = browser.run(f"(({{hidden, textContent}}) => hidden ? '' : textContent)({ROOT}.querySelector('[part=note]'))")
    return text


def test_each_job_shows_its_type_status_progress_and_reason(browser: Browser, site: Site) -> None:
    listing(site, *ALL)
    opened(browser, site)
    browser.wait_for("updates.length == 1")
    assert rows(browser) == [
        ["text.search", "Waiting", "null", ""],
        ["text.search", "Running", "45", "Page 9 of 20"],
        ["text.search", "Done", "", ""],
        ["text.search", "Failed", "", "The file is not a PDF."],
        ["text.search", "Cancelled", "", ""],
    ]
    assert note(browser) == ""


def test_list_follows_its_jobs_and_shows_new_ones_first(browser: Browser, site: Site) -> None:
    listing(site, RUNNING)
    opened(browser, site)
    browser.wait_for("updates.length == 1")
    listing(site, WAITING, {**RUNNING, **{name: COMPLETED[name] for name in ("status", "progress", "endedAt")}})
    browser.wait_for("updates.length == 2")
    assert browser.run("updates[1]") == [["w", "PENDING", 0], ["r", "COMPLETED", 100]]
    assert [status for _, status, *_ in rows(browser)] == ["Waiting", "Done"]


def test_job_that_was_deleted_has_no_row(browser: Browser, site: Site) -> None:
    listing(site, WAITING, RUNNING)
    opened(browser, site)
    browser.wait_for("updates.length == 1")
    listing(site, RUNNING)
    browser.wait_for("updates.length == 2")
    assert len(rows(browser)) == 1


def test_states_without_rows_say_why(browser: Browser, site: Site) -> None:
    opened(browser, site, script='await import("/src/my-jobs.js");')
    assert note(browser) == "Loading …"
    listing(site)
    opened(browser, site)
    browser.wait_for("updates.length == 1")
    assert note(browser) == "No jobs"
    site.answer = lambda _: Answer({"message": "Unauthorized"}, 401)
    opened(browser, site)
    browser.wait_for("seen.length == 1")
    assert browser.run("seen[0].slice(0, 2)") == ["jobs-unavailable", 401]
    assert note(browser) == "The jobs cannot be shown."


def test_failed_requests_leave_the_list_as_it_was(browser: Browser, site: Site) -> None:
    listing(site, RUNNING)
    opened(browser, site)
    browser.wait_for("updates.length == 1")
    site.answer = lambda _: Answer({"message": "Service Unavailable"}, 503)
    before = len(site.requests)
    while len(site.requests) < before + 2:
        time.sleep(0.02)
    assert [status for _, status, *_ in rows(browser)] == ["Running"]
    listing(site, WAITING, RUNNING)
    browser.wait_for("updates.length == 2")


def test_more_jobs_are_shown_when_they_are_wanted(browser: Browser, site: Site) -> None:
    listing(site, *(job(asyncJobId=f"j{number}", createdAt="2026-11-26T12:00:00.000Z") for number in range(5)))
    opened(browser, site, body='<my-jobs limit="2"></my-jobs>')
    browser.wait_for("updates.length == 1")
    assert len(rows(browser)) == 2
    browser.run(f"{ROOT}.querySelector('[part=more]').click()")
    browser.wait_for("updates.length == 2")
    assert len(rows(browser)) == 5
    assert browser.run(f"{ROOT}.querySelector('[part=more]').hidden")


def test_filters_are_the_lists(browser: Browser, site: Site) -> None:
    listing(site)
    opened(browser, site, body='<my-jobs status="FAILED" job-type="text.search" limit="5"></my-jobs>')
    browser.wait_for("updates.length == 1")
    assert site.requests[0].path == "/jobs?status=FAILED&jobType=text.search&limit=6"


def test_href_makes_each_name_a_link_which_keeps_its_focus_while_the_list_changes(browser: Browser, site: Site) -> None:
    listing(site, RUNNING)
    opened(browser, site, body='<my-jobs href="/own/{id}?from=list"></my-jobs>')
    browser.wait_for("updates.length == 1")
    browser.press("Tab")
    focused = f"{ROOT}.activeElement?.getAttribute('href')"
    assert browser.run(focused) == "/own/r?from=list"
    listing(site, WAITING, {**RUNNING, "progress": 50})
    browser.wait_for("updates.length == 2")
    assert browser.run(focused) == "/own/r?from=list"


def test_text_of_a_job_is_no_markup(browser: Browser, site: Site) -> None:
    evil = '<img src=x onerror="window.isBroken = true">'
    listing(site, job(asyncJobId=evil, jobType=evil, message=evil, createdAt="2026-11-26T12:00:00.000Z"))
    opened(browser, site, body='<my-jobs href="/own/{id}"></my-jobs>')
    browser.wait_for("updates.length == 1")
    assert rows(browser)[0][0] == rows(browser)[0][3] == evil
    assert browser.run(f"[window.isBroken ?? false, {ROOT}.querySelectorAll('img').length]") == [False, 0]


def test_hidden_page_requests_nothing_and_goes_on_when_it_is_shown(browser: Browser, site: Site) -> None:
    listing(site, RUNNING)
    opened(browser, site)
    browser.wait_for("updates.length == 1")
    hide = "Object.defineProperty(document, 'hidden', {configurable: true, value: %s}); document.dispatchEvent(new Event('visibilitychange'))"
    browser.run(hide % "true")
    requests = settled(site)
    assert settled(site) == requests
    assert browser.run("document.querySelector('my-jobs').dataset.connection") == "paused"
    assert len(rows(browser)) == 1
    browser.run(hide % "false")
    browser.wait_for("updates.length == 2 && document.querySelector('my-jobs').dataset.connection == 'polling'")


def test_element_that_is_removed_requests_nothing(browser: Browser, site: Site) -> None:
    listing(site, RUNNING)
    opened(browser, site)
    browser.wait_for("updates.length == 1")
    browser.run("document.querySelector('my-jobs').remove()")
    requests = settled(site)
    assert settled(site) == requests


def test_list_is_read_with_tickets_of_the_pages_server_and_markup_has_none(browser: Browser, site: Site) -> None:
    def answer(request: Request) -> Answer:
        if request.path.startswith("/own-server"):
            return Answer({"ticket": "ajt_1"})
        return Answer({"jobs": [RUNNING], "nextCursor": None})

    site.answer = answer
    script = SCRIPT.replace("MyJobs.client = window.client;", "")
    opened(browser, site, body='<my-jobs ticket-url="/api/v1/own-server"></my-jobs>', script=script)
    browser.wait_for("updates.length == 1")
    assert [request.path for request in site.requests[:2]] == ["/own-server?scope=owner&use=read", "/tickets/jobs?limit=21"]
    assert site.requests[1].authorization == "Bearer ajt_1"
    element = "document.querySelector('my-jobs')"
    assert "ajt_" not in browser.run(f"{element}.outerHTML + {element}.shadowRoot.innerHTML")


def test_client_is_shared_with_the_progress_element(browser: Browser, site: Site) -> None:
    listing(site, RUNNING)
    script = 'import { JobProgress } from "/src/element.js";\n' + SCRIPT.replace("MyJobs.client", "JobProgress.client")
    opened(browser, site, script=script)
    browser.wait_for("updates.length == 1")
    assert {request.authorization for request in site.requests} == {f"Bearer {TOKEN}"}


# ── Keyboards, screen readers and narrow pages ──


def test_screen_reader_finds_a_named_list_with_words_for_each_status(browser: Browser, site: Site) -> None:
    listing(site, *ALL)
    opened(browser, site, body='<my-jobs label="Imports"></my-jobs>')
    browser.wait_for("updates.length == 1")
    found = browser.accessible()
    [named] = [node for node in found if node["role"] == "list"]
    assert named["name"] == "Imports"
    assert [node["role"] for node in found].count("listitem") == len(ALL)
    texts = [node["name"] for node in found if node["role"] == "StaticText"]
    assert [text for text in ("Waiting", "Running", "Done", "Failed", "Cancelled") if text not in texts] == []
    assert [(bar["name"], bar.get("value")) for bar in found if bar["role"] == "progressbar"][1] == ("text.search", 45)


def test_number_of_unfinished_jobs_is_announced_and_no_row(browser: Browser, site: Site) -> None:
    listing(site, *ALL)
    opened(browser, site)
    browser.wait_for(f"{ROOT}.querySelector('[role=status]').textContent == 'Unfinished: 2'")
    assert browser.run(f"{ROOT}.querySelectorAll('[aria-live], [role=status]').length") == 1


@pytest.mark.parametrize("shown", [[], ALL], ids=["empty", "jobs"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, site: Site, shown: list[dict[str, Any]], scheme: str) -> None:
    package("axe-core")
    listing(site, *shown)
    style = f"<style>:root {{ color-scheme: {scheme}; background: Canvas; color: CanvasText; }}</style>"
    opened(browser, site, body=f'{style}<my-jobs href="/own/{{id}}" limit="4"></my-jobs>')
    browser.wait_for("updates.length == 1")
    browser.run("import('/npm/axe-core/axe.min.js').then(() => 0)")
    results = browser.run(
        "axe.run().then(({violations, passes}) => JSON.stringify([violations.map(each => each.id), passes.length]))"
    )
    violations, passes = json.loads(results)
    assert (violations, passes > 5) == ([], True)


@pytest.mark.parametrize("width", [200, 320])
def test_narrow_page_has_no_horizontal_scroll(browser: Browser, site: Site, width: int) -> None:
    long = "a.type.with.a.long.name.that.cannot.be.broken.by.spaces"
    listing(site, *ALL, job(asyncJobId="l", jobType=long, message="x" * 200, createdAt="2026-11-26T12:00:00.000Z"))
    opened(browser, site, body=f'<div style="width: {width}px; overflow: auto"><my-jobs></my-jobs></div>')
    browser.wait_for("updates.length == 1")
    scrolls = "(({scrollWidth, clientWidth}) => scrollWidth > clientWidth)(document.querySelector('my-jobs').parentElement)"
    assert browser.run(scrolls) is False
