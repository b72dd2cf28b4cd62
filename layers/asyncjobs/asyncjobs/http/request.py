"""Requests as API Gateway hands them over (payload format 2.0). Each part is checked when it is read."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from asyncjobs.core.errors import AsyncJobsError, InputProblem, JobNotFound
from asyncjobs.core.job import UUID, JobKey, is_owner
from asyncjobs.http.error_codes import ERRORS
from asyncjobs.http.header_fields import accepted, elements, is_accepted, item, pair
from asyncjobs.http.problems import Problem, invalid_request
from asyncjobs.http.query_string import Query, read_query
from asyncjobs.http.strict_json import invalid_json, parse_json

BASE_PATH = "/api/v1"
"""The path of every operation begins with it."""
MAX_BODY = 256 * 1024
JOB_ID = re.compile(UUID)

_TOKEN = re.compile(r"[\x21\x23-\x2b\x2d-\x7e]{1,255}")
_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,255})"')
IDEMPOTENCY_KEY = f"^({_TOKEN.pattern}|{_QUOTED.pattern})$"
"""Both forms of the header as one pattern, for the OpenAPI document."""

_SECONDS = re.compile(r"[0-9]{1,6}")
_WIDE_CHARSET = re.compile(r"(utf|ucs).?(7|2|4|16|32)", re.IGNORECASE)
_GZIP = ("gzip", "x-gzip")
_LIKE_GZIP = b"\x1f"


def id_of(text: str, not_found: type[AsyncJobsError] = JobNotFound) -> str:
    """Return an id that a client names, as records have it. Raise `not_found` for a malformed one, as for an unknown one.

    Clients may write a UUID's letters in upper case (RFC 9562 4); answers and records have them in lower case.
    """
    found = text.lower()
    if not JOB_ID.fullmatch(found):
        raise not_found
    return found


class Preference(NamedTuple):
    """How long a client prefers to wait for its job."""

    respond_async: bool
    wait_seconds: int | None


class Request:
    """A request, as far as any route needs it."""

    def __init__(self, event: Mapping[str, Any]) -> None:
        route: str = event["routeKey"]
        self.is_head = route.startswith("HEAD ")
        """Whether the answer is that to GET without its body (RFC 9110 9.3.2)."""
        self.route = route.replace("HEAD ", "GET ", 1) if self.is_head else route
        self.request_id: str = event["requestContext"]["requestId"]
        # The gateway decodes all of a path but the percent signs.
        self.path_parameters: Mapping[str, str] = {
            name: text.replace("%25", "%") for name, text in (event.get("pathParameters") or {}).items()
        }
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        self.event = event

    @property
    def base(self) -> str:
        """Return the API's base path as a reference that is relative to the request's URL (RFC 3986 4.2).

        It leads there from behind a stage, the base path of a custom domain, and the prefix of a proxy: the function cannot see
        the URL that the client used, only how deep in the API it is.
        """
        raw_path: str = self.event.get("rawPath", "")
        depth = self.route.partition(BASE_PATH)[2].count("/") + raw_path.endswith("/")
        return "../" * (depth - 1)

    @property
    def query(self) -> Query:
        """Return the parameters of the query. Raise a `Problem` (400) for text that is not UTF-8 or has NUL."""
        return read_query(self.event.get("rawQueryString", ""))

    @property
    def owner(self) -> str:
        """Return the subject of the token that the gateway verified: no other part of a request names the caller."""
        authorizer = self.event["requestContext"].get("authorizer") or {}
        claims = (authorizer.get("jwt") or {}).get("claims", {})
        subject = claims.get("sub")
        # A Cognito ID token has the audience of an access token. Without a scope, the gateway accepts both.
        if claims.get("token_use") == "id" or not isinstance(subject, str) or not is_owner(subject):
            raise Problem("OWNER_MISSING")
        return subject

    @property
    def job_id(self) -> str:
        """Return the id in the path. Raise `JobNotFound` for a malformed one."""
        return id_of(self.path_parameters.get("asyncJobId", ""))

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
        header = header.strip(" \t")
        if quoted := _QUOTED.fullmatch(header):
            return re.sub(r"\\(.)", r"\1", quoted[1])
        if _TOKEN.fullmatch(header):
            return header
        # The gateway joins repeated headers with a comma, and what it has joined is no key of the client's.
        reason = "is given twice; a single key with a comma needs quotes" if "," in header else "is not a key"
        allowed = "1 to 255 visible ASCII characters, in quotes or without"
        raise invalid_request(InputProblem("", f"The Idempotency-Key header {reason}. Send {allowed}."))

    @property
    def bearer(self) -> str | None:
        """Return the bearer token. Where the gateway has no authorizer, nothing has verified it."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None

    @property
    def preference(self) -> Preference:
        """Return the `Prefer` header (RFC 7240), without the preferences that are unknown or malformed: it ignores those."""
        found: dict[str, str] = {}
        for preference in elements(self.headers.get("prefer", "")):
            name, value = pair(preference.partition(";")[0])
            # Of two with the same name, the first one counts.
            found.setdefault(name, value)
        wait = found.get("wait", "")
        seconds = int(wait) if _SECONDS.fullmatch(wait) else None
        return Preference(respond_async="respond-async" in found, wait_seconds=seconds)

    @property
    def known_tags(self) -> frozenset[str]:
        """Return the entity tags of `If-None-Match` (RFC 9110 13.1.2), without the `W/` that its comparison ignores.

        `*`, which stands for any tag, is one only when it stands alone.
        """
        tags = elements(self.headers.get("if-none-match", ""))
        return frozenset(tag.removeprefix("W/") for tag in tags if tag != "*" or len(tags) == 1)

    @property
    def has_body(self) -> bool:
        """Return whether there is a body."""
        return bool(self.event.get("body"))

    @property
    def accepts_json(self) -> bool:
        """Return whether the client accepts JSON (RFC 9110 12.5.1)."""
        ranges = accepted(self.headers.get("accept", ""))
        types = ("application/json", "application/problem+json")
        return not ranges or any(is_accepted(ranges, name, "application/*", "*/*", "*") for name in types)

    def accepts(self, media_type: str) -> bool:
        """Return whether the client names this media type, and so prefers it to JSON."""
        return accepted(self.headers.get("accept", "")).get(media_type, False)

    @property
    def accepts_gzip(self) -> bool:
        """Return whether the client accepts a body that is compressed with gzip (RFC 9110 12.5.3)."""
        codings = accepted(self.headers.get("accept-encoding", ""))
        return is_accepted(codings, *_GZIP, "*")

    def json(self) -> Any:
        """Return the body. Raise a `Problem` (413, 415, 400) for anything but valid JSON in UTF-8."""
        if not self.has_body:
            raise invalid_json("", "The body is empty.")
        self._check_content_type()
        return parse_json(self._body())

    def binary(self) -> bytes:
        """Return the body as it was sent. Raise a `Problem` (400) for base64 that is none."""
        body: str = self.event.get("body") or ""
        try:
            return base64.b64decode(body, validate=True) if self.event.get("isBase64Encoded") else body.encode()
        except ValueError as error:
            raise invalid_json("", "The body is not readable.") from error

    def _check_content_type(self) -> None:
        """Raise a `Problem` (415) unless the type is JSON.

        JSON has no parameters, so none has an effect, `charset` among them (RFC 8259 11). A charset that is not a superset of
        ASCII is rejected here: its bytes would be reported as broken JSON.
        """
        types = elements(self.headers.get("content-type", ""))
        if len(types) > 1:
            raise Problem("UNSUPPORTED_MEDIA_TYPE", "The Content-Type header is given twice. Send it once.")
        name, parameters = item("".join(types))
        if name != "application/json":
            raise Problem("UNSUPPORTED_MEDIA_TYPE")
        if _WIDE_CHARSET.match(parameters.get("charset", "")):
            raise Problem("UNSUPPORTED_MEDIA_TYPE", "Send the body in UTF-8, the only encoding of JSON.")

    def _body(self) -> bytes:
        body, is_encoded = self.event.get("body") or "", self.event.get("isBase64Encoded")
        data = self.binary()
        codings = [
            coding.lower() for coding in elements(self.headers.get("content-encoding", "")) if coding.lower() != "identity"
        ]
        if len(codings) > 1 or not {*codings} <= {*_GZIP}:
            raise Problem("UNSUPPORTED_CONTENT_ENCODING")
        if not codings and "\ufffd" in body and self.headers.get("content-length") not in (None, str(len(data))):
            # The gateway has replaced what is not UTF-8, which nobody would see.
            raise invalid_json("", "The body is not UTF-8.")
        if codings and is_encoded:
            data = _expanded(data)
        elif codings and data.startswith(_LIKE_GZIP):
            raise Problem("UNSUPPORTED_CONTENT_ENCODING", "The gateway read the compressed body as text. Send it as it is.")
        # Else the gateway has expanded the body, and left the header.
        if len(data) > MAX_BODY:
            raise _too_large(f"The body has {len(data)} bytes")
        return data


def _expanded(data: bytes) -> bytes:
    """Return what is compressed with gzip, and no more than one byte beyond the limit: a few bytes may stand for gigabytes."""
    expander = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        expanded = expander.decompress(data, MAX_BODY + 1)
    except zlib.error as error:
        raise Problem("UNSUPPORTED_CONTENT_ENCODING", _NO_GZIP) from error
    if len(expanded) > MAX_BODY:
        raise _too_large("The expanded body has more bytes")
    if not expander.eof or expander.unused_data:
        raise Problem("UNSUPPORTED_CONTENT_ENCODING", _NO_GZIP)
    return expanded


_NO_GZIP = "The body is not one whole gzip member, as its Content-Encoding says. Send it as it is."


def _too_large(reason: str) -> Problem:
    return Problem("REQUEST_TOO_LARGE", f"{reason}; the maximum is {MAX_BODY}. {ERRORS['REQUEST_TOO_LARGE'].detail}")
