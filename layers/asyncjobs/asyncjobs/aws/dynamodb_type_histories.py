"""The histories of several job types, for administrators: see `dynamodb_history`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from asyncjobs.aws.dynamodb_batch import read_batch
from asyncjobs.aws.dynamodb_history import history_key, parse_durations, parse_hours
from asyncjobs.core.administration import TypeHistory

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoTypeHistories:
    """`TypeHistories` in the jobs' table, a call for each hundred types."""

    def __init__(self, table_name: str, client: DynamoDBClient) -> None:
        self._table_name = table_name
        self._client = client

    def of_all(self, job_types: Sequence[str]) -> Mapping[str, TypeHistory]:
        names = {history_key(name)["pk"]["S"]: name for name in job_types}
        keys = [history_key(name) for name in job_types]
        items = read_batch(self._client.batch_get_item, self._table_name, keys, is_consistent=False)
        return {names[item["pk"]["S"]]: TypeHistory(parse_durations(item), parse_hours(item)) for item in items}
