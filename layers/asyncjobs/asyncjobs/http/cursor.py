"""Cursors: places in an owner's list of jobs, opaque to clients."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from asyncjobs.core.canonical_json import canonical_json
from asyncjobs.core.clock import epoch_milliseconds, from_epoch_milliseconds
from asyncjobs.core.errors import InvalidCursor
from asyncjobs.core.ports import ListPosition
from asyncjobs.http.request import JOB_ID
from asyncjobs.service.queries import JobsQuery


def to_cursor(owner: str, query: JobsQuery, position: ListPosition) -> str:
    """Return the cursor of a place in the list.

    It needs no secret: it holds no owner, so any cursor leads to a place in the caller's own list. The checksum rejects a
    cursor that was damaged or made for another list.
    """
    return text_of_place([epoch_milliseconds(position.created_at), position.async_job_id], _about(owner, query))


def from_cursor(owner: str, query: JobsQuery, cursor: str) -> ListPosition:
    """Return the place of a cursor. Raise `InvalidCursor`."""
    try:
        milliseconds, async_job_id = place_in(cursor, _about(owner, query))
        position = ListPosition(from_epoch_milliseconds(milliseconds), async_job_id)
        is_genuine = JOB_ID.fullmatch(async_job_id)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidCursor from error
    if not is_genuine:
        raise InvalidCursor
    return position


def text_of_place(place: list[Any], about: list[Any]) -> str:
    """Return the cursor of a place in the list that is described by `about`."""
    checksum = hashlib.sha256(canonical_json([*about, place])).hexdigest()[:16]
    return base64.urlsafe_b64encode(json.dumps([*place, checksum]).encode()).decode().rstrip("=")


def place_in(cursor: str, about: list[Any]) -> list[Any]:
    """Return the place of a cursor of this list. Raise `InvalidCursor`."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        found = json.loads(text)
        place: list[Any] = found[:-1] if isinstance(found, list) else []
        is_genuine = text_of_place(place, about) == cursor
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidCursor from error
    if not is_genuine:
        raise InvalidCursor
    return place


def _about(owner: str, query: JobsQuery) -> list[Any]:
    return [owner, query.status, query.job_type]
