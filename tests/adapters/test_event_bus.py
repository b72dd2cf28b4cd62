"""The contract of every event bus, and the requests that EventBridge receives."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from asyncjobs.aws.eventbridge import EventBridgeBus
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.ports import BusEvent, EventBus
from tests.support.fakes import FakeEventBus

AT = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def event(number: int) -> BusEvent:
    return BusEvent("asyncjobs.job.completed", AT, json.dumps({"number": number}))


class Receiver:
    """A client whose bus takes everything, in requests of the size that EventBridge allows."""

    def __init__(self) -> None:
        self.details: list[str] = []

    def put_events(self, *, Entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:  # noqa: N803 - botocore's name
        assert 1 <= len(Entries) <= 10
        self.details += [entry["Detail"] for entry in Entries]
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in Entries]}


@pytest.fixture(params=["fake", "real"])
def bus(request: pytest.FixtureRequest) -> tuple[EventBus, Callable[[], list[str]]]:
    """Return a bus, and a function that returns the details of the events on it."""
    if request.param == "fake":
        fake = FakeEventBus()
        return fake, lambda: [each.detail for each in fake.published]
    receiver = Receiver()
    return EventBridgeBus("jobs", receiver), lambda: receiver.details


@pytest.mark.parametrize("count", [0, 1, 10, 11, 25])
def test_all_events_are_published_in_order(bus: tuple[EventBus, Callable[[], list[str]]], count: int) -> None:
    published, details = bus
    events = [event(number) for number in range(count)]
    assert list(published.publish(events)) == []
    assert details() == [each.detail for each in events]


# ── Requests ───────────────────────────────────────────────────────────────────────────────────────


class Stubbed:
    """A bus over a client with prepared answers, and the pauses that it made."""

    def __init__(self) -> None:
        session = boto3.Session("x", "x", region_name="us-east-1")
        client: Any = session.client("events")
        self.stubber = Stubber(client)
        self.stubber.activate()
        self.pauses: list[float] = []
        self.bus = EventBridgeBus("jobs", client, pause=self.pauses.append)

    def answers(self, events: list[BusEvent], refused: tuple[int, ...] = (), code: str = "ThrottlingException") -> None:
        """Expect one request with these events, and refuse those at these places."""
        entries: list[Any] = [
            {"ErrorCode": code, "ErrorMessage": "no"} if place in refused else {"EventId": str(place)}
            for place in range(len(events))
        ]
        expected = [
            {
                "EventBusName": "jobs",
                "Source": "asyncjobs",
                "DetailType": "asyncjobs.job.completed",
                "Detail": each.detail,
                "Time": AT,
            }
            for each in events
        ]
        self.stubber.add_response("put_events", {"FailedEntryCount": len(refused), "Entries": entries}, {"Entries": expected})


def test_only_refused_events_are_sent_again() -> None:
    stubbed, events = Stubbed(), [event(number) for number in range(12)]
    stubbed.answers(events[:10], refused=(2, 7))
    stubbed.answers([events[2], events[7]], refused=(0,))
    stubbed.answers([events[2]])
    stubbed.answers(events[10:])
    assert stubbed.bus.publish(events) == []
    stubbed.stubber.assert_no_pending_responses()
    assert len(stubbed.pauses) == 2


def test_events_that_are_refused_three_times_are_returned_and_the_others_sent() -> None:
    stubbed, events = Stubbed(), [event(number) for number in range(12)]
    stubbed.answers(events[:10], refused=(4,))
    stubbed.answers([events[4]], refused=(0,))
    stubbed.answers([events[4]], refused=(0,), code="InternalFailure")
    stubbed.answers(events[10:])
    assert stubbed.bus.publish(events) == [events[4]]
    stubbed.stubber.assert_no_pending_responses()


@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException", "ResourceNotFoundException"])
def test_bus_that_refuses_the_request_is_unavailable(code: str) -> None:
    stubbed = Stubbed()
    stubbed.stubber.add_client_error("put_events", code)
    with pytest.raises(Unavailable, match=code):
        stubbed.bus.publish([event(1)])
