"""How many polls a job takes, and how much later than it ended its client hears of it, by schedule and distribution.

Against the optimum: of all schedules in whole seconds that know the true distribution, the one with the fewest polls at
the same mean latency (by dynamic programming). Where a distribution is given by its formula, so are polls and latencies:
only the jobs that were learnt from are drawn. Progress has to be played job by job.

    make bench            # or, of durations in seconds that a file holds: python -m bench.polling bench/document_extract.txt

That file is of a hundred runs of `document.extract` on reports of 60 to 1,300 pages, on a busy machine with two cores.
"""

from __future__ import annotations

import functools
import math
import random
import statistics
import sys
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from asyncjobs.core.durations import MEMORY, Durations
from asyncjobs.estimates.poll_schedule import LONGEST_PAUSE, DurationEstimate, Report, fixed_pause

SEED = 20261122
JOBS_SEEN = 100
LEARNERS = 20
"""How many times JOBS_SEEN jobs are drawn; shown is the mean."""
JOBS_PLAYED = 1000

_WIDTH = 34

Pause = Callable[[float], int]
"""Seconds until the next poll, by the age of a job in seconds."""


@dataclass(frozen=True)
class Distribution:
    """Of durations in seconds: the share of jobs that have ended by an age, and a way to draw one."""

    name: str
    ended: Callable[[float], float]
    draw: Callable[[random.Random], float]

    @functools.cached_property
    def mean(self) -> float:
        """Seconds."""
        return self._passed[-1][0] - self._passed[-1][1]

    @functools.cached_property
    def horizon(self) -> int:
        """Seconds by which all but one in 10,000 jobs have ended."""
        return next(age for age in range(1, 86_400) if self.ended(age) > 1 - 1e-4)

    def latency_by(self, age: int) -> float:
        """The integral of `ended` up to a whole second: a poll then adds so much for what has ended since 0."""
        passed = self._passed
        return passed[age][1] if age < len(passed) else passed[-1][1] + age - passed[-1][0]

    @functools.cached_property
    def _passed(self) -> list[tuple[int, float]]:
        # By the midpoint rule, in twentieths of a second.
        total, passed = 0.0, [(0, 0.0)]
        for second in range(self.horizon):
            total += sum(self.ended(second + (part + 0.5) / 20) for part in range(20)) / 20
            passed.append((second + 1, total))
        return passed


def constant(seconds: float) -> Distribution:
    """Every job takes the same."""
    return Distribution(f"constant {seconds:g} s", lambda age: float(age >= seconds), lambda _: seconds)


def lognormal(median: float, sigma: float) -> Distribution:
    """`sigma` is the standard deviation of the logarithm."""
    return Distribution(
        f"lognormal {median:g} s, sigma {sigma:g}",
        lambda age: math.erfc(-math.log(age / median) / sigma / math.sqrt(2)) / 2 if age > 0 else 0.0,
        lambda chance: median * math.exp(chance.gauss(0, sigma)),
    )


def exponential(mean: float) -> Distribution:
    """Age tells nothing: no schedule beats a fixed interval."""
    return Distribution(f"exponential {mean:g} s", lambda age: -math.expm1(-age / mean), lambda c: c.expovariate(1 / mean))


def either(name: str, one: Distribution, other: Distribution, share: float) -> Distribution:
    """`share` of the jobs take as long as in `one`."""
    return Distribution(
        name,
        lambda age: share * one.ended(age) + (1 - share) * other.ended(age),
        lambda chance: (one if chance.random() < share else other).draw(chance),
    )


def recorded(name: str, seconds: Sequence[float]) -> Distribution:
    """What was measured, as it is."""
    ordered = sorted(seconds)
    return Distribution(name, lambda age: bisect_right(ordered, age) / len(ordered), lambda chance: chance.choice(ordered))


CONSTANT = (constant(20), constant(20.4), constant(120))
SPREAD = (
    lognormal(20, 0.25),
    lognormal(20, 0.5),
    lognormal(20, 1.0),
    exponential(20),
    either("80 % about 2 s, 20 % about 120 s", lognormal(2, 0.25), lognormal(120, 0.25), 0.8),
    lognormal(120, 0.25),
    lognormal(120, 0.5),
    lognormal(600, 0.5),
)
SHORT = (lognormal(4, 0.5), lognormal(2, 0.5), lognormal(1.5, 1.0), lognormal(0.5, 0.5))
"""Hardly above the grain: `Retry-After` counts whole seconds."""


@dataclass(frozen=True)
class Cost:
    """Of a job, on average: polls, the last one included, and seconds from its end to that poll."""

    polls: float
    latency: float


def cost(distribution: Distribution, pause: Pause) -> Cost:
    """Of a schedule that starts with the job."""
    age, polls, latency = 0, 0.0, 0.0
    while age < distribution.horizon:
        then = age + pause(age)
        ended = distribution.ended(age)
        polls += 1 - ended
        latency += distribution.latency_by(then) - distribution.latency_by(age) - ended * (then - age)
        age = then
    return Cost(polls, latency)


