"""The pages of operators: rights by group, failures by type and code, any job, what was done."""

from __future__ import annotations

import json
import logging
import os
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.aws.items import to_item
from asyncjobs.core.clock import utc_now
from asyncjobs.core.job import JobFailure, JobKey
from asyncjobs.core.message import JobMessage
from local.stack import LocalStack, Outputs
from tests.deployed.console.conftest import Console, console_of
from tests.support.browser import Browser
from tests.support.deployed import Api, Job
from tests.support.factories import new_job

JOBS = int(os.environ.get("ASYNCJOBS_BULK_JOBS", "110"))
"""Failed jobs that an action on many retries, of which every tenth is not eligible. The issue's number is 500."""
LOG = logging.getLogger(__name__)
pytestmark = pytest.mark.usefixtures("discarding")
ITEMS = "[...document.querySelectorAll('.side a.side-item')].map((each) => each.innerText)"


@pytest.fixture(scope="module")
def operator(browser: Browser, api: Api) -> Iterator[Console]:
    with console_of(browser, api, "ops", "operator") as console:
        yield console


@pytest.fixture(scope="module")
def viewer(browser: Browser, api: Api) -> Iterator[Console]:
    with console_of(browser, api, "vera", "viewer") as console:
        yield console


@pytest.fixture(scope="module")
def payload_viewer(browser: Browser, api: Api) -> Iterator[Console]:
    with console_of(browser, api, "paula", "payload-viewer") as console:
        yield console


@pytest.fixture(scope="module")
def discarding(operator: Console, stack: LocalStack, outputs: Outputs) -> Console:
    """Return a tab in which dead letters were redriven, and the malformed one is discarded as soon as it can be read again."""
    sqs = stack.session.client("sqs", endpoint_url=stack.endpoint_url)
    unknown = JobMessage(JobKey("nobody", str(uuid.uuid4())), "g", "sample.returns").to_body()
    for body in (unknown, "no message"):
        sqs.send_message(QueueUrl=outputs.dead_letter_queue_url, MessageBody=body)
    tab = operator.another_tab()
    tab.open("queues")
    tab.shows("2 messages could not be handled")
    tab.browser.activate("[...document.querySelectorAll('.card .button')].find((each) => each.innerText == 'Redrive')")
    tab.shows("1 settled")
    tab.shows("1 malformed")
    tab.shows("1 redriven, 1 stay")
    assert tab.violations() == []
    tab.browser.click(".card .button.danger")
    tab.browser.click(".dialog .danger")
    tab.shows("Looking for more")  # a letter that was read is hidden for 30 s
    assert tab.browser.run("[...document.querySelectorAll('.card-head .button')].filter((each) => each.disabled).length") == 1
    return tab


def test_pages_of_all_users_follow_the_rights_of_a_group(console: Console, operator: Console, viewer: Console) -> None:
    own = ["My jobs", "Job types", "Webhooks"]
    for each, pages in (
        (console, []),
        (viewer, ["Overview", "Live", "Failed", "Queues"]),
        (operator, ["Overview", "Live", "Failed", "Queues", "Audit"]),
    ):
        each.open("jobs")
        each.browser.wait_for(f"JSON.stringify({ITEMS}) == {json.dumps(json.dumps(own + pages, separators=(',', ':')))}")


def test_user_without_a_right_sees_why_a_page_is_empty(console: Console) -> None:
    console.open("live")
    console.shows("This needs a right that you do not have")


def test_operator_finds_a_failing_type_and_retries_its_job(console: Console, operator: Console) -> None:
    job = console.caller.wait_for(console.caller.submit("sample.gives_up"))
    operator.open("failed")
    operator.shows("HOPELESS")
    operator.browser.activate("[...document.querySelectorAll('.row-link')].find((each) => each.innerText == 'HOPELESS')")
    operator.browser.click(f"a[href*='{job['asyncJobId']}']")
    operator.browser.wait_for("document.querySelector('.state-line')")
    operator.shows("This will never work")
    operator.browser.press("r")
    operator.browser.click(".dialog .primary")
    operator.browser.wait_for("document.querySelectorAll('.attempt').length > 1")
    operator.open("audit")
    operator.shows("Retried a job")
    assert operator.browser.run(f"Boolean(document.querySelector('a[href*={json.dumps(job['asyncJobId'])}]'))")


def test_viewer_sees_a_job_without_actions_and_without_its_contents(console: Console, viewer: Console) -> None:
    job = console.caller.wait_for(console.caller.submit("sample.returns"))
    viewer.open(f"operate/{job['asyncJobId']}?owner={console.caller.owner}")
    viewer.browser.wait_for("document.querySelector('.state-line')")
    viewer.shows("Input and result are hidden")
    assert viewer.browser.run("document.querySelectorAll('.actions').length") == 0
    assert "effectKey" not in viewer.text()


