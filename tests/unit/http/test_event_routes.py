"""The events of a job over HTTP: as JSON, and as a finite stream."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from asyncjobs.core.events import EventType, snapshot_of
from asyncjobs.core.job import AsyncJob
from tests.support.factories import JOB_ID, NOW, OWNER, new_job, numbered, running_job
from tests.support.http_events import CANCEL, EVENTS, JOB, Answer
from tests.unit.http.in_memory_api import InMemoryApi, SimulatedWait

STREAM = {"accept": "text/event-stream"}


def add(api: InMemoryApi, *, seq: int = 3, logged: int = 3, is_finished: bool = False) -> AsyncJob:
    job = replace(running_job(), seq=seq)
    if is_finished:
        job = replace(job.cancelled(now=NOW), seq=seq)
    api.add_jobs(job)
    states = (replace(job, seq=number) for number in range(1, logged + 1))
    api.event_log.append(job, [replace(snapshot_of(state), type=EventType.PROGRESS) for state in states])
    return job


def read(api: InMemoryApi, *, headers: dict[str, str] | None = None, **query: str) -> Answer:
    return api.call(EVENTS, async_job_id=JOB_ID, query=query, headers=headers or {})


def frames(answer: Answer) -> list[dict[str, str]]:
    """Read the frames of a stream by the rules of its standard, without their comments."""
    found = []
    for frame in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in frame.split("\n") if line)
        if fields:
            found.append(fields)
    return found


def test_events_come_with_the_number_to_continue_from(api: InMemoryApi) -> None:
    add(api, is_finished=True)
    answer = read(api, after="1")
    assert answer.status == 200
    assert [event["seq"] for event in answer.body["events"]] == [2, 3]
    assert (answer.body["seq"], answer.body["more"]) == (3, False)
    assert "retry-after" not in answer.headers
    assert answer.body["events"][0] == {
        "seq": 2,
        "type": "progress",
        "at": "2026-11-21T12:00:00.000Z",
        "status": "CANCELLED",
        "progress": 0,
        "message": None,
        "attempt": 1,
        "code": None,
    }


def test_unfinished_job_shows_when_to_poll_again(api: InMemoryApi) -> None:
    add(api)
    answer = read(api)
    assert (len(answer.body["events"]), answer.body["more"]) == (3, True)
    assert int(answer.headers["retry-after"]) > 0
    assert "preference-applied" not in answer.headers


def test_wait_ends_with_an_event(api: InMemoryApi, wait: SimulatedWait) -> None:
    job = add(api)
    wait.events = [(7, numbered(job.cancelled(now=NOW)))]
    answer = read(api, after="3", wait="20")
    assert [(event["seq"], event["type"]) for event in answer.body["events"]] == [(4, "snapshot")]
    assert wait.elapsed == pytest.approx(7, abs=1)
    assert answer.headers["preference-applied"] == "wait=20"


def test_wait_without_an_event_has_none(api: InMemoryApi, wait: SimulatedWait) -> None:
    add(api)
    answer = read(api, after="3", wait="5")
    assert answer.body == {"events": [], "seq": 3, "more": True}
    assert wait.elapsed == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize(
    "query", [{"after": "-1"}, {"after": "x"}, {"after": "9999999999"}, {"wait": "21"}, {"wait": "x"}, {"since": "1"}]
)
def test_invalid_parameter_is_named(api: InMemoryApi, query: dict[str, str]) -> None:
    add(api)
    answer = api.call(EVENTS, async_job_id=JOB_ID, query=query)
    assert (answer.status, answer.code) == (400, "INVALID_REQUEST")
    assert [error["pointer"] for error in answer.body["errors"]] == [f"/{name}" for name in query]


def test_other_owners_read_no_events(api: InMemoryApi) -> None:
    add(api)
    assert api.call(EVENTS, owner="bob", async_job_id=JOB_ID).status == 404


# ── Stream ─────────────────────────────────────────────────────────────────────────────────────────


def test_stream_has_the_events_as_frames(api: InMemoryApi) -> None:
    add(api)
    as_json, as_stream = read(api), read(api, headers=STREAM)
    assert (as_stream.status, as_stream.headers["content-type"]) == (200, "text/event-stream")
    first, *rest = frames(as_stream)
    assert first == {"retry": "1000"}
    assert [int(frame["id"]) for frame in rest] == [1, 2, 3]
    assert [json.loads(frame["data"]) for frame in rest] == as_json.body["events"]


def test_stream_goes_on_after_the_last_id(api: InMemoryApi) -> None:
    """`EventSource` repeats its URL, with the `after` that it began with."""
    add(api)
    answer = read(api, headers={**STREAM, "last-event-id": "2"}, after="0")
    assert [frame["id"] for frame in frames(answer)[1:]] == ["3"]


def test_stream_waits_for_an_event_as_long_as_it_may(api: InMemoryApi, wait: SimulatedWait) -> None:
    add(api)
    answer = read(api, headers={**STREAM, "last-event-id": "3"})
    assert frames(answer) == [{"retry": "1000"}]
    assert wait.elapsed == pytest.approx(20, abs=0.1)
    assert read(api, headers={**STREAM, "last-event-id": "3"}, wait="0").status == 200
    assert wait.elapsed == pytest.approx(20, abs=0.1)


def test_stream_ends_for_good_after_the_end(api: InMemoryApi) -> None:
    add(api, is_finished=True)
    assert read(api, headers=STREAM).status == 200
    answer = read(api, headers={**STREAM, "last-event-id": "3"})
    assert (answer.status, answer.text) == (204, "")


@pytest.mark.parametrize("last_id", ["x", "-1", "1e3", "99999999999", "7"])
def test_unknown_id_is_answered_by_a_snapshot(api: InMemoryApi, wait: SimulatedWait, last_id: str) -> None:
    add(api)
    answer = read(api, headers={**STREAM, "last-event-id": last_id})
    (event,) = [json.loads(frame["data"]) for frame in frames(answer)[1:]]
    assert (event["type"], event["seq"], wait.elapsed) == ("snapshot", 3, 0)


def test_stream_that_may_not_wait_is_polled_less_often() -> None:
    api = InMemoryApi(wait_slots=1)
    add(api)
    api.store.wait_slots[OWNER, 0] = NOW + timedelta(seconds=20)
    answer = read(api, headers={**STREAM, "last-event-id": "3"})
    retry_after = api.call(JOB, async_job_id=JOB_ID).headers["retry-after"]
    assert (answer.headers["preference-applied"], api.wait.elapsed) == ("wait=0", 0)
    assert frames(answer) == [{"retry": str(1000 * max(1, int(retry_after)))}]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/event-stream", "text/event-stream"),
        ("application/json, text/event-stream;q=0", "application/json"),
        ("*/*", "application/json"),
        ("text/*", None),
        ("text/html", None),
    ],
)
def test_stream_is_for_clients_that_name_it(api: InMemoryApi, accept: str, kind: str | None) -> None:
    add(api)
    answer = read(api, headers={"accept": accept})
    assert (answer.status, answer.headers["content-type"]) == ((200, kind) if kind else (406, "application/problem+json"))


def test_message_with_line_breaks_stays_one_frame(api: InMemoryApi) -> None:
    api.add_jobs(running_job(message="one\n\ndata: two\r\nid: 9", seq=5))
    (frame,) = frames(read(api, headers=STREAM))[1:]
    assert (frame["id"], json.loads(frame["data"])["message"]) == ("5", "one\n\ndata: two\r\nid: 9")


def test_head_does_not_wait_and_has_the_headers_of_get(api: InMemoryApi, wait: SimulatedWait) -> None:
    add(api)
    head = api.call(EVENTS.replace("GET", "HEAD"), async_job_id=JOB_ID, headers=STREAM, query={"after": "3"})
    assert (head.status, wait.elapsed) == (200, 0)
    assert head.headers == read(api, headers=STREAM, after="3").headers
    assert head.headers["preference-applied"] == "wait=20"


@pytest.mark.parametrize(("query", "applied"), [({}, None), ({"wait": "7"}, "wait=0")])
def test_stream_where_waiting_is_turned_off_connects_again_as_soon(query: dict[str, str], applied: str | None) -> None:
    api = InMemoryApi(longest_wait=timedelta(0))
    add(api)
    answer = read(api, headers={**STREAM, "last-event-id": "3"}, **query)
    assert (answer.headers.get("preference-applied"), frames(answer)) == (applied, [{"retry": "1000"}])


def test_events_of_a_successor_begin_with_its_own_first_one(api: InMemoryApi) -> None:
    old = add(api, is_finished=True)
    successor = new_job(now=NOW + timedelta(hours=1))
    api.clock.now = successor.created_at
    api.add_jobs(successor)
    assert successor.key == old.key
    assert [(event["seq"], event["type"]) for event in read(api).body["events"]] == [(1, "created")]
    assert api.call(CANCEL, async_job_id=JOB_ID).body["seq"] == 2
