"""Watchers in the jobs' table: an item for each connection, one for each topic that is watched, and one filter.

`C#` and a connection's id: its owner, its jobs and its topics, for its messages and its end. `V#` and a topic: the connections
that watch it, for the changes of its jobs. `F#`: which topics may have watchers at all. The stream's function reads it once for
a batch, so the changes of a job that nobody watches share one read of less than 4 KB.

The filter has an attribute for each group of topics: until when one of the group may be watched. A topic's group follows from a
hash, so a group that is watched may contain topics that are not: then their items are read in vain.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from asyncjobs.aws import clients
from asyncjobs.aws.dynamodb_batch import read_batch
from asyncjobs.aws.dynamodb_tickets import jobs_attribute, jobs_of
from asyncjobs.aws.items import Item, milliseconds_value, seconds_value
from asyncjobs.core.clock import epoch_milliseconds, from_epoch_milliseconds, to_whole_seconds
from asyncjobs.core.ticket import MAX_TICKET
from asyncjobs.core.watch import MAX_WATCHERS, Connection, Topic

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

GROUPS = 256
"""Groups of topics in the filter. An attribute of each is 10 bytes, so one read unit is enough for all."""
_KEPT = timedelta(hours=1)
"""How long an item stays after the last connection in it has ended, until the table's TTL removes it."""
_FILTER_LEAD = timedelta(minutes=5)
"""How much longer than needed a group counts as watched, so that most watches find it so and write nothing."""


