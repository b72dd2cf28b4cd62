"""Adds up how long jobs take, from the table's stream. No client waits for it, and it writes to no job."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from asyncjobs.core.clock import Clock, from_rfc3339
from asyncjobs.core.durations import Durations
from asyncjobs.core.ports import History
from asyncjobs.log import log_event

ALONE = 10
"""Jobs of an owner that count in a batch without jobs of others: so few that one burst does not replace the history."""


class DurationAggregator:
    """Adds the jobs that have ended to the history of their types."""

    def __init__(self, history: History, *, clock: Clock) -> None:
        self._history = history
        self._clock = clock

    def add(self, event: Mapping[str, Any]) -> None:
        """Add a batch of the stream. A batch that is delivered again counts twice, which a histogram tolerates.

        Raises `Unavailable`; then Lambda retries the batch a few times, and skips it after that.
        """
        by_type: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for run in _runs(event["Records"]):
            by_type[run.job_type][run.owner].append(run.seconds)
        counted = {job_type: _shared(by_owner) for job_type, by_owner in by_type.items()}
        for job_type, seconds in counted.items():
            self._history.add(job_type, Durations.of(seconds), self._clock())
        log_event("DURATIONS_LEARNED", jobs=sum(map(len, counted.values())), jobTypes=len(counted))


class _Run(NamedTuple):
    job_type: str
    owner: str
    seconds: float


def _runs(records: Sequence[Mapping[str, Any]]) -> Iterator[_Run]:
    """Yield each job that ran here, with the seconds from its first start to its end.

    The event filter passes only jobs that have just completed or failed. Some of these never started: their deadline passed before.
    """
    for record in records:
        job = record["dynamodb"]["NewImage"]
        # Anybody who may report a tracked job decides how long it takes, at no cost, and `Retry-After` is for all owners.
        is_tracked = job["maxAttempts"]["N"] == "0"
        if "startedAt" in job and "endedAt" in job and not is_tracked:
            duration = from_rfc3339(job["endedAt"]["S"]) - from_rfc3339(job["startedAt"]["S"])
            yield _Run(job["jobType"]["S"], job["owner"]["S"], max(duration.total_seconds(), 0.0))


def _shared(by_owner: Mapping[str, Sequence[float]]) -> list[float]:
    """Return the durations that count: of an owner no more than of all others together, since `Retry-After` is for all owners."""
    total = sum(map(len, by_owner.values()))
    return [each for own in by_owner.values() for each in _sample(own, total - len(own) or ALONE)]


def _sample(seconds: Sequence[float], size: int) -> Sequence[float]:
    """Return durations that are spread evenly over all: the first to end would be the shortest."""
    if len(seconds) <= size:
        return seconds
    ordered = sorted(seconds)
    return [ordered[(2 * place + 1) * len(ordered) // (2 * size)] for place in range(size)]