def optimum(distribution: Distribution, latency: float) -> float:
    """The fewest polls at this latency."""
    low, high = 1e-4, 1e3
    for _ in range(24):
        price = math.sqrt(low * high)
        if _cheapest(distribution, price).latency < latency:
            low = price
        else:
            high = price
    return _between(_cheapest(distribution, low), _cheapest(distribution, high), latency)


def fixed_interval(distribution: Distribution, latency: float) -> float:
    """The polls of a fixed interval at this latency, or of two that differ by a second."""
    costs = [cost(distribution, lambda _, pause=pause: pause) for pause in range(1, LONGEST_PAUSE + 1)]  # type: ignore[misc]
    shorter = max((one for one in costs if one.latency <= latency), key=lambda one: one.latency, default=costs[0])
    longer = min((one for one in costs if one.latency >= latency), key=lambda one: one.latency, default=costs[-1])
    return _between(shorter, longer, latency)


def _between(fresh: Cost, late: Cost, latency: float) -> float:
    """The polls of one who tosses between two schedules the coin that makes this latency."""
    if fresh.latency >= late.latency:
        return fresh.polls
    part = min(max((latency - fresh.latency) / (late.latency - fresh.latency), 0.0), 1.0)
    return fresh.polls + part * (late.polls - fresh.polls)


def _cheapest(distribution: Distribution, price: float) -> Cost:
    """Of the schedule that minimises latency and polls, when a poll is worth `price` seconds of latency."""
    horizon = distribution.horizon
    ended = [distribution.ended(age) for age in range(horizon)]
    passed = [distribution.latency_by(age) for age in range(horizon + LONGEST_PAUSE)]
    to_come = [0.0] * (horizon + LONGEST_PAUSE)
    chosen = [1] * horizon
    for age in range(horizon - 1, -1, -1):
        best = math.inf
        for pause in range(1, LONGEST_PAUSE + 1):
            latency = passed[age + pause] - passed[age] - ended[age] * pause
            if latency > best:
                break
            if latency + to_come[age + pause] < best:
                best, chosen[age] = latency + to_come[age + pause], pause
        to_come[age] = best + price * (1 - ended[age])
    return cost(distribution, lambda age: chosen[int(age)])


def backoff(age: float) -> int:
    """Exponential, as clients have it by default: 1 s, 2 s, 4 s ... up to a minute."""
    return min(int(age) + 1, LONGEST_PAUSE)


def learned(distribution: Distribution, *, jobs: int, learners: int, after_submit: bool = False) -> Cost:
    """Of ours after so many jobs were seen. `after_submit`: with the 202's first pause, which is the fixed schedule's."""
    chance = random.Random(f"{SEED} {distribution.name}")
    costs = []
    for _ in range(learners):
        estimate = DurationEstimate(Durations.of(distribution.draw(chance) for _ in range(jobs)).faded())

        def pause(age: float, estimate: DurationEstimate = estimate) -> int:
            fixed = fixed_pause(age)
            return fixed if after_submit and age == 0 else estimate.view(age).pause(fixed=fixed)

        costs.append(cost(distribution, pause))
    return Cost(statistics.fmean(one.polls for one in costs), statistics.fmean(one.latency for one in costs))


def relearned(before: Distribution, now: Distribution, *, jobs: int) -> Cost:
    """Of ours when a type changed: full of jobs as they were before, and after so many as they are now."""
    chance = random.Random(f"{SEED} {before.name} {now.name}")
    durations = Durations.of(before.draw(chance) for _ in range(2 * MEMORY))
    for _ in range(jobs):
        durations = durations.merged(Durations.of([now.draw(chance)])).faded()
    estimate = DurationEstimate(durations)
    return cost(now, lambda age: estimate.view(age).pause(fixed=fixed_pause(age)))


@dataclass(frozen=True)
class Progress:
    """How jobs report: every so many percent, which are reached at `duration * share ** bend`, the bend drawn for each job.

    `unevenness` is the standard deviation of the bend's logarithm: 0 is linear; at 0.6 one job in six is at 50 % when 28 %
    of its time have passed or before, and one in six when 68 % have or later.
    """

    every: int
    unevenness: float

    def __str__(self) -> str:
        return f"{self.every} %, {self.unevenness:g}"

    def reports(self, duration: float, chance: random.Random) -> list[Report]:
        """Of one job. Heartbeats in between change none of them: its record says since when its progress stands."""
        bend = math.exp(chance.gauss(0, self.unevenness))
        return [Report(duration * (percent / 100) ** bend, percent) for percent in range(self.every, 100, self.every)]


