"""A job as a DynamoDB item: it round trips and stays small."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjobs.aws.items import (
    GUARD_ATTRIBUTES,
    bucket_key,
    from_item,
    lock_owner_value,
    parse_lock_owner,
    parse_pk,
    pk,
    to_dedupe_item,
    to_item,
    wait_slots_key,
)
from asyncjobs.core.clock import to_milliseconds, to_whole_seconds
from asyncjobs.core.errors import Unreadable
from asyncjobs.core.job import (
    FENCE,
    FENCE_AND_DUE,
    FENCE_AND_EXPIRY,
    FENCE_AND_LEASE,
    FENCE_AND_PROGRESS,
    FENCE_AND_TOKEN,
    AsyncJob,
    JobFailure,
    JobKey,
    LockOwner,
    Priority,
    Result,
    Status,
)
from asyncjobs.tracking.worker_token import WorkerToken
from tests.support.factories import JOB_ID, NOW, OWNER, new_job, new_tracked_job, running_job
from tests.support.owners import ALL, LONGEST, OWNERS, label, two_owners

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAME = st.text("abc-|@. äß€", min_size=1, max_size=20)
INSTANT = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(to_milliseconds)  # noqa: DTZ001
COUNT = st.integers(0, 1000)
FAILURE = st.builds(JobFailure, code=TEXT, message=TEXT, type=TEXT, retryable=st.booleans())
JOBS = st.builds(
    AsyncJob,
    owner=OWNERS,
    async_job_id=st.uuids(version=4).map(str),
    job_type=NAME,
    status=st.sampled_from(Status),
    generation=NAME,
    request_hash=st.binary(min_size=32, max_size=32),
    priority=st.sampled_from(Priority),
    seq=COUNT,
    attempt=COUNT,
    max_attempts=COUNT,
    created_at=INSTANT,
    updated_at=INSTANT,
    started_at=st.none() | INSTANT,
    ended_at=st.none() | INSTANT,
    deadline_at=INSTANT,
    record_expires_at=INSTANT.map(to_whole_seconds),
    retention=st.integers(1, 10**7).map(lambda seconds: timedelta(seconds=seconds)),
    not_before=st.none() | INSTANT,
    due_at=st.none() | INSTANT,
    sweeps=COUNT,
    claimed_by=st.none() | NAME,
    lease_until=st.none() | INSTANT,
    progress=st.integers(0, 100),
    progress_at=st.none() | INSTANT,
    token_hash=st.none() | st.binary(min_size=16, max_size=16),
    size_class=st.none() | st.integers(0, 12),
    message=st.none() | TEXT,
    input=st.none() | TEXT,
    input_location=st.none() | NAME,
    metadata=st.none() | TEXT,
    result=st.none() | st.builds(Result, text=TEXT) | st.builds(Result, location=NAME) | st.builds(Result, url=NAME),
    error=st.none() | FAILURE,
    live_owner=st.none() | OWNERS,
    exclusive_key=st.none() | NAME,
    waits_since=st.none() | INSTANT,
    named_event=st.none() | NAME,
)


@settings(max_examples=30)
@given(JOBS)
def test_every_job_round_trips(job: AsyncJob) -> None:
    assert from_item(to_item(job)) == job


@settings(max_examples=30)
@given(JOBS)
def test_absent_fields_have_no_attribute(job: AsyncJob) -> None:
    values = [value for attribute in to_item(job).values() for value in attribute.values()]
    assert None not in values
    assert all(isinstance(value, str | bytes) for value in values)


def test_unknown_attributes_are_ignored() -> None:
    job = new_job()
    assert from_item({**to_item(job), "color": {"N": "3"}, "callback": {"M": {"url": {"S": "https://x"}}}}) == job


@pytest.mark.parametrize("text", ["", "J", "J#a", "J#a#", "J##b", "J#a#b#c", "j#a#b", "S#a#b", "L#cache#0"])
def test_key_of_another_item_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        parse_pk(text)


@pytest.mark.parametrize("text", ["", "nothing", "J#a#b", "J##b#c", "J#a#b#c#d"])
def test_lock_owner_that_is_not_a_job_is_written_back_unchanged(text: str) -> None:
    owner = parse_lock_owner(text)
    assert owner.key not in {JobKey("a", "b"), JobKey("", "b")}
    assert lock_owner_value(owner) == {"S": text}


def test_token_hash_costs_a_tracked_job_25_bytes_and_other_jobs_nothing() -> None:
    token_hash = WorkerToken.new(OWNER).hash
    assert "tokenHash" not in to_item(new_job())
    assert to_item(new_tracked_job(token_hash=token_hash))["tokenHash"] == {"B": token_hash}
    assert len("tokenHash") + len(token_hash) == 25


def test_number_costs_a_job_six_bytes_and_a_record_of_an_earlier_release_has_none() -> None:
    job = new_job()
    assert "seq" not in to_item(replace(job, seq=0))
    assert from_item(to_item(replace(job, seq=0))).seq == 0
    assert [size(to_item(replace(job, seq=seq))) - size(to_item(replace(job, seq=0))) for seq in (1, 12, 123)] == [6, 6, 7]


def test_standard_priority_is_not_written() -> None:
    assert "priority" not in to_item(new_job())
    assert to_item(new_job(priority=Priority.LOW))["priority"] == {"S": "low"}
    assert from_item(to_item(new_job())).priority is Priority.STANDARD


def test_due_index_key_exists_only_while_the_job_is_unfinished() -> None:
    item, ended = to_item(new_job()), to_item(new_job().cancelled(now=NOW))
    assert {"dueAt", "dueShard"} <= item.keys()
    assert not {"dueAt", "dueShard"} & ended.keys()


def test_time_to_live_is_in_whole_seconds() -> None:
    job = new_job(now=NOW + timedelta(milliseconds=1)).cancelled(now=NOW + timedelta(milliseconds=2))
    assert to_item(job)["recordExpiresAt"]["N"].isdigit()
    assert len(to_item(job)["recordExpiresAt"]["N"]) == 10


@pytest.mark.parametrize(
    "field", sorted({*FENCE, *FENCE_AND_LEASE, *FENCE_AND_DUE, *FENCE_AND_PROGRESS, *FENCE_AND_TOKEN, *FENCE_AND_EXPIRY})
)
def test_each_field_of_a_swaps_condition_has_its_attribute(field: str) -> None:
    job = running_job()
    other: Any = {
        "generation": "another",
        "status": Status.PENDING,
        "seq": 7,
        "attempt": 2,
        "claimed_by": "another",
        "lease_until": NOW,
        "due_at": NOW,
        "updated_at": NOW + timedelta(seconds=1),
        "progress": 50,
        "token_hash": b"t" * 16,
        "message": "half",
        "record_expires_at": NOW,
    }[field]
    before, after = to_item(job), to_item(replace(job, **{field: other}))
    assert before.get(GUARD_ATTRIBUTES[field]) != after[GUARD_ATTRIBUTES[field]]


IDS = st.uuids(version=4).map(str)


@settings(max_examples=100)
@given(OWNERS, IDS)
def test_every_key_round_trips(owner: str, async_job_id: str) -> None:
    key = JobKey(owner, async_job_id)
    assert parse_pk(pk(key)) == key
    lock_owner = LockOwner(key, "generation")
    assert parse_lock_owner(lock_owner_value(lock_owner)["S"]) == lock_owner


def keys_of(owner: str, async_job_id: str, digest: str) -> set[str]:
    """Return the keys of all items of an owner. tests/unit/limits/test_locks.py has those of its locks."""
    dedupe = to_dedupe_item(owner, digest, async_job_id, NOW)
    items = (dedupe, bucket_key(owner), wait_slots_key(owner))
    return {pk(JobKey(owner, async_job_id)), *(item["pk"]["S"] for item in items)}


@settings(max_examples=200)
@given(two_owners(), IDS, IDS, st.binary(min_size=32, max_size=32).map(bytes.hex))
def test_no_two_owners_share_a_key(owners: tuple[str, str], one_id: str, other_id: str, digest: str) -> None:
    one, other = owners
    assert not keys_of(one, one_id, digest) & keys_of(other, other_id, digest)


def test_id_of_a_forged_message_leads_to_no_job_of_another_owner() -> None:
    assert pk(JobKey("a", f"b#{JOB_ID}")) != pk(JobKey("a#b", JOB_ID))


@pytest.mark.parametrize("owner", ["alice", "auth0|42", "a b/c%23@d", "x" * 128])
def test_owner_of_an_earlier_release_keeps_its_keys(owner: str) -> None:
    assert pk(JobKey(owner, JOB_ID)) == f"J#{owner}#{JOB_ID}"
    assert bucket_key(owner) == {"pk": {"S": f"R#{owner}"}}
    assert to_dedupe_item(owner, "ab", JOB_ID, NOW)["pk"] == {"S": f"N#{owner}#ab"}


@pytest.mark.parametrize("owner", LONGEST, ids=label)
def test_longest_owner_fits_into_the_keys_of_the_table_and_its_indexes(owner: str) -> None:
    """DynamoDB allows 2,048 bytes for a partition key and 1,024 for a sort key."""
    assert all(len(key.encode()) <= 2048 for key in keys_of(owner, JOB_ID, "0" * 64))
    assert len(owner.encode()) <= 2048  # the indexes byOwner and live


@pytest.mark.parametrize("owner", ALL, ids=label)
def test_job_keeps_its_owner(owner: str) -> None:
    job = new_job(owner=owner).counted()
    assert from_item(to_item(job)) == job


def test_job_without_progress_has_no_time_of_progress() -> None:
    beats = running_job().reported(now=NOW + timedelta(seconds=8), progress=0, message="Reading", lease_until=NOW)
    assert "progressAt" not in to_item(beats)


# ── Size: a write is billed by the size of the whole item, per kilobyte ────────────────────────────


def size(item: dict[str, dict[str, Any]]) -> int:
    """Return the item's size by DynamoDB's rules, rounded up: names and texts in UTF-8, numbers by their digits."""
    total = 0
    for name, attribute in item.items():
        ((kind, value),) = attribute.items()
        total += len(name.encode())
        total += (len(value) + 1) // 2 + 2 if kind == "N" else len(value if kind == "B" else value.encode())
    return total


def short_job() -> AsyncJob:
    """Return a typical job with every field set that can be set at the same time."""
    job = new_job(
        owner="8f14e45f-ceea-467a-9575-1f2d3c4b5a69",
        async_job_id=JOB_ID,
        now=NOW + timedelta(milliseconds=123),
        delay=timedelta(seconds=30),
        message="Reading page 9 of 20",
        input='{"query":"backoff","limit":20}',
        metadata='{"orderId":"2026-004711","source":"shop"}',
        job_type="document.extract",
        sweeps=1,
        error=JobFailure(
            code="JOB_RAISED",
            message="The job raised ValueError; its traceback is in the log.",
            type="ValueError",
            retryable=True,
        ),
    )
    now = NOW + timedelta(seconds=31)
    by = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef/0a1b2c3d"
    return job.claimed(by=by, now=now, lease_until=now + timedelta(seconds=75)).reported(
        now=now, progress=45, message=None, lease_until=now + timedelta(seconds=75)
    )


def test_running_short_job_stays_within_one_write_unit() -> None:
    assert size(to_item(short_job())) <= 1024


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled", "released"])
def test_write_that_ends_an_attempt_stays_within_one_write_unit(end: str) -> None:
    job, now = short_job(), NOW + timedelta(seconds=40, milliseconds=5)
    error = job.error
    assert error is not None
    ended = {
        "completed": lambda: job.completed(now=now, result=Result(text='{"matches":[],"matchCount":0,"filesSearched":10}')),
        "failed": lambda: job.failed(now=now, error=error),
        "cancelled": lambda: job.cancelled(now=now),
        "released": lambda: job.released(now=now, error=error, after=timedelta(seconds=3.25)),
    }[end]()
    assert size(to_item(ended)) <= 1024


def test_only_a_failed_job_has_a_place_among_the_groups() -> None:
    job, now = short_job(), NOW + timedelta(seconds=40, milliseconds=5)
    error = job.error
    assert error is not None
    failed = job.failed(now=now, error=error)
    retried = failed.retried(max_attempts=3, timeout=timedelta(minutes=1), deadline=timedelta(days=1), now=now)
    others = (job, job.completed(now=now, result=Result(text="1")), job.cancelled(now=now), retried)
    assert not any({"groupName", "groupKey"} & to_item(each).keys() for each in others)
    item = to_item(failed)
    assert (item["groupName"], item["groupKey"]) == (
        {"S": "F#document.extract"},
        {"S": "JOB_RAISED#2026-11-21T12:00:40.005Z"},
    )


def test_result_in_the_bucket_keeps_the_item_small() -> None:
    job = short_job()
    location = f"results/{job.async_job_id}/{job.generation}/{job.attempt}"
    assert size(to_item(job.completed(now=NOW + timedelta(seconds=40), result=Result(location=location)))) <= 1024
