"""Sign in by the browser: OpenID Connect's discovery, and an authorization code with PKCE that returns to this machine."""

from __future__ import annotations

import base64
import hashlib
import hmac
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2

from asyncjobs_client.cli.inputs import WrongInput
from asyncjobs_client.cli.profiles import SignInFailed
from asyncjobs_client.errors import ApiConnectionError

SCOPE = "openid asyncjobs/jobs"
"""The scope of the API with the user pool of its own stack."""
REDIRECT_URI = "http://localhost:8976/"
"""Where the browser returns to. Most issuers compare it with the client's allowed ones, its port too."""

_TIMEOUT = 30.0
_LOOPBACK = {"localhost", "127.0.0.1"}
_PAGE = b"<!doctype html><meta charset=utf-8><title>asyncjobs</title><p>Go back to the terminal: you can close this page."
_HEADERS = {
    "content-type": "text/html",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'",
    "referrer-policy": "no-referrer",  # the address has the code
}


@dataclass(frozen=True)
class Tokens:
    """What the issuer gives."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    expires_at: int | None

    @classmethod
    def of(cls, answer: Mapping[str, Any], refresh: str | None) -> Tokens:
        """Return the tokens of an answer. An answer without a refresh token leaves the earlier one valid."""
        if not answer.get("access_token"):
            raise SignInFailed("The issuer's answer has no access token.")
        lifetime = answer.get("expires_in")
        expires_at = None if lifetime is None else int(time.time() + float(lifetime))
        return cls(answer["access_token"], answer.get("refresh_token") or refresh, expires_at)


@dataclass(frozen=True)
class Issuer:
    """The addresses of an issuer, from its configuration."""

    name: str
    authorization_endpoint: str
    token_endpoint: str

    @classmethod
    def discovered(cls, url: str) -> Issuer:
        """Read the issuer's configuration, which must be its own."""
        address = f"{_secure(url).rstrip('/')}/.well-known/openid-configuration"
        found = _json(_sent("GET", address))
        name = found.get("issuer")
        # The local engine answers in Cognito's name.
        if name != url and not _is_loopback(url):
            raise SignInFailed(f"{address} is the configuration of {name!r}, which is another issuer.")
        try:
            return cls(str(name), _secure(found["authorization_endpoint"]), _secure(found["token_endpoint"]))
        except KeyError as error:
            raise SignInFailed(f"{address} has no {error}: this issuer has no sign-in page.") from None

    def tokens(self, refresh: str | None = None, **form: str) -> Tokens:
        """Exchange a code or a refresh token."""
        answer = _sent("POST", self.token_endpoint, data=form)
        return Tokens.of(_json(answer), refresh)


def sign_in(
    issuer_url: str,
    client_id: str,
    *,
    scope: str,
    redirect_uri: str,
    audience: str | None = None,
    show: Callable[[str], object],
    patience: float = 300.0,
) -> Tokens:
    """Show the issuer's page to the user, and return the tokens when they have signed in.

    `audience` is the API that the token is for, as issuers such as Auth0 name it: without it, their tokens are for no API.
    """
    issuer = Issuer.discovered(issuer_url)
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
    with _landing(redirect_uri, state) as landing:
        wanted = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": landing.uri,
            "scope": scope,
            "state": state,
            "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **({"audience": audience} if audience else {}),
        }
        separator = "&" if "?" in issuer.authorization_endpoint else "?"
        show(f"{issuer.authorization_endpoint}{separator}{urlencode(wanted)}")
        answer = landing.answer(patience)
    if answer.get("iss", issuer.name) != issuer.name:
        raise SignInFailed(f"The answer is that of {answer['iss']!r}, which is another issuer.")
    if "code" not in answer:
        raise SignInFailed(_refusal(answer))
    return issuer.tokens(
        grant_type="authorization_code",
        client_id=client_id,
        redirect_uri=landing.uri,
        code=answer["code"],
        code_verifier=verifier,
    )


def renewed(issuer_url: str, client_id: str, refresh: str) -> Tokens:
    """Return new tokens for a refresh token."""
    return Issuer.discovered(issuer_url).tokens(refresh, grant_type="refresh_token", client_id=client_id, refresh_token=refresh)


class _Landing(ThreadingHTTPServer):
    """Waits on this machine for the browser. Threads, because browsers also open connections that they do not use."""

    allow_reuse_port = False

    def __init__(self, redirect_uri: str, state: str) -> None:
        where = urlsplit(redirect_uri)
        if where.scheme != "http" or where.hostname not in _LOOPBACK or where.port is None:
            raise WrongInput(f"{redirect_uri!r} does not return to this machine: use one such as {REDIRECT_URI}.")
        try:
            super().__init__(("127.0.0.1", where.port), _LandingHandler)
        except OSError as error:
            raise WrongInput(f"Port {where.port} is not free ({error.strerror}): give another --redirect-uri.") from error
        self.path = where.path or "/"
        self.uri = f"http://{where.hostname}:{self.server_address[1]}{where.path}"
        self.state = state
        self.answers = queue.SimpleQueue[dict[str, str]]()

    def answer(self, patience: float) -> dict[str, str]:
        """Return what the issuer says by way of the browser."""
        try:
            return self.answers.get(timeout=patience)
        except queue.Empty:
            raise SignInFailed(f"Nobody signed in within {patience:g} s.") from None


class _LandingHandler(BaseHTTPRequestHandler):
    server: _Landing
    timeout = 30

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        answer = dict(parse_qsl(url.query))
        is_ours = url.path == self.server.path and hmac.compare_digest(
            answer.get("state", "").encode(), self.server.state.encode()
        )
        self.send_response_only(200 if is_ours else 404)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        if is_ours:  # or else another page of the browser has sent it here
            self.wfile.write(_PAGE)
            self.server.answers.put(answer)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def _landing(redirect_uri: str, state: str) -> Iterator[_Landing]:
    with _Landing(redirect_uri, state) as landing:
        thread = threading.Thread(target=landing.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield landing
        finally:
            landing.shutdown()
            thread.join()


def _sent(method: str, url: str, **options: Any) -> httpx2.Response:
    try:
        return httpx2.request(method, url, headers={"accept": "application/json"}, timeout=_TIMEOUT, **options)
    except httpx2.RequestError as error:
        raise ApiConnectionError(f"{method} {url}: {type(error).__name__}: {error}") from error


def _json(answer: httpx2.Response) -> dict[str, Any]:
    """Return the object of an answer that is a success."""
    try:
        found = answer.json()
    except ValueError:
        found = None
    found = found if isinstance(found, dict) else {}
    if not answer.is_success:
        raise SignInFailed(f"{answer.request.url} answered {answer.status_code}. {_refusal(found)}")
    return found


def _refusal(answer: Mapping[str, Any]) -> str:
    """Return what an error of OAuth says."""
    said = ": ".join(str(answer[name]) for name in ("error", "error_description") if answer.get(name))
    return f"The issuer refused the sign-in: {said or 'it gives no reason'}."


def _secure(url: str) -> str:
    """Return an address to which a secret may be sent."""
    if urlsplit(url).scheme != "https" and not _is_loopback(url):
        raise SignInFailed(f"{url!r} is not an address of https.")
    return url


def _is_loopback(url: str) -> bool:
    return urlsplit(url).scheme == "http" and urlsplit(url).hostname in _LOOPBACK
