"""GET /jobs/{asyncJobId}/events: each change of a job once, also as a stream."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.deployed import UNKNOWN, Caller, Job, wait_until
from tests.support.pace import SLOWNESS

STREAM = {"accept": "text/event-stream"}


def read(caller: Caller, job: Job, *, headers: dict[str, str] | None = None, **query: Any) -> httpx.Response:
    return caller.get(f"/jobs/{job['asyncJobId']}/events", params=query, headers=headers or {})


def logged(caller: Caller, job: Job) -> list[dict[str, Any]]:
    """Return the job's events when the log has them all: the stream is read a moment later."""
    found: list[dict[str, Any]] = []

    def has_all() -> bool:
        answer = read(caller, job)
        assert answer.status_code == httpx.codes.OK, answer.text
        found[:] = answer.json()["events"]
        return bool(found) and all(event["type"] != "snapshot" for event in found)

    wait_until(has_all, seconds=60 * SLOWNESS)
    return found


def shown(events: list[dict[str, Any]]) -> list[tuple[int, str, str]]:
    return [(event["seq"], event["type"], event["status"]) for event in events]


@pytest.fixture
def reported(alice: Caller, tracked: Job) -> Job:
    path = f"/jobs/{tracked['asyncJobId']}"
    alice.patch(path, json={"progress": 20, "message": "Page 1"})
    alice.patch(path, json={"progress": 60})
    alice.patch(path, json={"status": "FAILED", "error": {"code": "BROKEN", "message": "Nobody reads this in an event."}})
    return alice.job(tracked)


def test_each_change_is_one_event(alice: Caller, reported: Job) -> None:
    events = logged(alice, reported)
    assert shown(events) == [
        (1, "created", "PENDING"),
        (2, "started", "IN_PROGRESS"),
        (3, "progress", "IN_PROGRESS"),
        (4, "failed", "FAILED"),
    ]
    assert [(event["progress"], event["message"], event["code"]) for event in events[1:]] == [
        (20, "Page 1", None),
        (60, "Page 1", None),
        (60, "Page 1", "BROKEN"),
    ]
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    assert (events[-1]["seq"], events[-1]["at"]) == (reported["seq"], reported["updatedAt"])


def test_events_of_the_jobs_code_are_changes_of_their_own(alice: Caller) -> None:
    job = alice.submit("sample.sends_events", {"size": 9})
    ended = alice.wait_for(job)
    events = logged(alice, job)
    assert [event["seq"] for event in events] == list(range(1, ended["seq"] + 1))
    custom = [event for event in events if event["type"] == "custom"]
    assert [(event["name"], event["data"]) for event in custom] == [
        ("rows_loaded", {"table": "orders", "number": number}) for number in range(9)
    ]
    assert {event["type"] for event in events} == {"created", "started", "custom", "completed"}


def test_job_that_sends_too_many_events_fails(alice: Caller) -> None:
    ended = alice.wait_for(alice.submit("sample.sends_events", {"size": 101}))
    assert (ended["status"], ended["attempt"], ended["error"]["code"]) == ("FAILED", 1, "TOO_MANY_EVENTS")


def test_timeline_of_a_job_has_its_attempts(alice: Caller) -> None:
    job = alice.submit("sample.succeeds_at_last")
    alice.wait_for(job)
    attempts = [(event["type"], event["attempt"]) for event in logged(alice, job)]
    ends = [("started", 1), ("released", 1), ("started", 2)]
    assert [each for each in attempts if each in ends] == ends
    assert attempts[-1][0] == "completed"


def test_change_is_read_immediately_in_place_of_a_late_log(alice: Caller, tracked: Job) -> None:
    changed = alice.post(f"/jobs/{tracked['asyncJobId']}/cancel").json()
    page = read(alice, tracked, after=1).json()
    assert (page["seq"], page["more"], page["events"][-1]["status"]) == (changed["seq"], False, "CANCELLED")


def test_wait_ends_with_the_next_event(alice: Caller, tracked: Job) -> None:
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        waiting = pool.submit(lambda: read(alice, tracked, after=tracked["seq"], wait=20))
        time.sleep(2)
        alice.patch(f"/jobs/{tracked['asyncJobId']}", json={"progress": 45})
        answer = waiting.result()
    assert time.monotonic() - began < 18
    assert (answer.status_code, [event["progress"] for event in answer.json()["events"]]) == (httpx.codes.OK, [45])
    assert answer.headers["preference-applied"] == "wait=20"


def test_stream_is_read_to_its_end(alice: Caller, reported: Job) -> None:
    """As `EventSource` does: connect again with the last id until the answer is 204."""
    seen, headers = list[dict[str, Any]](), dict(STREAM)
    for _ in range(9):
        answer = read(alice, reported, headers=headers)
        if answer.status_code == httpx.codes.NO_CONTENT:
            break
        assert answer.headers["content-type"] == "text/event-stream"
        frames = [dict(line.split(": ", 1) for line in frame.splitlines()) for frame in answer.text.split("\n\n") if frame]
        assert frames[0] == {"retry": "1000"}
        seen += [json.loads(frame["data"]) for frame in frames[1:]]
        headers["last-event-id"] = frames[-1]["id"]
    assert answer.status_code == httpx.codes.NO_CONTENT
    assert (seen[-1]["seq"], seen[-1]["status"]) == (reported["seq"], "FAILED")


def test_stream_of_an_unchanged_job_ends_within_its_wait(alice: Caller, waiting: Job) -> None:
    began = time.monotonic()
    answer = read(alice, waiting, headers={**STREAM, "last-event-id": str(waiting["seq"])}, wait=2)
    assert (answer.status_code, answer.text) == (httpx.codes.OK, "retry: 1000\n\n")
    assert 2 <= time.monotonic() - began < 18


def test_deleted_job_has_no_events(alice: Caller, reported: Job) -> None:
    logged(alice, reported)
    alice.delete(f"/jobs/{reported['asyncJobId']}")
    assert read(alice, reported).status_code == httpx.codes.NOT_FOUND


def test_other_owners_read_no_events(bob: Caller, reported: Job) -> None:
    assert read(bob, reported).status_code == read(bob, {"asyncJobId": UNKNOWN}).status_code == httpx.codes.NOT_FOUND


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ({"after": "x"}, {}, httpx.codes.BAD_REQUEST),
        ({"wait": "21"}, {}, httpx.codes.BAD_REQUEST),
        ({}, {"accept": "text/html"}, httpx.codes.NOT_ACCEPTABLE),
    ],
)
def test_request_for_something_else_is_rejected(
    alice: Caller, waiting: Job, query: dict[str, str], headers: dict[str, str], status: int
) -> None:
    assert read(alice, waiting, headers=headers, **query).status_code == status
