"""The audit log in the jobs' table: one item for each action of an administrator, listed by the index of groups."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from asyncjobs.aws import clients
from asyncjobs.aws.dynamodb_batch import read_batch
from asyncjobs.aws.items import Item, seconds_value
from asyncjobs.core.administration import AuditPosition, AuditRecord
from asyncjobs.core.clock import from_rfc3339, rfc3339, to_whole_seconds

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_GROUP = {"S": "A"}
"""The group of all audit records. No job's group has this name."""


class DynamoAuditLog:
    """An `AuditLog` in the jobs' table, under `A#`. The table's TTL removes a record after `kept`."""

    def __init__(self, table_name: str, client: DynamoDBClient, *, kept: timedelta) -> None:
        self._table_name = table_name
        self._client = client
        self._kept = kept

    def add(self, record: AuditRecord) -> None:
        fields = {name: value for name, value in asdict(record).items() if name not in {"audit_id", "at"}}
        try:
            with clients.translated("The table"):
                self._client.put_item(
                    TableName=self._table_name,
                    Item={
                        **_key(record.audit_id),
                        "groupName": _GROUP,
                        "groupKey": {"S": f"{rfc3339(record.at)}#{record.audit_id}"},
                        "record": {"S": json.dumps({name: value for name, value in fields.items() if value is not None})},
                        "recordExpiresAt": seconds_value(to_whole_seconds(record.at + self._kept)),
                    },
                    ConditionExpression="attribute_not_exists(pk)",
                )
        except ClientError as error:
            clients.conflicting_item(error)  # any other error is raised again

    def newest(self, *, limit: int, after: AuditPosition | None = None) -> tuple[Sequence[AuditRecord], AuditPosition | None]:
        """See `AuditLog`. The index has only keys; the records are read by these keys."""
        start: dict[str, Any] = {}
        if after is not None:
            place = {"groupName": _GROUP, "groupKey": {"S": f"{rfc3339(after.at)}#{after.audit_id}"}}
            start = {"ExclusiveStartKey": {**_key(after.audit_id), **place}}
        with clients.translated("The table"):
            page = self._client.query(
                TableName=self._table_name,
                IndexName="byGroup",
                KeyConditionExpression="groupName = :group",
                ExpressionAttributeValues={":group": _GROUP},
                ScanIndexForward=False,
                Limit=limit,
                **start,
            )
            items = self._items([entry["pk"]["S"] for entry in page["Items"]])
        places = [_place(entry) for entry in page["Items"]]
        records = [_record(place, items[name]) for place in places if (name := f"A#{place.audit_id}") in items]
        return records, places[-1] if "LastEvaluatedKey" in page else None

    def _items(self, names: Sequence[str]) -> dict[str, Item]:
        keys = [{"pk": {"S": name}} for name in names]
        items = read_batch(self._client.batch_get_item, self._table_name, keys, is_consistent=False)
        return {item["pk"]["S"]: item for item in items}


def _key(audit_id: str) -> dict[str, Any]:
    return {"pk": {"S": f"A#{audit_id}"}}


def _place(entry: Any) -> AuditPosition:
    at, _, audit_id = entry["groupKey"]["S"].partition("#")
    return AuditPosition(from_rfc3339(at), audit_id)


def _record(place: AuditPosition, item: Item) -> AuditRecord:
    """Read what `add` wrote. A later release may have written further fields."""
    fields = json.loads(item["record"]["S"])
    known = {name: value for name, value in fields.items() if name in AuditRecord.__dataclass_fields__}
    return AuditRecord(**{**known, "audit_id": place.audit_id, "at": place.at})
