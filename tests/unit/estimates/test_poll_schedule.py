"""When a client should poll next, and when a job will end. bench/polling.py measures the quality; this file asserts a part of it."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs.core.durations import LONGEST, Durations
from asyncjobs.core.job import AsyncJob, JobFailure
from asyncjobs.estimates.poll_schedule import LONGEST_PAUSE, estimated_end, fixed_pause, pause, retry_after
from bench import polling as bench
from tests.support.factories import NOW, new_job, running_job

TWENTY_SECONDS = Durations.of([20.0] * 100)
TEN_MINUTES = Durations.of([600.0] * 100)
SECONDS = st.floats(0, LONGEST)
DURATIONS = st.builds(Durations.of, st.lists(SECONDS, max_size=100))
SEEN = 100


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def reported(seconds: float, progress: int) -> AsyncJob:
    return running_job().reported(now=after(seconds), progress=progress, message=None, lease_until=after(seconds + 60))


def seconds_until(end: datetime | None) -> float | None:
    return None if end is None else (end - NOW).total_seconds()


# ── Quality ──────────────────────────────────────────────────────────────────────────────────────────

QUICK = [one for one in bench.SPREAD if one.mean < 100]
"""Workloads that are fast to compute."""


@pytest.mark.parametrize("distribution", [*bench.CONSTANT, *QUICK, *bench.SHORT], ids=lambda one: one.name)
def test_schedule_needs_a_third_more_polls_than_the_optimum_at_most(distribution: bench.Distribution) -> None:
    ours = bench.learned(distribution, jobs=SEEN, learners=8)
    assert ours.polls <= 1.33 * bench.optimum(distribution, ours.latency)


@pytest.mark.parametrize("distribution", [*bench.CONSTANT, *QUICK, *bench.SHORT], ids=lambda one: one.name)
def test_polls_and_latency_together_are_a_fifth_above_the_optimum_at_most(distribution: bench.Distribution) -> None:
    assert bench.excess(distribution, bench.learned(distribution, jobs=SEEN, learners=8)) <= 1.2


@pytest.mark.parametrize("distribution", bench.NARROW, ids=lambda one: one.name)
def test_nearly_constant_jobs_need_one_poll_more_than_the_optimum_at_most(distribution: bench.Distribution) -> None:
    ours = bench.learned(distribution, jobs=SEEN, learners=8)
    assert ours.polls <= 1 + bench.optimum(distribution, ours.latency)


@pytest.mark.parametrize("distribution", bench.SPREAD, ids=lambda one: one.name)
def test_schedule_needs_fewer_polls_than_the_fixed_one(distribution: bench.Distribution) -> None:
    fixed = bench.cost(distribution, fixed_pause)
    ours = bench.learned(distribution, jobs=SEEN, learners=8)
    assert ours.polls < 0.95 * fixed.polls
    assert ours.latency <= max(1.5 * fixed.latency, 0.05 * distribution.mean)


@pytest.mark.parametrize("distribution", bench.SHORT, ids=lambda one: one.name)
def test_short_jobs_need_few_more_polls_than_the_fixed_schedule(distribution: bench.Distribution) -> None:
    fixed = bench.cost(distribution, fixed_pause)
    ours = bench.learned(distribution, jobs=SEEN, learners=8)
    assert ours.latency <= 1.05 * fixed.latency
    assert ours.polls <= 1.1 * fixed.polls


@pytest.mark.parametrize("seen", [0, 9])
@pytest.mark.parametrize("age", [0, 29, 30, 119, 120, 600, 80_000])
def test_schedule_without_enough_durations_is_the_fixed_one(seen: int, age: float) -> None:
    assert pause(age, Durations.of([100_000.0] * seen), fixed=fixed_pause(age)) == fixed_pause(age)


@pytest.mark.parametrize("jobs", [10, 15, 20])
@pytest.mark.parametrize("distribution", QUICK, ids=lambda one: one.name)
def test_schedule_with_few_durations_is_hardly_worse_than_the_fixed_one(distribution: bench.Distribution, jobs: int) -> None:
    fixed = bench.cost(distribution, fixed_pause)
    ours = bench.learned(distribution, jobs=jobs, learners=16)
    # Polls times latency is constant for a fixed interval of any length.
    assert ours.polls * ours.latency <= 1.15 * fixed.polls * fixed.latency


def test_schedule_of_a_type_that_became_slower_is_no_worse_than_the_fixed_one() -> None:
    slower = bench.lognormal(40, 0.25)
    fixed = bench.cost(slower, fixed_pause)
    at_first = bench.relearned(bench.lognormal(20, 0.25), slower, jobs=0)
    later = bench.relearned(bench.lognormal(20, 0.25), slower, jobs=400)
    assert at_first.polls < fixed.polls
    assert at_first.latency <= 1.01 * fixed.latency
    assert later.polls < 0.8 * at_first.polls


def test_type_that_became_faster_is_learned_within_fifty_jobs() -> None:
    faster = bench.lognormal(10, 0.25)
    fixed = bench.cost(faster, fixed_pause)
    found = bench.relearned(bench.lognormal(20, 0.25), faster, jobs=50)
    assert found.latency < 1.2 * fixed.latency


@pytest.mark.parametrize(
    ("progress", "share"),
    [(bench.Progress(5, 0.0), 0.6), (bench.Progress(10, 0.3), 1.0), (bench.Progress(25, 0.3), 1.0)],
    ids=str,
)
@pytest.mark.parametrize("distribution", QUICK, ids=lambda one: one.name)
def test_schedule_with_progress_beats_the_optimum_without_progress(
    distribution: bench.Distribution, progress: bench.Progress, share: float
) -> None:
    ours = bench.played(distribution, progress, jobs_seen=SEEN, jobs=200)
    assert ours.polls < share * bench.optimum(distribution, ours.latency)


def test_optimum_of_the_comparison_is_optimal() -> None:
    # No schedule beats a fixed interval if age predicts nothing (Cauchy-Schwarz), and this one finds that.
    exponential = bench.exponential(20)
    found = bench.cost(exponential, lambda _: 3)
    assert bench.optimum(exponential, found.latency) == pytest.approx(found.polls, rel=0.01)


# ── Bounds ───────────────────────────────────────────────────────────────────────────────────────────


@given(DURATIONS, st.floats(0, 2 * LONGEST), st.none() | st.floats(0, 100 * LONGEST))
def test_pause_is_always_one_second_to_one_minute(past: Durations, age: float, projected: float | None) -> None:
    assert 1 <= pause(age, past, projected, fixed=fixed_pause(age)) <= LONGEST_PAUSE


@given(DURATIONS, st.floats(0, LONGEST / 2), st.floats(0, LONGEST / 2), st.integers(1, 100))
def test_estimated_end_is_never_in_the_past(past: Durations, age: float, since: float, progress: int) -> None:
    now = after(age + since)
    end = estimated_end(reported(age, progress), now, past)
    assert end is None or end >= now - timedelta(milliseconds=1)


@given(st.floats(1, 3000), st.floats(1.1, 20))
def test_longer_jobs_are_not_polled_sooner(seconds: float, longer: float) -> None:
    one, other = (pause(0, Durations.of([duration] * 100), fixed=2) for duration in (seconds, seconds * longer))
    assert one <= other


def test_job_longer_than_all_earlier_ones_is_polled_by_the_fixed_schedule() -> None:
    ages = [25, 60, 300, 3600, 40_000]
    assert [pause(age, TWENTY_SECONDS, fixed=fixed_pause(age)) for age in ages] == [fixed_pause(age) for age in ages]


@pytest.mark.parametrize("others", [9.0, 600.0])
def test_many_jobs_of_another_duration_do_not_delay_a_poll(others: float) -> None:
    past = Durations.of([others] * 190 + [3.0] * 10)
    assert pause(0, past, fixed=2) <= 3


def test_two_kinds_of_durations_are_both_learned() -> None:
    chance = random.Random(1)
    past = Durations.of(chance.choice([20.0, 20.0, 300.0]) for _ in range(100))
    assert 19 <= pause(0, past, fixed=2) <= 22
    assert pause(25, past, fixed=2) > 30


# ── Retry-After of a job ─────────────────────────────────────────────────────────────────────────────


def test_job_of_a_constant_type_is_polled_when_it_ends() -> None:
    assert 15 <= retry_after(running_job(), after(4), TWENTY_SECONDS) <= 18


def test_job_of_an_unknown_type_is_polled_by_its_age() -> None:
    assert [retry_after(running_job(), after(age)) for age in (0, 30, 120, 600)] == [2, 5, 10, 30]


def test_waiting_job_is_given_at_least_its_run_time() -> None:
    assert 20 <= retry_after(new_job(), after(0), TWENTY_SECONDS) <= 22
    assert retry_after(new_job(), after(700), TWENTY_SECONDS) == 30
    assert retry_after(new_job(), after(0), TEN_MINUTES) == LONGEST_PAUSE


def test_delayed_job_is_given_its_delay_and_its_run_time() -> None:
    job = new_job(delay=timedelta(seconds=100))
    assert 120 <= retry_after(job, after(0), TWENTY_SECONDS) <= 122
    assert retry_after(job, after(0)) == 100


def test_progress_overrides_the_durations_of_other_jobs() -> None:
    assert retry_after(reported(30, progress=10), after(31), TWENTY_SECONDS) > 2 * retry_after(
        running_job(), after(31), TWENTY_SECONDS
    )


def test_job_that_is_nearly_done_is_polled_at_its_projected_end() -> None:
    assert retry_after(reported(95, progress=95), after(98)) == 2
    assert retry_after(reported(95, progress=95), after(96)) == 4


def test_job_that_is_not_nearly_done_is_polled_halfway() -> None:
    assert retry_after(reported(50, progress=50), after(50)) == 25


def test_early_progress_delays_a_poll_no_longer_than_the_job_has_run() -> None:
    assert retry_after(reported(10, progress=1), after(10)) == 10


def test_overdue_job_is_polled_by_the_fixed_schedule() -> None:
    assert retry_after(reported(50, progress=50), after(110)) == fixed_pause(110)


def test_progress_of_a_job_that_reports_at_its_start_is_ignored() -> None:
    assert retry_after(reported(0, progress=50), after(10)) == fixed_pause(10)


def test_heartbeat_does_not_change_the_estimated_speed() -> None:
    silent = reported(20, progress=25)
    beats = silent.reported(now=after(28), progress=25, message="Alive", lease_until=after(52))
    assert beats.updated_at == after(28)
    assert retry_after(beats, after(30), TEN_MINUTES) == retry_after(silent, after(30), TEN_MINUTES)


def test_progress_of_a_later_attempt_gives_no_speed() -> None:
    failure = JobFailure(code="X", message="", type="X", retryable=True)
    again = running_job().released(now=after(30), error=failure, after=timedelta(0))
    second: AsyncJob = again.claimed(by="w2", now=after(60), lease_until=after(120))
    half = second.reported(now=after(70), progress=50, message=None, lease_until=after(120))
    assert retry_after(half, after(71)) == retry_after(second, after(71))
    assert estimated_end(half, after(71)) is None


def test_clock_behind_the_workers_gives_a_valid_pause() -> None:
    assert retry_after(running_job(now=after(1)), NOW, TEN_MINUTES) == LONGEST_PAUSE


# ── Estimated end of a job ───────────────────────────────────────────────────────────────────────────


def test_end_is_estimated_for_a_regular_type() -> None:
    assert seconds_until(estimated_end(running_job(), after(5), TWENTY_SECONDS)) == pytest.approx(20, abs=1)


def test_progress_alone_gives_an_estimate() -> None:
    assert seconds_until(estimated_end(reported(80, progress=80), after(81))) == pytest.approx(100)


def test_progress_prevails_over_the_durations_of_other_jobs() -> None:
    assert seconds_until(estimated_end(reported(80, progress=80), after(81), TEN_MINUTES)) == pytest.approx(100)


@pytest.mark.parametrize(
    "past",
    [None, Durations.of([20.0] * 29), Durations.of(1.2**step for step in range(40))],
    ids=["no durations", "too few jobs", "one second to twenty minutes"],
)
def test_end_is_not_estimated_for_an_irregular_type(past: Durations | None) -> None:
    assert estimated_end(running_job(), after(0), past) is None


@pytest.mark.parametrize("job", [running_job(), reported(10, progress=50), new_job()], ids=["overdue", "stuck", "waiting"])
def test_end_is_not_estimated_when_it_would_be_a_guess(job: AsyncJob) -> None:
    assert estimated_end(job, after(200), TWENTY_SECONDS) is None


def test_little_progress_gives_no_estimate() -> None:
    assert estimated_end(reported(10, progress=39), after(10)) is None
    assert seconds_until(estimated_end(reported(10, progress=40), after(10))) == pytest.approx(25)
