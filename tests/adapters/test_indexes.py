"""The contract of the indexes of all owners' jobs, and the behavior of those in DynamoDB."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.aws.dynamodb_indexes import DynamoIndexes
from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.core.administration import JobIndexes
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import AsyncJob, DuePart, JobFailure, JobKey, Result, due_shard
from asyncjobs.core.ports import Store
from asyncjobs.core.records import replace
from tests.support.factories import JOB_ID, NOW, new_job, running_job
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


# ── Failed jobs ──────────────────────────────────────────────────────────────────────────────────────


def failed_job(number: int, code: str = "BROKEN", job_type: str = "a.b", **changes: Any) -> AsyncJob:
    """Return a job that failed so many minutes after the others."""
    began = new_job(owner=f"user#{number}", async_job_id=str(uuid.uuid4()), job_type=job_type)
    error = JobFailure(code=code, message="x", type="Fatal", retryable=False)
    return replace(began.failed(now=NOW + timedelta(minutes=number), error=error), **changes)


def fail(store: Store, *jobs: AsyncJob) -> None:
    """Store the jobs as unfinished, and then let them fail as attempts do."""
    for job in jobs:
        unfinished = new_job(owner=job.owner, async_job_id=job.async_job_id, job_type=job.job_type, generation=job.generation)
        add(store, unfinished)
        assert isinstance(store.swap_if_unchanged(unfinished, job), AsyncJob)


def codes_of(indexes: JobIndexes, job_type: str) -> list[str]:
    codes, before = list[str](), None
    while (entry := indexes.last_failed(job_type, before=before)) is not None:
        codes.append(entry.code)
        before = entry.code
    return codes


def test_codes_of_a_type_are_found_one_by_one_by_their_newest_job(store: Store) -> None:
    jobs = [failed_job(number, code) for number, code in enumerate(["AB", "ABC", "AB_C", "A", "AB", "Z9"])]
    fail(store, *jobs, failed_job(9, "OTHER", job_type="a.b.c"))
    indexes = indexes_of(store)
    assert codes_of(indexes, "a.b") == ["Z9", "AB_C", "ABC", "AB", "A"]
    assert codes_of(indexes, "none") == []
    newest = indexes.last_failed("a.b", before="ABC")
    assert newest is not None
    assert (newest.key, newest.ended_at) == (jobs[4].key, jobs[4].ended_at)


def test_failed_jobs_of_a_code_are_counted_up_to_a_bound(store: Store) -> None:
    fail(store, *(failed_job(number) for number in range(5)), failed_job(9, "BROKEN_TOO"))
    assert [indexes_of(store).count_failed("a.b", "BROKEN", at_most=most) for most in (2, 5, 100)] == [2, 5, 5]
    assert indexes_of(store).count_failed("a.b", "BROK", at_most=9) == 0


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_failed_jobs_of_a_code_are_walked_from_the_newest_on(store: Store, limit: int) -> None:
    jobs = [failed_job(number // 2) for number in range(7)]
    fail(store, *jobs, failed_job(3, "BROKEN_TOO"), failed_job(3, "BROKE"))
    found, position = indexes_of(store).failed("a.b", "BROKEN", limit=limit)
    walked = list(found)
    while position is not None:
        found, position = indexes_of(store).failed("a.b", "BROKEN", limit=limit, after=position)
        walked += found
    assert [entry.ended_at for entry in walked] == [job.ended_at for job in reversed(jobs)]
    assert {entry.key for entry in walked} == {job.key for job in jobs}


def test_failed_jobs_are_those_of_the_given_time(store: Store) -> None:
    jobs = [failed_job(number) for number in range(5)]
    fail(store, *jobs)
    found, _ = indexes_of(store).failed("a.b", "BROKEN", since=jobs[1].ended_at, until=jobs[3].ended_at, limit=100)
    assert [entry.key for entry in found] == [jobs[2].key, jobs[1].key]
    found, _ = indexes_of(store).failed("a.b", "BROKEN", since=jobs[3].ended_at, limit=100)
    assert [entry.key for entry in found] == [jobs[4].key, jobs[3].key]


def test_retried_job_is_among_the_failed_ones_no_more(store: Store) -> None:
    job = failed_job(0)
    fail(store, job)
    retried = job.retried(max_attempts=3, timeout=timedelta(minutes=1), deadline=timedelta(days=1), now=NOW)
    assert isinstance(store.swap_if_unchanged(job, retried), AsyncJob)
    assert codes_of(indexes_of(store), "a.b") == []


def test_completed_and_cancelled_jobs_are_not_among_the_failed_ones(store: Store) -> None:
    done, cancelled = (running_job(async_job_id=str(uuid.uuid4()), job_type="a.b") for _ in range(2))
    add(store, done, cancelled)
    store.swap_if_unchanged(done, done.completed(now=NOW, result=Result(text="1")))
    store.swap_if_unchanged(cancelled, cancelled.cancelled(now=NOW))
    assert codes_of(indexes_of(store), "a.b") == []


def test_unanswered_read_is_unavailable() -> None:
    indexes = FakeIndexes(FakeStore(), failures=1)
    with pytest.raises(Unavailable):
        list(indexes.live(SHARD, page=10))


def test_entry_of_another_item_is_left_out(store: Store) -> None:
    if not isinstance(store, DynamoStore):
        pytest.skip("only a table can have such an item")
    add(store, new_job())
    for name, due_at in (("X#other", "1"), ("J#alice#a#b", "2")):
        item = {"pk": {"S": name}, "dueShard": {"S": SHARD}, "dueAt": {"N": due_at}}
        store._client.put_item(TableName=store._table_name, Item=item)
    assert [entry.key for entry in indexes_of(store).live(SHARD, page=1)] == [JobKey("alice", JOB_ID)]
