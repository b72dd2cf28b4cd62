"""How many polls a job takes, and how many seconds after its end its client gets to know, by schedule and distribution.

The reference is the optimum: of all schedules in whole seconds that know the true distribution, the one with the fewest polls at
the same mean latency (by dynamic programming). Where a distribution has a formula, polls and latency follow from it, and only
the jobs that a schedule learns from are drawn. Progress is played job by job.

    make bench            # or, for durations in seconds from a file: python -m bench.polling bench/document_extract.txt

That file has a hundred runs of `document.extract` on reports of 60 to 1,300 pages, on a busy machine with two cores.
"""

from __future__ import annotations

import functools
import math
import random
import statistics
import sys
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asyncjobs.core.durations import MEMORY, Durations, middle_of
from asyncjobs.estimates.poll_schedule import LONGEST_PAUSE, fixed_pause, pause

SEED = 20261122
JOBS_SEEN = 100
LEARNERS = 20
"""How many times JOBS_SEEN jobs are drawn; the mean is shown."""
JOBS_PLAYED = 1000

_WIDTH = 34

Schedule = Callable[[float], int]
"""Seconds until the next poll, by the age of a job in seconds."""

Rule = Callable[[Durations], Schedule]
"""Makes a schedule from the durations of past jobs."""


@dataclass(frozen=True)
class Distribution:
    """A distribution of durations in seconds: the share of jobs that have ended by an age, and a way to draw a duration."""

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
        """Return the integral of `ended` from 0 to a whole second: the latency of a first poll at that age."""
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
    """Make every job take the same time."""
    return Distribution(f"constant {seconds:g} s", lambda age: float(age >= seconds), lambda _: seconds)


def lognormal(median: float, sigma: float) -> Distribution:
    """Spread durations around a median; `sigma` is the standard deviation of their logarithm."""
    return Distribution(
        f"lognormal {median:g} s, sigma {sigma:g}",
        lambda age: math.erfc(-math.log(age / median) / sigma / math.sqrt(2)) / 2 if age > 0 else 0.0,
        lambda chance: median * math.exp(chance.gauss(0, sigma)),
    )


def exponential(mean: float) -> Distribution:
    """Make a job's age say nothing about its end: no schedule beats a fixed interval."""
    return Distribution(f"exponential {mean:g} s", lambda age: -math.expm1(-age / mean), lambda c: c.expovariate(1 / mean))


def either(name: str, one: Distribution, other: Distribution, share: float) -> Distribution:
    """Take a `share` of the jobs from `one`, and the rest from `other`."""
    return Distribution(
        name,
        lambda age: share * one.ended(age) + (1 - share) * other.ended(age),
        lambda chance: (one if chance.random() < share else other).draw(chance),
    )


def recorded(name: str, seconds: Sequence[float]) -> Distribution:
    """Use measured durations as they are."""
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
"""Close to the resolution: `Retry-After` is in whole seconds."""
NARROW = (lognormal(23, 0.02), lognormal(47, 0.02), lognormal(83, 0.02), lognormal(131, 0.02))
"""Narrower than a bucket of the histogram."""


@dataclass(frozen=True)
class Cost:
    """The mean per job: polls, the last one included, and seconds from its end to that poll."""

    polls: float
    latency: float

    def total(self, price: float) -> float:
        """Return polls and latency as one figure in seconds, when a poll is worth `price` seconds of latency."""
        return self.latency + price * self.polls


def cost(distribution: Distribution, schedule: Schedule) -> Cost:
    """Return the cost of a schedule that starts with the job."""
    age, polls, latency = 0, 0.0, 0.0
    while age < distribution.horizon:
        then = age + schedule(age)
        ended = distribution.ended(age)
        polls += 1 - ended
        latency += distribution.latency_by(then) - distribution.latency_by(age) - ended * (then - age)
        age = then
    return Cost(polls, latency)


def optimum(distribution: Distribution, latency: float) -> float:
    """Return the fewest polls at this latency."""
    low, high = _prices(distribution, latency)
    return _between(_cheapest(distribution, low), _cheapest(distribution, high), latency)


