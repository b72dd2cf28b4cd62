"""The event of each change of a job that a client can see. Pure: computed from the record before and after a write.

`AsyncJob.seq` numbers these changes, so a job has exactly one event for each number. An event never has input or result; what
the job's code sends is a change of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from asyncjobs.core.clock import rfc3339
from asyncjobs.core.exact_json import read_json
from asyncjobs.core.job import AsyncJob, Status
from asyncjobs.core.named_events import event_brought_to
from asyncjobs.core.records import replace

MAX_LOGGED = 2000
"""Events of a job that are logged: more than an attempt of 15 minutes reports. A reader gets later changes as snapshots.

An outside worker may report for 30 days, and a deletion deletes the log in one invocation of the stream's function.
"""


class EventType(StrEnum):
    """What happened to the job."""

    CREATED = "created"
    STARTED = "started"
    PROGRESS = "progress"
    """Its progress or its message changed."""
    RELEASED = "released"
    """An attempt failed, and another one may follow."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RETRIED = "retried"
    CUSTOM = "custom"
    """The job's code sent it: it has a name and data."""
    SNAPSHOT = "snapshot"
    """The job as it is, in place of changes that are not known one by one. Only readers make such events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A change of a job, and what a client can see of the job after it."""

    seq: int
    type: EventType
    at: datetime
    status: Status
    progress: int
    message: str | None
    attempt: int
    code: str | None
    """The code of the job's error: why it, or its last attempt, failed."""
    name: str | None = None
    """The name of a custom event; None for any other."""
    data: str | None = None
    """The data of a custom event, a JSON object; None for any other."""


def event_of(old: AsyncJob | None, new: AsyncJob) -> Event | None:
    """Return the event of the write that made `old` to `new`; None for a write that no client can see.

    A record that replaces an expired one of the same id is created, as one without `old` is. An earlier release numbers no
    write, so it makes no event.
    """
    if old is None or old.created_at != new.created_at:
        return _event(new, EventType.CREATED) if new.seq else None
    if old.seq == new.seq:
        return None
    if (named := event_brought_to(new)) is not None:
        return replace(_event(new, EventType.CUSTOM), name=named.name, data=named.data)
    return _event(new, _type(old, new))


def snapshot_of(job: AsyncJob) -> Event:
    """Return the job as it is now, as an event that stands for all changes until now."""
    return _event(job, EventType.SNAPSHOT)


def events_of_record(job: AsyncJob) -> Sequence[Event]:
    """Return all events up to the job's present state, if the record alone says what they were; else none.

    It does until the first claim: nothing that these events have was changed since. So a log need not have them before the next
    change, which saves most jobs two of three writes.
    """
    if job.seq == 1 and job.status is Status.PENDING and job.updated_at == job.created_at:
        return (_event(job, EventType.CREATED),)
    is_first_claim = job.status is Status.IN_PROGRESS and job.attempt == 1 and not job.progress
    if not is_first_claim or job.started_at is None:
        return ()
    # A heartbeat without news has moved `updated_at`.
    begun = replace(job, updated_at=job.started_at)
    if job.is_begun_by_submit:
        return (_event(begun, EventType.CREATED),) if job.seq == 1 else ()
    if job.seq != 2:  # noqa: PLR2004 - the put, and the claim
        return ()
    created = replace(job, seq=1, status=Status.PENDING, attempt=0, updated_at=job.created_at)
    return (_event(created, EventType.CREATED), _event(begun, EventType.STARTED))


def event_body(event: Event) -> dict[str, Any]:
    """Return the event as every client receives it: by HTTP, a stream, a socket, a webhook or a bus."""
    return {
        "seq": event.seq,
        "type": event.type.value,
        "at": rfc3339(event.at),
        "status": event.status.value,
        "progress": event.progress,
        "message": event.message,
        "attempt": event.attempt,
        "code": event.code,
        **({} if event.name is None else {"name": event.name, "data": read_json(event.data or "{}")}),
    }


def _event(job: AsyncJob, kind: EventType) -> Event:
    return Event(
        seq=job.seq,
        type=kind,
        at=job.updated_at,
        status=job.status,
        progress=job.progress,
        message=job.message,
        attempt=job.attempt,
        code=None if job.error is None else job.error.code,
    )


def _type(old: AsyncJob, new: AsyncJob) -> EventType:
    if old.status is new.status and old.attempt == new.attempt:
        return EventType.PROGRESS
    if new.status is Status.PENDING:
        return EventType.RETRIED if old.is_finished else EventType.RELEASED
    return _TYPES[new.status]


_TYPES = {
    Status.IN_PROGRESS: EventType.STARTED,
    Status.COMPLETED: EventType.COMPLETED,
    Status.FAILED: EventType.FAILED,
    Status.CANCELLED: EventType.CANCELLED,
}
