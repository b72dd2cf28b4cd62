"""How long the jobs of each type took: one item per `durations_name` in the jobs' table.

Only two things depend on it: how often clients poll, and which of two correct places a job runs in. So it may be stale, miss
jobs or count one twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from asyncjobs.aws import clients
from asyncjobs.aws.items import Item, seconds_value
from asyncjobs.core.clock import rfc3339, to_whole_seconds
from asyncjobs.core.durations import Durations
from asyncjobs.core.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT = timedelta(days=90)
"""How long the durations of a type are kept after its last job has ended."""

HOURS_KEPT = 24
"""The hours in which jobs ended that are kept: with them, an item has about 1 KB, and is written once a minute at most."""

_TRIES = 5


class DynamoHistory:
    """A `History` in the jobs' table, under `D#` and the name. No index has these items, since they lack the index keys."""

    def __init__(self, table_name: str, client: DynamoDBClient) -> None:
        self._table_name = table_name
        self._client = client

    def get(self, durations_name: str) -> Durations:
        with clients.translated("The table"):
            answer = self._client.get_item(TableName=self._table_name, Key=history_key(durations_name))
        return parse_durations(answer.get("Item"))

    def add(
        self, durations_name: str, durations: Durations, now: datetime, hours: Mapping[str, tuple[int, int]] | None = None
    ) -> None:
        """See `History`. Functions that read other shards may write at the same time: one that finds a newer revision adds to that."""
        with clients.translated("The table"):
            current: Item | None = self._client.get_item(
                TableName=self._table_name, Key=history_key(durations_name), ConsistentRead=True
            ).get("Item")
            for _ in range(_TRIES):
                merged = parse_durations(current).merged(durations).faded()
                ended = _merged_hours(parse_hours(current), hours or {})
                item = _item(durations_name, merged, _revision(current) + 1, now, ended)
                try:
                    self._client.put_item(
                        TableName=self._table_name,
                        Item=item,
                        ConditionExpression="attribute_not_exists(pk) OR revision = :revision",
                        ExpressionAttributeValues={":revision": {"N": str(_revision(current))}},
                        ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    )
                except ClientError as error:
                    current = clients.conflicting_item(error)
                    if current == item:
                        # The first try of this write succeeded, and its answer was lost.
                        return
                else:
                    return
        raise Unavailable("Too many concurrent writes to the durations of a job type.")


def history_key(durations_name: str) -> Any:
    """Return the primary key of the history with this name."""
    return {"pk": {"S": f"D#{durations_name}"}}


def _item(
    durations_name: str, durations: Durations, revision: int, now: datetime, hours: Mapping[str, tuple[int, int]]
) -> Item:
    return {
        **history_key(durations_name),
        "durations": {"S": durations.to_json()},
        **({"hours": {"S": json.dumps(hours, separators=(",", ":"))}} if hours else {}),
        "revision": {"N": str(revision)},
        "updatedAt": {"S": rfc3339(now)},
        "recordExpiresAt": seconds_value(to_whole_seconds(now + KEPT)),
    }


def parse_durations(item: Item | None) -> Durations:
    """Return the durations in the item."""
    try:
        return Durations.from_json(item["durations"]["S"]) if item else Durations()
    except (KeyError, ValueError):
        # From another release, or damaged: start again. The next write replaces it.
        return Durations()


def parse_hours(item: Item | None) -> Mapping[str, tuple[int, int]]:
    """Return how many jobs completed and failed in each of the last hours."""
    try:
        found = json.loads(item["hours"]["S"]) if item and "hours" in item else {}
        return {hour: (int(completed), int(failed)) for hour, (completed, failed) in found.items()}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _merged_hours(one: Mapping[str, tuple[int, int]], other: Mapping[str, tuple[int, int]]) -> Mapping[str, tuple[int, int]]:
    """Return the sums of the last hours in which jobs ended."""
    none = (0, 0)
    last = sorted({*one, *other})[-HOURS_KEPT:]
    return {
        hour: (one.get(hour, none)[0] + other.get(hour, none)[0], one.get(hour, none)[1] + other.get(hour, none)[1])
        for hour in last
    }


def _revision(item: Item | None) -> int:
    return int(item["revision"]["N"]) if item else 0
