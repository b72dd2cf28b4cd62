"""The histories of several job types, for administrators: see `dynamodb_history`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asyncjobs.aws import clients
from asyncjobs.aws.dynamodb_history import durations_of, history_key, hours_of
from asyncjobs.core.administration import TypeHistory
from asyncjobs.core.errors import Unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_BATCH = 100
_TRIES = 4


class DynamoHistories:
    """`Histories` in the jobs' table, a call for each hundred types."""

    def __init__(self, table_name: str, client: DynamoDBClient | None = None) -> None:
        self._table_name = table_name
        self._client = client or clients.dynamodb()

    def of_all(self, job_types: Sequence[str]) -> Mapping[str, TypeHistory]:
        found: dict[str, TypeHistory] = {}
        for start in range(0, len(job_types), _BATCH):
            names = {history_key(name)["pk"]["S"]: name for name in job_types[start : start + _BATCH]}
            wanted: Any = {self._table_name: {"Keys": [{"pk": {"S": name}} for name in names]}}
            for _ in range(_TRIES):
                with clients.translated("The table"):
                    answer = self._client.batch_get_item(RequestItems=wanted)
                for item in answer["Responses"].get(self._table_name, []):
                    found[names[item["pk"]["S"]]] = TypeHistory(durations_of(item), hours_of(item))
                wanted = answer["UnprocessedKeys"]
                if not wanted:
                    break
            else:
                raise Unavailable("The table is throttled.")
        return found
