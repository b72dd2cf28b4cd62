"""The events of a job: as JSON, or as a stream of server-sent events that ends after each answer."""

from __future__ import annotations

import re
from datetime import timedelta

from asyncjobs.core.clock import Clock
from asyncjobs.core.events import event_body
from asyncjobs.core.exact_json import write_json
from asyncjobs.http.answers import Answer, answer, no_content
from asyncjobs.http.api import Handlers
from asyncjobs.http.job_answers import PastDurations, none_known, polling_headers, wait_applied
from asyncjobs.http.operations import Operation, Success, handlers_by_route, operations_of
from asyncjobs.http.parameters import after_and_wait
from asyncjobs.http.request import Request
from asyncjobs.http.schemas import BOOLEAN, STRING, Schema, answer_object, described, header, query, ref
from asyncjobs.service.event_feed import EventFeed, EventsPage

EVENT_STREAM = "text/event-stream"
RECONNECT = timedelta(seconds=1)
"""When a client of the stream connects again: progress is written no more often."""
_NUMBER = re.compile(r"[0-9]{1,9}")
_UNKNOWN = 10**9
"""A number that no job reaches: a reader with an unknown id gets a snapshot."""

_SEQ = {"type": "integer", "minimum": 0}
EVENTS_PAGE = Schema(
    "EventsPage",
    answer_object(
        "Events of a job, in their order.",
        {
            "events": {"type": "array", "items": ref("Event")},
            "seq": described("The number to send as `after` in the next request.", _SEQ),
            "more": described("Whether there are, or may be, further events: false when you have the job's end.", BOOLEAN),
        },
    ),
)


def event_handlers(feed: EventFeed, *, clock: Clock, durations_of: PastDurations = none_known) -> Handlers:
    """Return the handlers of the operations on events."""
    return handlers_by_route(EventRoutes(feed, clock, durations_of), EVENTS)


class EventRoutes:
    """The operations on events."""

    def __init__(self, feed: EventFeed, clock: Clock, durations_of: PastDurations) -> None:
        self._feed = feed
        self._clock = clock
        self._durations_of = durations_of

    @Operation(
        "GET /jobs/{asyncJobId}/events",
        parameters=(
            query(
                "after",
                "The `seq` of the last event that you have. Without it, the events begin with the first one.",
                {**_SEQ, "maximum": _UNKNOWN - 1},
            ),
            query(
                "wait",
                "How many seconds to wait for an event, if there is none yet: 0 by default, 20 for an event stream. "
                "`Preference-Applied` shows how long the request could wait.",
                {"type": "integer", "minimum": 0, "maximum": 20},
            ),
            header(
                "Last-Event-ID",
                "The `id` of the last event of the stream. `EventSource` sends it; it replaces `after`.",
                STRING,
            ),
        ),
        answers={
            200: Success(
                "The events. With `Accept: text/event-stream`, a stream of them that ends immediately: connect again after "
                "`retry` milliseconds, as `EventSource` does.",
                EVENTS_PAGE,
                sometimes=("Retry-After", "Preference-Applied"),
                others={
                    EVENT_STREAM: {"type": "string", "description": "Server-sent events: `id` is `seq`, `data` is an `Event`."}
                },
            ),
            204: Success("Only for an event stream: the job has ended, and you have its last event. Do not connect again."),
        },
        errors=("INVALID_REQUEST", "UNAVAILABLE"),
    )
    def list_job_events(self, request: Request) -> Answer:
        """List a job's events, or wait for the next one.

        What the log does not hold is one event of the type `snapshot`: the log may be off, expired, or a moment late.
        """
        key, is_stream = request.job_key, request.accepts(EVENT_STREAM)
        after, wait = after_and_wait(request.query)
        if is_stream and (last_id := request.headers.get("last-event-id")):
            after = int(last_id) if _NUMBER.fullmatch(last_id) else _UNKNOWN
        if wait is None:
            wait = self._feed.longest_wait if is_stream else timedelta(0)
        # HEAD has the headers of GET, and does not wait for them.
        page = self._feed.after(key.owner, key.async_job_id, after, wait=wait, immediately=request.is_head)
        headers = wait_applied(page.waited_at_most) if wait else {}
        if is_stream:
            return self._stream(page, headers)
        body = {"events": [event_body(event) for event in page.events], "seq": page.seq, "more": page.more}
        return answer(200, body, headers={**polling_headers(page.job, self._clock(), self._durations_of), **headers})

    def _stream(self, page: EventsPage, headers: dict[str, str]) -> Answer:
        if not page.events and not page.more:
            return no_content()
        pause = RECONNECT
        if page.waited_at_most is None:
            # It could not wait, so it polls.
            seconds = polling_headers(page.job, self._clock(), self._durations_of).get("retry-after", "1")
            pause = max(pause, timedelta(seconds=int(seconds)))
        frames = [f"retry: {pause // timedelta(milliseconds=1)}\n\n"]
        frames += [f"id: {event.seq}\ndata: {write_json(event_body(event))}\n\n" for event in page.events]
        return answer(200, text="".join(frames), headers={"content-type": EVENT_STREAM, **headers})


EVENTS = operations_of(EventRoutes)
