"""The number of waiting messages of each queue, read every few seconds, since each read costs a request."""

from __future__ import annotations

from datetime import datetime, timedelta

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import Priority
from asyncjobs.core.ports import Queue
from asyncjobs.log import log_event

_AGE = timedelta(seconds=5)
"""How long a count is valid. SQS itself only counts approximately, and some seconds late."""
_SILENCE = timedelta(minutes=1)
"""How long a queue that did not answer is not read again: giving up takes about 8 s, while a caller waits."""


class Backlog:
    """The counts that this process has read."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock
        self._seen: dict[Priority, tuple[int | None, datetime]] = {}

    def waiting(self, priority: Priority) -> int | None:
        """Return about how many messages wait in that priority's queue; None if it did not answer the last time."""
        now = self._clock()
        count, read_again_at = self._seen.get(priority, (None, now))
        if now >= read_again_at:
            try:
                count, valid_for = self._queue.backlog(priority), _AGE
            except Unavailable as error:
                log_event("BACKLOG_UNAVAILABLE", reason=str(error))
                count, valid_for = None, _SILENCE
            self._seen[priority] = count, now + valid_for
        return count
