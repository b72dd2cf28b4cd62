"""When a client should poll an unfinished job again, and when the job will probably end. docs/polling.md measures both."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from asyncjobs.core.clock import to_milliseconds
from asyncjobs.core.durations import Durations
from asyncjobs.core.job import AsyncJob, Status

LONGEST_PAUSE = 60
"""Seconds."""

_FIXED = ((30, 2), (120, 5), (600, 10))
"""The fixed schedule: up to this age in seconds, poll every so many seconds; later, every 30 s."""

_ENOUGH = 10
"""Jobs that took longer than this one has so far. With fewer, the history says too little: the job may hang, or its type may have
become slower.
"""

_EARLY, _LATE = 0.05, 0.9
"""Shares of these jobs: a poll before the first finds hardly any of them ended, a poll after the second nearly all."""

_ENOUGH_TO_ESTIMATE = 30
"""Jobs in a history that gives an estimate of the end."""

_PROGRESS_TO_ESTIMATE = 40
"""Percent from which progress gives an estimate of the end. Less is too far from linear in many jobs."""


def retry_after(job: AsyncJob, now: datetime, past: Durations | None = None) -> int:
    """Return the seconds after which to poll this unfinished job again. `past` are the durations of its type."""
    past = past or Durations()
    fixed = fixed_pause((now - job.created_at).total_seconds())
    if job.status is Status.PENDING or job.started_at is None:
        starts_in = max((job.not_before - now).total_seconds(), 0.0) if job.not_before else 0.0
        # How long it waits for a worker depends on the load. When it has started, it still takes its time.
        runs_for = past.quantile(_EARLY) if past.total >= _ENOUGH else 0.0
        return max(fixed, math.ceil(starts_in) + min(math.ceil(runs_for), LONGEST_PAUSE))
    return pause((now - job.started_at).total_seconds(), past, _projected_seconds(job), fixed=fixed)


def estimated_end(job: AsyncJob, now: datetime, past: Durations | None = None) -> datetime | None:
    """Return when this unfinished job will probably end; None when that would be a guess."""
    if job.status is Status.PENDING or job.started_at is None:
        return None
    age = (now - job.started_at).total_seconds()
    projected = _projected_seconds(job)
    if projected is not None and job.progress >= _PROGRESS_TO_ESTIMATE:
        seconds = projected if projected > age else None
    else:
        seconds = _usual_seconds(age, past or Durations())
    return None if seconds is None else to_milliseconds(job.started_at + timedelta(seconds=seconds))


def fixed_pause(age: float) -> int:
    """Return the seconds until the next poll by age alone, in seconds since the submit."""
    return next((seconds for until, seconds in _FIXED if age < until), 30)


def pause(age: float, past: Durations, projected: float | None = None, *, fixed: int) -> int:
    """Return the seconds until the next poll of a running job.

    `age` is in seconds since its start, `projected` the seconds that it will take according to its progress, and `fixed` the
    pause of the fixed schedule.
    """
    age = max(age, 0.0)
    longer = past.longer_than(age)
    if projected is not None:
        seconds = _pause_by_progress(age, longer, projected - age, fixed)
    elif longer.total >= _ENOUGH:
        early, late = longer.quantile(_EARLY) - age, longer.quantile(_LATE) - age
        seconds = late if late - early <= fixed else max(early, fixed)
    else:
        seconds = fixed
    return min(max(math.ceil(seconds), 1), LONGEST_PAUSE)


def _pause_by_progress(age: float, longer: Durations, remaining: float, fixed: int) -> float:
    if remaining <= fixed:
        return remaining if remaining > 0 else fixed
    # Progress is seldom linear. So poll again halfway, no later than after the time that the projection is based on, and no later
    # than most jobs of the type end.
    limits = [remaining / 2, age]
    if longer.total >= _ENOUGH:
        limits.append(longer.quantile(0.5) - age)
    return max(min(limits), fixed)


def _projected_seconds(job: AsyncJob) -> float | None:
    """Return the duration of the job if its progress goes on at the same speed; None without progress."""
    # The record does not have the start of a later attempt, so the speed of its progress is unknown.
    if job.progress_at is None or job.started_at is None or job.attempt > 1:
        return None
    return (job.progress_at - job.started_at).total_seconds() * 100 / min(job.progress, 99)


def _usual_seconds(age: float, past: Durations) -> float | None:
    """Return the median duration of the jobs that took longer than `age`; None if they are few or too different."""
    longer = past.longer_than(age)
    if past.total < _ENOUGH_TO_ESTIMATE or longer.total < _ENOUGH:
        return None
    early, median, late = map(longer.quantile, (0.1, 0.5, 0.9))
    return median if late - early <= median else None
