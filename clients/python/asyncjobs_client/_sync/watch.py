# Made from _async by tools/sync_client.py: change it there.
"""Wait for a job: by polls when the server says, or by its events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from asyncjobs_client._sync.runtime import INTERRUPTIONS
from asyncjobs_client.errors import AsyncjobsError, GaveUp, NotFound
from asyncjobs_client.events import Event
from asyncjobs_client.pauses import Patience, backoff, is_temporary, poll_pause
from asyncjobs_client.snapshot import RUNNING
from asyncjobs_client.wire import events_of, get_events, get_job

if TYPE_CHECKING:
    from asyncjobs_client._sync.job import Job

J = TypeVar("J", bound="Job")

_NEVER, _ALWAYS = float("inf"), float("-inf")
_HELD = 20
"""Seconds that the server may hold a request for events."""
_POLLING = 60.0
"""Seconds to poll for when events do not work."""
_ROOM = 5.0
"""Seconds that an answer may come later than it was held for."""
_LEAST_TIMEOUT = 1.0
_TOLERATED = 2
"""Failed requests for events, one after the other, after which the client polls."""


class Watch(Generic[J]):
    """One wait for one job. It never changes the job."""

    def __init__(self, job: J, give_up: float | None) -> None:
        self._job = job
        self._connection = job._connection  # noqa: SLF001 - a part of the job in a file of its own
        self._clock = self._connection.clock
        self._patience = Patience(give_up, self._clock.now())
        self._events_from = _NEVER
        """When to read events: from this moment on."""
        self._pause = self._first_pause()
        self._failures = 0
        self._event_failures = 0
        self._last: AsyncjobsError | None = None

    def updates(self, *, live: bool) -> Iterator[J]:
        """Yield the job as it is, if it has been read, and each time it has changed, until it has ended."""
        if live and self._connection.live:
            self._events_from = _ALWAYS
        with self._noting_interruptions():
            for job in self._changes():
                yield job

    def _changes(self) -> Iterator[J]:
        shown: dict[str, Any] | None = None
        while True:
            job = self._job
            if job.is_known and job.visible != shown:
                shown = job.visible
                yield job
            if job.is_finished:
                return
            if job.seq is None or self._clock.now() < self._events_from:
                self._poll()
                continue
            for event in self._news(job.seq):
                if event.status not in RUNNING and event.status is not None:
                    self._pause = 0.0
                    self._poll()  # only the record has the end
                    break
                self._job = self._job.with_record(event.applied_to(self._job.raw))
                if self._job.visible != shown:
                    shown = self._job.visible
                    yield self._job

    def events(self, after: int) -> Iterator[Event]:
        """Yield each event once. Polls replace no events, so a server without them is an error."""
        with self._noting_interruptions():
            for event in self._events(after):
                yield event

    def _events(self, after: int) -> Iterator[Event]:
        while True:
            self._end_if_over()
            try:
                found = self._read_events(after)
            except AsyncjobsError as error:
                self._failed(error)
                self._clock.sleep(min(self._pause, self._left()))
                continue
            for event in found:
                after = event.seq
                yield event
            if not found or found[-1].status not in RUNNING:
                self._poll()
                if self._job.is_finished and (not found or (self._job.seq or 0) <= after):
                    return

    def _news(self, after: int) -> tuple[Event, ...]:
        """Return events that are new, or none if the next thing to do is a poll."""
        self._end_if_over()
        try:
            found = self._read_events(after)
        except NotFound as error:
            if error.code is not None:  # the job does not exist any more
                raise
            self._events_from = _NEVER
            return ()
        except AsyncjobsError as error:
            self._failed(error)
            self._event_failures += 1
            if self._event_failures >= _TOLERATED:
                self._events_from = self._clock.now() + _POLLING
            self._poll()
            return ()
        self._event_failures = 0
        if not found:
            self._poll()
        return found

    def _read_events(self, after: int) -> tuple[Event, ...]:
        wait = int(max(0, min(_HELD, self._left())))
        within = max(self._connection.timeout, wait + _ROOM)
        answer = self._connection.once(get_events(self._job.id, after, wait), within=within)
        page = events_of(answer, after)
        if not page.events and page.is_held:
            self._pause = 0.0  # it has waited already
        elif not page.events:
            self._events_from = self._clock.now() + _POLLING
            if answer.retry_after is not None:
                self._pause = self._poll_pause(answer.retry_after)
        return page.events

    def _poll(self) -> None:
        """Wait until the next poll is worthwhile, and read the record. A failure is a reason to try again."""
        self._end_if_over()
        self._clock.sleep(min(self._pause, max(0.0, self._left())))
        within = max(_LEAST_TIMEOUT, min(self._connection.timeout, self._left()))
        try:
            answer = self._connection.once(get_job(self._job.id, self._job.etag), within=within)
        except AsyncjobsError as error:
            self._failed(error)
            return
        self._failures, self._last = 0, None
        if not answer.is_unchanged:
            self._job = self._job.of(self._connection, answer)
        self._pause = self._poll_pause(answer.retry_after)

    def _failed(self, error: AsyncjobsError) -> None:
        """Decide when to go on after a failure, if that makes sense."""
        error.job_id = error.job_id or self._job.id
        if not is_temporary(error):
            raise error
        self._failures += 1
        self._pause = backoff(error, self._failures, self._connection.random)
        self._last = error

    @contextmanager
    def _noting_interruptions(self) -> Iterator[None]:
        """Note the job's id on Ctrl-C, which Python prints with the traceback."""
        try:
            yield
        except INTERRUPTIONS as error:
            error.add_note(f"Job {self._job.id} runs on: wait for it again, or cancel it.")
            raise

    def _end_if_over(self) -> None:
        if self._left() <= 0 and (self._job.is_known or self._failures):
            raise GaveUp(self._job, self._patience.give_up or 0.0) from self._last

    def _first_pause(self) -> float:
        """Return how long the record that the job has makes a poll pointless."""
        if not self._job.is_known or self._job.received is None:
            return 0.0
        return max(0.0, self._poll_pause(self._job.retry_after) - (self._clock.now() - self._job.received))

    def _poll_pause(self, retry_after: float | None) -> float:
        return poll_pause(retry_after, self._patience.age(self._clock.now()), self._connection.random)

    def _left(self) -> float:
        return self._patience.left(self._clock.now())
