"""The webhooks of owners in DynamoDB: one item per owner in the jobs' table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from asyncjobs.aws import clients
from asyncjobs.aws.dynamodb_batch import read_batch
from asyncjobs.aws.items import Item, seconds_value, webhooks_key
from asyncjobs.core.clock import from_rfc3339, rfc3339, to_whole_seconds
from asyncjobs.core.job import owner_of_part
from asyncjobs.core.webhook import DisabledReason, OwnerWebhooks, Webhook

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

EMPTY_KEPT = timedelta(days=30)
"""How long the item of an owner without webhooks is kept, so that a write of an earlier state finds a newer revision."""


class DynamoWebhooks:
    """A `Webhooks` in the jobs' table, under `H#` and the owner. No index has these items, since they lack the index keys."""

    def __init__(self, table_name: str, client: DynamoDBClient | None = None) -> None:
        self._table_name = table_name
        self._client = client or clients.dynamodb()

    def of(self, owner: str) -> OwnerWebhooks:
        with clients.translated("The table"):
            answer = self._client.get_item(TableName=self._table_name, Key=webhooks_key(owner), ConsistentRead=True)
        return _from_item(answer["Item"]) if "Item" in answer else OwnerWebhooks(owner)

    def of_all(self, owners: Sequence[str]) -> Mapping[str, OwnerWebhooks]:
        """See `Webhooks`. One request for each hundred owners."""
        items = read_batch(self._client.batch_get_item, self._table_name, [webhooks_key(owner) for owner in owners])
        return {each.owner: each for each in map(_from_item, items) if each.webhooks}

    def swap_if_unchanged(self, old: OwnerWebhooks, new: OwnerWebhooks, now: datetime) -> bool:
        """See `Webhooks`. Races with the owner's other requests, and with deliveries that fail or succeed again."""
        item = _to_item(new, now)
        try:
            with clients.translated("The table"):
                self._client.put_item(
                    TableName=self._table_name,
                    Item=item,
                    ConditionExpression="attribute_not_exists(pk) OR revision = :revision",
                    ExpressionAttributeValues={":revision": {"N": str(old.revision)}},
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except ClientError as error:
            # Equal when the first try of this write succeeded, and its answer was lost.
            return bool(clients.conflicting_item(error) == item)
        return True


def _to_item(own: OwnerWebhooks, now: datetime) -> Item:
    item: Item = {
        **webhooks_key(own.owner),
        "webhooks": {"S": json.dumps([_fields(webhook) for webhook in own.webhooks], separators=(",", ":"))},
        "revision": {"N": str(own.revision)},
    }
    return item if own.webhooks else {**item, "recordExpiresAt": seconds_value(to_whole_seconds(now + EMPTY_KEPT))}


def _from_item(item: Mapping[str, Any]) -> OwnerWebhooks:
    _, owner = item["pk"]["S"].split("#")
    webhooks = tuple(_webhook(fields) for fields in json.loads(item["webhooks"]["S"]))
    return OwnerWebhooks(owner_of_part(owner), webhooks, int(item["revision"]["N"]))


def _fields(webhook: Webhook) -> dict[str, Any]:
    fields = {
        "webhookId": webhook.webhook_id,
        "url": webhook.url,
        "events": webhook.events,
        "jobTypes": webhook.job_types,
        "namedOnly": webhook.named_only,
        "withResult": webhook.with_result,
        "createdAt": rfc3339(webhook.created_at),
        "secret": webhook.secret,
        "previousSecret": webhook.previous_secret,
        "previousUntil": webhook.previous_until and rfc3339(webhook.previous_until),
        "failingSince": webhook.failing_since and rfc3339(webhook.failing_since),
        "disabledAt": webhook.disabled_at and rfc3339(webhook.disabled_at),
        "disabledReason": webhook.disabled_reason,
    }
    return {name: value for name, value in fields.items() if value}


def _webhook(fields: Mapping[str, Any]) -> Webhook:
    def instant(name: str) -> datetime | None:
        return from_rfc3339(fields[name]) if name in fields else None

    return Webhook(
        webhook_id=fields["webhookId"],
        url=fields["url"],
        events=tuple(fields["events"]),
        job_types=tuple(fields.get("jobTypes", ())),
        named_only=fields.get("namedOnly", False),
        with_result=fields.get("withResult", False),
        created_at=from_rfc3339(fields["createdAt"]),
        secret=fields["secret"],
        previous_secret=fields.get("previousSecret"),
        previous_until=instant("previousUntil"),
        failing_since=instant("failingSince"),
        disabled_at=instant("disabledAt"),
        disabled_reason=DisabledReason(fields["disabledReason"]) if "disabledReason" in fields else None,
    )
