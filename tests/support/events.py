"""The sample events of `events/`: tests send the same events as `sam local invoke`."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

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
