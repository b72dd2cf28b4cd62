"""What the table remembers of each job type: how long its jobs took. One item a type, apart from all jobs.

Nothing depends on it but how often clients look, and which of two right places a job runs in. So it may be old, may miss
jobs and may count one twice.
"""

from __future__ import annotations

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
"""How long a type's durations are kept when no job of it ends any more."""


_TRIES = 5


class DynamoHistory:
    """A `History` in the jobs' own table: `D#` and the job type is the key. Indexes do not hold it, for want of their keys."""

    def __init__(self, table_name: str, client: DynamoDBClient | None = None) -> None:
        self._table_name = table_name
        self._client = client or clients.dynamodb()

    def get(self, job_type: str) -> Durations:
        with clients.translated("The table"):
            answer = self._client.get_item(TableName=self._table_name, Key=_key(job_type))
        return _durations(answer.get("Item"))

    def add(self, job_type: str, durations: Durations, now: datetime) -> None:
        """See `History`. Races with the learners of the stream's other shards: who finds a newer revision adds to that one."""
        with clients.translated("The table"):
            current: Item | None = self._client.get_item(
                TableName=self._table_name, Key=_key(job_type), ConsistentRead=True
            ).get("Item")
            for _ in range(_TRIES):
                item = _item(job_type, _durations(current).merged(durations).faded(), _revision(current) + 1, now)
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
                        # This write's own first try, whose answer got lost.
                        return
                else:
                    return
        raise Unavailable("Too many add durations at the same time.")


def _key(job_type: str) -> Any:
    return {"pk": {"S": f"D#{job_type}"}}


def _item(job_type: str, durations: Durations, revision: int, now: datetime) -> Item:
    return {
        **_key(job_type),
        "durations": {"S": durations.to_json()},
        "revision": {"N": str(revision)},
        "updatedAt": {"S": rfc3339(now)},
        "recordExpiresAt": seconds_value(to_whole_seconds(now + KEPT)),
    }


def _durations(item: Item | None) -> Durations:
    try:
        return Durations.from_json(item["durations"]["S"]) if item else Durations()
    except (KeyError, ValueError):
        # Of another release, or broken: it is learnt anew, and the next write replaces it.
        return Durations()


def _revision(item: Item | None) -> int:
    return int(item["revision"]["N"]) if item else 0
