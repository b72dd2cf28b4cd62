"""The contract of every audit log, and the behavior of the one in DynamoDB."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from asyncjobs.aws.dynamodb_audit import DynamoAuditLog
from asyncjobs.core.administration import AuditLog, AuditRecord
from tests.support.factories import JOB_ID, NOW, OWNER
from tests.support.fakes import FakeAuditLog

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT = timedelta(days=365)


@pytest.fixture(params=["fake", "moto"])
def audit(request: pytest.FixtureRequest) -> AuditLog:
    if request.param == "fake":
        return FakeAuditLog()
    return DynamoAuditLog(*request.getfixturevalue("empty_table"), kept=KEPT)


def record(number: int, **changes: object) -> AuditRecord:
    fields: dict[str, object] = {"owner": OWNER, "async_job_id": JOB_ID, "job_type": "a.b", **changes}
    return AuditRecord(
        audit_id=f"00000000-0000-4000-8000-{number:012}",
        at=NOW + timedelta(seconds=number // 2),
        actor="ops",
        action="job.cancel",
        request_id=f"request {number}",
        **fields,  # type: ignore[arg-type]  # a test's shorthand
    )


def test_empty_log_has_no_record(audit: AuditLog) -> None:
    assert audit.newest(limit=10) == ([], None)


def test_record_is_read_as_it_was_added(audit: AuditLog) -> None:
    one = record(1)
    many = record(2, owner=None, async_job_id=None, filter={"failed": {"jobType": "a.b", "code": "É"}}, count=500)
    ended = record(3, outcomes={"DONE": 7, "JOB_NOT_FOUND": 1})
    for each in (one, many, ended):
        audit.add(each)
    assert list(audit.newest(limit=10)[0]) == [ended, many, one]


def test_record_stays_as_it_was_added_first(audit: AuditLog) -> None:
    audit.add(record(1))
    audit.add(record(1, count=7))
    assert list(audit.newest(limit=10)[0]) == [record(1)]


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
def test_records_are_walked_from_the_newest_on(audit: AuditLog, limit: int) -> None:
    records = [record(number) for number in range(7)]
    for each in records:
        audit.add(each)
    found, position = audit.newest(limit=limit)
    walked = list(found)
    while position is not None:
        found, position = audit.newest(limit=limit, after=position)
        walked += found
    assert walked == records[::-1]


def test_record_expires_with_the_tables_ttl_and_is_in_one_index_only(empty_table: tuple[str, DynamoDBClient]) -> None:
    name, client = empty_table
    DynamoAuditLog(name, client, kept=KEPT).add(record(0))
    (item,) = client.scan(TableName=name)["Items"]
    assert int(item["recordExpiresAt"]["N"]) == int((NOW + KEPT).timestamp())
    assert {"owner", "createdAt", "dueShard", "liveOwner", "exclusiveKey", "seq"} & item.keys() == set()


def test_field_of_a_newer_release_is_ignored(empty_table: tuple[str, DynamoDBClient]) -> None:
    name, client = empty_table
    log = DynamoAuditLog(name, client, kept=KEPT)
    log.add(record(0))
    (item,) = client.scan(TableName=name)["Items"]
    item["record"]["S"] = item["record"]["S"].replace("{", '{"region": "x", ', 1)
    client.put_item(TableName=name, Item=item)
    assert list(log.newest(limit=1)[0]) == [record(0)]
