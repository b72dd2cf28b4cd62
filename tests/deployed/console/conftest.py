"""The console of the running stack in a real browser. A violation of its content policy, or an error of its scripts, fails a test."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from local import users
from tests.support.browser import Browser, chromium
from tests.support.deployed import Api, Caller
from tests.support.node import PACKAGES

NOTES = """
const note = (what) => sessionStorage.setItem('test.notes', JSON.stringify([...JSON.parse(sessionStorage.getItem('test.notes') ?? '[]'), what]));
addEventListener('securitypolicyviolation', (event) => note(`${event.violatedDirective} refused ${event.blockedURI}`));
addEventListener('error', (event) => note(`error: ${event.message}`));
addEventListener('unhandledrejection', (event) => note(`rejection: ${event.reason?.stack ?? event.reason}`));
"""


class Console:
    """A signed-in tab of it."""

    def __init__(self, browser: Browser, api: Api, user: str) -> None:
        self.browser, self.api, self.user = browser, api, user
        assert api.outputs.console_url
        self.root = api.outputs.console_url.removesuffix("jobs")
        browser.before_each_page(NOTES)
        browser.resize(1280, 900)

    @property
    def caller(self) -> Caller:
        return self.api.caller(self.user)

    def another_tab(self) -> Console:
        """Open a tab beside this one, of the same user."""
        return Console(self.browser.another_tab(), self.api, self.user)

    def sign_in(self) -> None:
        """Open the console, and sign in on the page to which it sends a user without a session."""
        password = users.create(self.api.outputs, self.api.stack.session, self.user)
        self.browser.open(f"{self.root}jobs")
        self.fill_in(password)
        self.browser.wait_for(f"location.href == {json.dumps(self.root + 'jobs')} && document.querySelector('h1')")

    def fill_in(self, password: str) -> None:
        """Send the form of the hosted sign-in page."""
        self.browser.wait_for("document.forms.length == 1 && document.forms[0]?.password && document.readyState == 'complete'")
        fields = json.dumps({"username": self.user, "password": password})
        self.browser.run(f"for (const [name, value] of Object.entries({fields})) document.forms[0][name].value = value")
        self.browser.run("document.forms[0].submit()")

    def open(self, path: str) -> None:
        """Open a page of the console in the same tab."""
        self.browser.open(f"{self.root}{path}")
        self.browser.wait_for("document.querySelector('h1') && !document.querySelector('.loading')")

    def text(self) -> str:
        """Return what the page says."""
        return str(self.browser.run("document.body.innerText"))

    def shows(self, text: str, *, seconds: float = 120) -> None:
        self.browser.wait_for(f"document.body?.innerText.includes({json.dumps(text)})", seconds=seconds)

    def notes(self) -> list[str]:
        """Return what the browser refused, and which errors there were, since the last call."""
        read = "{ const notes = JSON.parse(sessionStorage.getItem('test.notes') ?? '[]'); sessionStorage.removeItem('test.notes'); notes }"
        return list(self.browser.run(read))

    def violations(self) -> list[str]:
        """Return what axe finds on the page, in the light or dark as it is shown."""
        self.browser.run((PACKAGES / "axe-core/axe.min.js").read_text())
        rules = "{type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}"
        found = self.browser.run(
            f"axe.run(document, {{runOnly: {rules}}}).then(({{violations}}) => violations.map((each) =>"
            " `${each.id}: ${each.help} ${each.nodes.map((node) => node.html + node.failureSummary).join(' | ')}`))"
        )
        return list(found)


@pytest.fixture(scope="package")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("browser") / "profile") as browser:
        yield browser


@contextmanager
def console_of(browser: Browser, api: Api, user: str, group: str | None = None) -> Iterator[Console]:
    """Sign a user in, who may be in a group, in a tab with storage of its own."""
    if group:
        users.create(api.outputs, api.stack.session, user, group=group)
    with browser.another_user() as tab:
        console = Console(tab, api, user)
        console.sign_in()
        yield console
        assert console.notes() == []


@pytest.fixture(scope="package")
def signed_in(browser: Browser, api: Api) -> Iterator[Console]:
    with console_of(browser, api, "carol") as console:
        yield console


@pytest.fixture(scope="package")
def tab_of_killed_worker(signed_in: Console) -> Console:
    """Return a tab that shows a job, and kill the worker of it. Another one takes the job over when its lease has ended."""
    tab = signed_in.another_tab()
    job = tab.caller.submit("sample.works", {"seconds": 8}, priority="high")
    running = tab.caller.wait_for(job, lambda found: found["status"] == "IN_PROGRESS" and found["progress"] > 0)
    tab.open(f"jobs/{job['asyncJobId']}")
    os.kill(int(running["message"].split()[1]), signal.SIGKILL)
    return tab


@pytest.fixture
def console(signed_in: Console) -> Iterator[Console]:
    """Return the console of a user who is signed in, as a desktop shows it."""
    signed_in.browser.resize(1280, 900)
    signed_in.notes()
    yield signed_in
    signed_in.browser.prefer()
    assert signed_in.notes() == []