def excess(distribution: Distribution, found: Cost) -> float:
    """Return polls and latency together as a multiple of the optimum's.

    A poll is worth as many seconds as make the optimum as late as the fixed schedule: so this also counts a schedule that is
    later, or takes more polls, than necessary.
    """
    # Below a quarter of a second, only constant durations can be found, and any price makes their optimum the same.
    price, _ = _prices(distribution, max(cost(distribution, fixed_pause).latency, 0.25))
    return found.total(price) / _cheapest(distribution, price).total(price)


def fixed_interval(distribution: Distribution, latency: float) -> float:
    """Return the polls of a fixed interval at this latency, or of a mix of two that differ by a second."""
    costs = [cost(distribution, lambda _, seconds=seconds: seconds) for seconds in range(1, LONGEST_PAUSE + 1)]  # type: ignore[misc]
    shorter = max((one for one in costs if one.latency <= latency), key=lambda one: one.latency, default=costs[0])
    longer = min((one for one in costs if one.latency >= latency), key=lambda one: one.latency, default=costs[-1])
    return _between(shorter, longer, latency)


def _between(fresh: Cost, late: Cost, latency: float) -> float:
    """Return the polls of the mix of two schedules that has this latency."""
    if fresh.latency >= late.latency:
        return fresh.polls
    part = min(max((latency - fresh.latency) / (late.latency - fresh.latency), 0.0), 1.0)
    return fresh.polls + part * (late.polls - fresh.polls)


def _prices(distribution: Distribution, latency: float) -> tuple[float, float]:
    """Return two prices of a poll between which the cheapest schedule has this latency."""
    low, high = 1e-4, 1e3
    for _ in range(24):
        price = math.sqrt(low * high)
        if _cheapest(distribution, price).latency < latency:
            low = price
        else:
            high = price
    return low, high


@functools.cache
def _cheapest(distribution: Distribution, price: float) -> Cost:
    """Return the cost of the schedule with the least latency and polls, when a poll is worth `price` seconds of latency."""
    horizon = distribution.horizon
    ended = [distribution.ended(age) for age in range(horizon)]
    passed = [distribution.latency_by(age) for age in range(horizon + LONGEST_PAUSE)]
    to_come = [0.0] * (horizon + LONGEST_PAUSE)
    chosen = [1] * horizon
    for age in range(horizon - 1, -1, -1):
        best = math.inf
        for seconds in range(1, LONGEST_PAUSE + 1):
            latency = passed[age + seconds] - passed[age] - ended[age] * seconds
            if latency > best:
                break
            if latency + to_come[age + seconds] < best:
                best, chosen[age] = latency + to_come[age + seconds], seconds
        to_come[age] = best + price * (1 - ended[age])
    return cost(distribution, lambda age: chosen[int(age)])


def backoff(age: float) -> int:
    """Pause as clients do by default: 1 s, 2 s, 4 s ... up to a minute."""
    return min(int(age) + 1, LONGEST_PAUSE)


def ours(durations: Durations) -> Schedule:
    """Make the product's schedule."""
    return lambda age: pause(age, durations, fixed=fixed_pause(age))


def _rule(choose: Callable[[Durations, float, int], float]) -> Rule:
    """Make a rule from a pause by the jobs that took longer than an age, the age and the fixed pause. Few jobs: the fixed pause."""

    def schedule(durations: Durations) -> Schedule:
        def seconds(age: float) -> int:
            longer, fixed = durations.longer_than(age), fixed_pause(age)
            if longer.total < _ENOUGH:
                return fixed
            return min(max(math.ceil(choose(longer, age, fixed)), 1), LONGEST_PAUSE)

        return seconds

    return schedule


_ENOUGH = 10


def _steps(durations: Durations) -> Schedule:
    """Poll at the first quarter, then by a quarter of the distance from the median to the last tenth."""

    def choose(_: Durations, age: float, _fixed: int) -> float:
        quarter, median, last = map(durations.quantile, (0.25, 0.5, 0.9))
        return quarter - age if age < quarter else (last - median) / 4

    return _rule(choose)(durations)


