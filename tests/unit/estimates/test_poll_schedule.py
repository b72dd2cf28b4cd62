"""When a client should poll next. bench/polling.py measures the quality; this file asserts a part of it."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs.core.durations import LONGEST, Durations
from asyncjobs.core.job import AsyncJob, JobFailure
from asyncjobs.estimates.poll_schedule import LONGEST_PAUSE, DurationEstimate, Report, fixed_pause, forecast
from bench import polling as bench
from tests.support.factories import NOW, new_job, running_job

TWENTY_SECONDS = DurationEstimate(Durations.of([20.0] * 100))
TEN_MINUTES = DurationEstimate(Durations.of([600.0] * 100))
AGES = st.floats(0, 2 * LONGEST)
DURATIONS = st.builds(Durations.of, st.lists(st.floats(0, LONGEST), max_size=100))
REPORTS = st.none() | st.builds(Report, age=st.floats(0, LONGEST), progress=st.integers(1, 100))
SEEN = 100


def after(seconds: float) -> Any:
    return NOW + timedelta(seconds=seconds)


# ── Quality ──────────────────────────────────────────────────────────────────────────────────────────

QUICK = [one for one in bench.SPREAD if one.mean < 100]
"""Workloads that are fast to compute."""


@pytest.mark.parametrize("distribution", [*bench.CONSTANT, *QUICK, *bench.SHORT], ids=lambda one: one.name)
def test_schedule_needs_few_more_polls_than_the_optimum_after_100_jobs(distribution: bench.Distribution) -> None:
    ours = bench.learned(distribution, jobs=SEEN, learners=8)
    assert ours.polls <= 1.15 * bench.optimum(distribution, ours.latency)


@pytest.mark.parametrize("distribution", bench.SPREAD, ids=lambda one: one.name)
def test_schedule_needs_fewer_polls_than_the_fixed_one_after_100_jobs(
    distribution: bench.Distribution,
) -> None:
    fixed = bench.cost(distribution, fixed_pause)
    ours = bench.learned(distribution, jobs=SEEN, learners=8)
    assert ours.latency <= 1.1 * fixed.latency
    assert ours.polls < 0.9 * fixed.polls


@pytest.mark.parametrize("distribution", bench.SHORT, ids=lambda one: one.name)
def test_short_jobs_need_few_more_polls_than_the_fixed_schedule(
    distribution: bench.Distribution,
) -> None:
    fixed = bench.cost(distribution, fixed_pause)
    ours = bench.learned(distribution, jobs=SEEN, learners=8)
    assert ours.latency <= 1.05 * fixed.latency
    assert ours.polls <= 1.2 * fixed.polls


@pytest.mark.parametrize("seen", [0, 1, 2])
@pytest.mark.parametrize("age", [0, 29, 30, 119, 120, 600, 80_000])
def test_schedule_without_durations_is_the_fixed_one(seen: int, age: float) -> None:
    estimate = DurationEstimate(Durations.of([3.0] * seen))
    assert estimate.view(age).pause(fixed=fixed_pause(age)) == fixed_pause(age)


@pytest.mark.parametrize("jobs", [3, 5, 10, 20])
@pytest.mark.parametrize("distribution", QUICK, ids=lambda one: one.name)
def test_schedule_with_few_durations_is_no_worse_than_the_fixed_one(distribution: bench.Distribution, jobs: int) -> None:
    fixed = bench.cost(distribution, fixed_pause)
    ours = bench.learned(distribution, jobs=jobs, learners=16)
    # Polls times latency is constant for a fixed interval of any length.
    assert ours.polls * ours.latency <= 1.02 * fixed.polls * fixed.latency


def test_schedule_of_a_type_that_became_slower_is_no_worse_than_the_fixed_one() -> None:
    slower = bench.lognormal(40, 0.25)
    fixed = bench.cost(slower, fixed_pause)
    at_first = bench.relearned(bench.lognormal(20, 0.25), slower, jobs=0)
    later = bench.relearned(bench.lognormal(20, 0.25), slower, jobs=400)
    assert at_first.polls * at_first.latency < fixed.polls * fixed.latency
    assert at_first.latency < fixed.latency
    assert later.polls < 0.5 * at_first.polls


@pytest.mark.parametrize(
    ("progress", "share"),
    [(bench.Progress(5, 0.0), 0.9), (bench.Progress(10, 0.3), 0.9), (bench.Progress(25, 0.3), 1.0)],
    ids=str,
)
@pytest.mark.parametrize("distribution", QUICK, ids=lambda one: one.name)
def test_schedule_with_progress_beats_the_optimum_without_progress(
    distribution: bench.Distribution, progress: bench.Progress, share: float
) -> None:
    ours = bench.played(distribution, progress, jobs_seen=SEEN, jobs=60)
    assert ours.polls < share * bench.optimum(distribution, ours.latency)


def test_optimum_of_the_comparison_is_optimal() -> None:
    # No schedule beats a fixed interval if age predicts nothing (Cauchy-Schwarz), and this one finds that.
    exponential = bench.exponential(20)
    found = bench.cost(exponential, lambda _: 3)
    assert bench.optimum(exponential, found.latency) == pytest.approx(found.polls, rel=0.01)


# ── Bounds ───────────────────────────────────────────────────────────────────────────────────────────


@given(DURATIONS, AGES, REPORTS)
def test_pause_is_always_one_second_to_one_minute(durations: Durations, age: float, report: Report | None) -> None:
    pause = DurationEstimate(durations).view(age, report).pause(fixed=fixed_pause(age))
    assert 1 <= pause <= LONGEST_PAUSE


@given(DURATIONS, AGES, REPORTS)
def test_estimated_end_is_never_in_the_past(durations: Durations, age: float, report: Report | None) -> None:
    remaining = DurationEstimate(durations).view(age, report).remaining()
    assert remaining is None or remaining >= 0


@given(st.floats(1, 3000), st.floats(1.1, 20))
def test_longer_jobs_are_not_polled_sooner(seconds: float, longer: float) -> None:
    one, other = (
        DurationEstimate(Durations.of([duration] * 100)).view(0).pause(fixed=2) for duration in (seconds, seconds * longer)
    )
    assert one <= other


def test_job_longer_than_all_earlier_ones_is_polled_by_the_fixed_schedule() -> None:
    ages = [25, 60, 300, 3600, 40_000]
    assert [TWENTY_SECONDS.view(age).pause(fixed=fixed_pause(age)) for age in ages] == [fixed_pause(age) for age in ages]


def test_two_kinds_of_durations_are_both_learned() -> None:
    chance = random.Random(1)
    estimate = DurationEstimate(Durations.of([chance.choice([20.0, 20.0, 300.0]) for _ in range(100)]))
    assert 19 <= estimate.view(0).pause(fixed=2) <= 22
    assert estimate.view(25).pause(fixed=2) > 30


# ── Forecast of a job ────────────────────────────────────────────────────────────────────────────────


def test_job_of_a_constant_type_is_polled_when_it_ends() -> None:
    assert 15 <= forecast(running_job(), after(4), TWENTY_SECONDS).retry_after <= 18


def test_job_of_an_unknown_type_is_polled_by_its_age() -> None:
    assert [forecast(running_job(), after(age)).retry_after for age in (0, 30, 120, 600)] == [2, 5, 10, 30]


def test_waiting_job_is_given_at_least_its_run_time() -> None:
    assert 20 <= forecast(new_job(), after(0), TWENTY_SECONDS).retry_after <= 22
    assert forecast(new_job(), after(700), TWENTY_SECONDS).retry_after == 30


def test_delayed_job_is_given_its_delay_and_its_run_time() -> None:
    job = new_job(delay=timedelta(seconds=100))
    assert 120 <= forecast(job, after(0), TWENTY_SECONDS).retry_after <= 122
    assert forecast(job, after(0)).retry_after == 100


def test_progress_overrides_the_durations_of_other_jobs() -> None:
    reported = running_job().reported(now=after(30), progress=10, message=None, lease_until=after(90))
    told = forecast(reported, after(31), TWENTY_SECONDS)
    assert told.retry_after > 2 * forecast(running_job(), after(31), TWENTY_SECONDS).retry_after


def test_progress_alone_gives_an_estimate() -> None:
    reported = running_job().reported(now=after(80), progress=80, message=None, lease_until=after(90))
    told = forecast(reported, after(81))
    assert told.estimated_end is not None
    assert abs((told.estimated_end - after(100)).total_seconds()) < 4


def test_heartbeat_does_not_change_the_estimated_speed() -> None:
    told = running_job().reported(now=after(20), progress=25, message=None, lease_until=after(44))
    beats = told.reported(now=after(28), progress=25, message="Alive", lease_until=after(52))
    assert beats.updated_at == after(28)
    assert forecast(beats, after(30), TEN_MINUTES) == forecast(told, after(30), TEN_MINUTES)


def test_progress_of_a_later_attempt_gives_no_speed() -> None:
    failure = JobFailure(code="X", message="", type="X", retryable=True)
    again = running_job().released(now=after(30), error=failure, after=timedelta(0))
    second: AsyncJob = again.claimed(by="w2", now=after(60), lease_until=after(120))
    reported = second.reported(now=after(70), progress=50, message=None, lease_until=after(120))
    assert forecast(reported, after(71)) == forecast(second, after(71))


def test_end_is_estimated_for_a_regular_type() -> None:
    told = forecast(running_job(), after(5), TWENTY_SECONDS).estimated_end
    assert told is not None
    assert abs((told - after(20)).total_seconds()) < 1


@pytest.mark.parametrize(
    "estimate",
    [None, DurationEstimate(Durations.of([20.0] * 29)), DurationEstimate(Durations.of(1.2**step for step in range(40)))],
    ids=["no durations", "too few jobs", "one second to twenty minutes"],
)
def test_end_is_not_estimated_for_an_irregular_type(estimate: DurationEstimate | None) -> None:
    assert forecast(running_job(), after(0), estimate).estimated_end is None


def test_end_is_not_estimated_for_an_overdue_or_waiting_job() -> None:
    assert forecast(running_job(), after(200), TWENTY_SECONDS).estimated_end is None
    assert forecast(new_job(), after(0), TWENTY_SECONDS).estimated_end is None


def test_clock_behind_the_workers_gives_a_valid_forecast() -> None:
    told = forecast(running_job(now=after(1)), NOW, TEN_MINUTES)
    assert told.retry_after == LONGEST_PAUSE
