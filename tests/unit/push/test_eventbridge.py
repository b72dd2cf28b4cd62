"""Changes of a job's state become events on a bus."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import DEADLINE_EXCEEDED, DELIVERY, AsyncJob, Result
from asyncjobs.push.eventbridge import EventBridgePublisher
from tests.support.factories import JOB_ID, NOW, new_job, numbered
from tests.support.fakes import FakeEventBus
from tests.support.stream import change_of

NEW = new_job(metadata='{"order":10000000000000000000000001.5}')
RUNNING = numbered(NEW.claimed(by="worker-1", now=NOW + timedelta(seconds=1), lease_until=NOW + timedelta(seconds=75)))
COMPLETED = numbered(RUNNING.completed(now=NOW + timedelta(seconds=2), result=Result(text='"secret"')))
FAILED = numbered(RUNNING.failed(now=NOW + timedelta(seconds=2), error=DEADLINE_EXCEEDED))


@pytest.fixture
def bus() -> FakeEventBus:
    return FakeEventBus()


@pytest.fixture
def publisher(bus: FakeEventBus) -> EventBridgePublisher:
    return EventBridgePublisher(bus, application="orders")


def details(bus: FakeEventBus) -> list[dict[str, Any]]:
    return [json.loads(event.detail) for event in bus.published]


def test_changes_of_state_are_published_in_order(publisher: EventBridgePublisher, bus: FakeEventBus) -> None:
    assert publisher.consume([change_of(None, NEW), change_of(NEW, RUNNING), change_of(RUNNING, COMPLETED)]) == []
    assert [event.type for event in bus.published] == [f"asyncjobs.job.{name}" for name in ("created", "started", "completed")]
    assert [event.at for event in bus.published] == [NOW + timedelta(seconds=number) for number in range(3)]
    assert [detail["seq"] for detail in details(bus)] == [1, 2, 3]


def test_event_has_what_rules_select_by_and_a_link_but_neither_input_nor_result(
    publisher: EventBridgePublisher, bus: FakeEventBus
) -> None:
    publisher.consume([change_of(RUNNING, COMPLETED)])
    (detail,) = details(bus)
    assert re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f-]{21}", detail.pop("id"))
    assert detail == {
        "application": "orders",
        "asyncJobId": JOB_ID,
        "jobType": "sample.returns",
        "owner": "alice",
        "seq": 3,
        "type": "completed",
        "at": "2026-11-21T12:00:02.000Z",
        "status": "COMPLETED",
        "progress": 100,
        "message": None,
        "attempt": 1,
        "code": None,
        "metadata": {"order": 10000000000000000000000001.5},
        "createdAt": "2026-11-21T12:00:00.000Z",
        "link": f"jobs/{JOB_ID}",
    }


def test_numbers_of_metadata_keep_their_value(publisher: EventBridgePublisher, bus: FakeEventBus) -> None:
    publisher.consume([change_of(None, NEW)])
    assert '"metadata":{"order":10000000000000000000000001.5}' in bus.published[0].detail


def test_failed_job_has_the_code_of_its_error(publisher: EventBridgePublisher, bus: FakeEventBus) -> None:
    publisher.consume([change_of(RUNNING, FAILED)])
    assert (bus.published[0].type, details(bus)[0]["code"]) == ("asyncjobs.job.failed", "DEADLINE_EXCEEDED")


def test_progress_and_what_no_client_sees_are_not_published(publisher: EventBridgePublisher, bus: FakeEventBus) -> None:
    reported = numbered(replace(RUNNING, progress=40))
    bus.is_down = True  # no call is made
    assert publisher.consume([change_of(RUNNING, reported), change_of(RUNNING, replace(RUNNING, sweeps=1))]) == ()


def test_delivery_of_a_webhook_is_not_published(publisher: EventBridgePublisher, bus: FakeEventBus) -> None:
    assert publisher.consume([change_of(None, replace(NEW, job_type=DELIVERY))]) == ()
    assert bus.published == []


def test_event_keeps_its_id_when_it_is_published_again(publisher: EventBridgePublisher, bus: FakeEventBus) -> None:
    for _ in range(2):
        publisher.consume([change_of(NEW, RUNNING)])
    first, second = details(bus)
    assert first == second


def other_events() -> list[tuple[AsyncJob | None, AsyncJob]]:
    """Return changes that differ from `(NEW, RUNNING)` in one part of what their ids are made of."""
    bob, later = replace(RUNNING, owner="bob"), numbered(RUNNING, by=7)
    other, again = replace(RUNNING, async_job_id="other"), replace(RUNNING, generation="again")
    return [(NEW, job) for job in (bob, later, other, again)]


def test_each_event_of_each_job_has_its_own_id(publisher: EventBridgePublisher, bus: FakeEventBus) -> None:
    publisher.consume([change_of(*jobs) for jobs in [(NEW, RUNNING), *other_events()]])
    assert len({detail["id"] for detail in details(bus)}) == 5


def test_refused_events_arrive_again(publisher: EventBridgePublisher, bus: FakeEventBus) -> None:
    refused = change_of(NEW, RUNNING)
    bus.refused = '"type":"started"'
    assert publisher.consume([change_of(None, NEW), refused, change_of(RUNNING, COMPLETED)]) == [refused]


def test_bus_that_is_down_takes_nothing(publisher: EventBridgePublisher, bus: FakeEventBus) -> None:
    bus.is_down = True
    with pytest.raises(Unavailable):
        publisher.consume([change_of(None, NEW)])


def test_custom_event_has_its_name_and_data(publisher: EventBridgePublisher, bus: FakeEventBus) -> None:
    sent = replace(RUNNING, seq=RUNNING.seq + 1, named_event=f'{RUNNING.seq + 1} rows_loaded {{"rows":7}}')
    publisher.consume([change_of(RUNNING, sent)])
    (detail,) = details(bus)
    assert (bus.published[0].type, detail["name"], detail["data"]) == ("asyncjobs.job.custom", "rows_loaded", {"rows": 7})
