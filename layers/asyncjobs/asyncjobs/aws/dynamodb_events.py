"""The events of jobs in the jobs' table: blocks of eight, whose keys a reader computes.

A job's events are numbered without gaps, so the number says which block holds an event, and nothing has to be searched. Each
event is an attribute of its own, and writing it again changes nothing: batches of the stream may arrive again, and in parallel.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from asyncjobs.aws import clients
from asyncjobs.aws.items import seconds_value
from asyncjobs.core.clock import epoch_milliseconds, from_epoch_milliseconds, to_whole_seconds
from asyncjobs.core.events import MAX_LOGGED, Event, EventType
from asyncjobs.core.job import AsyncJob, Status, owner_part

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BLOCK = 8
"""The events of a block. A larger one would cost each event more, since a write pays for the whole item; a smaller one is
another key to read. Changing it would hide the events that are stored: readers answer with snapshots then."""


class DynamoEventLog:
    """An `EventLog` in the jobs' table, under `E#`. No index has these items, since they lack the index keys."""

    def __init__(self, table_name: str, client: DynamoDBClient) -> None:
        self._table_name = table_name
        self._client = client

    def append(self, job: AsyncJob, events: Sequence[Event]) -> None:
        """See `EventLog`. One write for all events of a block."""
        for block, of_block in groupby(events, key=lambda event: event.seq // BLOCK):
            values = {f":e{event.seq}": _value(event) for event in of_block}
            update = ", ".join(f"{name[1:]} = {name}" for name in values)
            with clients.translated("The table"):
                self._client.update_item(
                    TableName=self._table_name,
                    Key=_key(job, block),
                    UpdateExpression=f"SET {update}, recordExpiresAt = :until",
                    ExpressionAttributeValues={**values, ":until": seconds_value(to_whole_seconds(_kept_until(job)))},
                )

    def read(self, job: AsyncJob, *, first: int, last: int) -> Sequence[Event]:
        """See `EventLog`. A reader that has nearly all events needs one block; a batch would save it nothing."""
        found: list[Event | None] = []
        for block in range(first // BLOCK, last // BLOCK + 1):
            with clients.translated("The table"):
                answer = self._client.get_item(TableName=self._table_name, Key=_key(job, block), ConsistentRead=True)
            numbers = range(max(first, block * BLOCK), min(last, (block + 1) * BLOCK - 1) + 1)
            found += [_event(seq, answer.get("Item", {})) for seq in numbers]
        return [event for event in found if event is not None]

    def delete(self, job: AsyncJob) -> None:
        """See `EventLog`."""
        for block in range(min(job.seq, MAX_LOGGED) // BLOCK + 1):
            with clients.translated("The table"):
                self._client.delete_item(TableName=self._table_name, Key=_key(job, block))


def _key(job: AsyncJob, block: int) -> dict[str, Any]:
    """Return the key of a block. A record that replaces an expired or deleted one of the same id has another `createdAt`."""
    created = epoch_milliseconds(job.created_at)
    return {"pk": {"S": f"E#{owner_part(job.owner)}#{job.async_job_id}#{created}#{block}"}}


def _kept_until(job: AsyncJob) -> datetime:
    """Return when the job can expire at the latest, as far as it is known: earlier blocks are not written again at its end."""
    if job.is_finished:
        return job.record_expires_at
    return max(job.record_expires_at, job.deadline_at + job.retention)


def _value(event: Event) -> dict[str, Any]:
    """Return the event's attribute. An empty value has no member: each write pays for each byte."""
    members = {
        "type": event.type.value,
        "at": epoch_milliseconds(event.at),
        "status": event.status.value,
        "progress": event.progress or None,
        "message": event.message,
        "attempt": event.attempt or None,
        "code": event.code,
        "name": event.name,
        "data": event.data,
    }
    kept = {name: value for name, value in members.items() if value is not None}
    return {"S": json.dumps(kept, ensure_ascii=False, separators=(",", ":"))}


def _event(seq: int, item: Mapping[str, Any]) -> Event | None:
    """Return the event of that number; None if the block does not have it, or this release cannot read it."""
    try:
        members = json.loads(item[f"e{seq}"]["S"])
        return Event(
            seq=seq,
            type=EventType(members["type"]),
            at=from_epoch_milliseconds(members["at"]),
            status=Status(members["status"]),
            progress=members.get("progress", 0),
            message=members.get("message"),
            attempt=members.get("attempt", 0),
            code=members.get("code"),
            name=members.get("name"),
            data=members.get("data"),
        )
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
