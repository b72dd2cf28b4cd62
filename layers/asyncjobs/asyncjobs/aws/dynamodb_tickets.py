"""Tickets: one item each in the jobs' table, under `T#` and the ticket's hash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncjobs.aws import clients
from asyncjobs.aws.items import Item, milliseconds_value, seconds_value
from asyncjobs.core.clock import from_epoch_milliseconds, to_whole_seconds
from asyncjobs.core.ticket import Ticket

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoTickets:
    """`Tickets` in the jobs' table. No index has these items, since they lack the index keys; the table's TTL removes them."""

    def __init__(self, table_name: str, client: DynamoDBClient | None = None) -> None:
        self._table_name = table_name
        self._client = client or clients.dynamodb()

    def put(self, ticket_hash: str, ticket: Ticket) -> None:
        """See `Tickets`. Races with no other write: the hash of a random text is new."""
        with clients.translated("The table"):
            self._client.put_item(TableName=self._table_name, Item={**_key(ticket_hash), **_attributes(ticket)})

    def get(self, ticket_hash: str) -> Ticket | None:
        with clients.translated("The table"):
            answer = self._client.get_item(TableName=self._table_name, Key=_key(ticket_hash), ConsistentRead=True)
        return _ticket(answer["Item"]) if "Item" in answer else None


def _key(ticket_hash: str) -> Any:
    return {"pk": {"S": f"T#{ticket_hash}"}}


def _attributes(ticket: Ticket) -> Item:
    jobs = None if ticket.jobs is None else {name: milliseconds_value(at) for name, at in ticket.jobs.items()}
    return {
        "ticketOwner": {"S": ticket.owner},
        **({} if jobs is None else {"jobs": {"M": jobs}}),
        "expiresAt": milliseconds_value(ticket.expires_at),
        "recordExpiresAt": seconds_value(to_whole_seconds(ticket.expires_at)),
    }


def _ticket(item: Item) -> Ticket:
    jobs = None
    if "jobs" in item:
        jobs = {name: from_epoch_milliseconds(int(value["N"])) for name, value in item["jobs"]["M"].items()}
    return Ticket(owner=item["ticketOwner"]["S"], jobs=jobs, expires_at=from_epoch_milliseconds(int(item["expiresAt"]["N"])))
