"""Learns from the table's stream how long jobs take. Off every path that a client waits for, and writes to no job."""

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

    def learn(self, event: Mapping[str, Any]) -> None:
        """Take in a batch of the stream. One that comes again counts its jobs twice, which a histogram does not mind.

        Raises `Unavailable`; Lambda then brings the batch again, and after some tries leaves it out.
        """
        seconds: defaultdict[str, list[float]] = defaultdict(list)
        for job_type, duration in _ended(event["Records"]):
            seconds[job_type].append(duration)
        for job_type, durations in seconds.items():
            self._history.add(job_type, Durations.of(durations), self._clock())
        log_event("DURATIONS_LEARNED", jobs=sum(map(len, seconds.values())), jobTypes=len(seconds))


def _ended(records: list[Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    """Type and duration of each job in the records, in seconds from its first start to its end.

    The event filter lets only jobs through that have just completed or failed. One that never started, because its
    deadline passed before, tells nothing of its type.
    """
    for record in records:
        job = record["dynamodb"]["NewImage"]
        if "startedAt" in job and "endedAt" in job:
            duration = from_rfc3339(job["endedAt"]["S"]) - from_rfc3339(job["startedAt"]["S"])
            yield job["jobType"]["S"], max(duration.total_seconds(), 0.0)
