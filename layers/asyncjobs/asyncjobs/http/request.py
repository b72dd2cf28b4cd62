"""HTTP as API Gateway hands it over (payload format 2.0): requests checked at the door, answers and problems built."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from asyncjobs.core.errors import AsyncJobsError, InputProblem
from asyncjobs.jobtypes.json_schema import pointer

MAX_BODY = 256 * 1024
MAX_DEPTH = 32
MAX_DIGITS = 38
"""What DynamoDB numbers hold, and about what clients in other languages do."""

# OpenID Connect has a subject be ASCII. More would not always fit into the name of an object.
_OWNER = re.compile(r"[\x20-\x22\x24-\x7e]{1,128}")
_JSON_TYPE = re.compile(r'application/json(\s*;\s*charset="?utf-8"?)?', re.IGNORECASE)
_ACCEPTABLE = frozenset({"*/*", "application/*", "application/json", "application/problem+json"})
_TOKEN = re.compile(r"[\x21\x23-\x7e]{1,255}")
_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,255})"')
IDEMPOTENCY_KEY = f"^({_TOKEN.pattern}|{_QUOTED.pattern})$"
"""Both forms of the header as one pattern, for those who describe it."""

_SECONDS = re.compile(r"[0-9]{1,6}")

_UNCLEAN = re.compile("[\x00\ud800-\udfff]")

_SECURITY_HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "strict-transport-security": "max-age=63072000",
}


class Problem(AsyncJobsError):
    """An answer that is an error, as RFC 9457 wants it: a status, a code for programs, a sentence for people."""

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.headers = headers or {}
        self.extensions = extensions


def invalid_request(*problems: InputProblem) -> Problem:
    """400, with each place that is wrong."""
    return Problem(
        400,
        "INVALID_REQUEST",
        "The request is not valid",
        "Correct what `errors` names and send it again.",
        errors=[{"pointer": problem.pointer, "detail": problem.detail} for problem in problems],
    )


@dataclass(frozen=True, slots=True)
class Preference:
    """How long a client would like to wait for its job."""

    respond_async: bool
    wait_seconds: int | None


@dataclass(frozen=True, slots=True)
class Request:
    """A request, as far as every route needs it."""

    route: str
    request_id: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    event: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Request:
        """The request in the event."""
        return cls(
            route=event["routeKey"],
            request_id=event["requestContext"]["requestId"],
            path=event.get("pathParameters") or {},
            query=event.get("queryStringParameters") or {},
            headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
            event=event,
        )

    @property
    def owner(self) -> str:
        """Who asks: the subject of the token that the gateway verified, and nothing else."""
        authorizer = self.event["requestContext"].get("authorizer") or {}
        subject = (authorizer.get("jwt") or {}).get("claims", {}).get("sub")
        if not isinstance(subject, str) or not _OWNER.fullmatch(subject):
            raise Problem(
                403,
                "OWNER_MISSING",
                "The token names no owner",
                "The token's `sub` claim must be 1 to 128 ASCII characters, without '#' or control characters.",
            )
        return subject

    @property
    def idempotency_key(self) -> str | None:
        """The `Idempotency-Key`: a quoted string (RFC 9651) or a bare token; both forms of one key are the same key."""
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
        """The bearer token of the request, which nobody has checked where the gateway has no authorizer."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None

    @property
    def preference(self) -> Preference:
        """The `Prefer` header (RFC 7240). What it does not know, or cannot read, it passes over, as the RFC wants it."""
        found: dict[str, str] = {}
        for preference in self.headers.get("prefer", "").split(","):
            name, _, value = preference.partition(";")[0].partition("=")
            # Given twice, the first one counts.
            found.setdefault(name.strip().lower(), value.strip().strip('"'))
        wait = found.get("wait", "")
        seconds = int(wait) if _SECONDS.fullmatch(wait) else None
        return Preference(respond_async="respond-async" in found, wait_seconds=seconds)

    @property
    def known_tags(self) -> frozenset[str]:
        """The entity tags of `If-None-Match` (RFC 9110 13.1.2), without the `W/` that its comparison disregards."""
        tags = self.headers.get("if-none-match", "").split(",")
        return frozenset(tag.strip().removeprefix("W/") for tag in tags if tag.strip())

    @property
    def has_body(self) -> bool:
        """Whether it has one."""
        return bool(self.event.get("body"))

    def json(self) -> Any:
        """The body. Raises a `Problem` (413, 415, 400) for anything but sound JSON in UTF-8."""
        if not _JSON_TYPE.fullmatch(self.headers.get("content-type", "").strip()):
            raise Problem(
                415, "UNSUPPORTED_MEDIA_TYPE", "The body must be JSON", "Send it with `Content-Type: application/json`."
            )
        return parse_json(self._body())

    def check_accept(self) -> None:
        """Raises a `Problem` (406) for a client that takes no JSON."""
        accept = self.headers.get("accept", "*/*")
        if not any(part.partition(";")[0].strip().lower() in _ACCEPTABLE for part in accept.split(",")):
            raise Problem(406, "NOT_ACCEPTABLE", "Only JSON is to be had", "Send `Accept: application/json`, or no Accept.")

    def _body(self) -> bytes:
        body = self.event.get("body") or ""
        try:
            data = base64.b64decode(body, validate=True) if self.event.get("isBase64Encoded") else body.encode()
        except ValueError as error:
            raise _invalid_json("", "The body is not readable.") from error
        if len(data) > MAX_BODY:
            raise Problem(
                413,
                "REQUEST_TOO_LARGE",
                "The body is too large",
                f"The body has {len(data)} bytes; {MAX_BODY} are the most. Put large data into the inputs area, and its key here.",
            )
        return data


