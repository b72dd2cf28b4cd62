"""How many messages wait, as of the last look at each queue: asking costs a request, and each time would be too often."""

from __future__ import annotations

from datetime import datetime, timedelta

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import Priority
from asyncjobs.core.ports import Queue

_AGE = timedelta(seconds=5)
"""How long a look at a queue is good for. SQS itself counts only about, and some seconds late."""
_SILENCE = timedelta(minutes=1)
"""How long a queue that did not answer is not asked again: it takes some 8 s to give up, and somebody waits for it."""


class Backlog:
    """What a process knows of the queues."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock
        self._seen: dict[Priority, tuple[int | None, datetime]] = {}

    def waiting(self, priority: Priority) -> int | None:
        """About how many messages wait in the queue of that priority; None if it did not answer when it was asked last."""
        now = self._clock()
        count, look_again_at = self._seen.get(priority, (None, now))
        if now >= look_again_at:
            try:
                count, known_for = self._queue.backlog(priority), _AGE
            except Unavailable:
                count, known_for = None, _SILENCE
            self._seen[priority] = count, now + known_for
        return count
