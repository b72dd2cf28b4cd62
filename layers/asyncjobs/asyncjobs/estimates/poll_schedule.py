"""When a client should look next: polls are densest where a job is likeliest to end.

Polling `lambda(t)` times a second adds `f / 2 lambda` seconds of latency for jobs that end at t (density f) and costs
`lambda` polls a second for those that have not (survival S). The fewest polls at a given mean latency are had with
`lambda` proportional to the square root of the hazard `f / S` (J. B. Keller, Optimum checking schedules, Management
Science 21, 1974). The scale is set by the latency of the fixed schedule: the same freshness for fewer polls.
docs/polling.md measures it.
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate, pairwise

from asyncjobs.core.clock import to_milliseconds
from asyncjobs.core.durations import BUCKETS, Durations, bucket_of, end_of
from asyncjobs.core.job import AsyncJob, Status

LONGEST_PAUSE = 60
"""Seconds. However sure we are that a job goes on, nobody should take it for dead."""

_FIXED = ((30, 2), (120, 5), (600, 10))
"""Up to this age in seconds, poll every so many seconds; above, every half minute. What nothing is known of is polled so."""

_FIRST_TRUSTED, _FULLY_TRUSTED = 2, 30
"""Jobs. Up to the first number their durations count for nothing, from the second on the fixed schedule does not."""

_ENOUGH_LONGER = 2.0
"""Jobs. When fewer than that took longer than a job already has, it is polled the more by the fixed schedule the fewer they
are: such a job may hang, or its type may have become slower.
"""

_UNSEEN = 0.25
"""Jobs. That much is added, spread evenly over all buckets: a job may always take a time that none has taken yet."""

_MOST_PATIENCE = 10.0
"""Seconds of latency that a poll saved is worth at most, however sharply the end is known."""

_FEW, _HARDLY_ANY = 5, 0.05
"""Polls; and the share of jobs that may need more of them."""

_DRIFT = 0.3
"""How far jobs' progress is from linear: at `p` percent, the logarithm of the projected duration is off by this much times -ln(p/100)."""

_FREEDOM = 3.0
"""Degrees of freedom of the t distribution of that error: low, so that progress which misleads is overruled by history."""

