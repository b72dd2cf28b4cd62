"""The contract of every storage of tickets, and the behavior of the one in DynamoDB."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from asyncjobs.aws.dynamodb_tickets import DynamoTickets
from asyncjobs.core.ports import Tickets
from asyncjobs.core.ticket import Ticket
from tests.support.factories import JOB_ID, NOW
from tests.support.fakes import FakeTickets

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

OTHER = "00000000-0000-4000-8000-000000000001"
TICKET = Ticket("alice#1", {JOB_ID: NOW, OTHER: NOW + timedelta(milliseconds=7)}, NOW + timedelta(milliseconds=60_001))


@pytest.fixture(params=["fake", "moto"])
def tickets(request: pytest.FixtureRequest) -> Tickets:
    if request.param == "fake":
        return FakeTickets()
    return DynamoTickets(*request.getfixturevalue("table"))


@pytest.fixture
def name() -> str:
    """Return a hash that no other test uses."""
    return uuid.uuid4().hex


@pytest.mark.parametrize("ticket", [TICKET, Ticket("alice", None, NOW)], ids=["of jobs", "of an owner"])
def test_stored_ticket_is_returned(tickets: Tickets, name: str, ticket: Ticket) -> None:
    tickets.put(name, ticket)
    assert tickets.get(name) == ticket


def test_unknown_ticket_is_none(tickets: Tickets, name: str) -> None:
    assert tickets.get(name) is None


# ── DynamoDB ─────────────────────────────────────────────────────────────────────────────────────────


def test_item_expires_with_its_ticket_and_is_in_no_index(table: tuple[str, DynamoDBClient], name: str) -> None:
    DynamoTickets(*table).put(name, TICKET)
    item = table[1].get_item(TableName=table[0], Key={"pk": {"S": f"T#{name}"}})["Item"]
    assert int(item["recordExpiresAt"]["N"]) == int((NOW + timedelta(seconds=61)).timestamp())
    for index in ("byOwner", "due", "live", "waiting"):
        assert table[1].scan(TableName=table[0], IndexName=index)["Items"] == []


def test_item_of_a_ticket_for_one_job_costs_one_write_unit(table: tuple[str, DynamoDBClient], name: str) -> None:
    DynamoTickets(*table).put(name, Ticket("a" * 255, {JOB_ID: NOW}, NOW))
    item = table[1].get_item(TableName=table[0], Key={"pk": {"S": f"T#{name}"}})["Item"]
    assert len(repr(item)) < 1024