def test_payload_viewer_reads_an_input_and_a_result_which_is_recorded(console: Console, payload_viewer: Console) -> None:
    job = console.caller.wait_for(console.caller.submit("sample.works", {"seconds": 0.25}))
    payload_viewer.open(f"operate/{job['asyncJobId']}?owner={console.caller.owner}")
    payload_viewer.browser.click("section[aria-label=Contents] button")
    payload_viewer.shows('"seconds": 0.25')
    payload_viewer.shows("This look is recorded")
    payload_viewer.browser.click("section[aria-label=Contents] p > button")
    payload_viewer.shows('"attempt 1"')


def test_number_that_a_browser_would_change_is_shown_as_it_is(console: Console, payload_viewer: Console) -> None:
    number = 98765432109876543210  # not that of test_jobs.py: jobs of this type with one input are one job
    job = console.caller.submit("contract.once", {"number": number}, prefer="respond-async")
    payload_viewer.open(f"operate/{job['asyncJobId']}?owner={console.caller.owner}")
    payload_viewer.browser.click("section[aria-label=Contents] button")
    payload_viewer.shows(f'"number":{number}')


def test_running_job_of_another_user_is_live_until_it_ends(console: Console, operator: Console) -> None:
    job = console.caller.submit("sample.works", {"seconds": 60}, priority="high")
    console.caller.wait_for(job, lambda found: found["progress"] > 0)
    operator.open("live?status=IN_PROGRESS")
    operator.browser.wait_for(f"document.querySelector(\"a[href*='{job['asyncJobId']}']\")")
    console.caller.post(f"/jobs/{job['asyncJobId']}/cancel")
    operator.browser.wait_for(f"!document.querySelector(\"a[href*='{job['asyncJobId']}']\")")


@pytest.mark.parametrize("path", ["overview", "live", "failed", "queues", "audit", "webhooks"])
def test_page_of_operators_has_no_barrier_and_fits_a_phone(operator: Console, path: str) -> None:
    for scheme in ("light", "dark"):
        operator.browser.prefer(prefers_color_scheme=scheme)
        operator.open(path)
        assert not operator.browser.run("Boolean(document.querySelector('main [role=alert]'))"), operator.text()
        assert operator.violations() == []
    operator.browser.resize(360, 740)
    operator.open(path)
    assert operator.browser.run("document.documentElement.scrollWidth") <= 360
    operator.browser.resize(1280, 900)


def test_operator_retries_all_failures_of_a_code_after_a_preview(console: Console, operator: Console) -> None:
    for _ in range(4):
        console.caller.wait_for(console.caller.submit("sample.exits"))
    operator.open("failed")
    operator.browser.wait_for(
        "[...document.querySelectorAll('tbody tr')].some((row) => row.innerText.includes('sample.exits'))", seconds=90
    )
    operator.browser.run(
        "[...document.querySelectorAll('tbody tr')].find((row) => row.innerText.includes('sample.exits')).querySelector('a').click()"
    )
    operator.browser.wait_for("document.querySelectorAll('.selectable tbody tr').length >= 4")
    operator.browser.activate("document.querySelector('.actions .button')")
    operator.shows("jobs can be retried")
    operator.browser.click(".dialog .primary")
    operator.browser.wait_for("Number(document.querySelector('.state-line strong')?.innerText) >= 4")


def test_operator_pauses_and_resumes_a_job_type(operator: Console) -> None:
    operator.open("queues")
    operator.shows("None is paused")
    operator.browser.wait_for("document.querySelector('#pause-type')")
    choose = "select.value = 'sample.grows'; select.dispatchEvent(new Event('change'))"
    operator.browser.run(f"{{ const select = document.querySelector('#pause-type'); {choose} }}")
    operator.browser.click(".pause-type .button")
    operator.browser.click(".dialog .danger")
    operator.browser.wait_for("document.querySelector('.paused-types')?.innerText.includes('sample.grows')")
    assert operator.violations() == []
    operator.browser.click(".paused-types .button")
    operator.shows("None is paused")
    operator.open("audit")
    operator.shows("Resumed a job type")


# ── Many jobs ──


