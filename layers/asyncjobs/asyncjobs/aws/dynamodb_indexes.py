"""The indexes of all owners' jobs in the jobs' table, for administrators. No other function reads across owners."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from asyncjobs.aws import clients
from asyncjobs.aws.items import failed_group, milliseconds_value, parse_pk, pk
from asyncjobs.core.administration import FailedEntry, FailedPosition
from asyncjobs.core.clock import from_epoch_milliseconds, from_rfc3339, rfc3339
from asyncjobs.core.errors import Unreadable
from asyncjobs.core.job import JobKey
from asyncjobs.core.ports import DueEntry

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoIndexes:
    """`JobIndexes` in a DynamoDB table of the template's shape. Each query reads no more entries than requested."""

    def __init__(self, table_name: str, client: DynamoDBClient) -> None:
        self._table_name = table_name
        self._client = client

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

    def last_failed(self, job_type: str, *, before: str | None = None) -> FailedEntry | None:
        """See `JobIndexes`. A code has no `#`, so the keys of one code are together, and before those of a longer one."""
        condition, values = "groupName = :group", {":group": {"S": failed_group(job_type)}}
        if before is not None:
            condition, values = f"{condition} AND groupKey < :before", {**values, ":before": {"S": f"{before}#"}}
        found = self._query_groups(condition, values, Limit=1)
        entries = _failed_entries(found["Items"])
        return entries[0] if entries else None

    def count_failed(self, job_type: str, code: str, *, at_most: int) -> int:
        count, start = 0, dict[str, Any]()
        while count < at_most:
            page = self._query_groups(*_of_code(job_type, code), Select="COUNT", Limit=at_most - count, **start)
            count += page["Count"]
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        return count

    def failed(
        self,
        job_type: str,
        code: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int,
        after: FailedPosition | None = None,
    ) -> tuple[Sequence[FailedEntry], FailedPosition | None]:
        start: dict[str, Any] = {}
        if after is not None:
            place = {
                "pk": {"S": pk(JobKey(after.owner, after.async_job_id))},
                "groupName": {"S": failed_group(job_type)},
                "groupKey": {"S": f"{code}#{rfc3339(after.ended_at)}"},
            }
            start = {"ExclusiveStartKey": place}
        page = self._query_groups(*_of_code(job_type, code, since, until), Limit=limit, **start)
        entries = _failed_entries(page["Items"])
        if "LastEvaluatedKey" not in page or not entries:
            return entries, None
        last = entries[-1]
        return entries, FailedPosition(last.ended_at, last.key.owner, last.key.async_job_id)

    def _query_groups(self, condition: str, values: dict[str, Any], **options: Any) -> Any:
        with clients.translated("The table"):
            return self._client.query(
                TableName=self._table_name,
                IndexName="byGroup",
                KeyConditionExpression=condition,
                ExpressionAttributeValues=values,
                ScanIndexForward=False,
                **options,
            )


_FIRST, _LAST = "", "~"
"""Texts before and after every time."""


def _of_code(
    job_type: str, code: str, since: datetime | None = None, until: datetime | None = None
) -> tuple[str, dict[str, Any]]:
    """Return the condition of the failed jobs of a code that ended in this time, and its values. Both ends are included."""
    first = _FIRST if since is None else rfc3339(since)
    last = _LAST if until is None else rfc3339(until - timedelta(milliseconds=1))
    values = {":group": {"S": failed_group(job_type)}, ":first": {"S": f"{code}#{first}"}, ":last": {"S": f"{code}#{last}"}}
    return "groupName = :group AND groupKey BETWEEN :first AND :last", values


def _failed_entries(items: Sequence[Any]) -> list[FailedEntry]:
    return [FailedEntry(parse_pk(item["pk"]["S"]), code, from_rfc3339(at)) for item in items for code, at in [_split(item)]]


def _split(item: Any) -> tuple[str, str]:
    code, _, at = item["groupKey"]["S"].partition("#")
    return code, at
