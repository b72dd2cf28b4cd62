"""The contract of every storage of webhooks, and the behavior of the one in DynamoDB."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.aws.dynamodb_webhooks import EMPTY_KEPT, DynamoWebhooks
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.ports import Webhooks
from asyncjobs.core.webhook import EVENTS, MAX_JOB_TYPES, MAX_URL, MAX_WEBHOOKS, OwnerWebhooks, new_secret
from tests.support.factories import JOB_ID, NOW, new_webhook
from tests.support.fakes import FakeWebhooks
from tests.support.parts import all_due

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def in_table(table: tuple[str, DynamoDBClient]) -> DynamoWebhooks:
    return DynamoWebhooks(*table)


@pytest.fixture(params=["fake", "moto"])
def webhooks(request: pytest.FixtureRequest) -> Webhooks:
    if request.param == "fake":
        return FakeWebhooks()
    found: DynamoWebhooks = request.getfixturevalue("in_table")
    return found


@pytest.fixture
def owner() -> str:
    """Return an owner that no other test uses."""
    return f"alice#{uuid.uuid4().hex}"


def store(webhooks: Webhooks, owner: str, *found: Any) -> OwnerWebhooks:
    own = OwnerWebhooks(owner)
    for webhook in found:
        own, before = own.with_webhook(webhook), own
        assert webhooks.swap_if_unchanged(before, own, NOW)
    return own


FULL = (
    new_webhook(
        events=EVENTS,
        job_types=("a.b", "c"),
        named_only=True,
        with_result=True,
        failing_since=NOW + timedelta(milliseconds=1),
    )
    .rotated(secret=new_secret(), now=NOW)
    .refused(now=NOW)
)


def test_owner_without_webhooks_has_none(webhooks: Webhooks, owner: str) -> None:
    assert webhooks.of(owner) == OwnerWebhooks(owner)
    assert webhooks.of_all([owner]) == {}


def test_stored_webhooks_are_read_as_they_were_written(webhooks: Webhooks, owner: str) -> None:
    own = store(webhooks, owner, FULL, new_webhook(webhook_id=JOB_ID))
    assert webhooks.of(owner) == own
    assert webhooks.of_all([owner]) == {owner: own}


def test_owners_are_separate(webhooks: Webhooks, owner: str) -> None:
    own = store(webhooks, owner, new_webhook())
    other = store(webhooks, f"{owner}#", new_webhook(url="https://other.example.com/"))
    assert webhooks.of_all([owner, f"{owner}#", f"{owner}##"]) == {owner: own, f"{owner}#": other}


def test_change_of_an_earlier_state_is_not_stored(webhooks: Webhooks, owner: str) -> None:
    own = store(webhooks, owner, new_webhook())
    newer = own.with_webhook(new_webhook(failing_since=NOW))
    assert webhooks.swap_if_unchanged(own, newer, NOW)
    assert not webhooks.swap_if_unchanged(own, own.without(new_webhook().webhook_id), NOW)
    assert not webhooks.swap_if_unchanged(OwnerWebhooks(owner), OwnerWebhooks(owner).with_webhook(new_webhook()), NOW)
    assert webhooks.of(owner) == newer


def test_repeated_write_is_a_success(webhooks: Webhooks, owner: str) -> None:
    own = store(webhooks, owner, new_webhook())
    assert webhooks.swap_if_unchanged(OwnerWebhooks(owner), own, NOW)
    assert webhooks.of(owner) == own


def test_state_before_a_deletion_does_not_come_back(webhooks: Webhooks, owner: str) -> None:
    first = store(webhooks, owner, new_webhook())
    empty = first.without(new_webhook().webhook_id)
    second = empty.with_webhook(new_webhook(webhook_id=JOB_ID))
    assert webhooks.swap_if_unchanged(first, empty, NOW)
    assert webhooks.of_all([owner]) == {}
    assert webhooks.swap_if_unchanged(empty, second, NOW)
    assert not webhooks.swap_if_unchanged(first, first.with_webhook(new_webhook(failing_since=NOW)), NOW)
    assert webhooks.of(owner) == second


# ── DynamoDB ─────────────────────────────────────────────────────────────────────────────────────────


def item_of(table: tuple[str, DynamoDBClient], owner: str) -> Any:
    pk = "H#" + owner.replace("#", "\N{MUSIC SHARP SIGN}")
    return table[1].get_item(TableName=table[0], Key={"pk": {"S": pk}})["Item"]


def test_item_is_in_no_index(table: tuple[str, DynamoDBClient], in_table: DynamoWebhooks, owner: str) -> None:
    store(in_table, owner, new_webhook())
    jobs = DynamoStore(*table)
    assert all_due(jobs, NOW + timedelta(days=1)) == []
    assert jobs.list_by_owner(owner, limit=10) == ([], None)
    assert jobs.list_by_owner(owner, limit=10, deliveries=True) == ([], None)


def test_item_expires_only_when_it_is_empty(table: tuple[str, DynamoDBClient], in_table: DynamoWebhooks, owner: str) -> None:
    own = store(in_table, owner, new_webhook())
    assert "recordExpiresAt" not in item_of(table, owner)
    in_table.swap_if_unchanged(own, own.without(new_webhook().webhook_id), NOW)
    assert int(item_of(table, owner)["recordExpiresAt"]["N"]) == int((NOW + EMPTY_KEPT).timestamp())


def test_largest_item_costs_eight_read_units(table: tuple[str, DynamoDBClient], in_table: DynamoWebhooks, owner: str) -> None:
    largest = [
        new_webhook(
            webhook_id=str(uuid.uuid4()),
            url="https://" + "a" * (MAX_URL - 8),
            job_types=tuple("a" * 50 for _ in range(MAX_JOB_TYPES)),
            events=EVENTS,
        )
        .rotated(secret=new_secret(), now=NOW)
        .refused(now=NOW)
        for _ in range(MAX_WEBHOOKS)
    ]
    store(in_table, owner, *largest)
    assert len(item_of(table, owner)["webhooks"]["S"]) < 8 * 4096
    store(in_table, f"{owner}2", new_webhook())
    assert len(item_of(table, f"{owner}2")["webhooks"]["S"]) < 400, "a usual one costs one"


def test_many_owners_are_read_in_hundreds(in_table: DynamoWebhooks, owner: str) -> None:
    owners = [f"{owner}{number}" for number in range(150)]
    stored = {each: store(in_table, each, new_webhook()) for each in owners[::50]}
    assert in_table.of_all(owners) == stored


def test_owners_that_the_table_leaves_out_are_read_again(
    table: tuple[str, DynamoDBClient], in_table: DynamoWebhooks, owner: str
) -> None:
    own = store(in_table, owner, new_webhook())
    throttled: Any = Throttled(table[1], times=3)
    assert DynamoWebhooks(table[0], throttled).of_all([owner]) == {owner: own}
    with pytest.raises(Unavailable):
        DynamoWebhooks(table[0], Throttled(table[1], times=9)).of_all([owner])  # type: ignore[arg-type]


class Throttled:
    """A client whose batches leave out everything, so many times."""

    def __init__(self, client: Any, *, times: int) -> None:
        self._client = client
        self._times = times

    def batch_get_item(self, **arguments: Any) -> Any:
        self._times -= 1
        if self._times >= 0:
            return {"Responses": {}, "UnprocessedKeys": arguments["RequestItems"]}
        return self._client.batch_get_item(**arguments)
