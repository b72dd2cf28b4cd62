"""`asyncjobs login` by the browser, with a small issuer of OpenID Connect."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import pytest

from asyncjobs_client.cli import app, sign_in
from asyncjobs_client.cli.inputs import WrongInput
from asyncjobs_client.cli.profiles import Profile, Profiles, SignInFailed
from clients.contract import server
from local.stack import FOR_DEVELOPERS

ANY_PORT = "http://localhost:0/"
GIVEN, FORGOTTEN = "refresh-0", "refresh-of-last-year"


@dataclass
class Issuer:
    """An issuer with one client, `cli`, whose user agrees to everything."""

    url: str = ""
    configuration: dict[str, Any] = field(default_factory=dict)
    authorized: list[dict[str, str]] = field(default_factory=list)
    exchanged: list[dict[str, str]] = field(default_factory=list)
    answer: dict[str, str] = field(default_factory=lambda: {"code": "code-1"})
    """What the browser brings back."""
    refresh_tokens: list[str] = field(default_factory=list)
    """The refresh tokens that are valid, each for one use."""
    issued: int = 0

    def tokens(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        self.exchanged.append(form)
        match form["grant_type"]:
            case "authorization_code":
                wanted = self.authorized[-1]
                digest = hashlib.sha256(form["code_verifier"].encode()).digest()
                is_valid = (
                    form["code"] == "code-1"
                    and base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == wanted["code_challenge"]
                    and (form["redirect_uri"], form["client_id"]) == (wanted["redirect_uri"], wanted["client_id"])
                )
            case _:
                is_valid = form["client_id"] == "cli" and form["refresh_token"] in self.refresh_tokens
        if not is_valid:
            return 400, {"error": "invalid_grant", "error_description": "It is over"}
        self.issued += 1
        self.refresh_tokens = [f"refresh-{self.issued}"]
        return 200, {"access_token": f"access-{self.issued}", "refresh_token": f"refresh-{self.issued}", "expires_in": 900}


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path.endswith("/.well-known/openid-configuration"):
                self._send(200, issuer.configuration)
                return
            issuer.authorized.append(dict(parse_qsl(url.query)))
            wanted = issuer.authorized[-1]
            back = urlencode({"state": wanted["state"], **issuer.answer})
            self.send_response(302)
            self.send_header("location", f"{wanted['redirect_uri']}?{back}")
            self.end_headers()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            self._send(*issuer.tokens(dict(parse_qsl(body))))

        def _send(self, status: int, value: Any) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(value).encode())

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        issuer.url = f"http://127.0.0.1:{running.server_port}"
        endpoints = {"authorization_endpoint": f"{issuer.url}/authorize?tenant=1", "token_endpoint": f"{issuer.url}/token"}
        issuer.configuration = {"issuer": issuer.url, **endpoints}
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield issuer
        running.shutdown()
        thread.join()


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profiles:
    for name in ("ASYNCJOBS_URL", "ASYNCJOBS_TOKEN", "ASYNCJOBS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "*")
    return Profiles(tmp_path / "asyncjobs/config.toml")


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A browser whose user agrees, and the pages that it has opened."""
    opened: list[str] = []

    def open_page(url: str) -> None:
        opened.append(url)
        page = httpx2.get(url, follow_redirects=True)
        assert (page.status_code, page.headers["referrer-policy"]) == (200, "no-referrer")
        assert "code-1" not in page.text

    monkeypatch.setattr(webbrowser, "open", open_page)
    return opened


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")


@pytest.fixture
def api() -> Iterator[server.FaultServer]:
    with server.serve() as running:
        yield running


def played(api: server.FaultServer, *tokens: str) -> str:
    """Return the address of an API that expects a request with each of these tokens."""
    base = f"{api.url}/api"
    types = {"status": 200, "body": {"jobTypes": []}}
    api.sessions["api"] = server.Session(
        base,
        [
            {
                "request": {"method": "GET", "path": "/job-types", "headers": {"authorization": f"Bearer {token}"}},
                "answer": types,
            }
            for token in tokens
        ],
    )
    return base


def login(issuer: Issuer, url: str, *more: str) -> int:
    given = ("--url", url, "--issuer", issuer.url, "--client-id", "cli", "--redirect-uri", ANY_PORT)
    return app.run(["--profile", "work", "login", *given, *more])


@pytest.mark.usefixtures("terminal")
def test_user_signs_in_by_the_browser(
    issuer: Issuer, profiles: Profiles, browser: list[str], api: server.FaultServer, capfd: pytest.CaptureFixture[str]
) -> None:
    url = played(api, "access-1", "access-1")
    assert login(issuer, url) == 0
    printed = "".join(capfd.readouterr())
    assert browser[0] in printed.replace("\n", "")
    assert not any(secret in printed for secret in ("access-1", "refresh-1", "code-1"))
    assert {"scope": "openid asyncjobs/jobs", "tenant": "1", "code_challenge_method": "S256"}.items() <= issuer.authorized[
        0
    ].items()
    assert "audience" not in issuer.authorized[0]
    assert profiles.path.stat().st_mode & 0o777 == 0o600
    assert app.run(["--profile", "work", "types"]) == 0
    assert api.verdict("api") == {"problems": [], "left": 0}
    assert len(issuer.exchanged) == 1


