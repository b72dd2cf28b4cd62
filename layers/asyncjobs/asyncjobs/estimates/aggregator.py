"""Adds up how long jobs take, from the table's stream. No client waits for it, and it writes to no job."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from asyncjobs.core.clock import Clock, from_rfc3339
from asyncjobs.core.durations import Durations
from asyncjobs.core.ports import History
from asyncjobs.log import log_event


class DurationAggregator:
    """Adds the jobs that have ended to the history of their types."""

    def __init__(self, history: History, *, clock: Clock) -> None:
        self._history = history
        self._clock = clock

    def add(self, event: Mapping[str, Any]) -> None:
        """Add a batch of the stream. A batch that is delivered again counts twice, which a histogram tolerates.

        Raises `Unavailable`; then Lambda retries the batch a few times, and skips it after that.
        """
        seconds: defaultdict[str, list[float]] = defaultdict(list)
        for job_type, duration in _durations(event["Records"]):
            seconds[job_type].append(duration)
        for job_type, durations in seconds.items():
            self._history.add(job_type, Durations.of(durations), self._clock())
        log_event("DURATIONS_LEARNED", jobs=sum(map(len, seconds.values())), jobTypes=len(seconds))


def _durations(records: list[Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    """Yield the type of each job that ran here, and the seconds from its first start to its end.

    The event filter passes only jobs that have just completed or failed. Some of these never started: their deadline passed before.
    """
    for record in records:
        job = record["dynamodb"]["NewImage"]
        # Anybody who may report a tracked job decides how long it takes, at no cost, and `Retry-After` is for all owners.
        is_tracked = job["maxAttempts"]["N"] == "0"
        if "startedAt" in job and "endedAt" in job and not is_tracked:
            duration = from_rfc3339(job["endedAt"]["S"]) - from_rfc3339(job["startedAt"]["S"])
            yield job["jobType"]["S"], max(duration.total_seconds(), 0.0)
