"""Records of the stream become changes of jobs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from asyncjobs.core.events import event_of
from asyncjobs.core.job import DEADLINE_EXCEEDED, DELIVERY, AsyncJob, Result
from asyncjobs.push.changes import Change, Record, changes_in
from tests.support.factories import NOW, new_job
from tests.support.stream import change_of

NEW = new_job()
RUNNING = replace(NEW.claimed(by="worker-1", now=NOW, lease_until=NOW + timedelta(seconds=75)), seq=2)
COMPLETED = RUNNING.completed(now=NOW, result=Result(text="1"))
FAILED = RUNNING.failed(now=NOW, error=DEADLINE_EXCEEDED)


def jobs_of(record: Record) -> tuple[AsyncJob | None, AsyncJob] | None:
    jobs: tuple[AsyncJob | None, AsyncJob] | None = record.get("jobs")
    return jobs


def test_change_has_its_place_and_the_job_before_and_after_it() -> None:
    records: list[Record] = [
        {"dynamodb": {"SequenceNumber": "1"}, "jobs": (None, NEW)},
        {"dynamodb": {"SequenceNumber": "3"}, "jobs": (NEW, RUNNING)},
    ]
    created, started = changes_in(records, jobs_of)
    assert (created, started) == (
        Change("1", None, NEW, event_of(None, NEW)),
        Change("3", NEW, RUNNING, event_of(NEW, RUNNING)),
    )
    assert [change.event and change.event.seq for change in (created, started)] == [1, 2]


def test_change_that_no_client_sees_has_no_event() -> None:
    (change,) = changes_in([{"dynamodb": {"SequenceNumber": "1"}, "jobs": (RUNNING, replace(RUNNING, sweeps=1))}], jobs_of)
    assert change.event is None


def test_delivery_has_no_event_but_its_end_counts() -> None:
    delivery = replace(RUNNING, job_type=DELIVERY)
    ended = replace(COMPLETED, job_type=DELIVERY, seq=3)
    (change,) = changes_in([{"dynamodb": {"SequenceNumber": "1"}, "jobs": (delivery, ended)}], jobs_of)
    assert (change.event, change.is_end) == (None, True)


def test_record_of_no_job_is_left_out() -> None:
    records: list[Record] = [{"dynamodb": {"SequenceNumber": "1"}}, {"dynamodb": {"SequenceNumber": "2"}, "jobs": (None, NEW)}]
    assert [change.sequence_number for change in changes_in(records, jobs_of)] == ["2"]


@pytest.mark.parametrize(
    ("old", "new", "is_end"),
    [
        (None, NEW, False),
        (NEW, RUNNING, False),
        (RUNNING, COMPLETED, True),
        (RUNNING, FAILED, True),
        (NEW, NEW.cancelled(now=NOW), True),
        (None, COMPLETED, True),
        (COMPLETED, COMPLETED, False),
        (FAILED, NEW, False),
    ],
)
def test_end_is_the_write_by_which_a_job_ends(old: AsyncJob | None, new: AsyncJob, is_end: bool) -> None:
    assert change_of(old, new).is_end is is_end
