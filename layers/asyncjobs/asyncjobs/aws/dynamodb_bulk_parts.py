"""The parts of administrators' actions on many jobs, in the jobs' table: one item for each, whose key a reader computes."""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from asyncjobs.aws import clients
from asyncjobs.aws.items import Item, seconds_value
from asyncjobs.core.administration import BulkEntry, BulkPart, FailedPosition, LivePosition
from asyncjobs.core.clock import epoch_milliseconds, from_epoch_milliseconds, to_whole_seconds
from asyncjobs.core.job import JobKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoBulkParts:
    """`BulkParts` in the jobs' table, under `B#`. No index has these items. The table's TTL removes a part after `kept`."""

    def __init__(self, table_name: str, client: DynamoDBClient, *, kept: timedelta) -> None:
        self._table_name = table_name
        self._client = client
        self._kept = kept

    def get(self, async_job_id: str, number: int) -> BulkPart | None:
        with clients.translated("The table"):
            answer = self._client.get_item(
                TableName=self._table_name, Key=bulk_part_key(async_job_id, number), ConsistentRead=True
            )
        return _part(json.loads(answer["Item"]["part"]["S"])) if "Item" in answer else None

    def begin(self, async_job_id: str, number: int, part: BulkPart, now: datetime) -> bool:
        """See `BulkParts`. Races with other invocations for the same action."""
        # The SDK repeats a write whose answer was lost: the stored item then has this call's own `begunBy`.
        item = {**self._item(async_job_id, number, part, now), "begunBy": {"S": uuid.uuid4().hex}}
        try:
            with clients.translated("The table"):
                self._client.put_item(
                    TableName=self._table_name,
                    Item=item,
                    ConditionExpression="attribute_not_exists(pk)",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except ClientError as error:
            return bool(clients.conflicting_item(error) == item)
        return True

    def end(self, async_job_id: str, number: int, part: BulkPart, now: datetime) -> None:
        """See `BulkParts`. Of two invocations for the same part, each writes what is true: the last one stays."""
        with clients.translated("The table"):
            self._client.put_item(TableName=self._table_name, Item=self._item(async_job_id, number, part, now))

    def _item(self, async_job_id: str, number: int, part: BulkPart, now: datetime) -> Item:
        return {
            **bulk_part_key(async_job_id, number),
            "part": {"S": json.dumps(_fields(part), separators=(",", ":"))},
            "recordExpiresAt": seconds_value(to_whole_seconds(now + self._kept)),
        }


def bulk_part_key(async_job_id: str, number: int) -> Item:
    """Return the primary key of a part."""
    return {"pk": {"S": f"B#{async_job_id}#{number}"}}


def _fields(part: BulkPart) -> dict[str, Any]:
    fields = {
        "entries": [[each.key.owner, each.key.async_job_id, each.generation] for each in part.entries],
        "next": _place(part.next),
        "counts": part.counts,
        "outcomes": part.outcomes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _part(fields: Any) -> BulkPart:
    return BulkPart(
        entries=[BulkEntry(JobKey(owner, name), generation) for owner, name, generation in fields["entries"]],
        next=_position(fields.get("next")),
        counts=fields["counts"],
        outcomes=fields.get("outcomes"),
    )


def _place(position: FailedPosition | LivePosition | None) -> list[Any] | None:
    """Return the position as JSON. One in the list of failed jobs also has an owner."""
    if position is None:
        return None
    at, *rest = position
    return [epoch_milliseconds(at), *rest]


def _position(place: Any) -> FailedPosition | LivePosition | None:
    if place is None:
        return None
    milliseconds, *rest = place
    return (LivePosition if len(rest) == 1 else FailedPosition)(from_epoch_milliseconds(milliseconds), *rest)
