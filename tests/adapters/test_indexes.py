"""The contract of the indexes of all owners' jobs, and the behavior of those in DynamoDB."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from asyncjobs.aws.dynamodb_indexes import DynamoIndexes
from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.core.administration import JobIndexes
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import AsyncJob, DuePart, JobKey, due_shard
from asyncjobs.core.ports import Store
from asyncjobs.core.records import replace
from tests.support.factories import JOB_ID, NOW, new_job
from tests.support.fakes import FakeIndexes, FakeStore

SHARD = due_shard(JOB_ID, DuePart.NEW)


def indexes_of(store: Store) -> JobIndexes:
    if isinstance(store, FakeStore):
        return FakeIndexes(store)
    assert isinstance(store, DynamoStore)
    return DynamoIndexes(store._table_name, store._client)


def ids_of_shard(count: int) -> list[str]:
    found = list[str]()
    while len(found) < count:
        async_job_id = str(uuid.uuid4())
        if due_shard(async_job_id, DuePart.NEW) == SHARD:
            found.append(async_job_id)
    return found


def add(store: Store, *jobs: AsyncJob) -> None:
    for job in jobs:
        assert store.add_if_absent(job, NOW) is None


def test_live_jobs_of_a_partition_come_in_the_order_of_their_due_times(store: Store) -> None:
    jobs = [
        new_job(owner=f"user {number}", async_job_id=name, now=NOW - timedelta(minutes=number))
        for number, name in enumerate(ids_of_shard(7))
    ]
    add(store, *jobs)
    for page in (1, 3, 100):
        found = list(indexes_of(store).live(SHARD, page=page))
        assert [(entry.key, entry.due_at) for entry in found] == [(job.key, job.due_at) for job in reversed(jobs)]


def test_live_jobs_begin_at_the_given_time(store: Store) -> None:
    jobs = [new_job(async_job_id=name, now=NOW + timedelta(minutes=number)) for number, name in enumerate(ids_of_shard(4))]
    add(store, *jobs)
    found = indexes_of(store).live(SHARD, since=jobs[2].due_at, page=10)
    assert [entry.key for entry in found] == [job.key for job in jobs[2:]]


def test_finished_job_and_another_partitions_job_are_not_among_them(store: Store) -> None:
    job = new_job()
    other = next(name for name in map(str, iter(uuid.uuid4, None)) if due_shard(name, DuePart.NEW) != SHARD)
    add(store, job, new_job(async_job_id=other))
    ended = store.swap_if_unchanged(job, job.cancelled(now=NOW))
    assert isinstance(ended, AsyncJob)
    assert list(indexes_of(store).live(SHARD, page=10)) == []


def test_unanswered_read_is_unavailable() -> None:
    indexes = FakeIndexes(FakeStore(), failures=1)
    with pytest.raises(Unavailable):
        list(indexes.live(SHARD, page=10))


def test_entry_that_is_no_job_is_left_out(store: Store) -> None:
    if not isinstance(store, DynamoStore):
        pytest.skip("only a table can have such an item")
    add(store, new_job())
    for name, due_at in (("X#other", "1"), ("J#alice#a#b", "2")):
        item = {"pk": {"S": name}, "dueShard": {"S": SHARD}, "dueAt": {"N": due_at}}
        store._client.put_item(TableName=store._table_name, Item=item)  # type: ignore[arg-type]  # a literal's type
    assert [entry.key for entry in indexes_of(store).live(SHARD, page=1)] == [JobKey("alice", JOB_ID)]
