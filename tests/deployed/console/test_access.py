"""Access: axe on each page in light and dark, a phone's width, 200 % zoom, keys that can be switched off."""

from __future__ import annotations

import pytest

from tests.deployed.console.conftest import Console

# The last test of test_jobs.py waits for what it begins.
pytestmark = pytest.mark.usefixtures("tab_of_killed_worker")
PAGES = [
    "jobs",
    "jobs?status=CANCELLED&type=sample.raises",
    "jobs/00000000-0000-4000-8000-000000000000",
    "types",
    "types/document.extract",
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", [*PAGES, "a job"])
def test_page_has_no_barrier_that_axe_finds(console: Console, path: str, scheme: str) -> None:
    job = console.caller.wait_for(console.caller.submit("sample.gives_up"))
    console.browser.prefer(prefers_color_scheme=scheme)
    console.open(f"jobs/{job['asyncJobId']}" if path == "a job" else path)
    assert console.violations() == []


@pytest.mark.parametrize("path", [*PAGES, "a job"])
@pytest.mark.parametrize(("width", "height"), [(360, 740), (640, 450)])  # a phone; 1280 at 200 %
def test_page_fits_a_narrow_window(console: Console, path: str, width: int, height: int) -> None:
    job = console.caller.wait_for(console.caller.submit("sample.returns"))
    console.browser.resize(width, height)
    console.open(f"jobs/{job['asyncJobId']}" if path == "a job" else path)
    assert console.browser.run("document.documentElement.scrollWidth") <= width
    small = console.browser.run(
        "[...document.querySelectorAll('button, select, input')].filter((each) => each.checkVisibility() && each.offsetHeight < 24"
        " && each.type != 'checkbox').map((each) => each.outerHTML)"
    )
    assert small == []


def test_menu_of_a_phone_leads_to_every_page(console: Console) -> None:
    console.browser.resize(360, 740)
    console.open("jobs")
    console.browser.click(".top .icon-button")
    console.browser.click(".side a[href='types']")
    console.browser.wait_for("document.querySelector('h1').innerText == 'Job types'")
    assert not console.browser.run("document.querySelector('.side').checkVisibility()")


def test_keys_are_listed_and_can_be_switched_off(console: Console) -> None:
    console.open("jobs")
    console.browser.press("?")
    console.shows("Pause or resume live updates")
    assert console.violations() == []
    console.browser.click(".keys input")
    console.browser.press("Escape")
    console.browser.wait_for("!document.querySelector('dialog')")
    console.browser.press("g")
    console.browser.press("t")
    assert console.browser.run("document.querySelector('h1').innerText") == "My jobs"
    console.browser.press("?")
    console.browser.click(".keys input")
    console.browser.press("Escape")


def test_heading_of_a_new_page_has_the_focus(console: Console) -> None:
    console.open("jobs")
    console.browser.click(".side a[href='types']")
    console.browser.wait_for("document.activeElement.tagName == 'H1' && document.activeElement.innerText == 'Job types'")
