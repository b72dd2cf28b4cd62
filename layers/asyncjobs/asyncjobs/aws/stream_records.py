"""The records of the table's stream, as Lambda delivers them."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from asyncjobs.aws.items import Item, from_item, parse_pk
from asyncjobs.core.errors import Unreadable
from asyncjobs.core.job import AsyncJob
from asyncjobs.log import log_event


def jobs_of(record: Mapping[str, Any]) -> tuple[AsyncJob | None, AsyncJob] | None:
    """Return the job before the write, if it existed, and after it.

    Returns None for other kinds of items, for a job that was deleted or has expired, and for one that this release cannot
    read. To deliver the latter again would not help, so it is logged and left out.
    """
    change = record["dynamodb"]
    if "NewImage" not in change:
        return None
    pk = change["Keys"]["pk"]["S"]
    try:
        key = parse_pk(pk)
    except Unreadable:
        return None
    try:
        return _job(change["OldImage"]) if "OldImage" in change else None, _job(change["NewImage"])
    except Unreadable as error:
        log_event("CHANGE_SKIPPED", asyncJobId=key.async_job_id, errorType=type(error).__name__)
        return None


def _job(image: Item) -> AsyncJob:
    """Read an item whose binary values are Base64 text, since Lambda's event is JSON."""
    try:
        item = {name: {"B": b64decode(value["B"], validate=True)} if "B" in value else value for name, value in image.items()}
    except (binascii.Error, TypeError) as error:
        raise Unreadable("A record of the stream that this release cannot read.") from error
    return from_item(item)
