"""The pages of operators: rights by group, failures by type and code, any job, what was done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import users
from tests.deployed.console.conftest import NOTES, Console
from tests.support.browser import chromium
from tests.support.deployed import Api

ITEMS = "[...document.querySelectorAll('.side a.side-item')].map((each) => each.innerText)"


def console_of(api: Api, folder: Path, user: str, group: str) -> Iterator[Console]:
    users.create(api.outputs, api.stack.session, user, group=group)
    with chromium(folder / "profile") as browser:
        browser.before_each_page(NOTES)
        browser.resize(1280, 900)
        console = Console(browser, api, user)
        console.sign_in()
        yield console
        assert console.notes() == []


@pytest.fixture(scope="module")
def operator(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    yield from console_of(api, tmp_path_factory.mktemp("operator"), "ops", "operator")


@pytest.fixture(scope="module")
def viewer(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    yield from console_of(api, tmp_path_factory.mktemp("viewer"), "vera", "viewer")


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
    operator.shows("HOPELESS", seconds=90)
    operator.browser.run("[...document.querySelectorAll('.row-link')].find((each) => each.innerText == 'HOPELESS').click()")
    operator.browser.click(f"a[href*='{job['asyncJobId']}']")
    operator.browser.wait_for("document.querySelector('.state-line')")
    operator.shows("This will never work")
    operator.browser.press("r")
    operator.browser.click(".dialog .primary")
    operator.browser.wait_for("document.querySelectorAll('.attempt').length > 1", seconds=90)
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


def test_running_job_of_another_user_is_live_until_it_ends(console: Console, operator: Console) -> None:
    job = console.caller.submit("sample.works", {"seconds": 15}, priority="high")
    console.caller.wait_for(job, lambda found: found["progress"] > 0)
    operator.open("live?status=IN_PROGRESS")
    operator.browser.wait_for(f"document.querySelector(\"a[href*='{job['asyncJobId']}']\")")
    console.caller.wait_for(job)
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
    operator.browser.run("[...document.querySelectorAll('.actions .button')][0].click()")
    operator.shows("jobs can be retried", seconds=60)
    operator.browser.click(".dialog .primary")
    operator.browser.wait_for("Number(document.querySelector('.state-line strong')?.innerText) >= 4", seconds=60)
