"""Items that this release did not write: of a newer release after a rollback, or of something else than asyncjobs."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.aws.items import primary_key
from asyncjobs.core.errors import Unreadable
from asyncjobs.core.job import AsyncJob, DuePart, JobFailure, LockOwner, Priority, Status, due_shard, due_shards
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import ListPosition
from asyncjobs.limits.locks import Locks
from tests.adapters.conftest import create_table
from tests.support.factories import NOW, OWNER, new_job
from tests.support.fakes import FakeClock, FakeQueue
from tests.support.parts import make_sweeper
from tests.unit.conftest import Lines

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MINUTE = timedelta(minutes=1)
SHARDS = [due_shards(part)[-1] for part in DuePart]
FOREIGN_KEYS = ["J#a#b#c", "J#a", "J##b", "J#a#", "S#a#b", "nothing"]


@pytest.fixture
def client(request: pytest.FixtureRequest) -> DynamoDBClient:
    request.getfixturevalue("aws_account")
    return boto3.client("dynamodb")


@pytest.fixture
def store(client: DynamoDBClient) -> Iterator[DynamoStore]:
    name = create_table(client)
    yield DynamoStore(name, client)
    client.delete_table(TableName=name)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


def add(store: DynamoStore, number: int, **changes: Any) -> AsyncJob:
    job = new_job(async_job_id=f"00000000-0000-4000-8000-{number:012}", now=NOW + timedelta(seconds=number), **changes)
    store.add_if_absent(job, NOW)
    return job


def write(store: DynamoStore, job: AsyncJob, attribute: str, value: dict[str, Any]) -> None:
    """Write an attribute as another release, or another program, would."""
    store._client.update_item(
        TableName=store._table_name,
        Key=primary_key(job.key),
        UpdateExpression="SET #name = :value",
        ExpressionAttributeNames={"#name": attribute},
        ExpressionAttributeValues={":value": value},
    )


def put(store: DynamoStore, **item: dict[str, Any]) -> None:
    store._client.put_item(TableName=store._table_name, Item=item)


def raw(store: DynamoStore, job: AsyncJob) -> dict[str, Any]:
    return dict(store._client.get_item(TableName=store._table_name, Key=primary_key(job.key))["Item"])


def read(store: DynamoStore, job: AsyncJob) -> AsyncJob:
    found = store.get(job.key)
    assert found is not None
    return found


# ── Rollback ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("attribute", "value"), [("priority", "urgent"), ("retentionFrom", "LAST_READ"), ("webhook", "https://hook.test")]
)
def test_job_of_a_newer_release_runs_and_keeps_what_this_release_does_not_know(
    store: DynamoStore, clock: FakeClock, attribute: str, value: str
) -> None:
    job, queue = add(store, 1), FakeQueue()
    write(store, job, attribute, {"S": value})
    assert job.due_at is not None
    clock.now = job.due_at
    make_sweeper(store=store, queue=queue, clock=clock).sweep(lambda: MINUTE)
    (message,) = queue.sent
    assert message.priority is Priority.STANDARD
    claim = store.claim_if_claimable(JobMessage.of(job), by="w", now=clock.now, lease_until=clock.now + MINUTE)
    assert isinstance(claim, AsyncJob)
    assert isinstance(store.swap_if_unchanged(claim, claim.cancelled(now=clock.now)), AsyncJob)
    assert read(store, job).status is Status.CANCELLED
    assert raw(store, job)[attribute] == {"S": value}


def test_error_with_fields_of_a_newer_release_is_read(store: DynamoStore) -> None:
    job = add(store, 1)
    write(store, job, "error", {"S": '{"code":"A","message":"b","type":"C","retryable":true,"help":"https://help.test"}'})
    assert read(store, job).error == JobFailure(code="A", message="b", type="C", retryable=True)


def test_job_with_an_unknown_status_is_left_to_the_newer_release(store: DynamoStore, clock: FakeClock, lines: Lines) -> None:
    paused, other, queue = add(store, 1), add(store, 2), FakeQueue()
    write(store, paused, "status", {"S": "PAUSED"})
    before = raw(store, paused)
    clock.now = NOW + 2 * MINUTE
    sweep = make_sweeper(store=store, queue=queue, clock=clock).sweep(lambda: MINUTE)
    assert (sweep.failures, [message.key for message in queue.sent]) == (1, [other.key])
    assert sweep.oldest_due > timedelta(seconds=30)
    assert raw(store, paused) == before
    with pytest.raises(Unreadable):
        store.get(paused.key)
    with pytest.raises(Unreadable):
        store.claim_if_claimable(JobMessage.of(paused), by="w", now=clock.now, lease_until=clock.now + MINUTE)
    assert raw(store, paused) == before
    jobs, _ = store.list_by_owner(OWNER, limit=10)
    assert [job.key for job in jobs] == [other.key]
    assert lines.names()[-1] == "RECORD_UNREADABLE"
    assert lines.events[-1]["asyncJobId"] == paused.async_job_id


# ── Upgrade ────────────────────────────────────────────────────────────────────────────────────────


def test_job_in_a_partition_of_an_earlier_release_is_swept_and_claimed(store: DynamoStore, clock: FakeClock) -> None:
    job, queue = add(store, 2), FakeQueue()
    earlier = str(zlib.crc32(job.async_job_id.encode()) % 4)
    assert earlier != due_shard(job.async_job_id, DuePart.NEW)
    write(store, job, "dueShard", {"S": earlier})
    assert job.due_at is not None
    clock.now = job.due_at
    claim = store.claim_if_claimable(JobMessage.of(job), by="w", now=clock.now, lease_until=clock.now + MINUTE)
    assert isinstance(claim, AsyncJob)
    assert raw(store, job)["dueShard"] == {"S": earlier}
    clock.advance(seconds=61)
    make_sweeper(store=store, queue=queue, clock=clock).sweep(lambda: MINUTE)
    assert [message.key for message in queue.sent] == [job.key]
    assert raw(store, job)["dueShard"] == {"S": due_shard(job.async_job_id, DuePart.RUNNING)}


# ── Foreign items ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("due_at", ["1", "1.5", "-1e30"])
def test_foreign_items_stop_no_sweep(store: DynamoStore, clock: FakeClock, lines: Lines, due_at: str) -> None:
    job, queue = add(store, 1), FakeQueue()
    for number, key in enumerate(FOREIGN_KEYS):
        put(store, pk={"S": key}, dueShard={"S": SHARDS[number % len(SHARDS)]}, dueAt={"N": due_at})
    clock.now = NOW + 2 * MINUTE
    sweep = make_sweeper(store=store, queue=queue, clock=clock).sweep(lambda: MINUTE)
    assert queue.sent == [JobMessage.of(job)]
    assert sweep.failures == len(FOREIGN_KEYS)
    assert lines.events[-1]["sweepFailures"] == sweep.failures
    assert {line["errorType"] for line in lines.events if line["message"] == "SWEEP_FAILED"} == {"Unreadable"}


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
@pytest.mark.parametrize("key", FOREIGN_KEYS)
def test_foreign_items_hide_no_job_of_a_list(store: DynamoStore, key: str, limit: int) -> None:
    jobs = [add(store, number) for number in range(5)]
    for number in (0, 2, 4):  # the list's last entry, one in its middle, and its first
        created = jobs[number].created_at + timedelta(milliseconds=1)
        put(store, pk={"S": f"{key}{'#' * number}"}, owner={"S": OWNER}, createdAt={"S": created.isoformat()})
    put(store, pk={"S": key.lower()}, owner={"S": OWNER}, createdAt={"S": "no time"})
    assert list(everything(store, limit)) == jobs[::-1]


def test_foreign_items_hide_no_waiting_job(store: DynamoStore) -> None:
    job = new_job().exclusively("1#cache")
    store.add_if_absent(job, NOW)
    for number, key in enumerate(FOREIGN_KEYS):
        put(store, pk={"S": key}, exclusiveKey={"S": "1#cache"}, waitsSince={"N": str(number)})
    assert list(store.waiting("1#cache", NOW, at_most=1)) == [job.key]


@pytest.mark.parametrize("holder", ["", "nothing", "J#a#b#c#d", "J##b#c"])
def test_lock_whose_owner_is_no_job_is_free(store: DynamoStore, clock: FakeClock, holder: str) -> None:
    job = new_job().exclusively("1#cache")
    store.add_if_absent(job, NOW)
    put(store, pk={"S": "L#cache#0"}, holder={"S": holder})
    locks = Locks(store=store, queue=FakeQueue(), clock=clock)
    assert locks.take("1#cache", LockOwner.of(job)) is None
    assert store.lock_owner("cache#0") == LockOwner.of(job)


def everything(store: DynamoStore, limit: int) -> Iterator[AsyncJob]:
    position: ListPosition | None = None
    while True:
        page, position = store.list_by_owner(OWNER, limit=limit, after=position)
        assert len(page) <= limit
        yield from page
        if position is None:
            return
