"""Submit: each step in its order, and what a submit leaves behind when it ends early."""

from __future__ import annotations

import json
import threading
import uuid
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjobs.core.canonical_json import canonical_json
from asyncjobs.core.errors import (
    AcceptanceUnknown,
    Busy,
    IdempotencyKeyReused,
    InvalidInput,
    SubmitRateExceeded,
    Unavailable,
    UnknownJobType,
)
from asyncjobs.core.job import SWEEP_INTERVAL, WORKER_LOST, AsyncJob, Priority, Result, Status
from asyncjobs.core.message import JobMessage
from asyncjobs.core.placement import INLINE_INPUT_LIMIT
from asyncjobs.core.rate import SubmitRate
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import GENERIC, INPUT_BYTES
from asyncjobs.limits.admission import Admission
from asyncjobs.service.commands import Commands
from asyncjobs.service.submit import Submission, SubmitRequest
from tests.support.factories import NOW, OWNER, job_type
from tests.support.fakes import FakeClock, FakeObjects, FakeQueue, FakeStore
from tests.support.parts import make_commands, make_sweeper
from tests.unit.conftest import Lines
from tests.unit.service.conftest import CATALOG

REQUEST = SubmitRequest(job_type="service.reads", input={"pages": 9})


LARGE = {"text": "x" * INLINE_INPUT_LIMIT}


# ── Submit ─────────────────────────────────────────────────────────────────────────────────────────


def test_fingerprint_is_the_same_as_in_earlier_releases() -> None:
    # Otherwise a request that is repeated across a deployment is rejected as another request with the same key.
    request = SubmitRequest(
        job_type="play.returns", input={"b": [1, "ü"]}, metadata={"a": 1}, message="m", delay=timedelta(seconds=2)
    )
    assert request.fingerprint().hex().startswith("97b927e6")
    assert replace(request, priority=Priority.STANDARD).fingerprint() != request.fingerprint()


def test_submit_stores_and_sends_the_job(commands: Commands, store: FakeStore, queue: FakeQueue) -> None:
    submission = commands.submit(OWNER, replace(REQUEST, message="queued", metadata={"b": 1, "a": "ü"}))
    job = submission.job
    assert not submission.replayed
    assert store.jobs == {job.key: job}
    assert queue.sent == [JobMessage.of(job)]
    assert (job.owner, job.job_type, job.status, job.attempt, job.max_attempts) == (
        OWNER,
        "service.reads",
        Status.PENDING,
        0,
        5,
    )
    assert (job.input, job.metadata, job.message) == ('{"pages":9}', '{"a":"ü","b":1}', "queued")
    assert (job.created_at, job.deadline_at, job.retention) == (NOW, NOW + timedelta(days=1), timedelta(days=3))


def test_submit_costs_one_write(commands: Commands, store: FakeStore) -> None:
    commands.submit(OWNER, REQUEST)
    assert store.writes == 1


def test_request_is_fingerprinted_only_under_a_key(commands: Commands) -> None:
    first, second = (commands.submit(OWNER, REQUEST).job.request_hash for _ in range(2))
    assert (len(first), first == second, first == REQUEST.fingerprint()) == (32, False, False)
    assert commands.submit(OWNER, REQUEST, idempotency_key="k").job.request_hash == REQUEST.fingerprint()


def test_submit_without_a_key_always_creates_a_job(commands: Commands, store: FakeStore) -> None:
    assert commands.submit(OWNER, REQUEST).job.key != commands.submit(OWNER, REQUEST).job.key
    assert len(store.jobs) == 2


@pytest.mark.parametrize("asked", [None, *Priority])
@pytest.mark.parametrize("declared", Priority)
def test_priority_is_the_requested_one_or_the_types(
    store: FakeStore, queue: FakeQueue, objects: FakeObjects, clock: FakeClock, declared: Priority, asked: Priority | None
) -> None:
    commands = make_commands(
        store=store,
        queue=queue,
        objects=objects,
        catalog=Catalog({"a": job_type("a", priority=declared)}),
        clock=clock,
    )
    job = commands.submit(OWNER, SubmitRequest(job_type="a", input={}, priority=asked)).job
    assert job.priority is (asked or declared)
    assert [message.priority for message in queue.sent] == [job.priority]


def test_failed_put_leaves_no_job(commands: Commands, store: FakeStore, queue: FakeQueue) -> None:
    store.failures.append(Unavailable("throttled"))
    with pytest.raises(Unavailable):
        commands.submit(OWNER, REQUEST, idempotency_key="k")
    assert (store.jobs, queue.sent) == ({}, [])
    assert not commands.submit(OWNER, REQUEST, idempotency_key="k").replayed


