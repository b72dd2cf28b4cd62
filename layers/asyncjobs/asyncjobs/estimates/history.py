"""A cache of how long past jobs took, by `AsyncJob.durations_name`."""

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
    """Reads the durations of each name at most once a minute and process."""

    def __init__(self, history: History, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._history = history
        self._monotonic = monotonic
        self._cached: dict[str, tuple[float, Durations | None]] = {}

    def of(self, durations_name: str) -> Durations | None:
        """Return the durations of past jobs of this name; None while the table is unavailable, so that no request fails for it."""
        now = self._monotonic()
        until, cached = self._cached.get(durations_name, (now, None))
        if until <= now:
            cached = self._read(durations_name)
            self._cached[durations_name] = now + FRESH, cached
        return cached

    def _read(self, durations_name: str) -> Durations | None:
        try:
            return self._history.get(durations_name)
        except Unavailable:
            log_event("HISTORY_UNAVAILABLE", jobType=durations_name)
            return None