class DynamoWatchers:
    """`Watchers` in the jobs' table. No index has these items, since they lack the index keys; the table's TTL removes them."""

    def __init__(self, table_name: str, client: DynamoDBClient) -> None:
        self._table_name = table_name
        self._client = client

    def open(self, connection: Connection) -> None:
        with clients.translated("The table"):
            self._client.put_item(
                TableName=self._table_name,
                Item={
                    **_connection_key(connection.connection_id),
                    "connectionOwner": {"S": connection.owner},
                    **jobs_attribute(connection.jobs),
                    "endsAt": milliseconds_value(connection.ends_at),
                    **_expiry(connection.ends_at),
                },
            )

    def connection(self, connection_id: str) -> Connection | None:
        with clients.translated("The table"):
            answer = self._client.get_item(TableName=self._table_name, Key=_connection_key(connection_id), ConsistentRead=True)
        item: Item | None = answer.get("Item")
        if item is None:
            return None
        return Connection(
            connection_id,
            owner=item["connectionOwner"]["S"],
            jobs=jobs_of(item),
            ends_at=from_epoch_milliseconds(int(item["endsAt"]["N"])),
            watches=frozenset(item["watches"]["SS"]) if "watches" in item else frozenset(),
        )

    def close(self, connection_id: str) -> None:
        """See `Watchers`. Races with a watch of the same connection, whose entry then stays until it ends or is found closed.

        So do all its entries if the answer to the deletion is lost.
        """
        with clients.translated("The table"):
            answer = self._client.delete_item(
                TableName=self._table_name, Key=_connection_key(connection_id), ReturnValues="ALL_OLD"
            )
        item: Item = answer.get("Attributes", {})
        for text in item["watches"]["SS"] if "watches" in item else ():
            self._remove(connection_id, text)

    def watch(self, connection: Connection, topic: Topic, now: datetime) -> bool:
        """See `Watchers`. The filter and the entry are stored before the caller reads the job: see `tests/proof/model/watch.py`."""
        if topic.text not in connection.watches and not self._note(connection.connection_id, topic):
            # It was closed meanwhile, and nobody reads the answer.
            return True
        self._extend_filter(topic, connection.ends_at, now)
        name = _entry_name(connection.connection_id)
        with clients.translated("The table"):
            answer = self._client.update_item(
                TableName=self._table_name,
                Key=_topic_key(topic.text),
                UpdateExpression="SET #connection = :until, recordExpiresAt = :expires",
                ExpressionAttributeNames={"#connection": name},
                ExpressionAttributeValues={
                    ":until": milliseconds_value(connection.ends_at),
                    ":expires": _expiry(now + MAX_TICKET)["recordExpiresAt"],
                },
                ReturnValues="ALL_NEW",
            )
        if len(_entries(answer["Attributes"], now)) <= MAX_WATCHERS:
            return True
        self.unwatch(connection, topic)
        return False

    def unwatch(self, connection: Connection, topic: Topic) -> None:
        self._remove(connection.connection_id, topic.text)
        with clients.translated("The table"):
            try:
                self._client.update_item(
                    TableName=self._table_name,
                    Key=_connection_key(connection.connection_id),
                    UpdateExpression="DELETE watches :topic",
                    ConditionExpression="attribute_exists(pk)",
                    ExpressionAttributeValues={":topic": {"SS": [topic.text]}},
                )
            except ClientError as error:
                clients.conflicting_item(error)

    def of(self, topics: Collection[Topic], now: datetime) -> Mapping[Topic, Collection[str]]:
        groups, found = next(iter(self._read([_FILTER_KEY])), {}), dict[Topic, Collection[str]]()
        possible = {topic.text: topic for topic in topics if _is_after(groups.get(_group(topic.text)), now)}
        for item in self._read(list(map(_topic_key, possible))):
            topic = possible[item["pk"]["S"].removeprefix("V#")]
            if connections := _entries(item, now):
                found[topic] = connections
        return found

    def forget(self, connection_id: str, topic: Topic) -> None:
        self._remove(connection_id, topic.text)

    def _note(self, connection_id: str, topic: Topic) -> bool:
        """Add the topic to the connection, so that its end removes the entry. Returns False if it is closed."""
        try:
            with clients.translated("The table"):
                self._client.update_item(
                    TableName=self._table_name,
                    Key=_connection_key(connection_id),
                    UpdateExpression="ADD watches :topic",
                    ConditionExpression="attribute_exists(pk)",
                    ExpressionAttributeValues={":topic": {"SS": [topic.text]}},
                )
        except ClientError as error:
            clients.conflicting_item(error)
            return False
        return True

    def _extend_filter(self, topic: Topic, until: datetime, now: datetime) -> None:
        """Let the topic's group count as watched until then. A read that is late shows an earlier time, and costs a write."""
        name = _group(topic.text)
        with clients.translated("The table"):
            answer = self._client.get_item(TableName=self._table_name, Key=_FILTER_KEY)
            if _is_after(answer.get("Item", {}).get(name), until):
                return
            # Later than the end of each present connection, so no write of another connection needs to be compared.
            latest = now + MAX_TICKET + _FILTER_LEAD
            self._client.update_item(
                TableName=self._table_name,
                Key=_FILTER_KEY,
                UpdateExpression="SET #group = :until, recordExpiresAt = :expires",
                ExpressionAttributeNames={"#group": name},
                ExpressionAttributeValues={
                    ":until": milliseconds_value(latest),
                    ":expires": _expiry(latest)["recordExpiresAt"],
                },
            )

    def _remove(self, connection_id: str, text: str) -> None:
        try:
            with clients.translated("The table"):
                self._client.update_item(
                    TableName=self._table_name,
                    Key=_topic_key(text),
                    UpdateExpression="REMOVE #connection",
                    ConditionExpression="attribute_exists(#connection)",  # an update of no item would create one
                    ExpressionAttributeNames={"#connection": _entry_name(connection_id)},
                )
        except ClientError as error:
            clients.conflicting_item(error)

    def _read(self, keys: Sequence[Any]) -> Sequence[Item]:
        return read_batch(self._client.batch_get_item, self._table_name, keys)


_FILTER_KEY: Any = {"pk": {"S": "F#"}}
_ENTRY = "c."
"""The beginning of the names of entries. Other attributes have no dot."""


def _connection_key(connection_id: str) -> Any:
    return {"pk": {"S": f"C#{connection_id}"}}


def _topic_key(text: str) -> Any:
    return {"pk": {"S": f"V#{text}"}}


def _entry_name(connection_id: str) -> str:
    return f"{_ENTRY}{connection_id}"


def _entries(item: Item, now: datetime) -> list[str]:
    return [name.removeprefix(_ENTRY) for name, value in item.items() if name.startswith(_ENTRY) and _is_after(value, now)]


def _group(text: str) -> str:
    return f"g{zlib.crc32(text.encode()) % GROUPS:x}"


def _is_after(value: Any, instant: datetime) -> bool:
    """Return whether the time in the attribute, if there is one, is later."""
    return value is not None and int(value["N"]) > epoch_milliseconds(instant)


def _expiry(ends_at: datetime) -> Item:
    return {"recordExpiresAt": seconds_value(to_whole_seconds(ends_at + _KEPT))}
