"""The events of a job, for a reader that has them up to a number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from asyncjobs.core.events import Event, events_of_record, snapshot_of
from asyncjobs.core.job import AsyncJob
from asyncjobs.service.queries import Queries

if TYPE_CHECKING:
    from asyncjobs.core.ports import EventLog

MOST_EVENTS = 100
"""The events of one answer: up to 14 reads of the log, 60 KB with the longest messages, and 160 KB with the largest data."""


class EventsPage(NamedTuple):
    """Events in their order, and the job as it was read for them."""

    events: Sequence[Event]
    job: AsyncJob
    seq: int
    """The number from which to go on."""
    waited_at_most: timedelta | None
    """How long the caller could wait; None if it was refused, because too many requests of its owner wait already."""

    @property
    def more(self) -> bool:
        """Whether it is worth while to go on: the job has not ended, or not all events fit into this page."""
        return not (self.job.is_finished and self.seq >= self.job.seq)


class EventFeed:
    """Reads events so that no reader hangs or misses the end.

    The record is read first, and always has the present state and its number; until the first claim it shows all events. The
    log may be late, off, or have lost events. One snapshot of the record replaces the events that neither of them has. So the
    history may have gaps, and the state is never wrong.
    """

    def __init__(self, queries: Queries, log: EventLog | None) -> None:
        """Make the feed. If `log` is None, each answer is a snapshot."""
        self._queries = queries
        self._log = log

    @property
    def longest_wait(self) -> timedelta:
        """The longest that a request may wait for an event."""
        return self._queries.longest_wait

    def after(
        self, owner: str, async_job_id: str, seq: int | None, *, wait: timedelta, immediately: bool = False
    ) -> EventsPage:
        """Return the events after that number, or from the first one on; wait for one if there is none yet.

        With `immediately`, the page is that of a request that could wait, and nothing waits for it.

        Raises `JobNotFound`, `Unavailable`.
        """
        job, at_most = self._queries.wait_for_job(
            owner, async_job_id, lambda job: immediately or job.is_finished or job.seq != seq, wait
        )
        events = self._events(job, seq)
        return EventsPage(events, job, events[-1].seq if events else job.seq, at_most)

    def _events(self, job: AsyncJob, after: int | None) -> Sequence[Event]:
        if after == job.seq:
            return ()
        # A higher number is that of an earlier record of the same id.
        first = job.seq + 1 if after is not None and after > job.seq else (after or 0) + 1
        last = min(job.seq, first + MOST_EVENTS - 1)
        known: dict[int, Event] = {}
        if self._log is not None and first <= last:
            known = {event.seq: event for event in (*events_of_record(job), *self._log.read(job, first=first, last=last))}
        events = [known[number] for number in takewhile(known.__contains__, range(first, last + 1))]
        is_complete = bool(events) and events[-1].seq == last
        return events if is_complete else [*events, snapshot_of(job)]
