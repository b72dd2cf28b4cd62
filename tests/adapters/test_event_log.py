"""The contract of every event log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjobs.aws.dynamodb_events import BLOCK, DynamoEventLog
from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.core.events import Event, EventType, snapshot_of
from asyncjobs.core.job import AsyncJob, JobFailure, Status
from asyncjobs.core.ports import EventLog
from tests.adapters.conftest import ENGINE, create_table
from tests.proof.stateful.memory.dynamodb import MemoryDynamoDB
from tests.support.factories import NOW, OWNER, new_job, running_job
from tests.support.fakes import FakeEventLog
from tests.support.owners import ALL, label, two_owners
from tests.support.parts import all_due
from tests.template.source import resource

FAILURE = JobFailure(code="JOB_RAISED", message="…", type="ValueError", retryable=True)


@pytest.fixture(params=["fake", "moto", *(["engine"] if ENGINE else [])])
def log(request: pytest.FixtureRequest) -> Iterator[EventLog]:
    """Return an empty event log."""
    if request.param == "fake":
        yield FakeEventLog()
        return
    if request.param == "moto":
        request.getfixturevalue("aws_account")
    client = boto3.client("dynamodb", region_name="us-east-1", endpoint_url=ENGINE if request.param == "engine" else None)
    name = create_table(client)
    yield DynamoEventLog(name, client)
    client.delete_table(TableName=name)


def job_at(seq: int, **changes: Any) -> AsyncJob:
    return running_job(seq=seq, progress=min(seq, 100), **changes)


def events(first: int, last: int, *, message: str | None = None) -> list[Event]:
    return [
        replace(snapshot_of(job_at(seq)), type=EventType.PROGRESS, at=NOW + timedelta(seconds=seq), message=message)
        for seq in range(first, last + 1)
    ]


def test_every_event_round_trips(log: EventLog) -> None:
    full = Event(
        seq=7,
        type=EventType.RELEASED,
        at=NOW + timedelta(milliseconds=1),
        status=Status.PENDING,
        progress=45,
        message="Reading “page 9”",
        attempt=2,
        code="JOB_RAISED",
    )
    empty = replace(full, seq=8, type=EventType.CREATED, progress=0, message=None, attempt=0, code=None)
    custom = replace(full, seq=9, type=EventType.CUSTOM, name="rows_loaded", data='{"rows":1.50,"of":"ü"}')
    log.append(job_at(9), [full, empty, custom])
    assert log.read(job_at(9), first=7, last=9) == [full, empty, custom]


def test_events_are_read_in_order_across_blocks(log: EventLog) -> None:
    last = 3 * BLOCK + 1
    log.append(job_at(last), events(1, last))
    assert log.read(job_at(last), first=1, last=last) == events(1, last)
    assert log.read(job_at(last), first=BLOCK - 1, last=BLOCK + 1) == events(BLOCK - 1, BLOCK + 1)


def test_missing_events_are_left_out(log: EventLog) -> None:
    job = job_at(20)
    assert log.read(job, first=1, last=20) == []
    log.append(job, events(2, 3) + events(17, 17))
    assert [event.seq for event in log.read(job, first=1, last=20)] == [2, 3, 17]


def test_batches_that_arrive_again_or_in_another_order_leave_the_same_log() -> None:
    batches = [events(1, 3), events(4, 9), events(10, 11), events(4, 9)]
    for order in permutations(batches):
        log = FakeEventLog()
        memory = DynamoEventLog("jobs", MemoryDynamoDB(resource("Table")["Properties"]))  # type: ignore[arg-type]  # a fake of boto3's client
        for batch in order:
            log.append(job_at(batch[-1].seq), batch)
            memory.append(job_at(batch[-1].seq), batch)
        assert log.read(job_at(11), first=1, last=11) == memory.read(job_at(11), first=1, last=11) == events(1, 11)


def test_events_are_those_of_one_record(log: EventLog) -> None:
    job = job_at(3)
    log.append(job, events(1, 3))
    others = [
        replace(job, owner="bob"),
        replace(job, async_job_id="another"),
        replace(job, created_at=job.created_at + timedelta(milliseconds=1)),
    ]
    assert [log.read(other, first=1, last=3) for other in others] == [[], [], []]


def test_deleted_log_is_empty(log: EventLog) -> None:
    job, other = job_at(2 * BLOCK), job_at(2, owner="bob")
    log.append(job, events(1, 2 * BLOCK))
    log.append(other, events(1, 2))
    log.delete(job)
    log.delete(job)
    assert log.read(job, first=1, last=2 * BLOCK) == []
    assert log.read(other, first=1, last=2) == events(1, 2)


@pytest.mark.parametrize("owner", ALL, ids=label)
def test_owner_may_be_any_subject(log: EventLog, owner: str) -> None:
    log.append(job_at(2, owner=owner), events(1, 2))
    assert log.read(job_at(2, owner=owner), first=1, last=2) == events(1, 2)


# ── Items ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def table() -> MemoryDynamoDB:
    return MemoryDynamoDB(resource("Table")["Properties"])


@pytest.fixture
def memory(table: MemoryDynamoDB) -> DynamoEventLog:
    return DynamoEventLog("jobs", table)  # type: ignore[arg-type]  # a fake of boto3's client


def expiries(table: MemoryDynamoDB) -> list[int]:
    return [int(item["recordExpiresAt"]["N"]) for _, item in sorted(table.items.items())]


def seconds(job: AsyncJob) -> int:
    return int(job.record_expires_at.timestamp())


def test_block_expires_with_a_finished_job(memory: DynamoEventLog, table: MemoryDynamoDB) -> None:
    ended = job_at(3).failed(now=NOW, error=FAILURE)
    memory.append(ended, events(1, 3))
    assert expiries(table) == [seconds(ended)]


@pytest.mark.parametrize("days", [1, 30])
def test_block_of_an_unfinished_job_outlives_it(memory: DynamoEventLog, table: MemoryDynamoDB, days: int) -> None:
    job = job_at(3, retention=timedelta(days=days))
    memory.append(job, events(1, 3))
    assert expiries(table)[0] >= seconds(job)
    assert expiries(table)[0] >= seconds(job.failed(now=job.deadline_at, error=FAILURE))


def test_blocks_are_no_jobs(memory: DynamoEventLog, table: MemoryDynamoDB) -> None:
    memory.append(job_at(3), events(1, 3))
    store = DynamoStore("jobs", table)  # type: ignore[arg-type]  # a fake of boto3's client
    assert store.list_by_owner(OWNER, limit=9) == ([], None)
    assert all_due(store, NOW + timedelta(days=9)) == []


def test_three_events_of_a_short_job_are_one_write_of_one_unit(memory: DynamoEventLog, table: MemoryDynamoDB) -> None:
    job = new_job(owner="8f14e45f-ceea-467a-9575-1f2d3c4b5a69", seq=3).cancelled(now=NOW)
    memory.append(job, events(1, 3, message="Reading page 9 of 20"))
    (write,) = table.history
    assert sum(len(name) + len(next(iter(value.values()))) for name, value in (write.new or {}).items()) < 1024


def test_event_of_a_newer_release_is_left_out(memory: DynamoEventLog, table: MemoryDynamoDB) -> None:
    memory.append(job_at(3), events(1, 3))
    (item,) = table.items.values()
    item["e2"] = {"S": '{"type":"paused","at":1,"status":"IN_PROGRESS"}'}
    item["e3"] = {"S": "no JSON"}
    assert [event.seq for event in memory.read(job_at(3), first=1, last=3)] == [1]


@settings(max_examples=100)
@given(two_owners(), st.uuids(version=4).map(str), st.uuids(version=4).map(str))
def test_no_two_owners_share_a_block(owners: tuple[str, str], one_id: str, other_id: str) -> None:
    tables = []
    for owner, async_job_id in zip(owners, (one_id, other_id), strict=True):
        table = MemoryDynamoDB(resource("Table")["Properties"])
        DynamoEventLog("jobs", table).append(job_at(9, owner=owner, async_job_id=async_job_id), events(1, 9))  # type: ignore[arg-type]  # the same
        tables.append(table)
    assert not tables[0].items.keys() & tables[1].items.keys()
    assert all(len(key.encode()) <= 2048 for table in tables for key in table.items)
