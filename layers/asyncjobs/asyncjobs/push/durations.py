"""Adds up how long jobs take. No client waits for it, and it writes to no job."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from asyncjobs.core.clock import Clock
from asyncjobs.core.durations import Durations
from asyncjobs.core.job import Status
from asyncjobs.core.ports import History
from asyncjobs.log import log_event
from asyncjobs.push.changes import Change

ALONE = 10
"""Jobs of an owner that count in a batch without jobs of others: so few that one burst does not replace the history."""


class DurationAggregator:
    """Adds the jobs that have ended to the history of their types."""

    def __init__(self, history: History, *, clock: Clock) -> None:
        self._history = history
        self._clock = clock
        self._counted: frozenset[str] = frozenset()

    def consume(self, changes: Sequence[Change]) -> Collection[Change]:
        """See `Consumer`. A batch that arrives again for another consumer's sake counts once, as long as this process has it.

        Otherwise it counts twice, which a histogram tolerates.
        """
        new = [change for change in changes if change.sequence_number not in self._counted]
        by_type: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for run in _runs(new):
            by_type[run.job_type][run.owner].append(run.seconds)
        counted = {job_type: _shared(by_owner) for job_type, by_owner in by_type.items()}
        for job_type, seconds in counted.items():
            self._history.add(job_type, Durations.of(seconds), self._clock())
        self._counted = frozenset(change.sequence_number for change in changes)
        if counted:
            log_event("DURATIONS_LEARNED", jobs=sum(map(len, counted.values())), jobTypes=len(counted))
        return ()


class _Run(NamedTuple):
    job_type: str
    owner: str
    seconds: float


def _runs(changes: Iterable[Change]) -> Iterator[_Run]:
    """Yield each job that has ended here, with the seconds from its first start to its end.

    Some never started: their deadline passed before. A canceled job says nothing about when it would have ended.
    """
    for change in changes:
        job = change.new
        # Anybody who may report a tracked job decides how long it takes, at no cost, and `Retry-After` is for all owners.
        is_tracked = job.max_attempts == 0
        if change.is_end and job.status is not Status.CANCELLED and job.started_at and job.ended_at and not is_tracked:
            yield _Run(job.job_type, job.owner, max((job.ended_at - job.started_at).total_seconds(), 0.0))


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
