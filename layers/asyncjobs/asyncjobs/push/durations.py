"""Adds up how long jobs take. No client waits for it, and it writes to no job."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from asyncjobs.core.clock import Clock, rfc3339
from asyncjobs.core.durations import Durations
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import Status
from asyncjobs.core.ports import History
from asyncjobs.log import log_event
from asyncjobs.push.changes import Change

MAX_WAITING = 1000
"""Jobs that wait for a write, at most: the newest. A table that does not answer must not fill the memory."""
ALONE = 10
"""Jobs of an owner that count in a batch without jobs of others: so few that one burst does not replace the history."""


class DurationAggregator:
    """Adds the jobs that have ended to the history of their types, and of their sizes where a type names one.

    Without a pause it writes each batch. With one it gathers jobs in memory, because a stream that is read for the sake of
    single changes has small batches: one write a job would double the cost of a short one, and a batch with one owner would
    not bound that owner's share.
    """

    def __init__(self, history: History, *, clock: Clock, pause: timedelta = timedelta(0)) -> None:
        self._history = history
        self._clock = clock
        self._pause = pause
        self._counted: frozenset[str] = frozenset()
        self._waiting: list[_Run] = []
        self._written = 0
        """How many jobs were written since `_paused_at`, with the write of that moment."""
        self._paused_at: datetime | None = None

    def consume(self, changes: Sequence[Change]) -> Collection[Change]:
        """See `Consumer`. A batch that arrives again for another consumer's sake counts once, as long as this process has it.

        Otherwise it counts twice, which a histogram tolerates.
        """
        self._waiting += _runs(change for change in changes if change.sequence_number not in self._counted)
        self._counted = frozenset(change.sequence_number for change in changes)
        if self._waiting and self._is_time_to_write():
            try:
                self._write()
            except Unavailable as error:
                if not self._pause:
                    raise
                # Those that wait are written after the next pause: an estimate must not hold up what follows each change.
                log_event("DURATIONS_DEFERRED", count=len(self._waiting), errorType=type(error).__name__)
                del self._waiting[:-MAX_WAITING]
        return ()

    def _is_time_to_write(self) -> bool:
        """Return whether the pause has passed, or as many jobs wait as were written in it.

        If the process ends, those that wait are lost: no more than a minute's jobs, and of a short burst no more than half.
        """
        now = self._clock()
        if self._paused_at is None or now - self._paused_at >= self._pause:
            self._paused_at, self._written = now, 0
            return True
        return len(self._waiting) >= self._written

    def _write(self) -> None:
        jobs = 0
        job_types = list(dict.fromkeys(run.job_type for run in self._waiting))
        for job_type in job_types:
            runs = [run for run in self._waiting if run.job_type == job_type]
            # All jobs of the type count under its own name; those with a size also under that of their class.
            for name in dict.fromkeys([job_type, *(run.name for run in runs)]):
                seconds = _shared([run for run in runs if name in {job_type, run.name}])
                self._history.add(name, Durations.of(seconds), self._clock(), _hours(runs) if name == job_type else {})
                jobs += len(seconds) if name == job_type else 0
            self._written += len(runs)
            self._waiting = [run for run in self._waiting if run.job_type != job_type]
        log_event("DURATIONS_LEARNED", jobs=jobs, jobTypes=len(job_types))


_HOUR = len("2026-11-26T16")


class _Run(NamedTuple):
    job_type: str
    name: str
    """`AsyncJob.durations_name`."""
    owner: str
    seconds: float | None
    """None if the time says nothing."""
    hour: str
    is_failed: bool


def _runs(changes: Iterable[Change]) -> Iterator[_Run]:
    """Yield each job that has completed or failed, with the seconds from its first start to its end.

    Some never started: their deadline passed before. A canceled job says nothing about when it would have ended.
    """
    for change in changes:
        job = change.new
        if change.is_end and job.status is not Status.CANCELLED and job.ended_at:
            # Anybody who may report a tracked job decides how long it takes, at no cost, and `Retry-After` is for all owners.
            seconds = None
            if job.started_at is not None and not job.is_tracked:
                seconds = max((job.ended_at - job.started_at).total_seconds(), 0.0)
            yield _Run(
                job.job_type, job.durations_name, job.owner, seconds, rfc3339(job.ended_at)[:_HOUR], job.status is Status.FAILED
            )


def _hours(runs: Iterable[_Run]) -> Mapping[str, tuple[int, int]]:
    """Return how many of the jobs completed and failed in each hour."""
    hours: dict[str, tuple[int, int]] = {}
    for run in runs:
        completed, failed = hours.get(run.hour, (0, 0))
        hours[run.hour] = (completed, failed + 1) if run.is_failed else (completed + 1, failed)
    return hours


def _shared(runs: Iterable[_Run]) -> list[float]:
    """Return the durations that count: of an owner no more than of all others together, since `Retry-After` is for all owners."""
    by_owner: defaultdict[str, list[float]] = defaultdict(list)
    for run in runs:
        if run.seconds is not None:
            by_owner[run.owner].append(run.seconds)
    total = sum(map(len, by_owner.values()))
    return [each for own in by_owner.values() for each in _sample(own, total - len(own) or ALONE)]


def _sample(seconds: Sequence[float], size: int) -> Sequence[float]:
    """Return durations that are spread evenly over all: the first to end would be the shortest."""
    if len(seconds) <= size:
        return seconds
    ordered = sorted(seconds)
    return [ordered[(2 * place + 1) * len(ordered) // (2 * size)] for place in range(size)]