@pytest.mark.parametrize("key", [None, "k"])
def test_put_whose_answer_is_lost_names_the_job_that_it_may_have_created(
    commands: Commands, store: FakeStore, key: str | None
) -> None:
    add = store.add_if_absent

    def put_and_lose_the_answer(job: AsyncJob, now: datetime) -> AsyncJob | None:
        add(job, now)
        raise Unavailable("answer lost")

    store.add_if_absent = put_and_lose_the_answer  # type: ignore[method-assign]  # for this test
    with pytest.raises(AcceptanceUnknown) as lost:
        commands.submit(OWNER, REQUEST, idempotency_key=key)
    assert [job.async_job_id for job in store.jobs.values()] == [lost.value.async_job_id]


def test_unavailable_table_before_the_put_names_no_job(
    store: FakeStore, queue: FakeQueue, objects: FakeObjects, clock: FakeClock
) -> None:
    limits = Admission(store=store, queue=queue, clock=clock, rate=SubmitRate(per_minute=60, burst=2))
    limited = make_commands(store=store, queue=queue, objects=objects, catalog=CATALOG, clock=clock, admission=limits)
    store.failures.append(Unavailable("throttled"))
    with pytest.raises(Unavailable) as refused:
        limited.submit(OWNER, REQUEST)
    assert not isinstance(refused.value, AcceptanceUnknown)
    assert store.jobs == {}


def test_failed_send_is_accepted_and_left_to_the_sweeper(
    commands: Commands, store: FakeStore, queue: FakeQueue, lines: Lines
) -> None:
    queue.is_down = True
    job = commands.submit(OWNER, REQUEST).job
    due_at = store.jobs[job.key].due_at
    assert due_at is not None
    assert due_at <= NOW + timedelta(minutes=2)
    assert lines.names() == ["JOB_ACCEPTED", "JOB_ENQUEUE_DEFERRED"]


@pytest.fixture
def limited(store: FakeStore, queue: FakeQueue, objects: FakeObjects, clock: FakeClock) -> Commands:
    """Return commands that admit one job a minute from each owner."""
    return make_commands(
        store=store,
        queue=queue,
        objects=objects,
        catalog=CATALOG,
        clock=clock,
        admission=Admission(store=store, queue=queue, clock=clock, rate=SubmitRate(per_minute=1, burst=1)),
    )


def test_rejected_submit_stores_nothing(
    limited: Commands, store: FakeStore, queue: FakeQueue, objects: FakeObjects, lines: Lines
) -> None:
    accepted = limited.submit(OWNER, REQUEST)
    with pytest.raises(SubmitRateExceeded):
        limited.submit(OWNER, replace(REQUEST, job_type="service.keeps", input=LARGE), idempotency_key="k")
    assert ([*store.jobs], len(queue.sent), objects.stored) == ([accepted.job.key], 1, {})
    assert lines.names() == ["JOB_ACCEPTED", "JOB_REFUSED"]
    assert (lines.events[1]["reason"], lines.events[1]["jobType"]) == ("SubmitRateExceeded", "service.keeps")


def test_quota_is_returned_if_there_is_a_rate(commands: Commands, limited: Commands) -> None:
    assert commands.submit(OWNER, REQUEST).quota is None
    quota = limited.submit(OWNER, REQUEST).quota
    assert quota is not None
    assert (quota.burst, quota.remaining, quota.next_token) == (1, 0, timedelta(minutes=1))


def test_replay_beyond_the_rate_returns_the_accepted_job(
    limited: Commands, store: FakeStore, queue: FakeQueue, clock: FakeClock
) -> None:
    accepted = limited.submit(OWNER, REQUEST, idempotency_key="k").job
    writes = store.writes
    for _ in range(3):
        again = limited.submit(OWNER, REQUEST, idempotency_key="k")
        assert (again.job, again.replayed, again.quota and again.quota.remaining) == (accepted, True, 0)
    assert store.writes == writes + 3, "one write for each: the bucket's"
    assert len(queue.sent) == 1
    with pytest.raises(IdempotencyKeyReused):
        limited.submit(OWNER, replace(REQUEST, message="another"), idempotency_key="k")
    store.jobs[accepted.key] = replace(accepted, record_expires_at=clock())
    with pytest.raises(SubmitRateExceeded):
        limited.submit(OWNER, REQUEST, idempotency_key="k")


