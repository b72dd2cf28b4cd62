"""A cache of how long past jobs of each type took."""

from __future__ import annotations

import time
from collections.abc import Callable

from asyncjobs.core.durations import Durations
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.ports import History
from asyncjobs.log import log_event

FRESH = 60.0
"""Seconds for which durations, or the failure to read them, are used without another read."""


class CachedHistory:
    """Reads the durations of each job type at most once a minute and process."""

    def __init__(self, history: History, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._history = history
        self._monotonic = monotonic
        self._cached: dict[str, tuple[float, Durations | None]] = {}

    def of(self, job_type: str) -> Durations | None:
        """Return the durations of past jobs; None while the table is unavailable, so that no request fails for it."""
        now = self._monotonic()
        until, cached = self._cached.get(job_type, (now, None))
        if until <= now:
            cached = self._read(job_type)
            self._cached[job_type] = now + FRESH, cached
        return cached

    def _read(self, job_type: str) -> Durations | None:
        try:
            return self._history.get(job_type)
        except Unavailable:
            log_event("HISTORY_UNAVAILABLE", jobType=job_type)
            return None
