"""Sign-in by a code and PKCE on the hosted page, in a browser."""

from __future__ import annotations

import json

import httpx
import pytest

from local import users
from tests.deployed.console.conftest import Console
from tests.support.browser import Browser
from tests.support.deployed import Api


def test_user_without_a_session_signs_in_and_returns_to_the_page(browser: Browser, api: Api) -> None:
    with browser.another_user() as tab:
        console = Console(tab, api, "dan")
        password = users.create(api.outputs, api.stack.session, "dan")
        tab.open(f"{console.root}types?x=1")
        console.fill_in(password)
        tab.wait_for(f"location.href == {json.dumps(console.root + 'types?x=1')}")
        console.shows("text.search")
        assert tab.run("localStorage.length") == 0
        stored = tab.run("Object.values({...sessionStorage}).join() + document.cookie")
        assert "eyJ" not in stored, "no token is stored"
        tab.click(".side-end .side-item:last-child")
        console.shows("Sign in to see your jobs")
        tab.run("location.reload()")
        console.shows("Sign in to see your jobs")
        assert console.notes() == []


def test_reload_keeps_the_session(console: Console) -> None:
    console.open("jobs")
    console.browser.run("location.reload()")
    console.browser.wait_for("document.querySelector('h1')?.textContent == 'My jobs'")
    assert console.browser.run("performance.getEntriesByType('navigation')[0].redirectCount") == 0


def test_renewed_token_is_used_when_the_old_one_was_refused(console: Console) -> None:
    console.open("jobs")
    refuse_first = """{
        const send = window.fetch;
        window.seen = [];
        window.fetch = async (url, init) => {
            window.seen.push(`${init?.method ?? 'GET'} ${new URL(url).pathname.split('/').slice(-2).join('/')}`);
            const isFirst = window.seen.filter((each) => each.endsWith('v1/job-types')).length == 1;
            if (isFirst && String(url).endsWith('job-types')) return new Response('{}', {status: 401});
            return send(url, init);
        };
    }"""
    console.browser.run(refuse_first)
    console.browser.click("a[href='types']")
    # The page that is left may list jobs of that type.
    console.browser.wait_for("document.querySelector(\"a[href='types/text.search']\")")
    assert "POST oauth2/token" in console.browser.run("window.seen")


def test_stolen_code_is_refused_without_its_verifier(console: Console) -> None:
    console.browser.open(f"{console.root}sign-in?code=somebody-elses&state=x")
    console.browser.wait_for("document.querySelector('h1')")
    assert "somebody-elses" not in console.browser.run("location.href")


@pytest.mark.parametrize("path", ["", "/jobs", "/jobs/x/y", "/types/text.search"])
def test_every_path_serves_the_page_without_a_token(api: Api, path: str) -> None:
    answer = httpx.get(f"{api.outputs.api_url}/console{path}", follow_redirects=True, trust_env=False, timeout=60)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "unsafe" not in answer.headers["content-security-policy"]
