"""Writes the event log, from the changes of jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from asyncjobs.core.errors import Unavailable
from asyncjobs.core.events import MAX_LOGGED, Event, events_of_record
from asyncjobs.core.job import JobKey
from asyncjobs.core.ports import EventLog
from asyncjobs.push.changes import Change


class EventLogWriter:
    """Stores the events of each job in as few writes as there are blocks, and deletes those of a deleted job.

    Those until the first claim wait for the next change, since the record shows them until then: so the log of a short job is
    one write, however many batches its changes arrive in.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def consume(self, changes: Sequence[Change]) -> Collection[Change]:
        """See `Consumer`. A change that arrives again is written again, which changes nothing."""
        of_record: defaultdict[tuple[JobKey, datetime], list[Change]] = defaultdict(list)
        for change in changes:
            # A record that replaces a deleted one of the same id is another one.
            of_record[change.new.key, change.new.created_at].append(change)
        failed: list[Change] = []
        for own in of_record.values():
            try:
                self._write(own)
            except Unavailable:
                failed += own
        return failed

    def _write(self, changes: Sequence[Change]) -> None:
        newest = changes[-1].new
        if any(_is_deletion(change) for change in changes):
            # Nobody can read them any more: a reader begins with the record. They may have names and errors of people in them.
            self._log.delete(newest)
        elif events := {event.seq: event for change in changes for event in _to_log(change)}:
            self._log.append(newest, list(events.values()))


def _to_log(change: Change) -> Iterator[Event]:
    """Yield the change's event, after those that the record has shown until now: see `events_of_record`."""
    event, old = change.event, change.old
    if event is None or event.seq > MAX_LOGGED or event in events_of_record(change.new):
        return
    if old is not None and old.created_at == change.new.created_at:
        yield from events_of_record(old)
    yield event


def _is_deletion(change: Change) -> bool:
    """Return whether the job's owner deleted it by this write: no other one makes an ended job expire earlier."""
    old, new = change.old, change.new
    if old is None or old.created_at != new.created_at or old.seq != new.seq:
        return False
    return new.is_finished and new.record_expires_at < old.record_expires_at
