"""The events that a job's code sends. Pure: what they may be, and how a record holds the one that its last write brought."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from asyncjobs.core.errors import Fatal
from asyncjobs.core.exact_json import distinct_members, write_json
from asyncjobs.core.job import AsyncJob

MAX_EVENTS = 100
"""Events of one attempt. Each is a write of the record, which wakes everybody who follows the job."""
MAX_DATA = 1024
"""Bytes of JSON. The write that brings an event, and its place in the log, pay for each of them."""
MAX_NAME = 50

_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")


class NamedEvent(NamedTuple):
    """A checked event."""

    name: str
    data: str
    """A JSON object."""

    def as_change(self, seq: int) -> str:
        """Return the text by which the record holds the event: that of the change with this number, and of no other."""
        return f"{seq} {self.name} {self.data}"


def checked_event(name: str, data: Mapping[str, Any]) -> NamedEvent:
    """Return the event. Raises `Fatal` (`INVALID_EVENT`) for one that cannot be sent: another attempt would send the same."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise _invalid(
            f"Its name is not lower-case words joined by dots or underscores, such as 'rows_loaded', at most {MAX_NAME} characters."
        )
    if not isinstance(data, Mapping):
        raise _invalid("Its data is not an object.")
    try:
        text = write_json(dict(data))
        size = len(text.encode())
        json.loads(text, object_pairs_hook=distinct_members)
    except (TypeError, ValueError, RecursionError) as error:
        raise _invalid("Its data is not JSON.") from error
    if size > MAX_DATA:
        raise _invalid(
            f"Its data has {size} bytes of JSON; the maximum is {MAX_DATA}. Send a number or a name, and return the rest."
        )
    return NamedEvent(name, text)


def too_many_events() -> Fatal:
    """Return the error of an attempt that sends more events than it may."""
    return Fatal(
        f"The job sends more than {MAX_EVENTS} events. Send fewer, or report progress, which is never too much.",
        code="TOO_MANY_EVENTS",
    )


def event_brought_to(job: AsyncJob) -> NamedEvent | None:
    """Return the event that the write of the job's present number brought; None if it brought none."""
    seq, _, rest = (job.named_event or "").partition(" ")
    name, _, data = rest.partition(" ")
    return NamedEvent(name, data) if data and seq == str(job.seq) else None


def _invalid(reason: str) -> Fatal:
    return Fatal(f"The job sends an event that is not valid. {reason}", code="INVALID_EVENT")
