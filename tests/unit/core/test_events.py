"""The event of each change that a client can see."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from asyncjobs.core.events import Event, EventType, event_body, event_of, events_of_record, snapshot_of
from asyncjobs.core.exact_json import write_json
from asyncjobs.core.job import AsyncJob, JobFailure, Result, Status
from asyncjobs.core.named_events import NamedEvent
from tests.support.factories import NOW, new_job, new_tracked_job, numbered, running_job

FAILURE = JobFailure(code="JOB_RAISED", message="secret", type="ValueError", retryable=True)
LATER = NOW + timedelta(seconds=5)
WAITING, RUNNING, TRACKED = new_job(), running_job(), new_tracked_job()
FAILED = RUNNING.failed(now=NOW, error=FAILURE)
PUT_RUNNING = replace(RUNNING, seq=1)


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        (WAITING, WAITING.claimed(by="w", now=LATER, lease_until=LATER), EventType.STARTED),
        (replace(RUNNING, attempt=1), replace(RUNNING, attempt=2, claimed_by="w2"), EventType.STARTED),
        (RUNNING, RUNNING.reported(now=LATER, progress=5, message=None, lease_until=LATER), EventType.PROGRESS),
        (RUNNING, RUNNING.reported(now=LATER, progress=0, message="Reading", lease_until=LATER), EventType.PROGRESS),
        (RUNNING, RUNNING.released(now=LATER, error=FAILURE, after=timedelta(0)), EventType.RELEASED),
        (RUNNING, RUNNING.completed(now=LATER, result=Result(text="1")), EventType.COMPLETED),
        (RUNNING, RUNNING.failed(now=LATER, error=FAILURE), EventType.FAILED),
        (WAITING, WAITING.cancelled(now=LATER), EventType.CANCELLED),
        (RUNNING, RUNNING.cancelled(now=LATER), EventType.CANCELLED),
        (
            FAILED,
            FAILED.retried(max_attempts=3, timeout=LATER - NOW, deadline=timedelta(hours=1), now=LATER),
            EventType.RETRIED,
        ),
        (TRACKED, TRACKED.advanced(now=LATER, progress=None, message=None), EventType.STARTED),
        (
            TRACKED,
            TRACKED.advanced(now=LATER, progress=5, message=None).completed(now=LATER, result=Result(url="https://x.test")),
            EventType.COMPLETED,
        ),
    ],
)
def test_each_change_has_an_event_of_its_type(old: AsyncJob, new: AsyncJob, kind: EventType) -> None:
    event = event_of(old, numbered(new))
    assert event is not None
    assert (event.type, event.seq, event.at) == (kind, old.seq + 1, new.updated_at)


def test_new_record_is_created_also_when_its_first_attempt_has_begun() -> None:
    created, begun = event_of(None, WAITING), event_of(None, PUT_RUNNING)
    assert created is not None
    assert begun is not None
    assert (created.type, created.status, begun.type, begun.status) == ("created", "PENDING", "created", "IN_PROGRESS")


def test_record_in_place_of_an_expired_one_is_created() -> None:
    event = event_of(numbered(FAILED, by=3), new_job(now=LATER))
    assert event is not None
    assert (event.type, event.seq) == (EventType.CREATED, 1)


def test_write_that_no_client_can_see_has_no_event() -> None:
    beat = RUNNING.reported(now=LATER, progress=0, message=None, lease_until=LATER + timedelta(minutes=1))
    assert event_of(RUNNING, beat) is None
    assert event_of(FAILED, FAILED.marked_deleted(now=LATER)) is None


def test_write_of_an_earlier_release_has_no_event() -> None:
    unnumbered = replace(WAITING, seq=0)
    assert event_of(None, unnumbered) is None
    assert event_of(unnumbered, unnumbered.cancelled(now=LATER)) is None


def test_event_has_what_a_client_sees_and_neither_input_nor_result() -> None:
    job = replace(RUNNING, progress=45, message="Page 9", input="secret", result=Result(text="secret"), error=FAILURE, seq=7)
    assert snapshot_of(job) == Event(
        seq=7,
        type=EventType.SNAPSHOT,
        at=job.updated_at,
        status=Status.IN_PROGRESS,
        progress=45,
        message="Page 9",
        attempt=1,
        code="JOB_RAISED",
    )
    assert "secret" not in repr(snapshot_of(job))


def claimed(job: AsyncJob, by: str) -> AsyncJob:
    return job.claimed(by=by, now=LATER, lease_until=LATER + timedelta(minutes=1))


STARTED = numbered(claimed(WAITING, "w"))
QUICK = claimed(WAITING, "submit/1")


@pytest.mark.parametrize(
    "writes",
    [[WAITING], [WAITING, STARTED], [QUICK], [TRACKED], [new_job(delay=timedelta(hours=1), message="Later")]],
    ids=["waiting", "started", "quick", "tracked", "delayed"],
)
def test_record_shows_all_events_until_its_first_claim(writes: list[AsyncJob]) -> None:
    expected = [event_of(old, new) for old, new in zip([None, *writes], writes, strict=False)]
    beaten = replace(writes[-1], updated_at=LATER + timedelta(seconds=8)) if writes[-1].lease_until else writes[-1]
    assert list(events_of_record(writes[-1])) == list(events_of_record(beaten)) == expected


@pytest.mark.parametrize(
    "job",
    [
        numbered(STARTED.reported(now=LATER, progress=5, message=None, lease_until=LATER)),
        numbered(STARTED.reported(now=LATER, progress=0, message="Reading", lease_until=LATER)),
        numbered(QUICK.reported(now=LATER, progress=0, message="Reading", lease_until=LATER)),
        numbered(QUICK.released(now=LATER, error=FAILURE, after=timedelta(0))),
        numbered(TRACKED.advanced(now=LATER, progress=None, message=None)),
        numbered(WAITING.cancelled(now=LATER)),
        numbered(FAILED.retried(max_attempts=3, timeout=LATER - NOW, deadline=timedelta(hours=1), now=LATER)),
        replace(FAILED.retried(max_attempts=3, timeout=LATER - NOW, deadline=timedelta(hours=1), now=LATER), seq=1),
        replace(STARTED, seq=1),
        replace(WAITING, seq=0),
    ],
    ids=[
        *("progress", "a message", "a message of a quick job", "released", "tracked", "cancelled", "retried"),
        *("retried, without a number before", "claimed, without a number before", "of an earlier release"),
    ],
)
def test_record_that_changed_since_shows_none(job: AsyncJob) -> None:
    assert events_of_record(job) == ()


def test_every_client_receives_an_event_in_one_form() -> None:
    assert event_body(snapshot_of(replace(FAILED, seq=3))) == {
        "seq": 3,
        "type": "snapshot",
        "at": "2026-11-21T12:00:00.000Z",
        "status": "FAILED",
        "progress": 0,
        "message": None,
        "attempt": 1,
        "code": "JOB_RAISED",
    }


def test_event_of_the_jobs_code_has_its_name_and_its_data() -> None:
    sent = NamedEvent("rows_loaded", '{"rows":12345678901234567890.5}')
    new = RUNNING.reported(now=LATER, progress=5, message=None, lease_until=LATER, named_event=sent.as_change(RUNNING.seq + 1))
    event = event_of(RUNNING, numbered(new))
    assert event is not None
    assert (event.type, event.progress, event.name, event.data) == (EventType.CUSTOM, 5, *sent)
    body = event_body(event)
    assert (body["type"], body["name"]) == ("custom", "rows_loaded")
    assert write_json(body["data"]) == sent.data


def test_equal_events_of_the_jobs_code_are_two() -> None:
    first = replace(RUNNING, seq=5, named_event=NamedEvent("tick", "{}").as_change(5))
    second = replace(RUNNING, seq=6, named_event=NamedEvent("tick", "{}").as_change(6))
    assert [event and event.type for event in (event_of(replace(RUNNING, seq=4), first), event_of(first, second))] == [
        "custom"
    ] * 2


def test_change_after_an_event_of_the_jobs_code_is_not_that_event_again() -> None:
    """A claim, or a worker of an earlier release, leaves it in the record."""
    sent = replace(RUNNING, seq=5, named_event=NamedEvent("tick", "{}").as_change(5))
    taken_over = replace(sent, attempt=2, seq=6)
    event, beat = event_of(sent, taken_over), event_of(sent, replace(sent, lease_until=LATER))
    assert event is not None
    assert (event.type, event.name, beat) == (EventType.STARTED, None, None)
    assert "name" not in event_body(event)
