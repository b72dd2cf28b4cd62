"""Which requests the engine answers: signed ones, and the few that AWS also answers without a signature."""

import os
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, quote

from local.emulator_patches.emulator import module

_SIGN_IN = {f"AWSCognitoIdentityProviderService.{call}" for call in ("InitiateAuth", "RespondToAuthChallenge", "RevokeToken")}
_ADMINISTRATION = ("/_ministack/", "/_localstack/")
_REFUSAL = b"""\
The local engine answers signed requests. Its credentials, as shell variables: make env
Without a signature it answers a deployed API, signed links and sign-in pages, at http://127.0.0.1 or http://localhost.
"""

_Answer = tuple[int, Mapping[str, str], bytes]


@dataclass(frozen=True)
class Request:
    """What the decision depends on. Header names are lowercase."""

    method: str
    path: str
    raw_path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]

    @classmethod
    def of(cls, scope: Mapping[str, Any]) -> "Request":
        """Read an ASGI scope. A header on several lines becomes one value, because a signature covers it so."""
        headers: dict[str, str] = {}
        decode = module("core.sigv4").decode_header_value
        for name, value in scope["headers"]:
            key, text = name.decode("latin-1").lower(), decode(value)
            headers[key] = f"{headers[key]},{text}" if key in headers else text
        raw_path = scope.get("raw_path") or quote(scope["path"]).encode()
        query = parse_qs(scope["query_string"].decode("utf-8", "replace"), keep_blank_values=True)
        return cls(scope.get("method", "WEBSOCKET"), scope["path"], raw_path.decode("latin-1"), query, headers)

    @cached_property
    def is_from_page(self) -> bool:
        """Whether a web page caused the request: then a browser sends one of these headers. Programs send neither."""
        return "origin" in self.headers or self.headers.get("sec-fetch-site", "none") != "none"

    @property
    def is_navigation(self) -> bool:
        """Whether the browser shows the answer in a tab, where the page that led to it cannot read it."""
        return self.headers.get("sec-fetch-mode") == "navigate" and self.headers.get("sec-fetch-dest") == "document"

    @property
    def is_from_own_page(self) -> bool:
        """Whether the page came from the same host and port as the request's."""
        own = f"http://{self.headers.get('host')}"
        return self.headers.get("sec-fetch-site", "same-origin" if self.headers.get("origin") == own else "") == "same-origin"

    @cached_property
    def is_link(self) -> bool:
        """Whether the URL carries its own permission, and no header competes with it."""
        return "X-Amz-Signature" in self.query and not self.headers.keys() & {"authorization", "x-amz-target"}

    @property
    def is_sign_in(self) -> bool:
        """Whether the call is a step of a sign-in or the sign-out, and nothing in it names another service."""
        return self.headers.get("x-amz-target") in _SIGN_IN and not self.query and "authorization" not in self.headers

    @property
    def carries_a_signature(self) -> bool:
        return self.is_link or self.headers.get("authorization", "").startswith("AWS4-")


_UNSIGNED: tuple[tuple[re.Pattern[str], Callable[[Request], bool]], ...] = tuple(
    (re.compile(pattern, re.DOTALL), condition)
    for pattern, condition in (
        # A deployed API decides by the caller's token and the template's CORS. Only pushes to its WebSockets are signed.
        (r"\w+ /_aws/execute-api/[^/]+/(?![^/]*/@connections/).*", lambda _: True),
        # A preflight of a page that is about to use a signed link.
        (r"OPTIONS .*", lambda request: request.is_link),
        # Cognito's sign-in: authorization code and PKCE on its own pages, and a discovery of its public keys.
        (r"GET (/oauth2/authorize|/logout)", lambda request: request.is_navigation or not request.is_from_page),
        (r"POST (/oauth2)?/login", lambda request: request.is_from_own_page or not request.is_from_page),
        (r"POST /oauth2/token", lambda _: True),
        (r"GET /[a-z0-9-]+_[A-Za-z0-9]+/\.well-known/(jwks\.json|openid-configuration)", lambda _: True),
        # Cognito's sign-in by password or SRP, and the sign-out, for programs.
        (r"POST /", lambda request: request.is_sign_in and not request.is_from_page),
        (r"GET /_ministack/health", lambda request: not request.is_from_page),
    )
)