def _short_delay(longer: Durations, age: float, fixed: int) -> float:
    """Take the longest pause that adds no more latency on average than a tenth of the fixed pause."""
    pauses = range(2, LONGEST_PAUSE + 1)
    return next((seconds - 1 for seconds in pauses if _mean_delay(longer, age + seconds) > fixed / 10), LONGEST_PAUSE)


def _mean_delay(durations: Durations, at: float) -> float:
    return sum(count * max(at - middle_of(bucket), 0.0) for bucket, count in durations.counts.items()) / durations.total


RULES: Mapping[str, Rule] = {
    "ours": ours,
    "steps": _steps,
    "next 20 %": _rule(lambda longer, age, _: longer.quantile(0.2) - age),
    "short delay": _rule(_short_delay),
}
"""The product's schedule, and others that are as simple."""


def learned(distribution: Distribution, rule: Rule = ours, *, jobs: int, learners: int, after_submit: bool = False) -> Cost:
    """Return the cost of a rule that has seen so many jobs. `after_submit`: with the 202's first pause, the fixed schedule's."""
    chance = random.Random(f"{SEED} {distribution.name}")
    costs = []
    for _ in range(learners):
        schedule = rule(Durations.of(distribution.draw(chance) for _ in range(jobs)).faded())

        def seconds(age: float, schedule: Schedule = schedule) -> int:
            return fixed_pause(age) if after_submit and age == 0 else schedule(age)

        costs.append(cost(distribution, seconds))
    return Cost(statistics.fmean(one.polls for one in costs), statistics.fmean(one.latency for one in costs))


def relearned(before: Distribution, now: Distribution, *, jobs: int) -> Cost:
    """Return the cost after a type changed: its history is full of jobs from before, and has so many new ones."""
    chance = random.Random(f"{SEED} {before.name} {now.name}")
    durations = Durations.of(before.draw(chance) for _ in range(2 * MEMORY))
    for _ in range(jobs):
        durations = durations.merged(Durations.of([now.draw(chance)])).faded()
    return cost(now, ours(durations))


@dataclass(frozen=True)
class Progress:
    """Reports every so many percent, which a job reaches at `duration * share ** bend`; each job has a bend of its own.

    `unevenness` is the standard deviation of the bend's logarithm: 0 is linear. At 0.6, one job in six is at 50 % when 28 % of
    its time or less have passed, and one in six when 68 % or more have.
    """

    every: int
    unevenness: float

    def __str__(self) -> str:
        return f"{self.every} %, {self.unevenness:g}"

    def projections(self, duration: float, chance: random.Random) -> list[tuple[float, float]]:
        """Return the age at each report of one job, and the duration that its progress projects. Heartbeats do not change it."""
        bend = math.exp(chance.gauss(0, self.unevenness))
        reports = ((duration * (percent / 100) ** bend, percent / 100) for percent in range(self.every, 100, self.every))
        return [(age, age / share) for age, share in reports]


def played(distribution: Distribution, progress: Progress, *, jobs_seen: int, jobs: int) -> Cost:
    """Return the cost of the product's schedule for jobs that report progress."""
    chance = random.Random(f"{SEED} {distribution.name}")
    past = Durations.of(distribution.draw(chance) for _ in range(jobs_seen)).faded()
    polls, latency = 0, 0.0
    for _ in range(jobs):
        duration, age = distribution.draw(chance), 0.0
        projections = progress.projections(duration, chance)
        while age < duration:
            projected = [seconds for reported, seconds in projections if reported <= age]
            age += pause(age, past, projected[-1] if projected else None, fixed=fixed_pause(age))
            polls += 1
        latency += age - duration
    return Cost(polls / jobs, latency / jobs)


def _shown(one: Cost) -> str:
    return f"{one.polls:6.1f} {one.latency:5.2f}"


