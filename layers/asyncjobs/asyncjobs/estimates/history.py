"""What past jobs of each type took, as one process remembers it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from asyncjobs.core.durations import Durations
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.ports import History
from asyncjobs.log import log_event

FRESH = 60.0
"""Seconds for which what was read, or that it could not be read, is not asked for again."""

T = TypeVar("T")


class CachedHistory(Generic[T]):
    """What `tells` makes of each job type's durations: read once a minute at most, and never waited for twice."""

    def __init__(
        self, history: History, tells: Callable[[Durations], T], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._history = history
        self._tells = tells
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, T | None]] = {}

    def of(self, job_type: str) -> T | None:
        """What past jobs of the type tell; None while the table does not say. Raises nothing that a request would fail by."""
        now = self._monotonic()
        until, known = self._known.get(job_type, (now, None))
        if until <= now:
            known = self._read(job_type)
            self._known[job_type] = now + FRESH, known
        return known

    def _read(self, job_type: str) -> T | None:
        try:
            return self._tells(self._history.get(job_type))
        except Unavailable:
            log_event("HISTORY_UNAVAILABLE", jobType=job_type)
            return None