def played(distribution: Distribution, progress: Progress, *, jobs_seen: int, jobs: int) -> Cost:
    """Of ours, for jobs that report progress."""
    chance = random.Random(f"{SEED} {distribution.name}")
    estimate = DurationEstimate(Durations.of(distribution.draw(chance) for _ in range(jobs_seen)).faded())
    polls, latency = 0, 0.0
    for _ in range(jobs):
        duration, age = distribution.draw(chance), 0.0
        reports = progress.reports(duration, chance)
        while age < duration:
            told = [report for report in reports if report.age <= age]
            age += estimate.view(age, told[-1] if told else None).pause(fixed=fixed_pause(age))
            polls += 1
        latency += age - duration
    return Cost(polls / jobs, latency / jobs)


def _shown(one: Cost) -> str:
    return f"{one.polls:6.1f} {one.latency:5.2f}"


def _print_schedules(distributions: Sequence[Distribution], *, learners: int) -> None:
    print("Polls and seconds of latency a job, and polls as a share of another's that has our latency:")
    print(
        f"{'durations':{_WIDTH}} {'fixed 2 s':>12} {'back-off':>12} {'our table':>12} {'learned':>12}"
        f" {'optimum':>8} {'of it':>6} {'of fixed':>8} {'with 202':>12}"
    )
    for distribution in distributions:
        ours = learned(distribution, jobs=JOBS_SEEN, learners=learners)
        best = optimum(distribution, ours.latency)
        fixed = fixed_interval(distribution, ours.latency)
        print(
            f"{distribution.name:{_WIDTH}} {_shown(cost(distribution, lambda _: 2))} {_shown(cost(distribution, backoff))}"
            f" {_shown(cost(distribution, fixed_pause))} {_shown(ours)} {best:8.1f} {ours.polls / best:6.2f}"
            f" {ours.polls / fixed:8.2f} {_shown(learned(distribution, jobs=JOBS_SEEN, learners=learners, after_submit=True))}"
        )


def _print_few(distributions: Sequence[Distribution]) -> None:
    seen = (0, 2, 5, 10, 20, 50, 100, 400)
    print("\nPolls times latency, as a share of the fixed table's, after so many jobs seen (1.00: not better than the table):")
    print(f"{'durations':{_WIDTH}}", *(f"{jobs:5}" for jobs in seen))
    for distribution in distributions:
        table = cost(distribution, fixed_pause)
        found = [learned(distribution, jobs=jobs, learners=LEARNERS) for jobs in seen]
        shares = (one.polls * one.latency / table.polls / table.latency for one in found)
        print(f"{distribution.name:{_WIDTH}}", *(f"{share:5.2f}" for share in shares))


def _print_changes() -> None:
    since = (0, 10, 50, 100, 200, 400)
    print("\nWhen a type of lognormal 20 s, sigma 0.25, becomes another: polls and latency after so many of its jobs:")
    print(f"{'now':{_WIDTH}} {'our table':>12}", *(f"{jobs:12}" for jobs in since))
    for now in (lognormal(40, 0.25), lognormal(10, 0.25)):
        found = (relearned(lognormal(20, 0.25), now, jobs=jobs) for jobs in since)
        print(f"{now.name:{_WIDTH}} {_shown(cost(now, fixed_pause))}", *map(_shown, found))


def _print_progress(distributions: Sequence[Distribution]) -> None:
    print(
        "\nWith progress: polls and latency, and polls as a share of the optimum's that sees no progress, at the same latency:"
    )
    kinds = (
        (Progress(5, 0.0), JOBS_SEEN),
        (Progress(1, 0.3), JOBS_SEEN),
        (Progress(10, 0.3), JOBS_SEEN),
        (Progress(5, 0.6), JOBS_SEEN),
        (Progress(25, 0.0), JOBS_SEEN),
        (Progress(25, 0.3), JOBS_SEEN),
        (Progress(25, 0.6), JOBS_SEEN),
        (Progress(50, 0.3), JOBS_SEEN),
        (Progress(1, 0.3), 0),
    )
    print(f"{'durations':{_WIDTH}}", *(f"{f'{kind}' if seen else 'no history':>22}" for kind, seen in kinds))
    for distribution in distributions:
        cells = []
        for kind, seen in kinds:
            one = played(distribution, kind, jobs_seen=seen, jobs=JOBS_PLAYED)
            cells.append(f"{_shown(one)} {one.polls / optimum(distribution, one.latency):9.2f}")
        print(f"{distribution.name:{_WIDTH}}", *cells)


def main(arguments: Sequence[str]) -> None:
    """Print the tables; or the first one for durations of your own."""
    if arguments:
        seconds = [float(line) for line in Path(arguments[0]).read_text().split()]
        _print_schedules([recorded(Path(arguments[0]).name, seconds)], learners=LEARNERS)
        return
    _print_schedules((*CONSTANT, *SPREAD, *SHORT), learners=LEARNERS)
    _print_few((*SPREAD, *SHORT))
    _print_changes()
    _print_progress(SPREAD)


if __name__ == "__main__":
    main(sys.argv[1:])
