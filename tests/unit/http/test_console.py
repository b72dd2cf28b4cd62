from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from asyncjobs.http.console import Console, SignIn, sign_in_of_issuer
from tests.template.source import ROOT
from tests.unit.conftest import Lines

SIGN_IN = SignIn(
    authorize="https://id.example/authorize", token="https://id.example/token", sign_out=None, client_id="c", scope="openid"
)
LARGE = "export const text = `" + "x" * 3000 + "`;"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lib").mkdir()
    (tmp_path / "index.html").write_text((ROOT / "console/index.html").read_text())
    (tmp_path / "main.js").write_text("import './lib/more.js';")
    (tmp_path / "lib/more.js").write_text(LARGE)
    (tmp_path / "session_worker.js").write_text("0;")
    return tmp_path


def console(folder: Path, **options: Any) -> Console:
    return Console(
        folder,
        **{
            "application": "a <stack>",
            "socket_url": "wss://socket.example/v1",
            "sign_in": lambda: SIGN_IN,
            "is_configured": True,
            **options,
        },
    )


def get(served: Console, path: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    event = {
        "routeKey": f"{method} /console/{{proxy+}}",
        "requestContext": {"requestId": "1"},
        "pathParameters": {"proxy": path},
        "headers": headers,
    }
    return served.handle(event)


def files_of(page: dict[str, Any]) -> list[str]:
    return re.findall(r'(?:href|src)="(files/[^"]+)"', page["body"])


def test_page_names_its_files_by_a_digest_of_all_of_them(folder: Path) -> None:
    page = get(console(folder), "jobs")
    names = {name.split("/", 2)[2] for name in files_of(page)}
    assert names >= {"main.js", "lib/more.js", "style.css", "icon.svg"}
    assert "session_worker.js" not in names
    (folder / "lib/more.js").write_text("changed")
    assert files_of(get(console(folder), "jobs")) != files_of(page)


def test_files_are_kept_for_a_year_and_the_page_is_checked_each_time(folder: Path) -> None:
    served = console(folder)
    page = get(served, "jobs")
    module = get(served, next(name for name in files_of(page) if name.endswith("more.js")))
    assert (module["body"], module["headers"]["content-type"]) == (LARGE, "text/javascript; charset=utf-8")
    assert module["headers"]["cache-control"] == "public, max-age=31536000, immutable"
    assert page["headers"]["cache-control"] == "no-cache"
    again = get(served, "jobs", **{"if-none-match": page["headers"]["etag"]})
    assert (again["statusCode"], again["body"]) == (304, "")


@pytest.mark.parametrize(("path", "base"), [("jobs", "./"), ("jobs/1", "../"), ("jobs/1/", "../../"), ("a/b/c", "../../")])
def test_page_leads_to_the_console_from_any_depth(folder: Path, path: str, base: str) -> None:
    assert f'<base href="{base}" />' in get(console(folder), path)["body"]


def test_console_without_a_page_leads_to_the_jobs(folder: Path) -> None:
    found = console(folder).handle({"routeKey": "GET /console", "requestContext": {"requestId": "1"}})
    assert (found["statusCode"], found["headers"]["location"]) == (302, "console/jobs")


def test_policy_allows_own_files_the_socket_and_the_issuer(folder: Path) -> None:
    policy = get(console(folder), "jobs")["headers"]["content-security-policy"]
    assert "connect-src 'self' wss://socket.example https://id.example;" in policy
    assert "script-src 'self';" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy


def test_policy_without_socket_and_issuer_names_neither(folder: Path) -> None:
    policy = get(console(folder, socket_url="", sign_in=lambda: None), "jobs")["headers"]["content-security-policy"]
    assert "connect-src 'self';" in policy


def test_values_of_the_page_end_no_script(folder: Path) -> None:
    body = get(console(folder, application="</script><script>alert(1)</script>"), "jobs")["body"]
    text = body.split('id="config">')[1].split("</script>")[0]
    assert json.loads(text)["application"] == "</script><script>alert(1)</script>"


def test_page_of_a_stack_without_sign_in_reads_no_issuer(folder: Path) -> None:
    def unexpected() -> SignIn:
        raise AssertionError

    body = get(console(folder, is_configured=False, sign_in=unexpected), "jobs")["body"]
    assert '"isConfigured": false, "hasSocket": true, "signIn": null' in body


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_bug_is_a_problem_that_names_the_request_and_logged_without_its_text(folder: Path, lines: Lines, method: str) -> None:
    def breaks() -> SignIn:
        raise RuntimeError("canary")

    found = get(console(folder, sign_in=breaks), "jobs", method)
    assert (found["statusCode"], found["headers"]["content-type"]) == (500, "application/problem+json")
    assert found["body"] == "" if method == "HEAD" else json.loads(found["body"])["requestId"] == "1"
    (line,) = lines.events
    assert (line["message"], line["route"]) == ("REQUEST_FAILED", "GET /console/{proxy+}")
    assert "canary" not in f"{found}{lines.text()}"


@pytest.mark.parametrize(
    "path",
    ["files/0123/main.js", "files/{digest}/none.js", "files/{digest}/index.html", "files/{digest}/../app.py", "favicon.ico"],
)
def test_other_files_do_not_exist(folder: Path, path: str) -> None:
    served = console(folder)
    digest = files_of(get(served, "jobs"))[0].split("/")[1]
    found = get(served, path.format(digest=digest))
    assert (found["statusCode"], found["headers"]["cache-control"]) == (404, "no-store")


def test_large_files_are_compressed_for_browsers_that_can(folder: Path) -> None:
    served = console(folder)
    name = next(name for name in files_of(get(served, "jobs")) if name.endswith("more.js"))
    found = get(served, name, **{"Accept-Encoding": "gzip, br"})
    assert (found["headers"]["content-encoding"], found["isBase64Encoded"]) == ("gzip", True)
    assert gzip.decompress(base64.b64decode(found["body"])).decode() == LARGE


@pytest.mark.parametrize("accepted", ["", "br", "gzip;q=0", "gzip;q=0, *"])
def test_browser_that_cannot_gets_the_text(folder: Path, accepted: str) -> None:
    served = console(folder)
    name = next(name for name in files_of(get(served, "jobs")) if name.endswith("more.js"))
    found = get(served, name, **{"accept-encoding": accepted})
    assert (found["body"], found["headers"]["vary"]) == (LARGE, "accept-encoding")


@pytest.mark.parametrize("known", ["W/{tag}", "{tag}", '"other", W/{tag}', "*"])
def test_browsers_copy_is_current_in_each_form_of_the_header(folder: Path, known: str) -> None:
    served = console(folder)
    tag = get(served, "jobs")["headers"]["etag"].removeprefix("W/")
    found = get(served, "jobs", **{"if-none-match": known.format(tag=tag), "accept-encoding": "gzip"})
    assert (found["statusCode"], found["body"], "isBase64Encoded" in found) == (304, "", False)


def test_head_has_no_body(folder: Path) -> None:
    assert get(console(folder), "jobs", "HEAD")["body"] == ""


def test_worker_may_control_the_pages(folder: Path) -> None:
    served = console(folder)
    digest = files_of(get(served, "jobs"))[0].split("/")[1]
    headers = get(served, f"files/{digest}/session_worker.js")["headers"]
    assert headers["service-worker-allowed"] == "../../"


# ── An issuer of one's own ──

DOCUMENT = {
    "authorization_endpoint": "https://id.example/a",
    "token_endpoint": "https://id.example/t",
    "end_session_endpoint": "https://id.example/e",
}


def discovered(document: bytes, **options: Any) -> SignIn | None:
    urls: list[str] = []

    def read(url: str) -> bytes:
        urls.append(url)
        return document

    given: dict[str, Any] = {"client_id": "web", "scopes": ["jobs:write"], "audiences": ["https://api.example"], **options}
    found = sign_in_of_issuer("https://id.example/", read=read, **given)
    assert urls == ["https://id.example/.well-known/openid-configuration"]
    return found


def test_sign_in_follows_the_issuers_document() -> None:
    found = discovered(json.dumps(DOCUMENT).encode())
    assert found is not None
    assert (found.authorize, found.token, found.sign_out) == tuple(DOCUMENT.values())
    assert (found.client_id, found.scope, found.audience, found.urls) == (
        "web",
        "openid jobs:write",
        "https://api.example",
        None,
    )


def test_client_that_is_the_audience_names_none() -> None:
    found = discovered(json.dumps(DOCUMENT).encode(), audiences=["web", "other"])
    assert found is not None
    assert found.audience is None


@pytest.mark.parametrize("document", [b"", b"no json", b"{}", b"[]"])
def test_unreadable_document_is_no_sign_in(document: bytes) -> None:
    assert discovered(document) is None
