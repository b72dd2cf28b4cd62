"""The event log follows the changes of jobs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core.events import MAX_LOGGED
from asyncjobs.core.job import AsyncJob, JobFailure, Result
from asyncjobs.push.changes import Change
from asyncjobs.push.event_log import EventLogWriter
from tests.support.factories import NOW, new_job, numbered
from tests.support.fakes import FakeEventLog
from tests.support.stream import change_of

FAILURE = JobFailure(code="JOB_RAISED", message="…", type="ValueError", retryable=True)


def life(**changes: Any) -> list[AsyncJob]:
    """Return the states of a short job, from its put to its deletion."""
    created = new_job(**changes)
    started = numbered(created.claimed(by="w", now=NOW, lease_until=NOW + timedelta(minutes=1)))
    beaten = replace(started, updated_at=NOW + timedelta(seconds=1))
    ended = numbered(beaten.failed(now=NOW + timedelta(seconds=2), error=FAILURE))
    return [created, started, beaten, ended, ended.marked_deleted(now=NOW + timedelta(minutes=1))]


def changes_of(states: list[AsyncJob]) -> list[Change]:
    return [change_of(old, new) for old, new in zip([None, *states], states, strict=False)]


@pytest.fixture
def log() -> FakeEventLog:
    return FakeEventLog()


@pytest.fixture
def writer(log: FakeEventLog) -> EventLogWriter:
    return EventLogWriter(log)


def types(log: FakeEventLog, job: AsyncJob) -> list[str]:
    return [event.type.value for event in log.read(job, first=1, last=99)]


def test_events_of_a_batch_are_one_write_for_each_job(writer: EventLogWriter, log: FakeEventLog) -> None:
    one, other = life()[:4], life(owner="bob")[:4]
    assert not writer.consume([*changes_of(one), *changes_of(other)])
    assert types(log, one[-1]) == types(log, other[-1]) == ["created", "started", "failed"]
    assert log.writes == 2


def test_events_until_the_first_claim_are_written_with_the_next_one(writer: EventLogWriter, log: FakeEventLog) -> None:
    states = life()[:4]
    changes = changes_of(states)
    for change in changes[:3]:
        writer.consume([change])
    assert log.writes == 0
    writer.consume(changes[3:])
    assert log.writes == 1
    assert log.read(states[-1], first=1, last=3) == [change.event for change in changes if change.event is not None]


def test_quick_job_is_one_write(writer: EventLogWriter, log: FakeEventLog) -> None:
    created = new_job().claimed(by="submit/1", now=NOW + timedelta(milliseconds=2), lease_until=NOW + timedelta(minutes=1))
    ended = numbered(created.completed(now=NOW + timedelta(seconds=1), result=Result(text="1")))
    first, last = changes_of([created, ended])
    writer.consume([first])
    writer.consume([last])
    assert log.writes == 1
    assert log.read(ended, first=1, last=2) == [first.event, last.event]


def test_change_that_no_client_can_see_costs_nothing(writer: EventLogWriter, log: FakeEventLog) -> None:
    writer.consume(changes_of(life())[2:3])
    assert log.writes == 0


def test_repeated_batch_changes_nothing(writer: EventLogWriter, log: FakeEventLog) -> None:
    changes = changes_of(life()[:4])
    writer.consume(changes)
    before = {record: dict(events) for record, events in log.stored.items()}
    writer.consume(changes[1:])
    writer.consume(changes)
    assert log.stored == before


def test_deletion_deletes_the_events(writer: EventLogWriter, log: FakeEventLog) -> None:
    *rest, deletion = changes_of(life())
    writer.consume(rest)
    writer.consume([deletion])
    assert types(log, rest[-1].new) == []


def test_batch_with_a_whole_life_leaves_no_events(writer: EventLogWriter, log: FakeEventLog) -> None:
    writer.consume(changes_of(life()))
    assert log.stored == {}


def test_withdrawn_submit_is_no_deletion(writer: EventLogWriter, log: FakeEventLog) -> None:
    """It makes the record expire earlier, too."""
    created = new_job()
    withdrawn = numbered(created.rolled_back(now=NOW))
    assert withdrawn.record_expires_at < created.record_expires_at
    writer.consume(changes_of([created, withdrawn]))
    assert types(log, withdrawn) == ["created", "cancelled"]


def test_record_in_place_of_a_deleted_one_has_its_own_events(writer: EventLogWriter, log: FakeEventLog) -> None:
    states = life()
    created = new_job(now=NOW + timedelta(hours=1))
    cancelled = numbered(created.cancelled(now=NOW + timedelta(hours=2)))
    writer.consume([*changes_of(states), change_of(states[-1], created), change_of(created, cancelled)])
    assert types(log, states[-1]) == []
    assert types(log, cancelled) == ["created", "cancelled"]


def test_changes_of_a_job_whose_write_failed_arrive_again(writer: EventLogWriter, log: FakeEventLog) -> None:
    one, other = changes_of(life()[:4]), changes_of(life(owner="bob")[:4])
    log.failures = 1
    assert writer.consume([*one, *other]) == one
    assert types(log, other[-1].new) == ["created", "started", "failed"]
    assert not writer.consume(one)
    assert [change.event for change in one if change.event is not None] == log.read(one[-1].new, first=1, last=3)


def test_job_with_very_many_changes_has_a_bounded_log(writer: EventLogWriter, log: FakeEventLog) -> None:
    _, started = life()[:2]
    states = [replace(started, seq=MAX_LOGGED + step, progress=step) for step in range(3)]
    assert not writer.consume(changes_of(states)[1:])
    assert log.writes == 0
    assert writer.consume([change_of(replace(states[0], seq=MAX_LOGGED - 1), states[0])]) == []
    assert log.writes == 1
