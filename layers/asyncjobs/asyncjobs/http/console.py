"""The console: one page at every URL below `/console/`, and its files at URLs that change with their content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from asyncjobs.http.answers import Answer, entity_tag
from asyncjobs.http.api import answered
from asyncjobs.http.compression import compressed
from asyncjobs.http.request import Request
from asyncjobs.log import log_event

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_PAGE, _MODULES = "index.html", ".js"
_WORKER = "session_worker.js"
"""A service worker may control pages of its own folder and below it, unless its answer permits more."""
_ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=63072000",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "vary": "accept-encoding",
}
_SMALL = 1_000
"""Characters that compression does not make worth a header."""


@dataclass(frozen=True)
class SignIn:
    """Where users sign in by an authorization code with PKCE, and as which client."""

    authorize: str
    token: str
    sign_out: str | None
    client_id: str
    scope: str
    urls: tuple[str, ...] | None = None
    """The pages to which the issuer returns; None if the console cannot know them."""
    audience: str | None = None
    """Whom the token is for, where that is not the client."""

    def body(self) -> dict[str, Any]:
        """Return what the page needs of it."""
        return {
            "authorize": self.authorize,
            "token": self.token,
            "signOut": self.sign_out,
            "clientId": self.client_id,
            "scope": self.scope,
            "urls": None if self.urls is None else list(self.urls),
            "audience": self.audience,
        }


def sign_in_of_issuer(
    issuer: str, *, client_id: str, scopes: Sequence[str], audiences: Sequence[str], read: Callable[[str], bytes]
) -> SignIn | None:
    """Return the sign-in that the issuer's discovery document describes; None if it cannot be read."""
    try:
        found = json.loads(read(f"{issuer.rstrip('/')}/.well-known/openid-configuration"))
        return SignIn(
            authorize=found["authorization_endpoint"],
            token=found["token_endpoint"],
            sign_out=found.get("end_session_endpoint"),
            client_id=client_id,
            scope=" ".join(["openid", *scopes]),
            audience=None if client_id in audiences else audiences[0],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        log_event("ISSUER_UNAVAILABLE", exception=error)
        return None


class Console:
    """Answers the requests of the console. It reads no token: only the API shows data."""

    def __init__(
        self, folder: Path, *, application: str, socket_url: str, sign_in: Callable[[], SignIn | None], is_configured: bool
    ) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
        }
        digest = hashlib.sha256()
        for name, content in self._files.items():
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        self._digest = digest.hexdigest()[:16]
        self._application, self._socket_url = application, socket_url
        self._sign_in, self._is_configured = sign_in, is_configured

    def handle(self, event: Mapping[str, Any]) -> Answer:
        """Answer an event of an HTTP API (payload format 2.0)."""
        return answered(Request(event), self._answer)

    def _answer(self, request: Request) -> Answer:
        path = request.path_parameters.get("proxy", "")
        if not path:
            return {
                "statusCode": 302,
                "headers": {**_ALWAYS, "location": "console/jobs", "cache-control": "no-cache"},
                "body": "",
            }
        if path.startswith("files/"):
            found = self._file(path.removeprefix("files/"))
        elif PurePosixPath(path).suffix in {*_TYPES, ".ico", ".png", ".map", ".json"}:
            found = _missing()
        else:
            found = self._page(path)
        tag = found["headers"].get("etag", "").removeprefix("W/")
        if tag and request.known_tags & {tag, "*"}:
            return {"statusCode": 304, "headers": found["headers"], "body": ""}
        if request.accepts_gzip and len(found["body"]) >= _SMALL:
            found = {
                **found,
                "headers": {**found["headers"], "content-encoding": "gzip"},
                "body": compressed(found["body"]),
                "isBase64Encoded": True,
            }
        return found

    def _file(self, path: str) -> Answer:
        digest, _, name = path.partition("/")
        if digest != self._digest or name not in self._files or name == _PAGE:
            return _missing()
        headers = {
            **_ALWAYS,
            "content-type": _TYPES.get(PurePosixPath(name).suffix, "application/octet-stream"),
            "cache-control": "public, max-age=31536000, immutable",
        }
        if name.endswith(_WORKER):
            headers["service-worker-allowed"] = "../../"
        return {"statusCode": 200, "headers": headers, "body": self._files[name].decode()}

    def _page(self, path: str) -> Answer:
        """Return the page with links that are relative to its URL: the function does not see the URL that the browser used."""
        sign_in = self._sign_in() if self._is_configured else None
        base = "../" * path.count("/") or "./"
        files = f"files/{self._digest}/"
        modules = [name for name in self._files if name.endswith(_MODULES) and not name.endswith(_WORKER)]
        config = {
            "application": self._application,
            "files": files,
            "isConfigured": self._is_configured,
            "hasSocket": bool(self._socket_url),
            "signIn": sign_in and sign_in.body(),
        }
        values = {
            "base": base,
            "files": files,
            "preload": "\n".join(f'    <link rel="modulepreload" href="{files}{name}" />' for name in modules),
            "config": json.dumps(config).replace("<", "\\u003c"),
        }
        text = self._files[_PAGE].decode()
        for name, value in values.items():
            text = text.replace(f"{{{{{name}}}}}", value)
        headers = {
            **_ALWAYS,
            "content-type": _TYPES[".html"],
            "cache-control": "no-cache",
            "content-security-policy": self._policy(sign_in),
            "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
            "etag": f"W/{entity_tag(text)}",  # weak, since it is the same for both forms
        }
        return {"statusCode": 200, "headers": headers, "body": text}

    def _policy(self, sign_in: SignIn | None) -> str:
        """Return the policy of the page's content: its own files, the API, the socket, and the issuer of tokens."""
        connects = ["'self'", *filter(None, [_origin(self._socket_url), _origin(sign_in.token) if sign_in else ""])]
        return "; ".join(
            (
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "img-src 'self' data:",
                "worker-src 'self'",
                f"connect-src {' '.join(connects)}",
                "base-uri 'self'",
                "form-action 'none'",
                "frame-ancestors 'none'",
                "require-trusted-types-for 'script'",
                "trusted-types lit-html session-worker",
            )
        )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def _missing() -> Answer:
    return {
        "statusCode": 404,
        "headers": {**_ALWAYS, "content-type": _TYPES[".txt"], "cache-control": "no-store"},
        "body": "The console has no such file. Load the page again.\n",
    }
