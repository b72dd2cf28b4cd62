"""The client in a page: results behind a redirect, downloads and uploads, with an API whose answers the test decides."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.js.pages import COMPLETED, JOB, Answer, Request, Site, page
from tests.support.browser import Browser

pytestmark = pytest.mark.slow

LARGE = {**COMPLETED, "resultType": "S3", "result": None}
RESULT = {"pages": [1, 2, 3]}


def opened(browser: Browser, site: Site, *, client: str = "") -> None:
    """Open a page with a client."""
    site.page = page("", client)
    browser.open(site.url)
    browser.wait_for("window.isReady")


def storage_behind_redirects(site: Site, *, tickets: bool) -> None:
    """Answer as an API does whose result is in a storage, here of the same origin."""

    def answer(request: Request) -> Answer:
        match request.path.partition("?")[0]:
            case "/tickets":
                return Answer({"ticket": "ajt_1"}, 201) if tickets else Answer({"message": "Not Found"}, 404)
            case "/storage":
                return Answer(RESULT)
            case path if path.endswith("/result"):
                return Answer({}, 303, {"location": "/api/v1/storage"})
        return Answer(LARGE)

    site.answer = answer


def sent(site: Site, path: str) -> list[Request]:
    return [request for request in site.requests if request.path.startswith(path)]


def test_result_behind_a_redirect_is_read_with_a_ticket_and_no_token_goes_on(browser: Browser, site: Site) -> None:
    storage_behind_redirects(site, tickets=True)
    opened(browser, site)
    assert browser.run(f"client.job('{JOB}').result()") == RESULT
    assert [request.body for request in sent(site, "/tickets") if request.method == "POST"] == [
        {"jobs": [JOB], "ttlSeconds": 60}
    ]
    assert [request.authorization for request in sent(site, f"/tickets/jobs/{JOB}/result?ticket=ajt_1")] == [None]
    # The first request, whose redirect a page cannot read, is not followed.
    assert [request.authorization for request in sent(site, "/storage")] == [None]


def test_client_with_a_ticket_reads_the_result_with_it(browser: Browser, site: Site) -> None:
    storage_behind_redirects(site, tickets=True)
    opened(browser, site, client='window.client = createClient({ ticket: "ajt_own" });')
    assert browser.run(f"client.job('{JOB}').result()") == RESULT
    assert len(sent(site, f"/tickets/jobs/{JOB}/result?ticket=ajt_own")) == 1
    assert [request.method for request in sent(site, "/tickets") if request.method == "POST"] == []


def test_result_of_an_earlier_server_is_read_without_a_ticket(browser: Browser, site: Site) -> None:
    storage_behind_redirects(site, tickets=False)
    opened(browser, site)
    assert browser.run(f"client.job('{JOB}').result()") == RESULT


def test_download_is_a_file_of_that_name(browser: Browser, site: Site) -> None:
    storage_behind_redirects(site, tickets=True)
    opened(browser, site)
    script = """
      HTMLAnchorElement.prototype.click = function () {
        window.saved = fetch(this.href).then((answer) => answer.json()).then((json) => [this.download, json]);
      };
      client.job(%r).download("pages.json").then(() => saved)
    """
    found: list[Any] = browser.run(script % JOB)
    assert found == ["pages.json", RESULT]


def test_signal_ends_an_upload_of_a_page(browser: Browser, site: Site) -> None:
    site.answer = lambda _: Answer({"key": "uploads/u1", "url": "/api/v1/storage", "method": "PUT", "headers": {}}, 201)
    opened(browser, site)
    script = """
      (() => {
        const stop = new AbortController();
        const { send } = XMLHttpRequest.prototype;
        XMLHttpRequest.prototype.send = function (body) {
          send.call(this, body);
          stop.abort("enough");
        };
        return client.upload(new Blob(["x"]), { onProgress: () => {}, signal: stop.signal }).catch((reason) => reason);
      })()
    """
    assert browser.run(script) == "enough"
