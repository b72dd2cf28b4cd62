"""The histogram of durations: its accuracy, its size, and how old durations fade."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs.core.durations import (
    BUCKETS,
    GROWTH,
    LARGEST_CLASS,
    LONGEST,
    MEMORY,
    SHORTEST,
    Durations,
    bucket_of,
    end_of,
    middle_of,
    size_class,
)

SECONDS = st.lists(st.floats(0, LONGEST), max_size=50)
DURATIONS = st.builds(Durations.of, SECONDS)


@given(DURATIONS, DURATIONS, DURATIONS)
def test_merge_does_not_depend_on_the_order(one: Durations, two: Durations, three: Durations) -> None:
    assert one.merged(two).merged(three) == three.merged(one.merged(two)) == two.merged(three).merged(one)


@given(SECONDS, SECONDS)
def test_merge_equals_one_histogram_of_all_durations(one: list[float], two: list[float]) -> None:
    assert Durations.of(one).merged(Durations.of(two)) == Durations.of([*one, *two])


@given(DURATIONS)
def test_histogram_round_trips_through_its_text(durations: Durations) -> None:
    assert Durations.from_json(durations.to_json()) == durations


@given(st.lists(st.floats(SHORTEST, LONGEST, exclude_min=True), min_size=1), st.floats(0.01, 1))
def test_quantile_is_off_by_half_a_bucket_at_most(seconds: list[float], share: float) -> None:
    exact = sorted(seconds)[math.ceil(share * len(seconds)) - 1]
    # The duration may be on the edge of its bucket.
    assert Durations.of(seconds).quantile(share) == pytest.approx(exact, rel=(GROWTH - 1) / 2 + 1e-6)


@given(st.floats(0, 10 * LONGEST))
def test_every_duration_has_its_bucket(seconds: float) -> None:
    bucket = bucket_of(seconds)
    assert 0 <= bucket < BUCKETS
    if SHORTEST < seconds < LONGEST:
        assert end_of(bucket - 1) * (1 - 1e-9) <= seconds <= end_of(bucket) * (1 + 1e-9)
        assert end_of(bucket - 1) < middle_of(bucket) < end_of(bucket)


@given(st.lists(st.integers(0, 5000), min_size=BUCKETS, max_size=BUCKETS))
def test_text_stays_small(counts: list[int]) -> None:
    seen = Durations({bucket: count for bucket, count in enumerate(counts) if count})
    faded = seen.faded()
    assert faded.total <= 2 * MEMORY
    assert len(faded.to_json()) < 2500
    assert Durations.from_json(faded.to_json()) == faded


@given(st.dictionaries(st.integers(0, BUCKETS - 1), st.integers(1, 100), min_size=1))
def test_fading_keeps_the_shape(counts: dict[int, int]) -> None:
    seen = Durations(counts)
    faded = seen.faded()
    for bucket in range(BUCKETS):
        below = sum(count for number, count in counts.items() if number <= bucket) / seen.total
        below_now = sum(count for number, count in faded.counts.items() if number <= bucket) / faded.total
        # Each halving moves less than one job across an edge.
        assert below_now == pytest.approx(below, abs=2 / min(MEMORY, seen.total))


@given(SECONDS, st.floats(0, LONGEST))
def test_longer_jobs_are_known_to_half_a_bucket(seconds: list[float], age: float) -> None:
    kept = Durations.of(seconds).longer_than(age).total
    certain = [one for one in seconds if one > max(age * GROWTH, SHORTEST)]
    possible = [one for one in seconds if one > age / GROWTH or age < SHORTEST]
    assert len(certain) <= kept <= len(possible)


def test_few_jobs_do_not_fade() -> None:
    seen = Durations.of([3.0] * 2 * MEMORY)
    assert seen.faded() == seen


def test_new_durations_prevail_after_as_many_jobs_as_are_remembered() -> None:
    durations = Durations.of([600.0] * 100_000).faded()
    for _ in range(2 * MEMORY):
        durations = durations.merged(Durations.of([20.0])).faded()
    assert durations.quantile(0.5) == pytest.approx(20, rel=0.03)


def test_empty_histogram_has_no_quantile() -> None:
    with pytest.raises(ValueError, match="no durations"):
        Durations().quantile(0.5)


@pytest.mark.parametrize("text", ["", "[]", '{"a":1}', '{"1":"2"}', '{"1":0}', '{"1":1.5}', '{"-1":1}', f'{{"{BUCKETS}":1}}'])
def test_malformed_text_is_rejected(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - that it is one is all that counts
        Durations.from_json(text)


@given(st.lists(st.floats(0, LONGEST), min_size=1, max_size=50), st.floats(0, 2 * LONGEST))
def test_jobs_within_and_beyond_a_time_are_counted(seconds: list[float], time: float) -> None:
    durations = Durations.of(seconds)
    # A duration on the edge of a bucket may fall on either side.
    within, beyond = sum(one <= time * 1.000001 for one in seconds), sum(one >= time * 0.999999 for one in seconds)
    assert durations.share_within(time) <= within / len(seconds) + 1e-9
    assert durations.share_beyond(time) <= beyond / len(seconds) + 1e-9


def test_every_job_is_within_or_beyond_the_end_of_a_bucket() -> None:
    durations = Durations.of([0.1, SHORTEST, 0.6, 5, 60])
    assert (durations.share_within(SHORTEST), durations.share_beyond(SHORTEST)) == (0.4, 0.6)
    assert (Durations().share_within(1), Durations().share_beyond(1)) == (0, 0)


@pytest.mark.parametrize(
    ("size", "found"),
    [
        (-5, 0),
        (0, 0),
        (0.5, 0),
        (9.99, 0),
        (10, 1),
        (99, 1),
        (100, 2),
        (999.9, 2),
        (1000, 3),
        (10**15, LARGEST_CLASS),
        (math.inf, LARGEST_CLASS),
        (math.nan, 0),
    ],
)
def test_sizes_of_one_number_of_digits_are_one_class(size: float, found: int) -> None:
    assert size_class(size) == found
