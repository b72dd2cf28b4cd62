"""Requests as API Gateway hands them over (payload format 2.0). Each part is checked when it is read."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from asyncjobs.core.errors import InputProblem, JobNotFound
from asyncjobs.core.job import JobKey
from asyncjobs.http.error_codes import ERRORS
from asyncjobs.http.problems import Problem, invalid_request
from asyncjobs.http.strict_json import invalid_json, parse_json

MAX_BODY = 256 * 1024
JOB_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

# OpenID Connect restricts a subject to ASCII. A longer or wider one would not always fit into the name of an object.
_OWNER = re.compile(r"[\x20-\x22\x24-\x7e]{1,128}")
_JSON_TYPE = re.compile(r'application/json(\s*;\s*charset="?utf-8"?)?', re.IGNORECASE)
_ACCEPTABLE = frozenset({"*/*", "application/*", "application/json", "application/problem+json"})
_TOKEN = re.compile(r"[\x21\x23-\x7e]{1,255}")
_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,255})"')
IDEMPOTENCY_KEY = f"^({_TOKEN.pattern}|{_QUOTED.pattern})$"
"""Both forms of the header as one pattern, for the OpenAPI document."""

_SECONDS = re.compile(r"[0-9]{1,6}")


class Preference(NamedTuple):
    """How long a client prefers to wait for its job."""

    respond_async: bool
    wait_seconds: int | None


class Request:
    """A request, as far as any route needs it."""

    def __init__(self, event: Mapping[str, Any]) -> None:
        self.route: str = event["routeKey"]
        self.request_id: str = event["requestContext"]["requestId"]
        self.path: Mapping[str, str] = event.get("pathParameters") or {}
        self.query: Mapping[str, str] = event.get("queryStringParameters") or {}
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        self._event = event

    @property
    def owner(self) -> str:
        """Return the subject of the token that the gateway verified: no other part of a request names the caller."""
        authorizer = self._event["requestContext"].get("authorizer") or {}
        subject = (authorizer.get("jwt") or {}).get("claims", {}).get("sub")
        if not isinstance(subject, str) or not _OWNER.fullmatch(subject):
            raise Problem("OWNER_MISSING")
        return subject

    @property
    def job_id(self) -> str:
        """Return the id in the path. Raise `JobNotFound` for a malformed one, as for an unknown one."""
        async_job_id = self.path.get("asyncJobId", "")
        if not JOB_ID.fullmatch(async_job_id):
            raise JobNotFound
        return async_job_id

    @property
    def job_key(self) -> JobKey:
        """Return the key of the job in the path, if it is the caller's."""
        return JobKey(self.owner, self.job_id)

    @property
    def idempotency_key(self) -> str | None:
        """Return the `Idempotency-Key`: a quoted string (RFC 9651) and a bare token with the same text are the same key."""
        header = self.headers.get("idempotency-key")
        if header is None:
            return None
        if quoted := _QUOTED.fullmatch(header):
            return re.sub(r"\\(.)", r"\1", quoted[1])
        if _TOKEN.fullmatch(header):
            return header
        raise invalid_request(
            InputProblem("", "The Idempotency-Key header must be 1 to 255 visible ASCII characters, in quotes or without.")
        )

    @property
    def bearer(self) -> str | None:
        """Return the bearer token. Where the gateway has no authorizer, nothing has verified it."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None

    @property
    def preference(self) -> Preference:
        """Return the `Prefer` header (RFC 7240), without the preferences that are unknown or malformed: it ignores those."""
        found: dict[str, str] = {}
        for preference in self.headers.get("prefer", "").split(","):
            name, _, value = preference.partition(";")[0].partition("=")
            # Of two with the same name, the first one counts.
            found.setdefault(name.strip().lower(), value.strip().strip('"'))
        wait = found.get("wait", "")
        seconds = int(wait) if _SECONDS.fullmatch(wait) else None
        return Preference(respond_async="respond-async" in found, wait_seconds=seconds)

    @property
    def known_tags(self) -> frozenset[str]:
        """Return the entity tags of `If-None-Match` (RFC 9110 13.1.2), without the `W/` that its comparison ignores."""
        tags = self.headers.get("if-none-match", "").split(",")
        return frozenset(tag.strip().removeprefix("W/") for tag in tags if tag.strip())

    @property
    def has_body(self) -> bool:
        """Return whether there is a body."""
        return bool(self._event.get("body"))

    def json(self) -> Any:
        """Return the body. Raise a `Problem` (413, 415, 400) for anything but valid JSON in UTF-8."""
        if not _JSON_TYPE.fullmatch(self.headers.get("content-type", "").strip()):
            raise Problem("UNSUPPORTED_MEDIA_TYPE")
        return parse_json(self._body())

    def check_accept(self) -> None:
        """Raise a `Problem` (406) if the client accepts no JSON."""
        accept = self.headers.get("accept", "*/*")
        if not any(part.partition(";")[0].strip().lower() in _ACCEPTABLE for part in accept.split(",")):
            raise Problem("NOT_ACCEPTABLE")

    def _body(self) -> bytes:
        body = self._event.get("body") or ""
        try:
            data = base64.b64decode(body, validate=True) if self._event.get("isBase64Encoded") else body.encode()
        except ValueError as error:
            raise invalid_json("", "The body is not readable.") from error
        if len(data) > MAX_BODY:
            reason = f"The body has {len(data)} bytes; the maximum is {MAX_BODY}."
            raise Problem("REQUEST_TOO_LARGE", f"{reason} {ERRORS['REQUEST_TOO_LARGE'].detail}")
        return data
