"""Records of the table's stream, as Lambda delivers them."""

from __future__ import annotations

import itertools
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from asyncjobs.aws.items import Item, primary_key, to_item
from asyncjobs.core.job import AsyncJob
from asyncjobs.push.changes import Change

_NUMBERS: Iterator[int] = itertools.count(4421584500000000017450439091)
"""A stream's numbers rise, and have as many digits from its beginning on."""


def record_of(old: AsyncJob | None, new: AsyncJob) -> dict[str, Any]:
    """Return the record of a write to a job."""
    images = {"OldImage": to_image(old)} if old else {}
    return {
        "eventName": "MODIFY" if old else "INSERT",
        "eventSource": "aws:dynamodb",
        "dynamodb": {
            "Keys": primary_key(new.key),
            **images,
            "NewImage": to_image(new),
            "SequenceNumber": str(next(_NUMBERS)),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }


def change_of(old: AsyncJob | None, new: AsyncJob) -> Change:
    """Return the change of a write to a job, at a new place of the stream."""
    return Change.of(str(next(_NUMBERS)), old, new)


def to_image(job: AsyncJob) -> Item:
    """Return the job's item as a stream's record has it: binary values are Base64."""
    return {name: {"B": b64encode(value["B"]).decode()} if "B" in value else value for name, value in to_item(job).items()}
