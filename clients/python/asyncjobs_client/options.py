"""The options of a submit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypedDict

from asyncjobs_client.values import to_json
from asyncjobs_client.wire import Request, with_json

Seconds = float | timedelta

_HELD = 20.0
"""The seconds that the server waits at most."""


class SubmitOptions(TypedDict, total=False):
    """What a submit may say about a job."""

    key: str | None
    """The idempotency key. Without it, the client makes one for each call, which makes its own repetitions safe."""
    priority: str | None
    """`high`, `standard` or `low`."""
    delay: Seconds | None
    """The earliest start, from now."""
    not_before: datetime | None
    """The earliest start."""
    metadata: Mapping[str, Any] | None
    """An object of your own, up to 1 KB."""
    message: str | None
    """Shown until the job reports its own."""
    retention: Seconds | None
    """How long to keep the job and its result."""
    webhook: str | None
    """The id of a webhook that gets this job's events."""
    wait: Seconds | None
    """How long the server may hold the request, 20 s at most: a job that ends within that time is in the answer."""


def submit_request(job_type: str | None, value: object, options: SubmitOptions, *, prefer: str | None) -> Request:
    """Return the request. Its key and its body are the same in each repetition."""
    wait, not_before = options.get("wait"), options.get("not_before")
    if not_before is not None and not_before.tzinfo is None:
        raise ValueError("`not_before` needs a time zone.")
    body = {
        "jobType": job_type,
        "input": value,
        "priority": options.get("priority"),
        "delaySeconds": _number(options.get("delay")),
        "notBefore": not_before,
        "metadata": options.get("metadata"),
        "message": options.get("message"),
        "retentionSeconds": _number(options.get("retention")),
        "webhook": options.get("webhook"),
    }
    if wait is not None:
        prefer = f"wait={int(min(_HELD, _number(wait) or 0))}"
    headers = {"idempotency_key": options.get("key") or os.urandom(16).hex()} | ({"prefer": prefer} if prefer else {})
    given = {name: value for name, value in body.items() if value is not None}
    return with_json("POST", "/jobs", to_json(given), **headers)


def held(request: Request) -> float:
    """Return the seconds that the server may hold the request."""
    _, _, seconds = request.headers.get("prefer", "").partition("wait=")
    return float(seconds or 0)


def _number(duration: Seconds | None) -> float | None:
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    return int(seconds) if seconds is not None and seconds == int(seconds) else seconds
