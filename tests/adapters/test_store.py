"""The contract of every store."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.core.clock import from_epoch_milliseconds
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import (
    DEADLINE_EXCEEDED,
    DELIVERY,
    FENCE,
    FENCE_AND_DUE,
    FENCE_AND_EXPIRY,
    FENCE_AND_LEASE,
    FENCE_AND_PROGRESS,
    FENCE_AND_REPORT,
    FENCE_AND_TOKEN,
    SWEEP_INTERVAL,
    AsyncJob,
    DuePart,
    JobFailure,
    JobKey,
    LockOwner,
    Result,
    RetentionFrom,
    Status,
    due_shard,
    due_shards,
)
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import ListPosition, Lost, Store
from asyncjobs.core.rate import SubmitRate
from tests.proof.stateful.memory.dynamodb import MemoryDynamoDB
from tests.support.factories import JOB_ID, NOW, OWNER, new_job, new_tracked_job, numbered, running_job
from tests.support.fakes import FakeStore
from tests.support.owners import ALL, label
from tests.support.parts import all_due
from tests.template.source import resource

LEASE = NOW + timedelta(seconds=75)
FAILURE = JobFailure(code="JOB_RAISED", message="It raised, “so” it did.", type="ValueError", retryable=True)


def claim(
    store: Store, job: AsyncJob, *, by: str = "w1", now_after: float = 0, lease: timedelta = timedelta(seconds=75)
) -> AsyncJob | Lost:
    now = NOW + timedelta(seconds=now_after)
    return store.claim_if_claimable(JobMessage.of(job), by=by, now=now, lease_until=now + lease)


def claimed(store: Store, job: AsyncJob) -> AsyncJob:
    outcome = claim(store, job)
    assert isinstance(outcome, AsyncJob)
    return outcome


@pytest.fixture
def job(store: Store) -> AsyncJob:
    """Return a waiting job in the store."""
    job = new_job()
    assert store.add_if_absent(job, NOW) is None
    return job


# ── Create ─────────────────────────────────────────────────────────────────────────────────────────


def test_new_job_round_trips(store: Store) -> None:
    job = new_job(
        message="Queued, with “quotes”",
        metadata='{"tags":["a"]}',
        delay=timedelta(seconds=30),
        input_location="inputs/x.json",
        retention_from=RetentionFrom.CREATION,
    )
    store.add_if_absent(job, NOW)
    assert store.get(job.key) == job


def test_existing_job_is_returned_and_not_changed(store: Store, job: AsyncJob) -> None:
    other = new_job(message="another")
    assert store.add_if_absent(other, NOW) == job
    assert store.get(job.key) == job


def test_repeated_put_of_the_same_record_succeeds(store: Store, job: AsyncJob) -> None:
    # The SDK does this when the answer to the first put is lost.
    assert store.add_if_absent(job, NOW) is None


def test_expired_record_is_replaced(store: Store, job: AsyncJob) -> None:
    later = job.record_expires_at
    successor = new_job(now=later)
    assert store.add_if_absent(successor, later) is None
    assert store.get(job.key) == successor


@pytest.mark.parametrize("kind", ["fake", "one after the other"])
def test_concurrent_puts_create_one_job(kind: str) -> None:
    store: Store = FakeStore() if kind == "fake" else over(MemoryDynamoDB(resource("Table")["Properties"]))
    contenders = [new_job(), new_job()]
    found: list[AsyncJob | None] = [None, None]

    def add(index: int) -> None:
        found[index] = store.add_if_absent(contenders[index], NOW) or contenders[index]

    threads = [threading.Thread(target=add, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1] == store.get(contenders[0].key)


def test_unknown_job_is_none(store: Store) -> None:
    assert store.get(JobKey(OWNER, JOB_ID)) is None


# ── Name ───────────────────────────────────────────────────────────────────────────────────────────

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def test_name_belongs_to_the_first_job_that_reserves_it(store: Store) -> None:
    assert store.reserve_dedupe_key(OWNER, "digest", "1", now=NOW, until=NOW + HOUR) == "1"
    assert store.reserve_dedupe_key(OWNER, "digest", "2", now=NOW, until=NOW + HOUR) == "1"


def test_each_owner_has_its_own_names(store: Store) -> None:
    store.reserve_dedupe_key(OWNER, "digest", "1", now=NOW, until=NOW + HOUR)
    assert store.reserve_dedupe_key("bob", "digest", "2", now=NOW, until=NOW + HOUR) == "2"
    assert store.reserve_dedupe_key(OWNER, "another", "3", now=NOW, until=NOW + HOUR) == "3"


@pytest.mark.parametrize(("seconds", "stands"), [(3599, "1"), (3600, "2")])
def test_name_is_free_after_its_window(store: Store, seconds: int, stands: str) -> None:
    store.reserve_dedupe_key(OWNER, "digest", "1", now=NOW, until=NOW + HOUR)
    later = NOW + timedelta(seconds=seconds)
    assert store.reserve_dedupe_key(OWNER, "digest", "2", now=later, until=later + HOUR) == stands


def test_name_is_replaced_only_by_a_caller_that_names_the_present_job(store: Store) -> None:
    store.reserve_dedupe_key(OWNER, "digest", "1", now=NOW, until=NOW + HOUR)
    assert store.reserve_dedupe_key(OWNER, "digest", "2", now=NOW, until=NOW + HOUR, instead_of="1") == "2"
    assert store.reserve_dedupe_key(OWNER, "digest", "3", now=NOW, until=NOW + HOUR, instead_of="1") == "2"


def test_name_is_not_listed_as_a_job(store: Store) -> None:
    store.reserve_dedupe_key(OWNER, "digest", "1", now=NOW, until=NOW + HOUR)
    assert store.list_by_owner(OWNER, limit=10) == ([], None)
    assert all_due(store, NOW + 2 * HOUR) == []


# ── Claim ──────────────────────────────────────────────────────────────────────────────────────────


def test_claim_begins_an_attempt_and_returns_the_job(store: Store, job: AsyncJob) -> None:
    expected = numbered(job.claimed(by="w1", now=NOW, lease_until=LEASE))
    assert claim(store, job) == expected
    assert store.get(job.key) == expected
    assert expected.attempt == 1


def test_claim_of_another_attempt_resets_the_progress(store: Store, job: AsyncJob) -> None:
    held = claimed(store, job)
    told = numbered(held.reported(now=NOW, progress=25, message=None, lease_until=LEASE))
    assert isinstance(store.swap_if_unchanged(held, told, FENCE_AND_REPORT), AsyncJob)
    assert store.get(job.key) == told
    second = claim(store, job, by="w2", now_after=80)
    assert isinstance(second, AsyncJob)
    assert (second.progress, second.progress_at) == (0, None)
    assert store.get(job.key) == second


def test_second_claim_returns_the_present_job(store: Store, job: AsyncJob) -> None:
    held = claimed(store, job)
    assert claim(store, job, by="w2") == Lost(held)


def test_repeated_claim_by_the_same_claimant_succeeds(store: Store, job: AsyncJob) -> None:
    held = claimed(store, job)
    assert claim(store, job) == held


@pytest.mark.parametrize(("seconds", "is_over"), [(75.0, False), (75.001, True)])
def test_lease_ends_after_its_last_millisecond(store: Store, job: AsyncJob, seconds: float, *, is_over: bool) -> None:
    claimed(store, job)
    outcome = claim(store, job, by="w2", now_after=seconds)
    assert (isinstance(outcome, AsyncJob) and outcome.attempt == 2) is is_over


@pytest.mark.parametrize(("seconds", "may_start"), [(29.999, False), (30.0, True)])
def test_delayed_job_is_claimable_from_its_start_on(store: Store, seconds: float, *, may_start: bool) -> None:
    job = new_job(delay=timedelta(seconds=30))
    store.add_if_absent(job, NOW)
    assert isinstance(claim(store, job, now_after=seconds), AsyncJob) is may_start


def test_message_of_an_earlier_generation_claims_nothing(store: Store, job: AsyncJob) -> None:
    earlier = JobMessage.of(replace(job, generation="an earlier one"))
    assert store.claim_if_claimable(earlier, by="w1", now=NOW, lease_until=LEASE) == Lost(job)


@pytest.mark.parametrize("part", [DuePart.NEW, DuePart.WAITING])
@pytest.mark.parametrize(
    ("exclusive_key", "said"),
    [
        (None, {"job_type": "sample.raises"}),
        (None, {"exclusive_key": "1#cache"}),
        ("1#cache", {"exclusive_key": None}),
        ("1#cache", {"exclusive_key": "2#cache"}),
        ("1#cache", {"exclusive_key": "1#other"}),
    ],
)
def test_message_that_describes_the_job_wrongly_claims_nothing(
    store: Store, exclusive_key: str | None, said: dict[str, Any], part: DuePart
) -> None:
    job = job_number(1)
    if exclusive_key is not None:
        job = job.exclusively(exclusive_key)
    job = replace(job, due_part=part)
    store.add_if_absent(job, NOW)
    message = JobMessage.of(job)
    assert store.claim_if_claimable(replace(message, **said), by="w1", now=NOW, lease_until=LEASE) == Lost(job)
    assert store.get(job.key) == job
    assert isinstance(store.claim_if_claimable(message, by="w1", now=NOW, lease_until=LEASE), AsyncJob)


def test_claim_of_an_unknown_job_creates_nothing(store: Store) -> None:
    job = new_job()
    assert claim(store, job) == Lost(None)
    assert store.get(job.key) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"attempt": 3},
        {"deadline_at": NOW},
        {"record_expires_at": NOW},
        {"status": Status.CANCELLED, "due_at": None},
    ],
    ids=["no attempts left", "past its deadline", "expired", "finished"],
)
def test_unrunnable_job_is_not_claimed(store: Store, changes: dict[str, Any]) -> None:
    job = new_job(**changes)
    store.add_if_absent(job, NOW - timedelta(days=30))
    assert claim(store, job) == Lost(job)


def test_claim_moves_a_late_due_time_to_the_lease(store: Store) -> None:
    # The sweeps of a waiting job become rarer; once it runs, the loss of its worker must be noticed in time again.
    job = new_job(due_at=NOW + timedelta(minutes=16), sweeps=5)
    store.add_if_absent(job, NOW)
    held = claimed(store, job)
    assert (held.due_at, held.sweeps) == (LEASE, 0)


# ── Swap ───────────────────────────────────────────────────────────────────────────────────────────


def test_swap_writes_changed_and_removes_empty_attributes(store: Store, job: AsyncJob) -> None:
    held = claimed(store, job)
    ended = numbered(held.completed(now=NOW, result=Result(text='{"pages":9}')))
    assert isinstance(store.swap_if_unchanged(held, ended), AsyncJob)
    assert store.get(job.key) == ended


@pytest.mark.parametrize("end", ["failed", "released", "cancelled", "location"])
def test_every_end_round_trips(store: Store, job: AsyncJob, end: str) -> None:
    held = claimed(store, job)
    new = {
        "failed": held.failed(now=NOW, error=FAILURE),
        "released": held.released(now=NOW, error=FAILURE, after=timedelta(seconds=3.25)),
        "cancelled": held.cancelled(now=NOW),
        "location": held.completed(now=NOW, result=Result(location="results/x/y/1")),
    }[end]
    assert store.swap_if_unchanged(held, new) == store.get(job.key) == numbered(new)


def test_replaced_attempt_writes_nothing(store: Store, job: AsyncJob) -> None:
    first = claimed(store, job)
    second = claim(store, job, by="w2", now_after=80)
    assert isinstance(second, AsyncJob)
    assert store.swap_if_unchanged(first, first.completed(now=NOW, result=Result(text="1"))) == Lost(second)
    assert store.get(job.key) == second


def test_cancelled_job_is_not_completed(store: Store, job: AsyncJob) -> None:
    held = claimed(store, job)
    cancelled = numbered(held.cancelled(now=NOW))
    store.swap_if_unchanged(held, cancelled)
    assert store.swap_if_unchanged(held, held.completed(now=NOW, result=Result(text="1"))) == Lost(cancelled)


def test_repeated_swap_with_a_lost_answer_succeeds(store: Store, job: AsyncJob) -> None:
    held = claimed(store, job)
    ended = numbered(held.completed(now=NOW, result=Result(text="1")))
    assert isinstance(store.swap_if_unchanged(held, ended), AsyncJob)
    assert isinstance(store.swap_if_unchanged(held, ended), AsyncJob)


def test_repeated_release_with_a_lost_answer_succeeds(store: Store, job: AsyncJob) -> None:
    # The delay is random and finer than the milliseconds of a record.
    held = claimed(store, job)
    released = numbered(held.released(now=NOW, error=FAILURE, after=timedelta(seconds=1.234567)))
    assert isinstance(store.swap_if_unchanged(held, released), AsyncJob)
    assert isinstance(store.swap_if_unchanged(held, released), AsyncJob)


def test_swap_of_an_unknown_job_creates_nothing(store: Store) -> None:
    job = new_job()
    assert store.swap_if_unchanged(job, job.cancelled(now=NOW)) == Lost(None)
    assert store.get(job.key) is None


def test_report_does_not_block_the_end(store: Store, job: AsyncJob) -> None:
    held = claimed(store, job)
    store.swap_if_unchanged(held, held.reported(now=NOW, progress=50, message="half", lease_until=LEASE))
    assert isinstance(store.swap_if_unchanged(held, held.failed(now=NOW, error=FAILURE)), AsyncJob)


def test_swap_keeps_other_attributes(store: Store, job: AsyncJob) -> None:
    held = claimed(store, job)
    reported = numbered(held.reported(now=NOW + timedelta(seconds=1), progress=50, message="half", lease_until=LEASE))
    store.swap_if_unchanged(held, reported)
    due = held.due_at
    assert due is not None
    # The sweeper read the job before that report.
    swept = held.rescheduled(due)
    assert isinstance(store.swap_if_unchanged(held, swept, FENCE_AND_DUE), AsyncJob)
    assert store.get(job.key) == replace(reported, due_at=swept.due_at, due_part=swept.due_part)


def test_late_report_loses_to_a_later_one(store: Store, job: AsyncJob) -> None:
    held = claimed(store, job)
    first = numbered(held.reported(now=NOW + timedelta(seconds=1), progress=10, message=None, lease_until=LEASE))
    second = numbered(held.reported(now=NOW + timedelta(seconds=2), progress=20, message=None, lease_until=LEASE))
    assert isinstance(store.swap_if_unchanged(held, second, FENCE_AND_REPORT), AsyncJob)
    assert store.swap_if_unchanged(held, first, FENCE_AND_REPORT) == Lost(second)
    assert isinstance(store.swap_if_unchanged(held, second, FENCE_AND_REPORT), AsyncJob)


@pytest.fixture
def tracked(store: Store) -> AsyncJob:
    """Return a waiting tracked job in the store."""
    job = new_tracked_job(token_hash=b"first".ljust(16))
    assert store.add_if_absent(job, NOW) is None
    return job


def test_tracked_job_is_never_claimed(store: Store, tracked: AsyncJob) -> None:
    assert claim(store, tracked) == Lost(tracked)
    started = numbered(tracked.advanced(now=NOW, progress=50, message="half"))
    store.swap_if_unchanged(tracked, started, FENCE_AND_PROGRESS)
    assert claim(store, tracked, now_after=3601) == Lost(started)
    assert store.get(tracked.key) == started


def test_tracked_job_is_due_at_its_deadline(store: Store, tracked: AsyncJob) -> None:
    assert all_due(store, tracked.deadline_at - timedelta(milliseconds=1)) == []
    assert [entry.key for entry in all_due(store, tracked.deadline_at)] == [tracked.key]


def test_two_reports_within_one_millisecond_do_not_undo_each_other(store: Store, tracked: AsyncJob) -> None:
    # Two workers with different clocks: the second one reads, the first one writes, and both write the time NOW.
    ahead = numbered(tracked.advanced(now=NOW, progress=80, message=None), by=2)
    seen = numbered(tracked.advanced(now=NOW, progress=0, message=None))
    store.swap_if_unchanged(tracked, seen, FENCE_AND_PROGRESS)
    assert isinstance(store.swap_if_unchanged(seen, ahead, FENCE_AND_PROGRESS), AsyncJob)
    behind = numbered(seen.advanced(now=NOW, progress=40, message=None))
    assert seen.updated_at == ahead.updated_at
    assert store.swap_if_unchanged(seen, behind, FENCE_AND_PROGRESS) == Lost(ahead)
    assert store.get(tracked.key) == ahead


def test_two_reports_within_one_millisecond_are_not_confused(store: Store, tracked: AsyncJob) -> None:
    # It would write the same as the other one except the message, which it does not set.
    seen = numbered(tracked.advanced(now=NOW, progress=10, message="ten"))
    store.swap_if_unchanged(tracked, seen, FENCE_AND_PROGRESS)
    ahead = numbered(seen.advanced(now=NOW, progress=80, message="eighty"))
    assert isinstance(store.swap_if_unchanged(seen, ahead, FENCE_AND_PROGRESS), AsyncJob)
    wordless = numbered(seen.advanced(now=NOW, progress=80, message=None))
    assert (wordless.message, wordless.updated_at) == ("ten", ahead.updated_at)
    assert store.swap_if_unchanged(seen, wordless, FENCE_AND_PROGRESS) == Lost(ahead)


def test_token_hash_is_stored_and_read_back(store: Store, tracked: AsyncJob) -> None:
    assert store.get(tracked.key) == tracked
    renewed = tracked.reissued(token_hash=b"second".ljust(16))
    assert isinstance(store.swap_if_unchanged(tracked, renewed, FENCE_AND_TOKEN), AsyncJob)
    assert store.get(tracked.key) == renewed
    # The SDK repeats it when its answer is lost.
    assert isinstance(store.swap_if_unchanged(tracked, renewed, FENCE_AND_TOKEN), AsyncJob)


def test_job_without_a_token_hash_gets_one(store: Store) -> None:
    """An earlier release created it."""
    job = new_tracked_job()
    renewed = job.reissued(token_hash=b"first".ljust(16))
    store.add_if_absent(job, NOW)
    assert isinstance(store.swap_if_unchanged(job, renewed, FENCE_AND_TOKEN), AsyncJob)
    assert store.swap_if_unchanged(job, job.reissued(token_hash=b"second".ljust(16)), FENCE_AND_TOKEN) == Lost(renewed)


def test_report_loses_to_a_new_token(store: Store, tracked: AsyncJob) -> None:
    renewed = tracked.reissued(token_hash=b"second".ljust(16))
    store.swap_if_unchanged(tracked, renewed, FENCE_AND_TOKEN)
    report = numbered(tracked.advanced(now=NOW, progress=50, message=None))
    assert store.swap_if_unchanged(tracked, report, FENCE_AND_PROGRESS) == Lost(renewed)


def test_new_token_keeps_a_report_in_between(store: Store, tracked: AsyncJob) -> None:
    seen = numbered(tracked.advanced(now=NOW, progress=10, message="ten"))
    ahead = numbered(seen.advanced(now=NOW, progress=80, message="eighty"))
    store.swap_if_unchanged(tracked, seen, FENCE_AND_PROGRESS)
    store.swap_if_unchanged(seen, ahead, FENCE_AND_PROGRESS)
    assert isinstance(store.swap_if_unchanged(seen, seen.reissued(token_hash=b"second".ljust(16)), FENCE_AND_TOKEN), AsyncJob)
    assert store.get(tracked.key) == ahead.reissued(token_hash=b"second".ljust(16))


def test_late_write_of_a_replaced_token_loses(store: Store, tracked: AsyncJob) -> None:
    second, third = (tracked.reissued(token_hash=name.ljust(16)) for name in (b"second", b"third"))
    assert isinstance(store.swap_if_unchanged(tracked, second, FENCE_AND_TOKEN), AsyncJob)
    assert isinstance(store.swap_if_unchanged(second, third, FENCE_AND_TOKEN), AsyncJob)
    assert store.swap_if_unchanged(tracked, second, FENCE_AND_TOKEN) == Lost(third)


def test_waiting_tracked_job_is_completed_by_one_write(store: Store, tracked: AsyncJob) -> None:
    told = tracked.advanced(now=NOW, progress=None, message="Done")
    ended = numbered(told.completed(now=NOW, result=Result(url="https://files.example/report.pdf")))
    assert isinstance(store.swap_if_unchanged(tracked, ended, FENCE_AND_PROGRESS), AsyncJob)
    assert store.get(tracked.key) == ended
    # The SDK repeats it when its answer is lost.
    assert isinstance(store.swap_if_unchanged(tracked, ended, FENCE_AND_PROGRESS), AsyncJob)


def test_declaring_a_worker_lost_loses_to_a_heartbeat(store: Store, job: AsyncJob) -> None:
    held = claimed(store, job)
    alive = held.reported(now=NOW, progress=0, message=None, lease_until=LEASE + timedelta(seconds=24))
    store.swap_if_unchanged(held, alive)
    lost = numbered(held.failed(now=NOW, error=DEADLINE_EXCEEDED))
    assert store.swap_if_unchanged(held, lost, FENCE_AND_LEASE) == Lost(alive)


def test_only_one_of_two_sweepers_moves_a_job(store: Store, job: AsyncJob) -> None:
    due = job.due_at
    assert due is not None
    first, second = job.rescheduled(due), job.rescheduled(due + timedelta(seconds=1))
    assert isinstance(store.swap_if_unchanged(job, first, FENCE_AND_DUE), AsyncJob)
    assert store.swap_if_unchanged(job, second, FENCE_AND_DUE) == Lost(first)


# ── Number ─────────────────────────────────────────────────────────────────────────────────────────

ONE_SECOND = timedelta(seconds=1)


def retried(job: AsyncJob) -> AsyncJob:
    return job.retried(max_attempts=3, timeout=MINUTE, deadline=HOUR, now=NOW + MINUTE)


def test_new_record_has_the_number_1(store: Store, job: AsyncJob) -> None:
    store.add_if_absent(job, NOW)
    found = store.get(job.key)
    assert found is not None
    assert found.seq == 1


VISIBLE_CHANGES: Sequence[Callable[[AsyncJob, datetime], AsyncJob]] = (
    lambda job, now: job.reported(now=now, progress=10, message=None, lease_until=LEASE),
    lambda job, now: job.reported(now=now, progress=10, message="Reading", lease_until=LEASE),
    lambda job, now: job.released(now=now, error=FAILURE, after=timedelta(0)),
    lambda job, now: job.cancelled(now=now),
    lambda job, _: retried(job),
)


def test_each_write_that_a_client_can_see_has_the_next_number(store: Store, job: AsyncJob) -> None:
    current = claimed(store, job)
    for number, change in enumerate(VISIBLE_CHANGES, start=3):
        written = store.swap_if_unchanged(current, change(current, NOW + number * ONE_SECOND))
        assert isinstance(written, AsyncJob)
        assert (written.seq, written) == (number, store.get(job.key))
        current = written


def test_takeover_has_the_next_number(store: Store, job: AsyncJob) -> None:
    first = claimed(store, job)
    second = claim(store, job, by="w2", now_after=80)
    assert isinstance(second, AsyncJob)
    assert (first.seq, second.seq) == (2, 3)


def test_write_that_no_client_can_see_keeps_the_number(store: Store, job: AsyncJob) -> None:
    held = claimed(store, job)
    beat = held.reported(now=NOW + ONE_SECOND, progress=0, message=None, lease_until=LEASE + MINUTE)
    swept = beat.rescheduled(NOW + MINUTE)
    assert store.swap_if_unchanged(held, beat, FENCE_AND_REPORT) == beat
    assert store.swap_if_unchanged(beat, swept, FENCE_AND_DUE) == swept
    ended = store.swap_if_unchanged(swept, swept.cancelled(now=NOW))
    assert isinstance(ended, AsyncJob)
    deleted = ended.marked_deleted(now=NOW)
    assert store.swap_if_unchanged(ended, deleted) == store.get(job.key) == deleted
    assert (held.seq, swept.seq, ended.seq, deleted.seq) == (2, 2, 3, 3)


def test_new_worker_token_keeps_the_number(store: Store, tracked: AsyncJob) -> None:
    renewed = tracked.reissued(token_hash=b"second".ljust(16))
    assert store.swap_if_unchanged(tracked, renewed, FENCE_AND_TOKEN) == renewed


@pytest.mark.parametrize("seconds", [0, 1], ids=["within the millisecond of the claim", "later"])
@pytest.mark.parametrize("kind", ["report", "release", "end", "cancel"])
def test_repeated_write_is_numbered_once(store: Store, job: AsyncJob, kind: str, seconds: int) -> None:
    # The SDK repeats a write whose answer it lost.
    held, now = claimed(store, job), NOW + timedelta(seconds=seconds)
    new, unchanged = {
        "report": (held.reported(now=now, progress=10, message="Reading", lease_until=LEASE), FENCE_AND_REPORT),
        "release": (held.released(now=now, error=FAILURE, after=timedelta(0)), FENCE),
        "end": (held.completed(now=now, result=Result(text="1")), FENCE),
        "cancel": (held.cancelled(now=now), FENCE_AND_PROGRESS),
    }[kind]
    assert [store.swap_if_unchanged(held, new, unchanged) for _ in range(2)] == [numbered(new)] * 2
    assert store.get(job.key) == numbered(new)


def test_event_of_the_jobs_code_is_a_change_of_its_own_until_the_next_write(store: Store, job: AsyncJob) -> None:
    held = claimed(store, job)
    event = f"{held.seq + 1} tick {{}}"
    sent = held.reported(now=NOW, progress=0, message=None, lease_until=LEASE, named_event=event)
    # Nothing else differs, within one millisecond; and the SDK repeats a write whose answer it lost.
    assert [store.swap_if_unchanged(held, sent, FENCE_AND_REPORT) for _ in range(2)] == [numbered(sent)] * 2
    again = numbered(sent).reported(
        now=NOW, progress=0, message=None, lease_until=LEASE, named_event=f"{held.seq + 2} tick {{}}"
    )
    assert store.swap_if_unchanged(numbered(sent), again, FENCE_AND_REPORT) == numbered(again)
    # Its removal is nothing that a client can see.
    beat = numbered(again).reported(now=NOW + ONE_SECOND, progress=0, message=None, lease_until=LEASE)
    assert store.swap_if_unchanged(numbered(again), beat, FENCE_AND_REPORT) == beat == store.get(job.key)
    assert (beat.seq, beat.named_event) == (held.seq + 2, None)


def test_end_removes_the_event_of_a_report_that_its_worker_missed(store: Store, job: AsyncJob) -> None:
    held = claimed(store, job)
    sent = held.reported(now=NOW, progress=0, message=None, lease_until=LEASE, named_event=f"{held.seq + 1} tick {{}}")
    assert store.swap_if_unchanged(held, sent, FENCE_AND_REPORT) == numbered(sent)
    ended = store.swap_if_unchanged(numbered(sent), numbered(sent).completed(now=NOW, result=Result(text="1")))
    assert isinstance(ended, AsyncJob)
    assert (ended.named_event, store.get(job.key)) == (None, ended)


def test_repeated_report_on_a_tracked_job_is_numbered_once(store: Store, tracked: AsyncJob) -> None:
    started = tracked.advanced(now=NOW, progress=None, message=None)
    assert store.swap_if_unchanged(tracked, started, FENCE_AND_PROGRESS) == numbered(started)
    assert store.swap_if_unchanged(tracked, started, FENCE_AND_PROGRESS) == numbered(started)


def test_repeated_claim_is_numbered_once(store: Store, job: AsyncJob) -> None:
    assert [claim(store, job), claim(store, job)] == [claimed(store, job)] * 2
    found = store.get(job.key)
    assert found is not None
    assert found.seq == 2


def test_end_by_a_worker_that_missed_a_report_has_the_next_number(store: Store, job: AsyncJob) -> None:
    # The answer to the report was lost, or another process wrote it.
    held = claimed(store, job)
    reported = held.reported(now=NOW + ONE_SECOND, progress=50, message="half", lease_until=LEASE)
    store.swap_if_unchanged(held, reported, FENCE_AND_REPORT)
    ended = store.swap_if_unchanged(held, held.failed(now=NOW + MINUTE, error=FAILURE))
    assert isinstance(ended, AsyncJob)
    assert (ended.seq, ended.progress, ended.message) == (4, 50, "half")
    assert store.get(job.key) == ended


def test_late_report_is_refused_by_its_number_within_one_millisecond(store: Store, job: AsyncJob) -> None:
    held = claimed(store, job)
    first = held.reported(now=NOW, progress=10, message=None, lease_until=LEASE)
    second = held.reported(now=NOW, progress=20, message=None, lease_until=LEASE)
    assert first.updated_at == second.updated_at == held.updated_at
    assert store.swap_if_unchanged(held, second, FENCE_AND_REPORT) == numbered(second)
    assert store.swap_if_unchanged(held, first, FENCE_AND_REPORT) == Lost(numbered(second))


def test_record_of_an_earlier_release_is_numbered_from_its_next_change_on(store: Store) -> None:
    unnumbered = new_job(seq=0)
    store.add_if_absent(unnumbered, NOW)
    assert store.get(unnumbered.key) == unnumbered
    assert claimed(store, unnumbered).seq == 1
    running = running_job(seq=0, owner="bob")
    store.add_if_absent(running, NOW)
    reported = running.reported(now=NOW, progress=10, message=None, lease_until=LEASE)
    assert store.swap_if_unchanged(running, reported, FENCE_AND_REPORT) == numbered(reported)


# ── Remove ─────────────────────────────────────────────────────────────────────────────────────────


def test_forgotten_job_is_removed(store: Store, job: AsyncJob) -> None:
    cancelled = numbered(job.cancelled(now=NOW))
    marked_deleted = cancelled.marked_deleted(now=NOW)
    store.swap_if_unchanged(job, cancelled)
    assert isinstance(store.swap_if_unchanged(cancelled, marked_deleted), AsyncJob)
    store.remove_if_unchanged(marked_deleted)
    assert store.get(job.key) is None
    store.remove_if_unchanged(marked_deleted)


def test_successor_of_a_forgotten_job_is_not_removed(store: Store, job: AsyncJob) -> None:
    cancelled = numbered(job.cancelled(now=NOW))
    marked_deleted = cancelled.marked_deleted(now=NOW)
    store.swap_if_unchanged(job, cancelled)
    store.swap_if_unchanged(cancelled, marked_deleted)
    successor = new_job(now=NOW)
    assert store.add_if_absent(successor, NOW) is None
    store.remove_if_unchanged(marked_deleted)
    assert store.get(job.key) == successor


def test_job_forgotten_meanwhile_is_not_retried(store: Store, job: AsyncJob) -> None:
    cancelled = numbered(job.cancelled(now=NOW))
    store.swap_if_unchanged(job, cancelled)
    marked_deleted = cancelled.marked_deleted(now=NOW)
    store.swap_if_unchanged(cancelled, marked_deleted)
    retried = numbered(cancelled.retried(max_attempts=3, timeout=timedelta(seconds=60), deadline=timedelta(hours=1), now=NOW))
    assert store.swap_if_unchanged(cancelled, retried, FENCE_AND_EXPIRY) == Lost(marked_deleted)
    assert isinstance(store.swap_if_unchanged(marked_deleted, retried, FENCE_AND_EXPIRY), AsyncJob)
    # It finds its own first try.
    assert isinstance(store.swap_if_unchanged(marked_deleted, retried, FENCE_AND_EXPIRY), AsyncJob)


def test_retried_job_replaces_its_record(store: Store, job: AsyncJob) -> None:
    held = claimed(store, job)
    failed = numbered(held.failed(now=NOW, error=FAILURE))
    store.swap_if_unchanged(held, failed)
    later = NOW + timedelta(minutes=5)
    again = numbered(failed.retried(max_attempts=3, timeout=timedelta(minutes=1), deadline=timedelta(hours=1), now=later))
    assert isinstance(store.swap_if_unchanged(failed, again), AsyncJob)
    assert store.get(job.key) == again
    # The message and the attempt of the earlier generation no longer match.
    assert claim(store, job, by="w2", now_after=300) == Lost(again)
    assert store.swap_if_unchanged(held, held.completed(now=later, result=Result("1"))) == Lost(again)
    assert isinstance(claim(store, again, by="w2", now_after=300), AsyncJob)


# ── Find ───────────────────────────────────────────────────────────────────────────────────────────


def job_number(number: int, *, owner: str = OWNER) -> AsyncJob:
    return new_job(owner=owner, async_job_id=f"00000000-0000-4000-8000-{number:012}", now=NOW + timedelta(seconds=number))


def test_list_has_the_owners_jobs_newest_first_in_pages(store: Store) -> None:
    jobs = [job_number(number) for number in range(5)]
    for job in [*jobs, job_number(9, owner="bob")]:
        store.add_if_absent(job, NOW)
    seen: list[AsyncJob] = []
    position: ListPosition | None = None
    for _ in range(3):
        page, position = store.list_by_owner(OWNER, limit=2, after=position)
        seen += page
    assert seen == jobs[::-1]
    assert position is None


@pytest.mark.parametrize("owner", ALL, ids=label)
def test_owner_may_be_any_subject_of_openid_connect(store: Store, owner: str) -> None:
    jobs = [
        new_job(owner=owner, async_job_id=f"{JOB_ID[:-1]}{number}", now=NOW + timedelta(seconds=number)) for number in (1, 2)
    ]
    for each in jobs:
        store.add_if_absent(each.counted(), NOW)
    assert store.get(jobs[0].key) == jobs[0].counted()
    newest, position = store.list_by_owner(owner, limit=1)
    assert position is not None
    oldest, _ = store.list_by_owner(owner, limit=1, after=position)
    assert [each.key for each in (*newest, *oldest)] == [jobs[1].key, jobs[0].key]
    assert store.count_live(owner, at_most=5) == 2
    assert {entry.key for entry in all_due(store, NOW + timedelta(days=1))} == {each.key for each in jobs}
    assert store.reserve_dedupe_key(owner, "ab", JOB_ID, now=NOW, until=NOW + timedelta(hours=1)) == JOB_ID
    assert store.take_token_if_any(owner, SubmitRate(60, 1), NOW)[0]
    lock_owner = LockOwner.of(jobs[0])
    assert store.lock_if_unchanged("cache#0", lock_owner, seen=None, until=NOW + timedelta(days=9))
    assert store.lock_owner("cache#0") == lock_owner


def test_deliveries_of_an_owner_are_a_list_of_their_own(store: Store) -> None:
    ids = [str(uuid.uuid4()) for _ in range(6)]
    types = [DELIVERY, "sample.returns"] * 3
    jobs = [
        new_job(async_job_id=each, job_type=job_type, now=NOW + timedelta(seconds=number))
        for number, (each, job_type) in enumerate(zip(ids, types, strict=True))
    ]
    for job in jobs:
        store.add_if_absent(job, NOW)
    for deliveries, expected in ((True, jobs[4::-2]), (False, jobs[5::-2])):
        first, position = store.list_by_owner(OWNER, limit=2, deliveries=deliveries)
        rest, end = store.list_by_owner(OWNER, limit=2, after=position, deliveries=deliveries)
        assert [*first, *rest] == expected
        assert end is None
    assert store.get(jobs[0].key) == jobs[0], "a delivery has its owner"


def test_list_reads_up_to_a_hundred_jobs(store: Store) -> None:
    jobs = [job_number(number) for number in range(101)]
    for job in jobs:
        store.add_if_absent(job, NOW)
    pages = list(pages_of(store, limit=100))
    assert max(map(len, pages)) <= 100
    assert [job for page in pages for job in page] == jobs[::-1]


def pages_of(store: Store, *, limit: int) -> Iterator[Sequence[AsyncJob]]:
    """Read the whole list. A page may be shorter than its limit: DynamoDB ends one after 1 MB."""
    page, position = store.list_by_owner(OWNER, limit=limit)
    yield page
    while position is not None:
        page, position = store.list_by_owner(OWNER, limit=limit, after=position)
        yield page


def test_due_has_exactly_the_unfinished_due_jobs(store: Store) -> None:
    due, later, ended = job_number(1), job_number(100), job_number(2)
    for job in (due, later, ended):
        store.add_if_absent(job, NOW)
    store.swap_if_unchanged(ended, ended.cancelled(now=NOW))
    at = due.due_at
    assert at is not None
    assert [entry.key for entry in all_due(store, at)] == [due.key]


def test_due_searches_all_shards(store: Store) -> None:
    jobs = [job_number(number) for number in range(20)]
    for job in jobs:
        store.add_if_absent(job, NOW)
    assert {entry.key for entry in all_due(store, NOW + timedelta(hours=1))} == {job.key for job in jobs}


def test_job_is_due_in_one_partition_of_its_part(store: Store) -> None:
    job = job_number(1)
    store.add_if_absent(job, NOW)
    for part in (DuePart.NEW, DuePart.WAITING):
        found = [shard for shard in all_shards() if list(store.due(shard, NOW + HOUR))]
        assert found == [due_shard(job.async_job_id, part)]
        current = store.get(job.key)
        assert current is not None
        assert isinstance(store.swap_if_unchanged(current, current.rescheduled(NOW + MINUTE), FENCE_AND_DUE), AsyncJob)


def all_shards() -> Sequence[str]:
    return [shard for part in DuePart for shard in due_shards(part)]


def test_claim_of_a_swept_job_moves_it_to_the_running_ones(store: Store) -> None:
    job = job_number(1)
    store.add_if_absent(job, NOW)
    swept = job.rescheduled(NOW + MINUTE)
    store.swap_if_unchanged(job, swept, FENCE_AND_DUE)
    at = NOW + 2 * MINUTE
    # The lease ends after the due time, but among the jobs that wait a sweep would find the job last.
    claimed = claim(store, swept, now_after=120, lease=HOUR)
    assert isinstance(claimed, AsyncJob)
    assert (claimed.due_part, claimed.due_at, claimed.sweeps) == (DuePart.RUNNING, at + HOUR, 0)
    assert claimed == store.get(job.key)
    assert [entry.key for entry in store.due(due_shard(job.async_job_id, DuePart.RUNNING), at + HOUR)] == [job.key]


def test_claim_of_a_swept_job_leaves_it_due_at_its_deadline(store: Store) -> None:
    job = replace(job_number(1), deadline_at=NOW + 3 * MINUTE)
    store.add_if_absent(job, NOW)
    swept = job.rescheduled(NOW + MINUTE)
    store.swap_if_unchanged(job, swept, FENCE_AND_DUE)
    claimed = claim(store, swept, now_after=120, lease=HOUR)
    assert isinstance(claimed, AsyncJob)
    assert claimed == store.get(job.key)
    assert claimed.due_at == job.deadline_at


@pytest.mark.parametrize("after", [MINUTE, timedelta(0)], ids=["another due time", "the same due time"])
def test_release_writes_the_whole_entry_of_the_due_index(store: Store, after: timedelta) -> None:
    # The worker holds the record as it was before a sweep moved it.
    job = job_number(1)
    store.add_if_absent(job, NOW)
    held = claimed(store, job)
    moved = replace(held, due_at=NOW + 9 * MINUTE, due_part=DuePart.RUNNING, sweeps=2)
    assert isinstance(store.swap_if_unchanged(held, moved, FENCE_AND_DUE), AsyncJob)
    assert held.due_at is not None
    released = numbered(held.released(now=held.due_at - SWEEP_INTERVAL, error=FAILURE, after=after))
    assert (released.due_part, released.sweeps, released.due_at == held.due_at) == (held.due_part, held.sweeps, not after)
    assert isinstance(store.swap_if_unchanged(held, released), AsyncJob)
    assert store.get(job.key) == released


def test_get_all_returns_the_jobs_that_exist(store: Store) -> None:
    jobs = [job_number(number) for number in range(100)]
    for job in jobs[:-1]:
        store.add_if_absent(job, NOW)
    assert store.get_all([job.key for job in jobs]) == {job.key: job for job in jobs[:-1]}
    assert store.get_all([jobs[0].key, jobs[0].key]) == {jobs[0].key: jobs[0]}
    assert store.get_all([]) == {}


# ── Limits ─────────────────────────────────────────────────────────────────────────────────────────

RATE = SubmitRate(per_minute=60, burst=3)


def test_bucket_gives_its_burst_and_then_one_token_per_interval(store: Store) -> None:
    seconds = [0, 0, 0, 0, 0.999, 1, 1, 60]
    taken = [store.take_token_if_any(OWNER, RATE, NOW + timedelta(seconds=second))[0] for second in seconds]
    assert taken == [True, True, True, False, False, True, False, True]


@pytest.mark.parametrize("seed", range(5))
def test_every_token_follows_the_rate(store: Store, seed: int) -> None:
    chance, now, full_at = random.Random(seed), NOW, None
    for _ in range(30):
        # Most of these are at the edges: just full, just one token, just none.
        now += timedelta(milliseconds=chance.choice([0, 0, 1, 500, 999, 1000, 1001, 2000, 3000, 4000]))
        expected, full_at = RATE.draw(full_at, now)
        assert store.take_token_if_any(OWNER, RATE, now) == (expected, full_at)


def test_each_owner_has_its_own_bucket(store: Store) -> None:
    for _ in range(3):
        store.take_token_if_any(OWNER, RATE, NOW)
    assert not store.take_token_if_any(OWNER, RATE, NOW)[0]
    assert store.take_token_if_any("bob", RATE, NOW)[0]


def over(table: MemoryDynamoDB) -> DynamoStore:
    """Return the real store over a table that serializes its writes, which moto does not."""
    return DynamoStore("jobs", table)  # type: ignore[arg-type]  # a fake of boto3's client


class Throttled(MemoryDynamoDB):
    """A table that leaves out the keys of a batch, a number of times."""

    refusals: int = 0

    def batch_get_item(self, **call: Any) -> dict[str, Any]:
        if not self.refusals:
            return super().batch_get_item(**call)
        self.refusals -= 1
        return {"Responses": {}, "UnprocessedKeys": call["RequestItems"]}


@pytest.mark.parametrize(("refusals", "is_answered"), [(0, True), (3, True), (4, False)])
def test_batch_of_a_throttled_table_is_read_again_after_growing_pauses(refusals: int, is_answered: bool) -> None:
    table, pauses = Throttled(resource("Table")["Properties"]), list[float]()
    store = DynamoStore("jobs", table, pause=pauses.append)  # type: ignore[arg-type]  # a fake of boto3's client
    job = new_job()
    store.add_if_absent(job, NOW)
    table.refusals = refusals
    if is_answered:
        assert store.list_by_owner(OWNER, limit=1)[0] == [job]
    else:
        with pytest.raises(Unavailable):
            store.list_by_owner(OWNER, limit=1)
    assert len(pauses) == min(refusals, 3)
    assert all(pause <= longest for pause, longest in zip(pauses, (0.05, 0.1, 0.2), strict=False))


class RivalBeforeTheSecondTry(MemoryDynamoDB):
    """A table in which another request takes a token between the two tries."""

    rivals: int = 0

    def update_item(self, **call: Any) -> dict[str, Any]:
        if ":interval" in call["ExpressionAttributeValues"] and self.rivals:
            self.rivals -= 1
            assert over(self).take_token_if_any(OWNER, RATE, NOW)[0]
        return super().update_item(**call)


@pytest.mark.parametrize(("before", "is_taken"), [(1, True), (2, False)])
def test_request_that_loses_a_token_between_two_tries_gets_the_next_one(before: int, is_taken: bool) -> None:
    table = RivalBeforeTheSecondTry(resource("Table")["Properties"])
    store = over(table)
    for _ in range(before):
        store.take_token_if_any(OWNER, RATE, NOW)
    table.rivals = 1
    assert store.take_token_if_any(OWNER, RATE, NOW) == (is_taken, NOW + RATE.burst * RATE.interval)
    assert table.rivals == 0


def test_concurrent_requests_get_no_more_than_the_burst() -> None:
    store = over(MemoryDynamoDB(resource("Table")["Properties"]))
    start, taken = threading.Barrier(8), [False] * 8

    def take(index: int) -> None:
        start.wait()
        taken[index], _ = store.take_token_if_any(OWNER, RATE, NOW)

    threads = [threading.Thread(target=take, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == RATE.burst


def test_bucket_expires_long_after_it_is_full() -> None:
    table = MemoryDynamoDB(resource("Table")["Properties"])
    store = over(table)
    for _ in range(4):
        _, full_at = store.take_token_if_any(OWNER, RATE, NOW)
    (item,) = table.items.values()
    assert item.keys() == {"pk", "fullAt", "recordExpiresAt"}
    assert full_at < from_epoch_milliseconds(int(item["recordExpiresAt"]["N"]) * 1000) < full_at + timedelta(days=2)


def test_bucket_is_not_listed_as_a_job(store: Store) -> None:
    store.take_token_if_any(OWNER, RATE, NOW)
    assert store.list_by_owner(OWNER, limit=9) == ([], None)
    assert all_due(store, NOW + timedelta(days=9)) == []
    assert store.count_live(OWNER, at_most=9) == 0


def test_live_jobs_are_the_counted_unfinished_ones(store: Store) -> None:
    counted = [replace(job_number(number), live_owner=OWNER) for number in range(4)]
    others = [job_number(8), replace(job_number(9, owner="bob"), live_owner="bob")]
    for job in [*counted, *others]:
        store.add_if_absent(job, NOW)
    assert store.count_live(OWNER, at_most=9) == 4
    assert store.count_live(OWNER, at_most=3) == 3
    store.swap_if_unchanged(counted[0], counted[0].cancelled(now=NOW))
    running = claimed(store, counted[1])
    assert store.count_live(OWNER, at_most=9) == 3
    store.swap_if_unchanged(running, running.completed(now=NOW, result=Result(text="1")))
    assert store.count_live(OWNER, at_most=9) == 2


# ── Slots for waiting requests ─────────────────────────────────────────────────────────────────────

LATER = NOW + timedelta(seconds=20)


def take_slot(store: Store, *, owner: str = OWNER, slots: int = 3, after: float = 0) -> int | None:
    wait = timedelta(seconds=after)
    return store.take_wait_slot(owner, slots=slots, now=NOW + wait, until=LATER + wait)


def test_each_slot_is_taken_once(store: Store) -> None:
    assert {take_slot(store) for _ in range(3)} == {0, 1, 2}
    assert take_slot(store) is None
    assert take_slot(store, owner="bob") is not None


def test_freed_slot_is_taken_again(store: Store) -> None:
    taken = [take_slot(store) for _ in range(3)]
    store.free_wait_slot(OWNER, 1, until=LATER)
    assert sorted(taken, key=str) == [0, 1, 2]
    assert (take_slot(store), take_slot(store)) == (1, None)


def test_slot_is_free_when_its_time_is_up(store: Store) -> None:
    for _ in range(3):
        take_slot(store)
    assert take_slot(store, after=19.999) is None
    assert take_slot(store, after=20) is not None


def test_slot_of_a_later_request_is_not_freed(store: Store) -> None:
    take_slot(store, slots=1)
    assert take_slot(store, slots=1, after=20) == 0
    store.free_wait_slot(OWNER, 0, until=LATER)
    assert take_slot(store, slots=1, after=21) is None


def test_slots_that_nobody_has_are_freed_in_vain(store: Store) -> None:
    store.free_wait_slot(OWNER, 0, until=LATER)
    assert take_slot(store, slots=1) == 0


def test_fewer_slots_than_before_leave_the_others_alone(store: Store) -> None:
    for _ in range(3):
        take_slot(store)
    store.free_wait_slot(OWNER, 2, until=LATER)
    assert take_slot(store, slots=2) is None
    assert take_slot(store, slots=3) == 2


def test_concurrent_requests_take_each_slot_once() -> None:
    table = MemoryDynamoDB(resource("Table")["Properties"])
    start = threading.Barrier(8)

    def take(_: int) -> int | None:
        start.wait()
        return take_slot(over(table))

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(take, range(8)))
    assert sorted(taken, key=str) == [0, 1, 2, *[None] * 5]


def test_slots_are_one_item_that_expires_and_is_no_job() -> None:
    table = MemoryDynamoDB(resource("Table")["Properties"])
    store = over(table)
    for _ in range(3):
        take_slot(store)
    (item,) = table.items.values()
    assert item.keys() == {"pk", "s0", "s1", "s2", "recordExpiresAt"}
    assert LATER < from_epoch_milliseconds(int(item["recordExpiresAt"]["N"]) * 1000) < LATER + timedelta(days=2)
    assert store.list_by_owner(OWNER, limit=9) == ([], None)
    assert all_due(store, NOW + timedelta(days=9)) == []


# ── Locks ──────────────────────────────────────────────────────────────────────────────────────────

ALICES, BOBS = LockOwner(JobKey("alice", JOB_ID), "g1"), LockOwner(JobKey("bob", JOB_ID), "g1")
UNTIL = NOW + timedelta(days=9)


def lock(store: Store, holder: LockOwner, *, seen: LockOwner | None = None) -> bool:
    return store.lock_if_unchanged("cache#0", holder, seen=seen, until=UNTIL)


def test_free_lock_is_taken_and_names_its_owner(store: Store) -> None:
    assert store.lock_owner("cache#0") is None
    assert lock(store, ALICES)
    assert store.lock_owner("cache#0") == ALICES
    assert store.lock_owner("cache#1") is None


def test_lock_is_not_taken_from_an_unseen_owner(store: Store) -> None:
    lock(store, ALICES)
    again = replace(ALICES, generation="g2")
    assert not lock(store, BOBS)
    assert not lock(store, BOBS, seen=again)
    assert not lock(store, again)
    assert store.lock_owner("cache#0") == ALICES


def test_lock_is_taken_from_the_seen_owner(store: Store) -> None:
    lock(store, ALICES)
    assert lock(store, BOBS, seen=ALICES)
    assert store.lock_owner("cache#0") == BOBS


def test_repeated_lock_succeeds(store: Store) -> None:
    # The SDK does this when the answer to the first write is lost.
    assert lock(store, ALICES)
    assert lock(store, ALICES)
    assert lock(store, BOBS, seen=ALICES)
    assert lock(store, BOBS, seen=ALICES)
    assert not lock(store, ALICES)


def test_lock_that_expired_meanwhile_is_taken(store: Store) -> None:
    assert lock(store, BOBS, seen=ALICES)


def test_one_of_many_concurrent_jobs_gets_the_lock() -> None:
    # Not over moto: it checks a condition and writes in two steps, between which another thread may run.
    store = over(MemoryDynamoDB(resource("Table")["Properties"]))
    barrier, took = threading.Barrier(8), list[LockOwner]()

    def take(number: int) -> None:
        holder = LockOwner(JobKey(f"owner-{number}", JOB_ID), "g")
        barrier.wait()
        if lock(store, holder):
            took.append(holder)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = took
    assert store.lock_owner("cache#0") == winner


def test_lock_has_its_expiry_and_is_not_listed_as_a_job() -> None:
    table = MemoryDynamoDB(resource("Table")["Properties"])
    store = over(table)
    lock(store, ALICES)
    (item,) = table.items.values()
    assert item.keys() == {"pk", "holder", "recordExpiresAt"}
    assert from_epoch_milliseconds(int(item["recordExpiresAt"]["N"]) * 1000) == UNTIL
    assert store.list_by_owner("alice", limit=9) == ([], None)
    assert all_due(store, NOW + timedelta(days=9)) == []


def waiting(store: Store, *, after: float = 0, at_most: int = 9) -> list[str]:
    return [key.async_job_id for key in store.waiting("1#cache", NOW + timedelta(seconds=after), at_most=at_most)]


def test_waiting_jobs_are_in_order_until_they_start_or_end(store: Store) -> None:
    jobs = [
        job_number(number, owner=owner).exclusively("1#cache") for number, owner in ((3, "alice"), (1, "bob"), (2, "alice"))
    ]
    for job in (*jobs, job_number(8).exclusively("1#other"), job_number(9)):
        store.add_if_absent(job, NOW)
    third, first, second = jobs
    assert waiting(store, after=5) == [job.async_job_id for job in (first, second, third)]
    assert waiting(store, after=5, at_most=1) == [first.async_job_id]
    assert waiting(store, after=2) == [job.async_job_id for job in (first, second)]
    begun = claim(store, first, now_after=5)
    assert isinstance(begun, AsyncJob)
    assert (begun.waits_since, begun.exclusive_key) == (None, "1#cache")
    assert waiting(store, after=5) == [job.async_job_id for job in (second, third)]
    store.swap_if_unchanged(second, second.cancelled(now=NOW))
    assert waiting(store, after=5) == [third.async_job_id]


def test_delayed_job_waits_from_its_start_on(store: Store) -> None:
    job = new_job(delay=timedelta(seconds=60)).exclusively("1#cache")
    store.add_if_absent(job, NOW)
    assert waiting(store, after=59) == []
    assert waiting(store, after=60) == [job.async_job_id]
