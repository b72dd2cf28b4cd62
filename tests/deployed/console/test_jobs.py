"""The pages of one's own jobs: they move by themselves, by the socket or without it, and show what happened."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.deployed.console.conftest import Console
from tests.support.deployed import Job

pytestmark = pytest.mark.usefixtures("tab_of_killed_worker")
ROW = "[...document.querySelectorAll('tbody tr')].find((row) => row.querySelector('a').href.includes('%s'))"


def status_of(console: Console, job: Job) -> str:
    row = ROW % job["asyncJobId"]
    return str(console.browser.run(f"{row}?.querySelector('.status')?.innerText ?? ''"))


def wait_for_status(console: Console, job: Job, word: str) -> None:
    row = ROW % job["asyncJobId"]
    console.browser.wait_for(f"{row}?.querySelector('.status')?.innerText == {json.dumps(word)}")


def wait_for_connection(console: Console, state: str) -> None:
    console.browser.wait_for(f"document.querySelector('.side .connection')?.dataset.state == {json.dumps(state)}")


# ── The list ──


def test_job_appears_and_moves_without_a_reload(console: Console) -> None:
    console.open("jobs")
    wait_for_connection(console, "live")
    console.browser.run("window.isTheSamePage = true")
    job = console.caller.submit("sample.works", {"seconds": 3}, priority="high")
    wait_for_status(console, job, "Running")
    wait_for_status(console, job, "Completed")
    assert console.browser.run("window.isTheSamePage") is True


def test_page_on_which_nothing_happens_draws_nothing(console: Console) -> None:
    console.open("jobs")
    wait_for_connection(console, "live")
    console.browser.wait_for("document.getAnimations().length == 0")


def test_list_goes_on_by_polling_while_the_socket_is_cut(console: Console) -> None:
    cut = "{ const {WebSocket: Real} = window; window.RealSocket = Real; window.WebSocket = class { constructor() { setTimeout(() => this.onclose?.()); } close() {} }; }"
    console.browser.before_each_page(f"if (sessionStorage.getItem('test.cut')) {cut}")
    console.browser.run("sessionStorage.setItem('test.cut', 'yes')")
    console.open("jobs")
    wait_for_connection(console, "polling")
    job = console.caller.submit("sample.works", {"seconds": 2}, priority="high")
    wait_for_status(console, job, "Completed")
    console.browser.run("sessionStorage.removeItem('test.cut'); window.WebSocket = window.RealSocket")
    wait_for_connection(console, "live")


def test_paused_list_stands_still_and_catches_up(console: Console) -> None:
    console.open("jobs")
    wait_for_connection(console, "live")
    console.browser.press(".")
    wait_for_connection(console, "paused")
    job = console.caller.submit("sample.works", {"seconds": 1}, priority="high")
    console.caller.wait_for(job)
    assert status_of(console, job) == ""
    console.browser.press(".")
    wait_for_status(console, job, "Completed")


def test_filter_is_in_the_url_and_holds_after_a_reload(console: Console) -> None:
    failed = console.caller.submit("sample.gives_up")
    console.caller.wait_for(failed)
    console.open("jobs")
    console.browser.activate("[...document.querySelectorAll('.segment')].find((each) => each.innerText.includes('Failed'))")
    wait_for_status(console, failed, "Failed")
    assert console.browser.run("location.search") == "?status=FAILED"
    console.open("jobs?status=FAILED&type=sample.gives_up")
    words = console.browser.run("[...document.querySelectorAll('tbody .status')].map((each) => each.innerText)")
    assert set(words) == {"Failed"}
    console.open("jobs?status=CANCELLED&type=sample.gives_up")
    console.shows("No job matches the filters")


@pytest.fixture
def held(console: Console) -> Iterator[Console]:
    """Open a list whose pages have one job each. Later pages arrive when `window.release` is called; with `window.holds`, all do."""
    hold = """if (sessionStorage.getItem('test.pages') && !window.isHeld) {
        window.isHeld = true; // an earlier test may have left the same script
        const send = window.fetch;
        window.fetch = async (url, init) => {
            const to = new URL(url, location.href);
            if (to.pathname.endsWith('/jobs')) to.searchParams.set('limit', 1);
            const answer = await send(to, init);
            if (to.searchParams.has('cursor') || (window.holds && to.pathname.endsWith('/jobs'))) await new Promise((release) => { window.release = release; });
            return answer;
        };
    }"""
    console.browser.before_each_page(hold)
    for job_type in ("sample.gives_up", "sample.returns") * 2:
        console.caller.wait_for(console.caller.submit(job_type))
    console.browser.run("sessionStorage.setItem('test.pages', 'yes')")
    console.open("jobs?type=sample.gives_up")
    # The types come later than the jobs, and move the button.
    console.browser.wait_for("document.querySelector('#type-filter [value=\"sample.returns\"]')")
    yield console
    console.browser.run("sessionStorage.removeItem('test.pages')")


LISTED = "[...document.querySelectorAll('tbody .row-link')].map((each) => each.innerText).join()"


def test_older_jobs_of_an_earlier_filter_are_not_shown(held: Console) -> None:
    """The filter changes while older jobs are read, and their answer arrives after that of the new filter."""
    browser = held.browser
    browser.click(".more .button")
    browser.wait_for("window.release")
    choose = "const filter = document.querySelector('#type-filter'); filter.value = 'sample.returns'"
    browser.run(f"{{ {choose}; filter.dispatchEvent(new Event('change')) }}")
    browser.wait_for(f"{LISTED} == 'sample.returns'")
    assert not browser.run("document.querySelector('.more .button').disabled")
    browser.run("window.release(); new Promise((drawn) => setTimeout(drawn, 300))")
    assert browser.run(LISTED) == "sample.returns"
    assert "Older jobs are shown" not in held.text()
    # Those of the new filter are read as before.
    browser.run("delete window.release")
    browser.click(".more .button")
    browser.wait_for("window.release")
    browser.run("window.release()")
    browser.wait_for(f"{LISTED} == 'sample.returns,sample.returns'")


def test_older_jobs_are_shown_though_the_list_is_read_again_meanwhile(held: Console) -> None:
    """A connection that opens has the list read again, also just after a click."""
    browser = held.browser
    wait_for_connection(held, "live")
    browser.click(".more .button")
    browser.wait_for("window.release")
    for connection in ("paused", "live"):
        browser.press(".")
        wait_for_connection(held, connection)
    browser.run("window.release()")
    browser.wait_for(f"{LISTED} == 'sample.gives_up,sample.gives_up'")
    # They stay when new jobs are read.
    held.caller.wait_for(held.caller.submit("sample.gives_up"))
    browser.wait_for(f"{LISTED} == 'sample.gives_up,sample.gives_up,sample.gives_up'")


def test_list_stands_still_though_it_was_being_read_when_it_was_paused(held: Console) -> None:
    browser = held.browser
    wait_for_connection(held, "live")
    browser.run("window.holds = true")
    job = held.caller.wait_for(held.caller.submit("sample.gives_up"))
    browser.wait_for("window.release")
    browser.press(".")
    wait_for_connection(held, "paused")
    browser.run("window.holds = false; window.release(); new Promise((drawn) => setTimeout(drawn, 300))")
    assert status_of(held, job) == ""
    browser.press(".")
    wait_for_status(held, job, "Failed")


def test_pause_holds_though_the_connection_was_being_made(console: Console) -> None:
    hold = """if (sessionStorage.getItem('test.ticket') && !window.isHeld) {
        window.isHeld = true;
        const send = window.fetch;
        window.fetch = async (url, init) => {
            if (String(url).endsWith('/tickets')) await new Promise((release) => { window.release = release; });
            return send(url, init);
        };
    }"""
    browser = console.browser
    browser.before_each_page(hold)
    browser.run("sessionStorage.setItem('test.ticket', 'yes')")
    console.open("jobs")
    browser.run("sessionStorage.removeItem('test.ticket')")
    browser.wait_for("window.release")
    browser.press(".")
    wait_for_connection(console, "paused")
    browser.run(
        "{ const { release } = window; delete window.release; release(); new Promise((connected) => setTimeout(connected, 1000)) }"
    )
    wait_for_connection(console, "paused")
    browser.run("dispatchEvent(new Event('online'))")
    browser.press("g")
    browser.press("t")
    browser.wait_for("document.querySelector('h1').innerText == 'Job types'")
    browser.press("g")
    browser.press("m")
    browser.wait_for("document.querySelector('h1').innerText == 'My jobs'")
    wait_for_connection(console, "paused")
    assert not browser.run("window.release")
    browser.press(".")
    browser.wait_for("window.release")
    browser.run("window.release()")
    wait_for_connection(console, "live")


def test_page_without_live_updates_can_be_paused_too(console: Console) -> None:
    console.open("types")
    console.browser.press(".")
    wait_for_connection(console, "paused")
    console.browser.press("g")
    console.browser.press("m")
    console.browser.wait_for("document.querySelector('h1').innerText == 'My jobs'")
    wait_for_connection(console, "paused")
    console.browser.press(".")
    wait_for_connection(console, "live")


def test_keys_move_through_the_list_and_open_a_job(console: Console) -> None:
    console.caller.wait_for(console.caller.submit("sample.returns"))
    console.open("jobs")
    console.browser.press("j")
    focused = console.browser.run("document.activeElement.href")
    console.browser.press("Enter")
    console.browser.wait_for(f"location.href == {json.dumps(focused)}")
    console.browser.press("g")
    console.browser.press("m")
    console.browser.wait_for("document.querySelector('h1').innerText == 'My jobs'")


def test_focus_stays_on_a_row_while_the_list_changes(console: Console) -> None:
    console.open("jobs")
    wait_for_connection(console, "live")
    console.browser.press("j")
    focused = console.browser.run("document.activeElement.href")
    job = console.caller.submit("sample.works", {"seconds": 2}, priority="high")
    wait_for_status(console, job, "Completed")
    assert console.browser.run("document.activeElement.href") == focused


# ── A job ──


def test_job_shows_its_attempts_and_why_they_failed(console: Console) -> None:
    job = console.caller.wait_for(console.caller.submit("sample.succeeds_at_last"))
    console.open(f"jobs/{job['asyncJobId']}")
    # The last events are in the log once the table's stream is handled: the page reads them again.
    console.browser.wait_for(f"document.querySelectorAll('.attempt').length == {job['attempt']}")
    text = console.text()
    assert text.count("Attempt ") >= job["attempt"]
    assert "failed" in text
    assert console.browser.run("document.querySelectorAll('.chart-span[data-kind=attempt]').length") == job["attempt"]


def test_change_while_a_job_is_read_is_shown(console: Console) -> None:
    """The push of a change arrives before the page has the job, and no other one follows."""
    hold = """if (sessionStorage.getItem('test.hold')) {
        const send = window.fetch;
        window.pushes = [];
        window.WebSocket = class extends WebSocket {
            constructor(...given) {
                super(...given);
                this.addEventListener('message', ({ data }) => window.pushes.push(data));
            }
        };
        const released = async () => { while (sessionStorage.getItem('test.hold')) await new Promise((resolve) => setTimeout(resolve, 50)); };
        window.fetch = async (url, init) => {
            const { pathname } = new URL(url, location.href);
            if (pathname.endsWith('/events')) await released();
            const answer = await send(url, init);
            if (/jobs\\/[0-9a-f-]{36}$/.test(pathname)) { window.hasRead = true; await released(); }
            return answer;
        };
    }"""
    console.browser.before_each_page(hold)
    job = console.caller.submit("sample.works", {"seconds": 60}, priority="high")
    console.caller.wait_for(job, lambda found: found["status"] == "IN_PROGRESS")
    console.browser.run("sessionStorage.setItem('test.hold', 'yes')")
    console.browser.open(f"{console.root}jobs/{job['asyncJobId']}")
    console.browser.wait_for("window.hasRead")
    wait_for_connection(console, "live")
    console.caller.post(f"/jobs/{job['asyncJobId']}/cancel")
    console.browser.wait_for("window.pushes.some((each) => each.includes('CANCELLED'))")
    console.browser.run("sessionStorage.removeItem('test.hold')")
    console.browser.wait_for("document.querySelector('.state-line')?.dataset.status == 'CANCELLED'")


def test_job_is_cancelled_after_a_confirmation_and_retried(console: Console) -> None:
    job = console.caller.submit("sample.works", {"seconds": 60}, priority="high")
    console.open(f"jobs/{job['asyncJobId']}")
    console.shows("Running")
    console.browser.press("c")
    console.shows("Cancel this job?")
    console.browser.press("Escape")
    console.browser.wait_for("!document.querySelector('dialog')")
    console.browser.press("c")
    console.browser.click(".dialog .danger")
    console.browser.wait_for("document.querySelector('.state-line').dataset.status == 'CANCELLED'")
    console.browser.press("r")
    console.browser.click(".dialog .primary")
    console.browser.wait_for("['PENDING', 'IN_PROGRESS'].includes(document.querySelector('.state-line').dataset.status)")
    console.shows("Retried")
    console.caller.post(f"/jobs/{job['asyncJobId']}/cancel")


def test_deleted_job_leaves_the_list(console: Console) -> None:
    job = console.caller.wait_for(console.caller.submit("sample.returns"))
    console.open(f"jobs/{job['asyncJobId']}")
    console.browser.activate("[...document.querySelectorAll('.actions .button')].find((each) => each.innerText == 'Delete')")
    console.browser.click(".dialog .danger")
    console.browser.wait_for("document.querySelector('h1').innerText == 'My jobs' && !document.querySelector('.loading')")
    assert status_of(console, job) == ""
    console.open(f"jobs/{job['asyncJobId']}")
    console.shows("There is no such job")


def test_result_is_shown_after_a_click_only(console: Console) -> None:
    job = console.caller.wait_for(console.caller.submit("sample.returns"))
    console.open(f"jobs/{job['asyncJobId']}")
    assert "effectKey" not in console.text()
    console.browser.click(".reveal summary")
    console.shows("effectKey")


def test_input_is_shown_after_a_click_only(console: Console) -> None:
    job = console.caller.wait_for(console.caller.submit("sample.works", {"seconds": 0.25}))
    console.open(f"jobs/{job['asyncJobId']}")
    assert "0.25" not in console.text()
    console.browser.click("section[aria-labelledby=input] button")
    console.shows('"seconds": 0.25')
    assert console.violations() == []


def test_input_is_submitted_again_with_a_change(console: Console) -> None:
    job = console.caller.submit("text.search", {"query": "lease", "limit": 3}, prefer="respond-async")
    console.open(f"jobs/{job['asyncJobId']}")
    console.browser.click("a[href*='?from=']")
    console.browser.wait_for("document.querySelector('#field-query')?.value == 'lease'")
    limit = "document.querySelector('#field-limit')"
    assert console.browser.run(f"{limit}.value") == "3"
    console.browser.run(f"{limit}.value = '2'; {limit}.dispatchEvent(new Event('input'))")
    console.browser.click(".submit-form > .button")
    console.browser.wait_for("location.pathname.includes('/jobs/') && document.querySelector('.state-line')")
    again = console.browser.run("location.pathname").rpartition("/")[2]
    assert again != job["asyncJobId"]
    assert console.caller.get(f"/jobs/{again}/input").json() == {"query": "lease", "limit": 2}


def test_input_that_cannot_be_read_leaves_the_form_as_for_a_new_job(console: Console) -> None:
    job = console.api.caller("erin").submit("sample.returns")
    console.open(f"types/text.search?from={job['asyncJobId']}")
    console.shows("Job not found")
    assert console.browser.run("document.querySelector('#field-query').value") == ""
    assert "With the input of" not in console.text()


def test_number_that_a_browser_would_change_is_shown_and_not_filled_in(console: Console) -> None:
    number = 12345678901234567890
    job = console.caller.submit("contract.once", {"number": number}, prefer="respond-async")
    console.open(f"jobs/{job['asyncJobId']}")
    console.browser.click("section[aria-labelledby=input] button")
    console.shows(f'{{"number":{number}}}')
    console.open(f"types/contract.once?from={job['asyncJobId']}")
    console.shows("A browser would change one of its numbers")


def test_job_of_another_user_does_not_exist(console: Console) -> None:
    job = console.api.caller("erin").submit("sample.returns")
    console.open(f"jobs/{job['asyncJobId']}")
    console.shows("There is no such job")


# ── Job types ──


def test_form_made_of_a_schema_submits_a_job(console: Console) -> None:
    console.open("types/text.search")
    console.browser.click("#field-query")
    console.browser.type("lease")
    console.browser.click(".submit-form > .button")
    console.browser.wait_for("document.querySelector('.state-line')")
    console.browser.wait_for("document.querySelector('.state-line').dataset.status == 'COMPLETED'")


def test_invalid_input_is_shown_at_its_field(console: Console) -> None:
    console.open("types/text.search")
    console.browser.click("#field-limit")
    console.browser.type("5000")
    console.browser.click(".submit-form > .button")
    console.browser.wait_for("document.querySelector('#field-limit-error')")
    console.browser.wait_for("document.activeElement.getAttribute('aria-invalid') === 'true'")


# ── A job of a killed worker, last: its lease ends while the other tests run ──


def test_job_of_a_killed_worker_shows_the_takeover(tab_of_killed_worker: Console) -> None:
    tab_of_killed_worker.shows("Took over", seconds=150)
    tab_of_killed_worker.shows("Completed")
    assert "was lost" in tab_of_killed_worker.text()
    assert tab_of_killed_worker.notes() == []