def refuse_strangers() -> None:
    """Refuse requests that neither carry a valid signature nor belong to what AWS answers without one.

    The emulator answers every request, and allows pages of every origin to read the answers. So a page that is open in a
    browser, or another user of this machine, could create a function and run it.
    """
    emulator = module("app")
    serve, port = emulator.app, os.environ["GATEWAY_PORT"]
    own_hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}

    async def guarded(scope: Any, receive: Any, send: Any) -> Any:
        if scope["type"] not in {"http", "websocket"}:  # the server's own events
            return await serve(scope, receive, send)
        request = Request.of(scope)
        # An attacker's host name may resolve to this machine, too (DNS rebinding).
        if request.headers.get("host") in own_hosts and needs_no_signature(request):
            return await serve(scope, receive, send)
        if scope["type"] == "websocket":
            return await _close(receive, send)
        if not may_be_signed(request):
            return await _answer(send, 403, {"content-type": "text/plain"}, _REFUSAL)
        body = b"" if request.is_link else await _read(receive)
        if refusal := _refusal_of_signature(request, body):
            return await _answer(send, *refusal)
        return await serve(scope, receive if request.is_link else _replayed(body, receive), send)

    emulator.app = guarded


def needs_no_signature(request: Request) -> bool:
    """Return whether AWS answers this without a signature, and an app or a sign-in on this machine needs it."""
    line = f"{request.method} {request.path}"
    return any(pattern.fullmatch(line) and condition(request) for pattern, condition in _UNSIGNED)


def may_be_signed(request: Request) -> bool:
    """Return whether a valid signature makes this acceptable. Pages may use signed links, and sign nothing themselves."""
    if request.path.startswith(_ADMINISTRATION):
        return False
    return request.carries_a_signature and (request.is_link or not request.is_from_page)


def _refusal_of_signature(request: Request, body: bytes) -> _Answer | None:
    """Return None if the engine's own credentials, or those of a role or user in it, made the signature.

    The emulator checks the signatures of roles and users only, and accepts any from the account itself.
    """
    signing, evaluator = module("core.sigv4"), module("core.iam_evaluator")
    parse = signing.parse_query_signature if request.is_link else signing.parse_header_signature
    signature = parse(request.query if request.is_link else request.headers)
    if isinstance(signature, tuple):
        return _denied("", request, *signature)
    token = (
        request.query.get("X-Amz-Security-Token", [""])[0] if request.is_link else request.headers.get("x-amz-security-token")
    )
    credential = evaluator.resolve_credential(signature.access_key_id, session_token=token)
    if isinstance(credential, evaluator.CredentialResolutionError):
        return _denied(signature.service, request, credential.code, credential.message)
    failure = _expiry(signature, request) or signing.header_signature_failure(
        signature, credential.secret_access_key, request.method, request.raw_path, request.query, request.headers, body,
        presigned=request.is_link,
    )  # fmt: skip
    return _denied(signature.service, request, *failure) if failure else None


def _expiry(signature: Any, request: Request) -> tuple[str, str] | None:
    signing = module("core.sigv4")
    if not request.is_link:
        failure: tuple[str, str] | None = signing.request_time_failure(signature)
        return failure
    if signature.service != "s3":
        return "AccessDenied", "Only links to S3 objects are answered."
    lifetime = request.query.get("X-Amz-Expires", [""])[0]
    if not lifetime.isdecimal() or signing.presigned_request_is_expired(signature.amz_date, lifetime):
        return "AccessDenied", "Request has expired"
    return None


def _denied(service: str, request: Request, code: str, message: str) -> _Answer:
    """Return a refusal in the format of this service's clients."""
    answer: _Answer = module("core.iam_actions").access_denied_response(
        service, "", "", str(uuid.uuid4()), error_code=code, message=message, headers=request.headers
    )
    return answer


async def _read(receive: Any) -> bytes:
    body = bytearray()
    while True:
        event = await receive()
        body += event.get("body", b"")
        if not event.get("more_body"):
            return bytes(body)


def _replayed(body: bytes, receive: Any) -> Any:
    """Return a `receive` that yields a request whose body has been read already."""
    events = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def again() -> Any:
        return next(events, None) or await receive()

    return again


async def _answer(send: Any, status: int, headers: Mapping[str, str], body: bytes) -> None:
    fields = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": [*fields, (b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def _close(receive: Any, send: Any) -> None:
    await receive()  # the event that the client connects
    await send({"type": "websocket.close", "code": 1008})
