"""Answers as API Gateway expects them from a Lambda function (payload format 2.0)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from asyncjobs.core.exact_json import write_json
from asyncjobs.http.problems import Problem

Answer = dict[str, Any]

_SECURITY_HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "strict-transport-security": "max-age=63072000",
}


def answer(status: int, body: Any = None, *, headers: Mapping[str, str] | None = None, text: str | None = None) -> Answer:
    """Return an answer with `body` as JSON, or with `text` that is JSON already."""
    content = write_json(body) if text is None else text
    return {
        "statusCode": status,
        "headers": {**_SECURITY_HEADERS, "content-type": "application/json", **(headers or {})},
        "body": content,
    }


def no_content() -> Answer:
    """Return a 204."""
    return {"statusCode": 204, "headers": dict(_SECURITY_HEADERS), "body": ""}


def not_modified(headers: Mapping[str, str]) -> Answer:
    """Return a 304: the client's copy is current."""
    return {"statusCode": 304, "headers": {**_SECURITY_HEADERS, **headers}, "body": ""}


def problem_answer(problem: Problem, request_id: str) -> Answer:
    """Return the problem as the answer to the request with that id."""
    return answer(
        problem.status,
        {**problem.body, "requestId": request_id},
        headers={"content-type": "application/problem+json", **problem.headers},
    )


def entity_tag(body: Any) -> str:
    """Return a strong entity tag (RFC 9110 8.8.3): equal for equal bodies only."""
    content = write_json(body)
    return f'"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'
