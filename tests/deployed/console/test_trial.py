"""An operator's trial, and a user's: each trouble is found, understood and put right from the console alone.

`ASYNCJOBS_SCREENSHOTS=docs` writes the pictures, and `trial.json` with the seconds, there.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.deployed.console.conftest import Console, console_of
from tests.support.browser import Browser
from tests.support.deployed import Api, Job, wait_until

FAULTS = {"closed": "SOURCE_CLOSED", "missing": "NO_SUCH_TABLE", "slow": "TIME_LIMIT_EXCEEDED"}
EACH = 4
"""Jobs that fail for each reason."""
FLOOD = 70
WIDTH, HEIGHT = 1180, 720


class Trial:
    """The seconds that each step took, and its pictures."""

    def __init__(self, console: Console, folder: Path) -> None:
        self.console, self.folder = console, folder
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[step] = round(time.monotonic() - began, 1)

    def picture(self, name: str) -> None:
        time.sleep(0.3)  # a transition
        self.console.browser.capture(self.folder / f"trial-{name}.png")

    def click_text(self, selector: str, text: str) -> None:
        """Click the element with this text, once it is there."""
        find = f"[...document.querySelectorAll({json.dumps(selector)})].find((each) => each.innerText.trim() == {json.dumps(text)})"
        self.console.browser.activate(find)

    def confirm(self) -> None:
        self.console.browser.click(".dialog .primary, .dialog .danger")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(os.environ.get("ASYNCJOBS_SCREENSHOTS", tmp_path_factory.mktemp("pictures")))


@pytest.fixture(scope="module")
def trial(browser: Browser, api: Api, folder: Path) -> Iterator[Trial]:
    with console_of(browser, api, "olga", "admin") as console:
        console.browser.resize(WIDTH, HEIGHT)
        yield (trial := Trial(console, folder))
        (folder / "trial.json").write_text(json.dumps(trial.seconds, indent=1) + "\n")


@pytest.fixture
def fixed(tmp_path: Path) -> Path:
    return tmp_path / "fixed"


@pytest.fixture
def failing(api: Api, fixed: Path) -> dict[str, list[Job]]:
    """Return jobs of one type that failed for three reasons, by their codes."""
    user = api.caller("dora")
    given = {code: {"fault": fault, "fixed": str(fixed)} for fault, code in FAULTS.items()}
    jobs = {code: [user.submit("sample.imports", each) for _ in range(EACH)] for code, each in given.items()}
    for each in [each for found in jobs.values() for each in found]:
        user.wait_for(each)
    return jobs


def is_group(code: str, type_name: str = "sample.imports") -> str:
    return (
        f"[...document.querySelectorAll('.groups tbody tr')].some((row) => row.innerText.includes({json.dumps(code)})"
        f" && row.innerText.includes({json.dumps(type_name)}))"
    )


def test_operator_puts_a_type_right_that_fails_for_three_reasons(
    trial: Trial, api: Api, failing: dict[str, list[Job]], fixed: Path
) -> None:
    console, user = trial.console, api.caller("dora")
    with trial.timed("three reasons: found"):
        console.open("overview")
        console.shows("SOURCE_CLOSED")
        trial.picture("1-overview")
        console.open("failed")
        for code in FAULTS.values():
            console.browser.wait_for(is_group(code))
        trial.picture("2-failed")
    with trial.timed("three reasons: understood"):
        open_group(console, "SOURCE_CLOSED")
        console.shows("nothing listens on db.example:5432")
        trial.picture("3-group")
    fixed.touch()  # as the message says, elsewhere
    with trial.timed("three reasons: put right"):
        for code in ("SOURCE_CLOSED", "TIME_LIMIT_EXCEEDED"):
            open_group(console, code)
            trial.click_text(".actions .button", "Retry all")
            console.shows(f"{EACH} of {EACH} jobs can be retried")
            if code == "SOURCE_CLOSED":
                trial.picture("4-preview")
            trial.confirm()
            console.shows(f"Retry: {EACH} done")
        open_group(console, "NO_SUCH_TABLE")
        console.shows("There is no table")
        trial.click_text(".actions .button", "Delete all")
        console.shows(f"{EACH} of {EACH} jobs can be deleted")
        trial.confirm()
        console.shows("None is left")
        trial.picture("5-put-right")
    for code in ("SOURCE_CLOSED", "TIME_LIMIT_EXCEEDED"):
        assert {user.wait_for(job)["status"] for job in failing[code]} == {"COMPLETED"}
    console.open("failed")
    assert not console.browser.run(is_group("SOURCE_CLOSED"))


def open_group(console: Console, code: str) -> None:
    console.open(f"failed?type=sample.imports&code={code}")
    console.browser.wait_for(f"document.querySelectorAll('.selectable tbody tr').length == {EACH}")


@pytest.mark.skipif(
    "ASYNCJOBS_SCREENSHOTS" not in os.environ, reason="it takes two minutes, and test_jobs.py kills a worker without pictures"
)
def test_operator_sees_what_became_of_the_job_of_a_killed_worker(trial: Trial, api: Api) -> None:
    console, user = trial.console, api.caller("dora")
    job = user.submit("sample.works", {"seconds": 12}, priority="high")
    running = user.wait_for(job, lambda found: found["status"] == "IN_PROGRESS" and found["progress"] > 0)
    os.kill(int(running["message"].split()[1]), signal.SIGKILL)
    with trial.timed("killed worker: found after its death"):
        console.open("live?status=IN_PROGRESS")
        console.shows("Lease ended", seconds=150)
        trial.picture("6-silent")
    with trial.timed("killed worker: understood and taken over"):
        console.browser.click(f"a[href*='{job['asyncJobId']}']")
        console.shows("Took over", seconds=150)
        console.shows("Completed")
        trial.picture("7-takeover")
    assert user.job(job)["attempt"] == 2


def test_operator_ends_the_flood_of_one_owner(trial: Trial, api: Api) -> None:
    console, flood, victim = trial.console, api.caller("flora"), api.caller("dora")
    for _ in range(FLOOD):
        flood.submit("sample.works", {"seconds": 60}, priority="low")
    waits = victim.submit("sample.returns", priority="low")
    with trial.timed("flood: found"):
        console.open("queues")
        waiting = "Number(document.querySelectorAll('.cards .card')[2].querySelector('dd').innerText)"
        console.browser.wait_for(f"{waiting} > {FLOOD // 2}")
        trial.picture("8-queues")
        console.open("live?priority=low&status=PENDING")
        trial.picture("9-one-owner")
    with trial.timed("flood: put right"):
        console.browser.click(f".jobs a[href*='owner={flood.owner}']:not(.row-link)")
        console.shows("Cancel all")
        trial.click_text(".actions .button", "Cancel all")
        console.shows("jobs can be cancelled")
        trial.picture("10-cancel-preview")
        trial.confirm()
        console.shows("No unfinished job matches the filters")
        trial.picture("11-cancelled")
    assert victim.wait_for(waits)["status"] == "COMPLETED"
    wait_until(lambda: not flood.get("/jobs", params={"status": "PENDING"}).json()["jobs"])
    console.open("audit")
    console.shows("Cancelled jobs")
    trial.picture("12-audit")


def test_user_follows_a_job_on_a_phone(trial: Trial, console: Console, folder: Path) -> None:
    browser = console.browser
    browser.resize(360, 740, scale=2)

    def is_narrow() -> bool:
        return bool(browser.run("document.documentElement.scrollWidth <= 360"))

    with trial.timed("a user on a phone: from the form to the result"):
        console.open("types/text.search")
        browser.click("#field-query")
        browser.type("lease")
        browser.capture(folder / "trial-phone-1-form.png")
        assert is_narrow()
        browser.click(".submit-form > .button")
        browser.wait_for("document.querySelector('.state-line')?.dataset.status == 'COMPLETED'")
        browser.click(".reveal summary")
        browser.capture(folder / "trial-phone-2-result.png")
        assert is_narrow()
    job = console.caller.submit("sample.works", {"seconds": 8}, priority="high")
    with trial.timed("a user on a phone: a job appears and ends in the list"):
        console.open("jobs")
        row = f"document.querySelector(\"a[href*='{job['asyncJobId']}']\")?.closest('tr')"
        browser.wait_for(f"{row}?.innerText.includes('Running')")
        browser.capture(folder / "trial-phone-3-running.png")
        browser.wait_for(f"{row}?.innerText.includes('Completed')")
        assert is_narrow()