def test_replay_takes_a_token_if_one_is_left(limited: Commands, clock: FakeClock) -> None:
    limited.submit(OWNER, REQUEST, idempotency_key="k")
    clock.advance(seconds=60)
    assert limited.submit(OWNER, REQUEST, idempotency_key="k").replayed
    with pytest.raises(SubmitRateExceeded):
        limited.submit(OWNER, REQUEST)


def test_invalid_request_takes_no_token(limited: Commands, store: FakeStore) -> None:
    with pytest.raises(InvalidInput):
        limited.submit(OWNER, replace(REQUEST, input={"pages": "nine"}))
    assert store.writes == 0
    limited.submit(OWNER, REQUEST)


def test_unknown_job_type_is_rejected(commands: Commands, store: FakeStore) -> None:
    with pytest.raises(UnknownJobType):
        commands.submit(OWNER, replace(REQUEST, job_type="service.unheard_of"))
    assert store.writes == 0


def test_invalid_input_is_rejected_with_its_place(commands: Commands, store: FakeStore, queue: FakeQueue) -> None:
    with pytest.raises(InvalidInput) as raised:
        commands.submit(OWNER, replace(REQUEST, input={"pages": "nine"}))
    assert [problem.pointer for problem in raised.value.problems] == ["/pages"]
    assert (store.writes, queue.sent) == (0, [])


def test_delayed_job_is_sent_with_its_delay(commands: Commands, queue: FakeQueue) -> None:
    job = commands.submit(OWNER, replace(REQUEST, delay=timedelta(minutes=5))).job
    assert job.not_before == NOW + timedelta(minutes=5)
    assert queue.delays == [timedelta(minutes=5)]


@pytest.mark.parametrize(
    ("job_type_name", "asked", "kept"),
    [
        ("service.reads", None, timedelta(days=3)),
        ("service.reads", timedelta(minutes=1), timedelta(minutes=1)),
        ("service.reads", timedelta(days=20), timedelta(days=20)),
        ("service.keeps", None, timedelta(days=30)),
        ("service.keeps", timedelta(days=60), timedelta(days=30)),
    ],
)
def test_retention_is_the_requested_one_or_the_types_up_to_the_stacks_maximum(
    commands: Commands, job_type_name: str, asked: timedelta | None, kept: timedelta
) -> None:
    assert commands.submit(OWNER, SubmitRequest(job_type=job_type_name, input={}, retention=asked)).job.retention == kept


# ── Large inputs ───────────────────────────────────────────────────────────────────────────────────


