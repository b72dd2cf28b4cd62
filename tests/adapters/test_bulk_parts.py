"""The contract of the parts of actions on many jobs, and the behavior of those in DynamoDB."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from asyncjobs.aws.dynamodb_bulk_parts import DynamoBulkParts
from asyncjobs.core.administration import BulkEntry, BulkPart, BulkParts, FailedPosition, LivePosition
from asyncjobs.core.job import JobKey
from asyncjobs.core.records import replace
from tests.support.factories import JOB_ID, NOW, OWNER
from tests.support.fakes import FakeBulkParts

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT = timedelta(days=365)
LIVE, FAILED = LivePosition(NOW, JOB_ID), FailedPosition(NOW, "a|b#É", JOB_ID)
PART = BulkPart(
    entries=[BulkEntry(JobKey(OWNER, JOB_ID), "0" * 32), BulkEntry(JobKey("#", "unknown"), None)],
    next=FAILED,
    counts={"DONE": 7},
)
ENDED = replace(PART, outcomes=["DONE", "JOB_NOT_FOUND"], counts={"DONE": 8, "JOB_NOT_FOUND": 1})


@pytest.fixture(params=["fake", "moto"])
def parts(request: pytest.FixtureRequest) -> BulkParts:
    if request.param == "fake":
        return FakeBulkParts()
    return DynamoBulkParts(*request.getfixturevalue("empty_table"), kept=KEPT)


def test_no_part_has_begun(parts: BulkParts) -> None:
    assert parts.get(JOB_ID, 0) is None


@pytest.mark.parametrize("position", [None, LIVE, FAILED])
def test_part_is_read_as_it_began(parts: BulkParts, position: Any) -> None:
    part = replace(PART, next=position)
    assert parts.begin(JOB_ID, 3, part, NOW)
    found = parts.get(JOB_ID, 3)
    assert (found, type(found and found.next)) == (part, type(position))
    assert (parts.get(JOB_ID, 2), parts.get("another", 3)) == (None, None)


def test_part_begins_once(parts: BulkParts) -> None:
    assert parts.begin(JOB_ID, 0, PART, NOW)
    # Also with the same jobs: of two invocations, one goes on.
    assert not parts.begin(JOB_ID, 0, replace(PART), NOW)
    assert not parts.begin(JOB_ID, 0, replace(PART, entries=[]), NOW)
    assert parts.get(JOB_ID, 0) == PART


def test_part_ends_with_its_outcomes(parts: BulkParts) -> None:
    parts.begin(JOB_ID, 0, PART, NOW)
    for _ in range(2):
        parts.end(JOB_ID, 0, ENDED, NOW)
    assert parts.get(JOB_ID, 0) == ENDED
    assert not parts.begin(JOB_ID, 0, PART, NOW)


def test_beginning_whose_answer_was_lost_has_begun(empty_table: tuple[str, DynamoDBClient]) -> None:
    name, client = empty_table
    parts, put, puts = DynamoBulkParts(name, client, kept=KEPT), client.put_item, list[Any]()

    def put_twice(**request: Any) -> Any:
        puts.append(put(**request))
        return put(**request)

    client.put_item = put_twice  # type: ignore[method-assign]  # as the SDK repeats it
    try:
        assert parts.begin(JOB_ID, 0, PART, NOW)
    finally:
        client.put_item = put  # type: ignore[method-assign]
    assert len(puts) == 1


def test_part_expires_with_the_tables_ttl_and_is_in_no_index(empty_table: tuple[str, DynamoDBClient]) -> None:
    name, client = empty_table
    DynamoBulkParts(name, client, kept=KEPT).begin(JOB_ID, 0, PART, NOW)
    (item,) = client.scan(TableName=name)["Items"]
    assert int(item["recordExpiresAt"]["N"]) == int((NOW + KEPT).timestamp())
    assert item.keys() == {"pk", "part", "recordExpiresAt", "begunBy"}


def test_part_of_the_longest_owners_is_a_small_item(empty_table: tuple[str, DynamoDBClient]) -> None:
    name, client = empty_table
    entries = [BulkEntry(JobKey("x" * 255, JOB_ID), "0" * 32)] * 50
    part = BulkPart(entries=entries, next=None, counts={}, outcomes=["JOB_ALREADY_FINISHED"] * 50)
    DynamoBulkParts(name, client, kept=KEPT).end(JOB_ID, 0, part, NOW)
    (item,) = client.scan(TableName=name)["Items"]
    assert len(item["part"]["S"]) < 20_000