@pytest.mark.usefixtures("terminal")
def test_profile_needs_no_options_to_sign_in_again(
    issuer: Issuer, profiles: Profiles, browser: list[str], api: server.FaultServer
) -> None:
    url = played(api, "access-1", "access-2")
    assert login(issuer, url, "--scope", "openid other", "--audience", "https://jobs.example.com") == 0
    assert app.run(["--profile", "work", "login"]) == 0
    assert [each["scope"] for each in issuer.authorized] == ["openid other"] * 2
    assert [each["audience"] for each in issuer.authorized] == ["https://jobs.example.com"] * 2
    assert [each.token for each in profiles.all().values()] == ["access-2"]
    assert len(browser) == 2


@pytest.mark.usefixtures("terminal")
def test_address_is_only_printed_where_no_browser_is_wanted(
    issuer: Issuer,
    profiles: Profiles,
    browser: list[str],
    api: server.FaultServer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def signed_in_elsewhere(*_: object, show: Callable[[str], object], **__: object) -> sign_in.Tokens:
        show("https://issuer.example.com/page")
        return sign_in.Tokens("access-1", "refresh-1", None)

    monkeypatch.setattr(sign_in, "sign_in", signed_in_elsewhere)
    assert login(issuer, played(api, "access-1"), "--no-browser") == 0
    assert "https://issuer.example.com/page" in capfd.readouterr().err
    assert browser == []
    assert [each.token for each in profiles.all().values()] == ["access-1"]


def test_without_a_terminal_no_browser_is_opened(issuer: Issuer, profiles: Profiles, browser: list[str]) -> None:
    assert login(issuer, "http://127.0.0.1:9") == 2
    assert (browser, issuer.authorized, profiles.all()) == ([], [], {})


@pytest.mark.usefixtures("terminal", "browser")
def test_sign_in_that_is_refused_stores_nothing(issuer: Issuer, profiles: Profiles, capfd: pytest.CaptureFixture[str]) -> None:
    issuer.answer = {"error": "access_denied", "error_description": "Not you"}
    assert login(issuer, "http://127.0.0.1:9") == 77
    assert "access_denied: Not you" in capfd.readouterr().err
    assert (issuer.exchanged, profiles.all()) == ([], {})


def signed_in(issuer: Issuer, show: Callable[[str], object], **options: Any) -> sign_in.Tokens:
    given = {"scope": sign_in.SCOPE, "redirect_uri": ANY_PORT, "patience": 10.0, **options}
    return sign_in.sign_in(issuer.url, "cli", show=show, **given)


def agree(url: str) -> None:
    httpx2.get(url, follow_redirects=True)


def test_answer_to_another_sign_in_is_not_taken(issuer: Issuer) -> None:
    def attacked(url: str) -> None:
        wanted = dict(parse_qsl(urlsplit(url).query))
        for forged in ({"code": "theirs"}, {"code": "theirs", "state": "guessed"}, {"error": "denied", "state": "ü"}):
            assert httpx2.get(f"{wanted['redirect_uri']}?{urlencode(forged)}").status_code == 404
        assert httpx2.get(f"{wanted['redirect_uri']}favicon.ico?{urlencode({'state': wanted['state']})}").status_code == 404
        agree(url)

    assert signed_in(issuer, attacked).access == "access-1"
    assert [form["code"] for form in issuer.exchanged] == ["code-1"]


def test_connection_that_the_browser_does_not_use_delays_nothing(issuer: Issuer) -> None:
    def opened(url: str) -> None:
        port = urlsplit(dict(parse_qsl(urlsplit(url).query))["redirect_uri"]).port
        with socket.create_connection(("127.0.0.1", port or 0)):
            agree(url)

    assert signed_in(issuer, opened).access == "access-1"


def test_answer_in_the_name_of_another_issuer_is_refused(issuer: Issuer) -> None:
    issuer.answer["iss"] = "https://other.example.com"
    with pytest.raises(SignInFailed, match="another issuer"):
        signed_in(issuer, agree)
    assert issuer.exchanged == []


def test_sign_in_ends_when_nobody_answers(issuer: Issuer) -> None:
    with pytest.raises(SignInFailed, match="Nobody signed in"):
        signed_in(issuer, lambda _: None, patience=0.05)


def test_configuration_of_another_issuer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def answered(method: str, url: str) -> httpx2.Response:
        return httpx2.Response(200, json={"issuer": "https://other.example.com"}, request=httpx2.Request(method, url))

    monkeypatch.setattr(sign_in, "_sent", answered)
    with pytest.raises(SignInFailed, match="another issuer"):
        sign_in.Issuer.discovered("https://issuer.example.com")


@pytest.mark.parametrize("place", ["issuer", "authorization_endpoint", "token_endpoint"])
def test_secret_is_sent_over_https_only(place: str, issuer: Issuer) -> None:
    url = "http://issuer.example.com"
    issuer.configuration[place] = url
    with pytest.raises(SignInFailed, match="https"):
        sign_in.Issuer.discovered(url if place == "issuer" else issuer.url)


def test_issuer_without_a_sign_in_page_is_an_error(issuer: Issuer) -> None:
    del issuer.configuration["authorization_endpoint"]
    with pytest.raises(SignInFailed, match="authorization_endpoint"):
        sign_in.Issuer.discovered(issuer.url)


@pytest.mark.parametrize("uri", ["https://localhost:8976/", "http://example.com:8976/", "http://localhost/"])
def test_address_elsewhere_is_refused(uri: str, issuer: Issuer) -> None:
    with pytest.raises(WrongInput, match="does not return to this machine"):
        signed_in(issuer, agree, redirect_uri=uri)


def test_port_that_is_taken_is_named(issuer: Issuer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(WrongInput, match="--redirect-uri"):
        signed_in(issuer, agree, redirect_uri=f"http://localhost:{taken.getsockname()[1]}/")


def test_local_stack_lets_the_command_line_return() -> None:
    assert sign_in.REDIRECT_URI in FOR_DEVELOPERS["SignInUrls"].split(",")


# ── Renewal ──


def stored(profiles: Profiles, issuer: Issuer, **changes: Any) -> Callable[[], str]:
    """Store a profile of a sign-in, and return what gives its token."""
    issuer.refresh_tokens = [GIVEN]
    given = {"token": "access-0", "refresh_token": GIVEN, "expires_at": int(time.time()) + 900, **changes}
    profiles.save("work", Profile("https://api.example.com", issuer=issuer.url, client_id="cli", **given))
    source = profiles.chosen("work", {}).token_source()
    assert callable(source)
    return source


def test_token_that_is_valid_is_not_renewed(profiles: Profiles, issuer: Issuer) -> None:
    assert stored(profiles, issuer)() == "access-0"
    assert issuer.exchanged == []


def test_token_that_is_over_is_renewed_and_stored(profiles: Profiles, issuer: Issuer) -> None:
    source = stored(profiles, issuer, expires_at=int(time.time()) + 5)
    assert source() == "access-1"
    found = profiles.all()["work"]
    assert (found.token, found.refresh_token) == ("access-1", "refresh-1")
    assert found.expires_at == pytest.approx(time.time() + 900, abs=60)
    assert profiles.path.stat().st_mode & 0o777 == 0o600


def test_token_that_the_api_refused_is_renewed(profiles: Profiles, issuer: Issuer) -> None:
    source = stored(profiles, issuer)
    assert [source(), source()] == ["access-0", "access-1"]


def test_token_that_another_process_has_renewed_is_taken(profiles: Profiles, issuer: Issuer) -> None:
    first, second = stored(profiles, issuer), stored(profiles, issuer)
    assert [first(), second()] == ["access-0"] * 2
    assert [first(), second()] == ["access-1"] * 2
    assert len(issuer.exchanged) == 1


def test_processes_renew_a_token_once(profiles: Profiles, issuer: Issuer) -> None:
    sources = [stored(profiles, issuer, expires_at=0) for _ in range(4)]
    with ThreadPoolExecutor(len(sources)) as processes:
        found = list(processes.map(lambda source: source(), sources))
    assert found == ["access-1"] * 4


def test_issuer_that_gives_no_new_refresh_token_leaves_the_old_one() -> None:
    assert sign_in.Tokens.of({"access_token": "a", "expires_in": "900"}, GIVEN).refresh == GIVEN
    with pytest.raises(SignInFailed, match="access token"):
        sign_in.Tokens.of({}, GIVEN)


def test_sign_in_that_is_over_says_what_to_do(profiles: Profiles, issuer: Issuer, capfd: pytest.CaptureFixture[str]) -> None:
    stored(profiles, issuer, expires_at=0, refresh_token=FORGOTTEN)
    assert app.run(["--profile", "work", "types"]) == 77
    assert "It is over" in (printed := capfd.readouterr().err)
    assert "asyncjobs --profile work login" in printed
    stored(profiles, issuer, expires_at=0, refresh_token=None)
    assert app.run(["--profile", "work", "types"]) == 77
    assert "asyncjobs --profile work login" in capfd.readouterr().err


def test_profile_shows_no_secret() -> None:
    profile = Profile("https://api.example.com", "access-0", refresh_token=GIVEN)
    assert GIVEN not in repr(profile)
    assert "access-0" not in repr(profile)