_REMAINING = [0.0, *(0.25 * 1.1**step for step in range(135))]
"""Seconds from a report on: a grid that is fine where the end is near, and reaches beyond a day."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """When to look again, in whole seconds, and when the job will have ended; None when too little is known to say."""

    retry_after: int
    estimated_end: datetime | None = None


def forecast(job: AsyncJob, now: datetime, estimate: DurationEstimate | None = None) -> Forecast:
    """For a job that has not ended; `outlook` is what past jobs of its type tell."""
    age = (now - job.created_at).total_seconds()
    if job.status is Status.PENDING or job.started_at is None:
        starts_in = max((job.not_before - now).total_seconds(), 0.0) if job.not_before else 0.0
        fixed = max(fixed_pause(age), math.ceil(starts_in))
        if estimate is None:
            return Forecast(fixed)
        # How long it waits is a matter of the day's load and not of its type. But once it starts, it still has to run.
        return Forecast(max(fixed, math.ceil(starts_in) + estimate.view(0.0).pause(fixed=0)))
    report = None
    # Of a later attempt it is not known when it began, so its progress tells no speed.
    if job.progress_at is not None and job.attempt <= 1:
        report = Report((job.progress_at - job.started_at).total_seconds(), job.progress)
    view = (estimate or _nothing_known()).view((now - job.started_at).total_seconds(), report)
    remaining = view.remaining()
    estimated_end = None if remaining is None else to_milliseconds(now + timedelta(seconds=remaining))
    return Forecast(view.pause(fixed=fixed_pause(age)), estimated_end)


def fixed_pause(age: float) -> int:
    """Seconds until the next poll, at this age in seconds, when nothing is known."""
    return next((pause for until, pause in _FIXED if age < until), 30)


@dataclass(frozen=True, slots=True)
class Report:
    """A job told at this age, in seconds since its start, that it has done so many percent."""

    age: float
    progress: int


class DurationEstimate:
    """What the durations of past jobs tell of one that runs. Ages are seconds since its start."""

    def __init__(self, durations: Durations) -> None:
        total = durations.total
        seen = _smoothed(durations) if total else [0.0] * BUCKETS
        masses = [mass + _UNSEEN / BUCKETS for mass in seen]
        ends = [end_of(bucket) for bucket in range(BUCKETS)]
        self._densities = [mass / (end - begin) for mass, (begin, end) in zip(masses, pairwise([0.0, *ends]), strict=True)]
        self._total = total
        self._history = _Schedule([0.0, *ends], masses)
        self._history.adjust_for_whole_seconds()

    def view(self, age: float, report: Report | None = None) -> View:
        """What can be said of a job of this age, which may have told how far it is."""
        age = max(age, 0.0)
        if report is None:
            return View(self._history, age, age, self._trust(age))
        return View(self._after(report), age, max(age - report.age, 0.0), 1.0)

    def _trust(self, age: float) -> float:
        """How much history counts for a job of this age (0 to 1): it has to know jobs, and jobs that took longer than that."""
        known = (self._total - _FIRST_TRUSTED) / (_FULLY_TRUSTED - _FIRST_TRUSTED)
        longer = ((self._total + _UNSEEN) * self._history.survival(age) - _UNSEEN) / _ENOUGH_LONGER
        return min(max(min(known, longer), 0.0), 1.0)

    def _after(self, report: Report) -> _Schedule:
        """The possible ends from the report on: those that history knows, weighed by how well the progress fits them."""
        share = min(report.progress, 99) / 100
        projected = max(report.age, 0.01) / share
        # Progress is a whole number: half a percent more or less says nothing.
        spread = -_DRIFT * math.log(share) + 0.005 / share
        masses = []
        for begin, end in pairwise(_REMAINING):
            duration = report.age + (begin + end) / 2
            deviation = math.log(duration / projected) / spread
            likelihood = (1 + deviation * deviation / _FREEDOM) ** (-(_FREEDOM + 1) / 2)
            masses.append(self._densities[bucket_of(duration)] * (end - begin) * likelihood)
        return _Schedule(_REMAINING, masses, begun=report.age)


class View:
    """What is known of one job at one moment: `since` is where its `age` lies on the schedule's axis, `trust` (0 to 1) how
    much the schedule counts.
    """

    def __init__(self, schedule: _Schedule, age: float, since: float, trust: float) -> None:
        self._schedule = schedule
        self._age = age
        self._since = since
        self._trust = trust

    def pause(self, *, fixed: int) -> int:
        """Whole seconds until the next poll; `fixed` is what they are as long as nothing is known."""
        known = float(self._schedule.pause(self._since))
        return round(math.pow(fixed, 1 - self._trust) * math.pow(known, self._trust))

    def remaining(self) -> float | None:
        """Seconds within which it will have ended as likely as not (the median); None unless that is worth telling.

        It is when enough is known, by 30 jobs or by its progress, and when the middle 80 % of the possible ends lie no
        further apart than the whole job takes.
        """
        if self._trust < 1:
            return None
        early, middle, late = (self._schedule.quantile(share, self._since) - self._since for share in (0.1, 0.5, 0.9))
        return middle if late - early <= self._age + middle else None


class _Schedule:
    """Polls for an end whose probability is spread evenly within each of some intervals: `masses[i]` of it from `edges[i]` on.

    Where the axis begins, the job is `begun` seconds old.
    """

    def __init__(self, edges: Sequence[float], masses: Sequence[float], *, begun: float = 0.0) -> None:
        total = sum(masses)
        self._edges = edges
        self._survivals = [*accumulate((-mass / total for mass in masses[:-1]), initial=1.0), 0.0]
        # By integration within an interval, where f is constant and S falls in a line: of sqrt(f S), the polls to come, and
        # of 1 - S, the latency so far of whoever polled at 0.
        self._roots = [0.0] * len(masses)
        self._ahead = [0.0] * len(edges)
        self._behind = [0.0] * len(edges)
        latency = 0.0
        for i in range(len(masses) - 1, -1, -1):
            width, mass = edges[i + 1] - edges[i], self._survivals[i] - self._survivals[i + 1]
            self._roots[i] = 2 / 3 * math.sqrt(width / mass) if mass > 0 else 0.0
            fallen = max(self._survivals[i], 0.0) ** 1.5 - max(self._survivals[i + 1], 0.0) ** 1.5
            self._ahead[i] = self._ahead[i + 1] + self._roots[i] * fallen
            latency += mass * fixed_pause(begun + (edges[i] + edges[i + 1]) / 2) / 2
        for i, (begin, end) in enumerate(pairwise(edges)):
            self._behind[i + 1] = self._behind[i] + (end - begin) * (1 - (self._survivals[i] + self._survivals[i + 1]) / 2)
        # What a poll may cost, in seconds of latency, so that the mean latency is that of the fixed schedule.
        self._price = min(2 * (latency / self._ahead[0]) ** 2, _MOST_PATIENCE)

    def pause(self, age: float) -> int:
        """The whole seconds after which the next poll costs least, if those after it are made by the density of the optimum.

        The density alone would do where polls are many. Where the end is known within a few seconds, what counts is
        to poll behind it and not before it, and this decides that.
        """
        survival, _, behind = self._at(age)

        def cost(pause: int) -> float:
            survival_then, ahead, behind_then = self._at(age + pause)
            latency = behind_then - behind - (1 - survival) * pause
            # Half a poll for what the density leaves out: that polls are whole.
            return latency + math.sqrt(2 * self._price) * ahead + self._price * survival_then / 2

        return min(range(1, LONGEST_PAUSE + 1), key=cost)

    def adjust_for_whole_seconds(self) -> None:
        """Of jobs that the fixed schedule finds in few polls, be as late as that one is, and no sooner by more polls.

        The density does not know how whole polls fall on whole seconds. Where they are many, that evens out; where they are few,
        it would make more than are needed. So they are played, at ever higher prices of a poll.
        """
        allowed = self._latency(fixed_pause)
        settled = self._price
        while allowed is not None and self._price <= _MOST_PATIENCE:
            latency = self._latency(self.pause)
            if latency is None or latency > allowed:
                break
            settled = self._price
            self._price *= 1.5
        self._price = settled

    def survival(self, age: float) -> float:
        """The share of jobs that take longer."""
        return self._at(age)[0]

    def quantile(self, share: float, age: float) -> float:
        """The age by which this share (0 to 1) of the jobs that have not ended at `age` will have ended."""
        left = self._at(age)[0] * (1 - share)
        i = next(i for i, survival in enumerate(self._survivals) if survival <= left) - 1
        if i < 0:
            return age
        before, after = self._survivals[i], self._survivals[i + 1]
        part = (before - left) / (before - after) if before > after else 0.0
        return max(self._edges[i] + part * (self._edges[i + 1] - self._edges[i]), age)

    def _latency(self, pause: Callable[[float], int]) -> float | None:
        """Seconds on average, of jobs that are nearly all found in few polls; None of others."""
        age, latency = 0.0, 0.0
        survival, _, behind = self._at(age)
        for _ in range(_FEW):
            step = pause(age)
            survival_then, _, behind_then = self._at(age + step)
            latency += behind_then - behind - (1 - survival) * step
            age, survival, behind = age + step, survival_then, behind_then
            if survival < _HARDLY_ANY:
                return latency
        return None

    def _at(self, age: float) -> tuple[float, float, float]:
        """Survival, polls to come and latency so far, at any age."""
        i = min(bisect_right(self._edges, age) - 1, len(self._roots) - 1)
        width = self._edges[i + 1] - self._edges[i]
        part = min((age - self._edges[i]) / width, 1.0)
        survival = self._survivals[i] + (self._survivals[i + 1] - self._survivals[i]) * part
        fallen = max(survival, 0.0) ** 1.5 - max(self._survivals[i + 1], 0.0) ** 1.5
        ahead = self._ahead[i + 1] + self._roots[i] * fallen
        behind = self._behind[i] + width * part * (1 - (self._survivals[i] + survival) / 2)
        return survival, ahead, behind


def _smoothed(durations: Durations) -> list[float]:
    """The counts, each spread over its neighbours as widely as their number and scatter ask for.

    The width is Silverman's rule for a Gaussian kernel, on the logarithm of the duration. Three moving averages come close
    to a Gaussian, and take time by the number of buckets alone.
    """
    counts = [float(durations.counts.get(bucket, 0)) for bucket in range(BUCKETS)]
    # A third of a Gaussian lies within 0.86 of its standard deviations. Taking the scatter from where jobs are closest, and not
    # from all of them, keeps two kinds of jobs that are far apart from being blurred into one. Of few jobs some are always
    # closer together than they should be, hence the last factor.
    scatter = _shortest_with(durations, 1 / 3) / 0.86
    width = 0.9 * scatter * durations.total**-0.2 * (1 + 3 / math.sqrt(durations.total))
    # A moving average over 2 r + 1 buckets has the variance ((2 r + 1)^2 - 1) / 12.
    radius = round((math.sqrt(4 * width * width + 1) - 1) / 2)
    for _ in range(3 if radius else 0):
        counts = _moving_average(counts, radius)
    return counts


def _shortest_with(durations: Durations, share: float) -> int:
    """How many buckets the closest together of the jobs are apart, this share (0 to 1) of all."""
    wanted = share * durations.total
    buckets = sorted(durations.counts)
    shortest, last, within = BUCKETS, -1, 0
    for first in buckets:
        while within < wanted and last + 1 < len(buckets):
            last += 1
            within += durations.counts[buckets[last]]
        if within < wanted:
            break
        shortest = min(shortest, buckets[last] - first)
        within -= durations.counts[first]
    return shortest


def _moving_average(values: Iterable[float], radius: int) -> list[float]:
    sums = [*accumulate(values, initial=0.0)]
    last = len(sums) - 1
    return [(sums[min(last, i + radius + 1)] - sums[max(0, i - radius)]) / (2 * radius + 1) for i in range(last)]


@functools.cache
def _nothing_known() -> DurationEstimate:
    return DurationEstimate(Durations())