@pytest.fixture
def many(api: Api, stack: LocalStack, outputs: Outputs) -> Job:
    """Store failed jobs of a type and a code that no other test uses. Every tenth was tracked, so it cannot be retried."""
    owner, code, now = api.caller("mona").owner, f"BULK_{uuid.uuid4().hex[:8].upper()}", utc_now()
    dynamodb = stack.session.client("dynamodb", endpoint_url=stack.endpoint_url)
    error = JobFailure(code=code, message="The source is closed.", type="Retry", retryable=True)
    items = []
    for number in range(JOBS):
        job = new_job(owner=owner, async_job_id=str(uuid.uuid4()), now=now, max_attempts=0 if number % 10 == 0 else 3)
        items.append(to_item(job.failed(now=now + timedelta(milliseconds=number), error=error)))
    for start in range(0, len(items), 25):
        requests: Any = [{"PutRequest": {"Item": item}} for item in items[start : start + 25]]
        dynamodb.batch_write_item(RequestItems={outputs.table_name: requests})
    return {"code": code, "eligible": sum(number % 10 != 0 for number in range(JOBS)), "since": now}


def test_hundreds_of_failed_jobs_are_retried_with_progress_and_the_outcome_of_each(operator: Console, many: Job) -> None:
    eligible = many["eligible"]
    operator.open(f"failed?type=sample.returns&code={many['code']}")
    began = time.monotonic()
    preview(operator)
    operator.shows(f"{eligible} of {JOBS} jobs can be retried")
    operator.shows(f"{JOBS - eligible} not: JOB_NOT_RETRYABLE")
    previewed = time.monotonic()
    operator.browser.click(".dialog .primary")
    operator.browser.wait_for("document.querySelector('.state-line')?.dataset.status == 'COMPLETED'", seconds=240)
    LOG.info("%d jobs: preview %.1f s, all %.1f s", JOBS, previewed - began, time.monotonic() - began)
    assert operator.browser.run("document.querySelector('.state-line strong').innerText") == f"{eligible:,}"
    operator.browser.wait_for(f"document.querySelectorAll('.selectable tbody tr').length == {min(50, JOBS - eligible)}")
    assert operator.violations() == []
    end, start = records_of(operator, many)
    assert [start["action"], end["action"]] == ["bulk.retry", "bulk.retry.end"]
    assert (start["count"], end["outcomes"]) == (JOBS, {"DONE": eligible, "JOB_NOT_RETRYABLE": JOBS - eligible})


def test_action_on_many_jobs_goes_on_when_its_page_is_closed(operator: Console, many: Job) -> None:
    operator.open(f"failed?type=sample.returns&code={many['code']}")
    preview(operator)
    operator.browser.click(".dialog .primary")
    operator.browser.wait_for("document.querySelector('.state-line a')")
    (start, *ended) = reversed(records_of(operator, many))
    operator.open("types")  # loaded again: nothing of the page that started it is left
    LOG.info("The page is closed, and the action has %s", "ended already" if ended else "not ended")
    job = operator.caller.wait_for({"asyncJobId": start["asyncJobId"]}, seconds=240)
    assert (job["status"], job["result"]["outcomes"]["DONE"]) == ("COMPLETED", many["eligible"])
    # Back again: it is among the operator's own jobs, and leads to the outcomes.
    operator.open("jobs")
    operator.browser.wait_for(f"document.querySelector(\"a[href$='{start['asyncJobId']}']\")")
    operator.browser.click(f"a[href$='{start['asyncJobId']}']")
    operator.shows("Show the outcome of each job")
    assert "Retry" not in operator.browser.run(
        "[...document.querySelectorAll('.actions .button')].map((each) => each.innerText)"
    )
    operator.browser.click("a[href^='actions/']")
    for shown in range(50, JOBS, 50):
        operator.browser.wait_for(f"document.querySelectorAll('.outcomes tbody tr').length == {shown}")
        # As an impatient person clicks.
        operator.browser.run("{ const more = document.querySelector('.more .button'); more.click(); more.click() }")
    operator.browser.wait_for(f"document.querySelectorAll('.outcomes tbody tr').length == {JOBS}")
    operator.shows(f"{many['eligible']} of {JOBS} jobs done")
    operator.shows(f"{JOBS - many['eligible']} not: JOB_NOT_RETRYABLE")
    assert operator.violations() == []
    operator.open("audit")
    operator.browser.wait_for(f"document.querySelectorAll(\"a[href='actions/{start['asyncJobId']}']\").length == 2")


def preview(operator: Console) -> None:
    """Request a preview of a retry of all."""
    operator.browser.activate("document.querySelector('.actions .button')")
    operator.shows(f"of {JOBS} jobs can be retried", seconds=240)


def records_of(operator: Console, many: Job) -> list[dict[str, Any]]:
    """Return the audit log's records of this action, newest first."""
    records = operator.caller.get("/admin/audit", params={"limit": "100"}).json()["records"]
    return [each for each in records if (each["filter"] or {}).get("failed", {}).get("code") == many["code"]]


# ── Dead letters, last: one is hidden while the other tests run ──


def test_operator_redrives_dead_letters_and_discards_malformed_ones(discarding: Console) -> None:
    discarding.shows("1 discarded")
    assert discarding.notes() == []
