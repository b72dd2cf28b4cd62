"""The sample events of `events/`: tests send the same events as `sam local invoke`."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any


class LambdaContext:
    """What Lambda passes about an invocation."""

    function_name = "asyncjobs-Function"
    memory_limit_in_mb = 1769
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:asyncjobs-Function"
    aws_request_id = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


FOLDER = Path(__file__).parents[2] / "events"


def sample(name: str) -> dict[str, Any]:
    """Return a copy of the event of that name."""
    event: dict[str, Any] = json.loads(_text(name))
    return event


def as_owner(event: dict[str, Any], owner: str) -> dict[str, Any]:
    """Set the owner of the HTTP event."""
    event["requestContext"]["authorizer"]["jwt"]["claims"]["sub"] = owner
    return event


@functools.cache
def _text(name: str) -> str:
    return (FOLDER / f"{name}.json").read_text()
