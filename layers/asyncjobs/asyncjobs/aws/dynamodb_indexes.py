"""The indexes of all owners' jobs in the jobs' table, for administrators. No other function reads across owners."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from asyncjobs.aws import clients
from asyncjobs.aws.items import milliseconds_value, parse_pk
from asyncjobs.core.clock import from_epoch_milliseconds
from asyncjobs.core.errors import Unreadable
from asyncjobs.core.ports import DueEntry

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoIndexes:
    """`JobIndexes` in a DynamoDB table of the template's shape. Each query reads no more entries than it is asked for."""

    def __init__(self, table_name: str, client: DynamoDBClient | None = None) -> None:
        self._table_name = table_name
        self._client = client or clients.dynamodb()

    def live(self, shard: str, *, since: datetime | None = None, page: int) -> Iterator[DueEntry]:
        condition, values = "dueShard = :shard", {":shard": {"S": shard}}
        if since is not None:
            condition, values = f"{condition} AND dueAt >= :since", {**values, ":since": milliseconds_value(since)}
        start: dict[str, Any] = {}
        while True:
            with clients.translated("The table"):
                found = self._client.query(
                    TableName=self._table_name,
                    IndexName="due",
                    KeyConditionExpression=condition,
                    ExpressionAttributeValues=values,
                    Limit=page,
                    **start,
                )
            for entry in found["Items"]:
                try:
                    yield DueEntry(parse_pk(entry["pk"]["S"]), from_epoch_milliseconds(int(entry["dueAt"]["N"])))
                except (Unreadable, ValueError, OverflowError):
                    continue  # not a job of this release: the sweeper logs it each minute
            if "LastEvaluatedKey" not in found:
                return
            start = {"ExclusiveStartKey": found["LastEvaluatedKey"]}