def _print_schedules(distributions: Sequence[Distribution], *, learners: int) -> None:
    print("Polls and seconds of latency per job, and our polls as a share of another schedule's at the same latency:")
    print(
        f"{'durations':{_WIDTH}} {'fixed 2 s':>12} {'back-off':>12} {'fixed sched.':>12} {'learned':>12}"
        f" {'optimum':>8} {'of it':>6} {'of fixed':>8} {'with 202':>12}"
    )
    for distribution in distributions:
        found = learned(distribution, jobs=JOBS_SEEN, learners=learners)
        best = optimum(distribution, found.latency)
        fixed = fixed_interval(distribution, found.latency)
        print(
            f"{distribution.name:{_WIDTH}} {_shown(cost(distribution, lambda _: 2))} {_shown(cost(distribution, backoff))}"
            f" {_shown(cost(distribution, fixed_pause))} {_shown(found)} {best:8.1f} {found.polls / best:6.2f}"
            f" {found.polls / fixed:8.2f} {_shown(learned(distribution, jobs=JOBS_SEEN, learners=learners, after_submit=True))}"
        )


def _print_rules(distributions: Sequence[Distribution]) -> None:
    print(
        "\nRules: polls, latency, polls as a share of the optimum's at the same latency, and polls and latency together as a share"
    )
    print("of the optimum's at the fixed schedule's latency:")
    print(f"{'durations':{_WIDTH}} {'fixed schedule':>23}", *(f"{name:>23}" for name in RULES))
    for distribution in distributions:
        fixed = cost(distribution, fixed_pause)
        found = (learned(distribution, rule, jobs=JOBS_SEEN, learners=LEARNERS) for rule in RULES.values())
        print(f"{distribution.name:{_WIDTH}}", *(_compared(distribution, one) for one in (fixed, *found)), flush=True)


def _compared(distribution: Distribution, one: Cost) -> str:
    return f"{_shown(one)} {one.polls / optimum(distribution, one.latency):5.2f} {excess(distribution, one):4.2f}"


def _print_few(distributions: Sequence[Distribution]) -> None:
    seen = (0, 5, 10, 20, 50, 100, 400)
    print("\nPolls times latency as a share of the fixed schedule's, after so many jobs (1.00: no better than the schedule):")
    print(f"{'durations':{_WIDTH}}", *(f"{jobs:5}" for jobs in seen))
    for distribution in distributions:
        fixed = cost(distribution, fixed_pause)
        found = [learned(distribution, jobs=jobs, learners=LEARNERS) for jobs in seen]
        shares = (one.polls * one.latency / fixed.polls / fixed.latency for one in found)
        print(f"{distribution.name:{_WIDTH}}", *(f"{share:5.2f}" for share in shares))


def _print_changes() -> None:
    since = (0, 10, 50, 100, 200, 400)
    print("\nA type of lognormal 20 s, sigma 0.25, changes: polls and latency after so many jobs since:")
    print(f"{'now':{_WIDTH}} {'fixed sched.':>12}", *(f"{jobs:12}" for jobs in since))
    for now in (lognormal(40, 0.25), lognormal(10, 0.25)):
        found = (relearned(lognormal(20, 0.25), now, jobs=jobs) for jobs in since)
        print(f"{now.name:{_WIDTH}} {_shown(cost(now, fixed_pause))}", *map(_shown, found))


def _print_progress(distributions: Sequence[Distribution]) -> None:
    print(
        "\nWith progress: polls, latency, and polls as a share of those of the optimum without progress, at the same latency:"
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
    """Print the tables; or the first one for durations from a file."""
    if arguments:
        seconds = [float(line) for line in Path(arguments[0]).read_text().split()]
        _print_schedules([recorded(Path(arguments[0]).name, seconds)], learners=LEARNERS)
        return
    _print_schedules((*CONSTANT, *NARROW, *SPREAD, *SHORT), learners=LEARNERS)
    _print_rules((*CONSTANT, *NARROW, *SPREAD, *SHORT))
    _print_few((*SPREAD, *SHORT))
    _print_changes()
    _print_progress(SPREAD)


if __name__ == "__main__":
    main(sys.argv[1:])
