"""Tickets: one item each in the jobs' table, under `T#` and the ticket's hash."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from asyncjobs.aws import clients
from asyncjobs.aws.items import Item, milliseconds_value, seconds_value
from asyncjobs.core.clock import from_epoch_milliseconds, to_whole_seconds
from asyncjobs.core.ticket import Ticket

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoTickets:
    """`Tickets` in the jobs' table. No index has these items, since they lack the index keys; the table's TTL removes them."""

    def __init__(self, table_name: str, client: DynamoDBClient) -> None:
        self._table_name = table_name
        self._client = client

    def put(self, ticket_hash: str, ticket: Ticket) -> None:
        """See `Tickets`. Races with no other write: the hash of a random text is new."""
        with clients.translated("The table"):
            self._client.put_item(TableName=self._table_name, Item={**_key(ticket_hash), **_attributes(ticket)})

    def get(self, ticket_hash: str) -> Ticket | None:
        with clients.translated("The table"):
            answer = self._client.get_item(TableName=self._table_name, Key=_key(ticket_hash), ConsistentRead=True)
        return _ticket(answer["Item"]) if "Item" in answer else None

    def take(self, ticket_hash: str) -> Ticket | None:
        """See `Tickets`. The SDK repeats a deletion whose answer was lost, and then finds no ticket: its holder needs another one."""
        try:
            with clients.translated("The table"):
                answer = self._client.delete_item(
                    TableName=self._table_name,
                    Key=_key(ticket_hash),
                    ConditionExpression="attribute_exists(connectionEndsAt)",
                    ReturnValues="ALL_OLD",
                )
        except ClientError as error:
            clients.conflicting_item(error)
            return None
        return _ticket(answer["Attributes"])


def _key(ticket_hash: str) -> Any:
    return {"pk": {"S": f"T#{ticket_hash}"}}


def _attributes(ticket: Ticket) -> Item:
    return {
        "ticketOwner": {"S": ticket.owner},
        **jobs_attribute(ticket.jobs),
        "expiresAt": milliseconds_value(ticket.expires_at),
        **({} if ticket.connection_ends_at is None else {"connectionEndsAt": milliseconds_value(ticket.connection_ends_at)}),
        "recordExpiresAt": seconds_value(to_whole_seconds(ticket.expires_at)),
    }


def _ticket(item: Item) -> Ticket:
    ends_at = item.get("connectionEndsAt")
    return Ticket(
        owner=item["ticketOwner"]["S"],
        jobs=jobs_of(item),
        expires_at=from_epoch_milliseconds(int(item["expiresAt"]["N"])),
        connection_ends_at=None if ends_at is None else from_epoch_milliseconds(int(ends_at["N"])),
    )


def jobs_attribute(jobs: Mapping[str, datetime] | None) -> Item:
    """Return the attribute that names the jobs of a ticket. There is none for a ticket for all jobs of its owner."""
    return {} if jobs is None else {"jobs": {"M": {name: milliseconds_value(at) for name, at in jobs.items()}}}


def jobs_of(item: Item) -> Mapping[str, datetime] | None:
    """Read the output of `jobs_attribute`."""
    if "jobs" not in item:
        return None
    return {name: from_epoch_milliseconds(int(value["N"])) for name, value in item["jobs"]["M"].items()}