def test_input_up_to_the_limit_is_stored_in_the_record(commands: Commands, objects: FakeObjects) -> None:
    text = "ü" * ((INLINE_INPUT_LIMIT - len('{"text":""}')) // 2)
    job = commands.submit(OWNER, replace(REQUEST, input={"text": text})).job
    assert (json.loads(job.input or ""), job.input_location) == ({"text": text}, None)
    assert objects.stored == {}


def test_larger_input_is_stored_in_the_bucket(commands: Commands, objects: FakeObjects) -> None:
    job = commands.submit(OWNER, replace(REQUEST, input=LARGE)).job
    assert job.input is None
    assert objects.stored == {job.input_location: canonical_json(LARGE)}


def test_failed_upload_of_the_input_leaves_no_record(commands: Commands, objects: FakeObjects, store: FakeStore) -> None:
    objects.is_down = True
    with pytest.raises(Unavailable):
        commands.submit(OWNER, replace(REQUEST, input=LARGE))
    assert store.writes == 0


def test_repeated_request_stores_no_second_copy_of_its_input(
    commands: Commands, objects: FakeObjects, store: FakeStore
) -> None:
    first = commands.submit(OWNER, replace(REQUEST, input=LARGE), idempotency_key="k").job
    writes, objects.is_down = store.writes, True
    again = commands.submit(OWNER, replace(REQUEST, input=LARGE), idempotency_key="k")
    assert (again.job, again.replayed, store.writes) == (first, True, writes)
    assert objects.stored.keys() == {first.input_location}


def test_other_large_request_with_the_key_stores_nothing(commands: Commands, objects: FakeObjects) -> None:
    first = commands.submit(OWNER, replace(REQUEST, input=LARGE), idempotency_key="k").job
    with pytest.raises(IdempotencyKeyReused):
        commands.submit(OWNER, replace(REQUEST, input={**LARGE, "pages": 1}), idempotency_key="k")
    assert objects.stored.keys() == {first.input_location}


def test_same_large_input_again_stores_no_second_copy(commands: Commands, objects: FakeObjects) -> None:
    large = replace(ONCE, input={"text": "x" * 5_000})
    first = commands.submit(OWNER, large).job
    assert commands.submit(OWNER, large).job == first
    assert objects.stored.keys() == {first.input_location}


@pytest.mark.parametrize("other", [{}, {"message": "another request"}], ids=["the same", "another"])
def test_simultaneous_requests_with_one_key_leave_one_copy_of_the_input(
    commands: Commands, objects: FakeObjects, store: FakeStore, other: dict[str, Any]
) -> None:
    large = replace(REQUEST, input=LARGE)
    add = store.add_if_absent

    def overtaken(job: AsyncJob, now: datetime) -> AsyncJob | None:
        store.add_if_absent = add  # type: ignore[method-assign]  # for this test
        commands.submit(OWNER, large, idempotency_key="k")
        return add(job, now)

    store.add_if_absent = overtaken  # type: ignore[method-assign]  # for this test
    with suppress(IdempotencyKeyReused):
        assert commands.submit(OWNER, replace(large, **other), idempotency_key="k").replayed
    (job,) = store.jobs.values()
    assert objects.stored.keys() == {job.input_location}


def test_simultaneous_requests_leave_their_upload_to_the_job_that_stays(
    commands: Commands, objects: FakeObjects, store: FakeStore, clock: FakeClock
) -> None:
    upload = f"uploads/{uuid.uuid4()}"
    location = f"inputs/{OWNER}/{upload}"
    objects.stored[location] = b"an upload"
    names = replace(REQUEST, input={"text": upload})
    add = store.add_if_absent

    def overtaken(job: AsyncJob, now: datetime) -> AsyncJob | None:
        store.add_if_absent = add  # type: ignore[method-assign]  # for this test
        clock.advance(seconds=0.007)
        commands.submit(OWNER, names, idempotency_key="k")
        # The slower request marks the upload last.
        objects.keep_uploads(job, [upload])
        return add(job, now)

    store.add_if_absent = overtaken  # type: ignore[method-assign]  # for this test
    job = commands.submit(OWNER, names, idempotency_key="k").job
    commands.cancel(OWNER, job.async_job_id)
    commands.delete(OWNER, job.async_job_id)
    assert location not in objects.stored


def test_put_whose_job_was_retried_before_its_answer_came_keeps_the_input(
    commands: Commands, objects: FakeObjects, store: FakeStore
) -> None:
    add = store.add_if_absent

    def put_twice(job: AsyncJob, now: datetime) -> AsyncJob | None:
        add(job, now)
        # The SDK repeats a put whose answer was lost. Its owner has found the job in the list meanwhile.
        commands.cancel(OWNER, job.async_job_id)
        commands.retry(OWNER, job.async_job_id)
        return add(job, now)

    store.add_if_absent = put_twice  # type: ignore[method-assign]  # for this test
    commands.submit(OWNER, replace(REQUEST, input=LARGE))
    (job,) = store.jobs.values()
    assert objects.stored.keys() == {job.input_location}


def test_put_whose_answer_is_lost_keeps_the_input(commands: Commands, objects: FakeObjects, store: FakeStore) -> None:
    add = store.add_if_absent

    def put_and_lose_the_answer(job: AsyncJob, now: datetime) -> AsyncJob | None:
        add(job, now)
        raise Unavailable("answer lost")

    store.add_if_absent = put_and_lose_the_answer  # type: ignore[method-assign]  # for this test
    with pytest.raises(AcceptanceUnknown):
        commands.submit(OWNER, replace(REQUEST, input=LARGE))
    (job,) = store.jobs.values()
    assert objects.stored.keys() == {job.input_location}


# ── Uploads ────────────────────────────────────────────────────────────────────────────────────────

FIRST, SECOND = (f"uploads/00000000-0000-4000-8000-{number:012}" for number in range(2))


def of(job: AsyncJob, *keys: str) -> dict[str, datetime]:
    return {f"inputs/{OWNER}/{key}": job.created_at for key in keys}


@pytest.mark.parametrize("padding", [0, INLINE_INPUT_LIMIT], ids=["small", "large"])
def test_uploads_that_the_input_names_are_kept_for_the_job(commands: Commands, objects: FakeObjects, padding: int) -> None:
    objects.stored = {f"inputs/{owner}/{key}": b"x" for owner in (OWNER, "bob") for key in (FIRST, SECOND)}
    named = {"files": [{"key": FIRST}, SECOND, FIRST], "text": f"not {SECOND}", "padding": "x" * padding}
    job = commands.submit(OWNER, replace(REQUEST, input=named)).job
    assert objects.kept_for == of(job, FIRST, SECOND)


@pytest.mark.parametrize("text", [f"see {FIRST}", f"{FIRST}.txt", f'"{FIRST}"', "uploads/report.pdf", FIRST.upper()])
def test_other_texts_are_no_uploads(commands: Commands, objects: FakeObjects, text: str) -> None:
    objects.stored = {f"inputs/{OWNER}/{FIRST}": b"x"}
    commands.submit(OWNER, replace(REQUEST, input={"key": text}))
    assert objects.kept_for == {}


def test_upload_that_cannot_be_kept_accepts_no_job(commands: Commands, objects: FakeObjects, store: FakeStore) -> None:
    objects.is_down = True
    with pytest.raises(Unavailable) as refused:
        commands.submit(OWNER, replace(REQUEST, input={"key": FIRST}))
    assert (store.writes, isinstance(refused.value, AcceptanceUnknown)) == (0, False)


def test_replay_keeps_no_upload_again(commands: Commands, objects: FakeObjects) -> None:
    named = replace(REQUEST, input={"key": FIRST})
    commands.submit(OWNER, named, idempotency_key="k")
    objects.is_down = True
    assert commands.submit(OWNER, named, idempotency_key="k").replayed


def test_input_names_ten_uploads_at_most(commands: Commands, store: FakeStore) -> None:
    keys = [f"uploads/00000000-0000-4000-8000-{number:012}" for number in range(11)]
    commands.submit(OWNER, replace(REQUEST, input={"keys": keys[:10] * 2}))
    writes = store.writes
    with pytest.raises(InvalidInput, match="more than 10 uploads"):
        commands.submit(OWNER, replace(REQUEST, input={"keys": keys}))
    assert store.writes == writes


# ── Idempotency ────────────────────────────────────────────────────────────────────────────────────


def test_repeated_request_returns_the_same_job(commands: Commands, store: FakeStore) -> None:
    first = commands.submit(OWNER, replace(REQUEST, metadata={"a": 1, "b": 2}), idempotency_key="k")
    again = commands.submit(OWNER, replace(REQUEST, metadata={"b": 2, "a": 1}), idempotency_key="k")
    assert (again.job, again.replayed) == (first.job, True)
    assert len(store.jobs) == 1


def test_repeated_request_with_a_large_input_returns_the_same_job(commands: Commands) -> None:
    first = commands.submit(OWNER, replace(REQUEST, input=LARGE), idempotency_key="k")
    assert commands.submit(OWNER, replace(REQUEST, input=LARGE), idempotency_key="k").job == first.job


@pytest.mark.parametrize(
    "other",
    [
        {"job_type": "service.keeps"},
        {"input": {"pages": 10}},
        {"metadata": {}},
        {"message": ""},
        {"delay": timedelta(seconds=1)},
        {"retention": timedelta(days=3)},
        {"priority": Priority.LOW},
        {"priority": Priority.STANDARD},
    ],
    ids=str,
)
def test_key_of_another_request_is_rejected(commands: Commands, store: FakeStore, other: dict[str, Any]) -> None:
    job = commands.submit(OWNER, REQUEST, idempotency_key="k").job
    with pytest.raises(IdempotencyKeyReused):
        commands.submit(OWNER, replace(REQUEST, **other), idempotency_key="k")
    assert store.jobs == {job.key: job}


@pytest.mark.parametrize("delay", [0, 60])
def test_replays_send_no_message(commands: Commands, queue: FakeQueue, clock: FakeClock, delay: int) -> None:
    request = replace(REQUEST, delay=timedelta(seconds=delay))
    job = commands.submit(OWNER, request, idempotency_key="k").job
    for _ in range(40):
        clock.advance(seconds=3)
        assert commands.submit(OWNER, request, idempotency_key="k").job == job
    assert queue.sent == [JobMessage.of(job)]


def test_same_input_sends_no_second_message(commands: Commands, queue: FakeQueue) -> None:
    request = SubmitRequest(job_type="service.once", input={})
    job = commands.submit(OWNER, request).job
    for _ in range(40):
        assert commands.submit(OWNER, request).job == job
    assert queue.sent == [JobMessage.of(job)]


def test_message_that_a_submit_did_not_send_is_sent_by_the_sweeper(
    commands: Commands, store: FakeStore, queue: FakeQueue, clock: FakeClock
) -> None:
    queue.is_down = True
    job = commands.submit(OWNER, REQUEST, idempotency_key="k").job
    queue.is_down = False
    commands.submit(OWNER, REQUEST, idempotency_key="k")
    assert queue.sent == []
    clock.advance(seconds=SWEEP_INTERVAL.total_seconds())
    make_sweeper(store=store, queue=queue, clock=clock).sweep(lambda: timedelta(minutes=1))
    assert queue.sent == [JobMessage.of(job)]


def test_each_accepted_submit_and_retry_sends_one_message(commands: Commands, queue: FakeQueue) -> None:
    for number in range(20):
        job = commands.submit(OWNER, REQUEST, idempotency_key=str(number)).job
        commands.cancel(OWNER, job.async_job_id)
    assert len(queue.sent) == 20
    for _ in range(20):
        commands.retry(OWNER, job.async_job_id)
        commands.cancel(OWNER, job.async_job_id)
    assert len(queue.sent) == 40


def test_messages_of_one_owner_keep_no_other_owner_out(
    store: FakeStore, queue: FakeQueue, objects: FakeObjects, clock: FakeClock
) -> None:
    limits = Admission(store=store, queue=queue, clock=clock, max_backlog=20, max_live=2)
    commands = make_commands(store=store, queue=queue, objects=objects, catalog=CATALOG, clock=clock, admission=limits)
    for _ in range(100):
        job = commands.submit("mallory", REQUEST).job
        commands.cancel("mallory", job.async_job_id)
        clock.advance(seconds=6)
    assert len(queue.sent) == 100
    assert commands.submit(OWNER, REQUEST).job.owner == OWNER
    # The next one waits for the first.
    with pytest.raises(Busy):
        commands.submit(OWNER, REQUEST)


@pytest.mark.parametrize(("late", "delay"), [(timedelta(hours=1), 900), (timedelta(0), 0), (-timedelta(hours=1), 0)])
def test_not_before_sets_the_start(commands: Commands, queue: FakeQueue, late: timedelta, delay: float) -> None:
    job = commands.submit(OWNER, replace(REQUEST, not_before=NOW + late)).job
    assert job.not_before == (NOW + late if late > timedelta(0) else None)
    assert [each.total_seconds() for each in queue.delays] == ([] if delay else [0])


def test_delay_beyond_the_queues_maximum_is_left_to_the_sweeper(
    commands: Commands, store: FakeStore, queue: FakeQueue, clock: FakeClock
) -> None:
    job = commands.submit(OWNER, replace(REQUEST, delay=timedelta(days=3))).job
    assert queue.sent == []
    sweeper = make_sweeper(store=store, queue=queue, clock=clock)
    for seconds, sent in [(3 * 24 * 3600 - 1, []), (1, [JobMessage.of(job)])]:
        clock.advance(seconds=seconds)
        sweeper.sweep(lambda: timedelta(minutes=1))
        assert queue.sent == sent
    assert job.deadline_at > clock.now
    assert not job.is_expired(job.deadline_at)


def test_replay_with_not_before_returns_the_same_job_at_any_time(commands: Commands, clock: FakeClock) -> None:
    request = replace(REQUEST, not_before=NOW + timedelta(hours=1))
    first = commands.submit(OWNER, request, idempotency_key="k").job
    clock.advance(seconds=5)
    assert commands.submit(OWNER, request, idempotency_key="k").job == first


@pytest.mark.parametrize("end", [None, "completed", "cancelled"])
def test_replay_of_a_running_or_finished_job_sends_nothing(
    commands: Commands, store: FakeStore, queue: FakeQueue, end: str | None
) -> None:
    job = commands.submit(OWNER, REQUEST, idempotency_key="k").job
    running = job.claimed(by="w1", now=NOW, lease_until=NOW + timedelta(seconds=75))
    now = {
        None: running,
        "completed": running.completed(now=NOW, result=Result("1")),
        "cancelled": running.cancelled(now=NOW),
    }[end]
    store.jobs[job.key] = now
    assert commands.submit(OWNER, REQUEST, idempotency_key="k").job == now
    assert len(queue.sent) == 1


def test_key_of_an_expired_job_is_free_again(commands: Commands, store: FakeStore, clock: FakeClock) -> None:
    first = commands.submit(OWNER, REQUEST, idempotency_key="k").job
    store.jobs[first.key] = first.cancelled(now=NOW)
    clock.advance(seconds=timedelta(days=3).total_seconds())
    second = commands.submit(OWNER, replace(REQUEST, input={"pages": 1}), idempotency_key="k")
    assert not second.replayed
    assert second.job.key == first.key
    assert second.job.generation != first.generation


def test_replay_is_not_logged_as_accepted(commands: Commands, lines: Lines) -> None:
    commands.submit(OWNER, REQUEST, idempotency_key="k")
    commands.submit(OWNER, REQUEST, idempotency_key="k")
    assert lines.names() == ["JOB_ACCEPTED"]


def test_log_lines_do_not_quote_the_request(commands: Commands, queue: FakeQueue, lines: Lines) -> None:
    queue.is_down = True
    job = commands.submit(
        OWNER, replace(REQUEST, input={"c": "canary"}, metadata={"c": "canary"}, message="canary"), idempotency_key="canary"
    ).job
    commands.cancel(OWNER, job.async_job_id)
    assert len(lines.events) == 3
    assert "canary" not in lines.text()


OWNERS = st.text("ab|", min_size=1, max_size=3)


KEYS = st.text("abc", min_size=1, max_size=3)


@settings(max_examples=50)
@given(st.lists(st.tuples(OWNERS, KEYS), max_size=8))
def test_id_is_unique_to_owner_and_key(submits: list[tuple[str, str]]) -> None:
    store, clock = FakeStore(), FakeClock(NOW)
    commands = make_commands(
        store=store,
        queue=FakeQueue(),
        objects=FakeObjects(),
        catalog=CATALOG,
        clock=clock,
    )
    ids = {(owner, key): commands.submit(owner, REQUEST, idempotency_key=key).job.async_job_id for owner, key in submits}
    assert len(set(ids.values())) == len(set(submits)) == len(store.jobs)


# ── Tracked jobs ───────────────────────────────────────────────────────────────────────────────────


def test_tracked_job_is_stored_and_not_sent(commands: Commands, store: FakeStore, queue: FakeQueue) -> None:
    submission = commands.submit(OWNER, SubmitRequest(job_type=GENERIC, input={}, message="Upload queued"))
    job = submission.job
    assert (job.is_tracked, job.due_at, job.message) == (True, NOW + timedelta(hours=1), "Upload queued")
    assert store.jobs == {job.key: job}
    assert (store.writes, queue.sent) == (1, [])
    assert submission.worker_token is not None
    assert submission.worker_token.matches(job)


def test_replay_of_a_tracked_job_has_no_token(commands: Commands, queue: FakeQueue) -> None:
    first, again = (commands.submit(OWNER, SubmitRequest(job_type=GENERIC, input={}), idempotency_key="k") for _ in range(2))
    assert (again.replayed, again.job, again.worker_token) == (True, first.job, None)
    assert queue.sent == []


def test_token_of_an_expired_tracked_job_does_not_match_its_successor(commands: Commands, clock: FakeClock) -> None:
    first = commands.submit(OWNER, SubmitRequest(job_type=GENERIC, input={}), idempotency_key="k")
    clock.now = first.job.record_expires_at
    second = commands.submit(OWNER, SubmitRequest(job_type=GENERIC, input={}), idempotency_key="k")
    assert first.worker_token is not None
    assert second.job.key == first.job.key
    assert not first.worker_token.matches(second.job)


def test_tracked_job_accepts_no_input(commands: Commands) -> None:
    with pytest.raises(InvalidInput):
        commands.submit(OWNER, SubmitRequest(job_type=GENERIC, input={"pages": 9}))


def test_job_that_is_not_tracked_has_no_token(commands: Commands) -> None:
    assert commands.submit(OWNER, REQUEST).worker_token is None


# ── Deduplication ──────────────────────────────────────────────────────────────────────────────────


ONCE = SubmitRequest(job_type="service.once", input={"pages": 9})


def test_deduplicated_input_is_compared_by_value(commands: Commands, store: FakeStore) -> None:
    first = commands.submit(OWNER, replace(ONCE, input={"pages": 9, "from": 1}, message="one"))
    again = commands.submit(OWNER, replace(ONCE, input={"from": 1, "pages": 9}, message="two"))
    assert (again.job, again.replayed, first.replayed) == (first.job, True, False)
    assert len(store.jobs) == 1


def test_other_input_or_owner_creates_another_job(commands: Commands, store: FakeStore) -> None:
    for owner, pages in (("alice", 9), ("alice", 10), ("bob", 9)):
        assert not commands.submit(owner, replace(ONCE, input={"pages": pages})).replayed
    assert len(store.jobs) == 3


def test_same_input_after_the_window_creates_another_job(commands: Commands, store: FakeStore, clock: FakeClock) -> None:
    first = commands.submit(OWNER, ONCE).job
    clock.advance(seconds=3601)
    assert not commands.submit(OWNER, ONCE).replayed
    assert store.jobs[first.key] == first


def test_idempotency_key_overrides_deduplication(commands: Commands, store: FakeStore) -> None:
    commands.submit(OWNER, ONCE)
    assert not commands.submit(OWNER, ONCE, idempotency_key="k").replayed
    assert commands.submit(OWNER, ONCE, idempotency_key="k").replayed
    assert len(store.jobs) == 2


@pytest.mark.parametrize("end", ["failed", "cancelled", "deleted"])
def test_failed_cancelled_or_deleted_job_is_not_a_duplicate(commands: Commands, store: FakeStore, end: str) -> None:
    first = commands.submit(OWNER, ONCE).job
    commands.cancel(OWNER, first.async_job_id)
    if end == "failed":
        store.jobs[first.key] = first.failed(now=NOW, error=WORKER_LOST)
    elif end == "deleted":
        commands.delete(OWNER, first.async_job_id)
    again = commands.submit(OWNER, ONCE)
    assert (again.replayed, again.job.status) == (False, Status.PENDING)
    assert commands.submit(OWNER, ONCE).job == again.job


def test_new_job_for_a_failed_input_takes_one_token_and_stores_its_input_once(
    commands: Commands, limited: Commands, store: FakeStore, objects: FakeObjects
) -> None:
    large = replace(ONCE, input={"text": "x" * 5_000})
    first = commands.submit(OWNER, large).job
    store.jobs[first.key] = first.failed(now=NOW, error=WORKER_LOST)
    again = limited.submit(OWNER, large)
    assert (again.replayed, again.job.async_job_id != first.async_job_id) == (False, True)
    assert objects.stored.keys() == {first.input_location, again.job.input_location}


def test_completed_job_is_returned_for_the_same_input(commands: Commands, store: FakeStore) -> None:
    first = commands.submit(OWNER, ONCE).job
    done = first.claimed(by="w", now=NOW, lease_until=NOW).completed(now=NOW, result=Result("1"))
    store.jobs[first.key] = done
    assert commands.submit(OWNER, ONCE) == Submission(done, replayed=True)


def test_submit_that_died_after_reserving_the_name_is_repaired_by_the_next(commands: Commands, store: FakeStore) -> None:
    add, store.failures = store.add_if_absent, deque()

    def fail(_job: AsyncJob, _now: datetime) -> AsyncJob | None:
        raise Unavailable("stopped")

    store.add_if_absent = fail  # type: ignore[method-assign, assignment]  # for this test
    with pytest.raises(Unavailable):
        commands.submit(OWNER, ONCE)
    ((named, _until),) = store.names.values()
    store.add_if_absent = add  # type: ignore[method-assign]
    submission = commands.submit(OWNER, ONCE)
    assert (submission.job.async_job_id, submission.replayed) == (named, False)


def test_concurrent_submits_of_one_input_create_one_job(commands: Commands, store: FakeStore) -> None:
    together = threading.Barrier(8)

    def submit(_: int) -> Submission:
        together.wait()
        return commands.submit(OWNER, ONCE)

    with ThreadPoolExecutor(8) as pool:
        submissions = list(pool.map(submit, range(8)))
    assert {submission.job.async_job_id for submission in submissions} == {job.async_job_id for job in store.jobs.values()}
    assert (len(store.jobs), [submission.replayed for submission in submissions].count(False)) == (1, 1)


# ── Sizes ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("input", "size", "found"),
    [
        ({"rows": 7}, "rows", 0),
        ({"rows": 120}, "rows", 2),
        ({"rows": 99.9}, "rows", 1),
        ({"rows": Decimal("1e25")}, "rows", 12),
        ({"rows": -3}, "rows", 0),
        ({"rows": None}, "rows", None),
        ({"rows": True}, "rows", None),
        ({"rows": "120"}, "rows", None),
        ({}, "rows", None),
        ([1], "rows", None),
        (None, "rows", None),
        ("x" * 98, INPUT_BYTES, 2),
        ("x" * 97, INPUT_BYTES, 1),
        ({}, INPUT_BYTES, 0),
    ],
    ids=str,
)
def test_size_is_the_number_that_the_type_names(input: Any, size: str, found: int | None) -> None:
    assert SubmitRequest(job_type="a", input=input).size_class(size) == found