def parse_json(data: bytes) -> Any:
    """The JSON in the bytes, refused where programs read JSON differently.

    Refuses what is not UTF-8, a byte order mark, NaN and infinities, numbers of over 38 digits, a name given twice, depth
    over 32, NUL and lone surrogates: by a `Problem` (400) with a JSON pointer where there is one.
    """
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object_without_duplicates,
            parse_int=_short_int,
            parse_float=_finite_float,
            parse_constant=_no_constant,
        )
    except UnicodeDecodeError as error:
        raise _invalid_json("", "The body is not UTF-8.") from error
    except RecursionError as error:
        raise _invalid_json("", f"The body is nested deeper than {MAX_DEPTH} levels.") from error
    except _Refused as error:
        raise _invalid_json("", str(error)) from error
    except ValueError as error:
        # The parser's own message quotes nothing of the body, only where it stopped.
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise _invalid_json("", f"The body is not JSON{where}.") from error
    for path, part in _walk(value):
        if isinstance(part, (dict, list)) and len(path) >= MAX_DEPTH:
            raise _invalid_json(pointer(path), f"The body is nested deeper than {MAX_DEPTH} levels.")
        if isinstance(part, str) and not _is_clean(part):
            raise _invalid_json(pointer(path) if _is_clean("".join(map(str, path))) else "", "NUL or a lone surrogate.")
    return value


def answer(
    status: int, body: Any = None, *, headers: Mapping[str, str] | None = None, text: str | None = None
) -> dict[str, Any]:
    """An answer for API Gateway: `body` as JSON, or `text`, which is JSON already."""
    content = json.dumps(body, ensure_ascii=False) if text is None else text
    return {
        "statusCode": status,
        "headers": {**_SECURITY_HEADERS, "content-type": "application/json", **(headers or {})},
        "body": content,
    }


def no_content() -> dict[str, Any]:
    """204: it is done, and there is nothing to show."""
    return {"statusCode": 204, "headers": dict(_SECURITY_HEADERS), "body": ""}


def entity_tag(body: Any) -> str:
    """A strong entity tag (RFC 9110 8.8.3): the same for the same body and for no other."""
    content = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return f'"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'


def not_modified(headers: Mapping[str, str]) -> dict[str, Any]:
    """304: what the client has is what there is."""
    return {"statusCode": 304, "headers": {**_SECURITY_HEADERS, **headers}, "body": ""}


def problem_answer(problem: Problem, request_id: str) -> dict[str, Any]:
    """The problem as its answer."""
    return answer(
        problem.status,
        {
            "type": f"urn:asyncjobs:problem:{problem.code}",
            "title": problem.title,
            "status": problem.status,
            "code": problem.code,
            "detail": problem.detail,
            "requestId": request_id,
            **problem.extensions,
        },
        headers={"content-type": "application/problem+json", **problem.headers},
    )


class _Refused(ValueError):
    """What this parser refuses, though it is JSON to others."""


def _invalid_json(where: str, detail: str) -> Problem:
    return Problem(400, "INVALID_JSON", "The body is not sound JSON", detail, errors=[{"pointer": where, "detail": detail}])


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Refused("An object has the same name twice.")
    return value


def _short_int(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise _Refused(f"A number has more than {MAX_DIGITS} digits.")
    return int(digits)


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _Refused("A number is too large.")
    return value


def _no_constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is not JSON.")


def _walk(value: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Each value and each name with the path to it; not recursive, since the depth is the client's choice."""
    todo: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while todo:
        path, part = todo.pop()
        yield path, part
        if isinstance(part, dict):
            for name, member in part.items():
                yield (*path, name), name
                todo.append(((*path, name), member))
        elif isinstance(part, list):
            todo += [((*path, index), member) for index, member in enumerate(part)]


def _is_clean(text: str) -> bool:
    return _UNCLEAN.search(text) is None
