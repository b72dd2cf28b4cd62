"""The histogram of durations: what it keeps, what it forgets, and how far it may be off."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs.core.durations import BUCKETS, GROWTH, LONGEST, MEMORY, SHORTEST, Durations, bucket_of, end_of, middle_of

SECONDS = st.lists(st.floats(0, LONGEST), max_size=50)
DURATIONS = st.builds(Durations.of, SECONDS)


@given(DURATIONS, DURATIONS, DURATIONS)
def test_merging_in_any_order_gives_the_same(one: Durations, two: Durations, three: Durations) -> None:
    assert one.merged(two).merged(three) == three.merged(one.merged(two)) == two.merged(three).merged(one)


@given(SECONDS, SECONDS)
def test_merging_is_as_if_all_had_been_seen_at_once(one: list[float], two: list[float]) -> None:
    assert Durations.of(one).merged(Durations.of(two)) == Durations.of([*one, *two])


@given(DURATIONS)
def test_it_reads_back_as_it_was_written(durations: Durations) -> None:
    assert Durations.from_json(durations.to_json()) == durations


@given(st.lists(st.floats(SHORTEST, LONGEST, exclude_min=True), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_off_by_half_a_bucket_at_most(seconds: list[float], share: float) -> None:
    exact = sorted(seconds)[math.ceil(share * len(seconds)) - 1]
    # The duration itself may lie on the edge of its bucket.
    assert Durations.of(seconds).quantile(share) == pytest.approx(exact, rel=(GROWTH - 1) / 2 + 1e-6)


@given(st.floats(0, 10 * LONGEST))
def test_every_duration_has_a_bucket_that_holds_it(seconds: float) -> None:
    bucket = bucket_of(seconds)
    assert 0 <= bucket < BUCKETS
    if SHORTEST < seconds < LONGEST:
        assert end_of(bucket - 1) * (1 - 1e-9) <= seconds <= end_of(bucket) * (1 + 1e-9)
        assert end_of(bucket - 1) < middle_of(bucket) < end_of(bucket)


@given(st.lists(st.integers(0, 5000), min_size=BUCKETS, max_size=BUCKETS))
def test_it_stays_small_whatever_it_has_seen(counts: list[int]) -> None:
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
        # Each halving moves less than one job over any edge.
        assert below_now == pytest.approx(below, abs=2 / min(MEMORY, seen.total))


def test_few_jobs_do_not_fade() -> None:
    seen = Durations.of([3.0] * 2 * MEMORY)
    assert seen.faded() == seen


def test_after_as_many_jobs_as_it_remembers_the_new_ones_prevail() -> None:
    durations = Durations.of([600.0] * 100_000).faded()
    for _ in range(2 * MEMORY):
        durations = durations.merged(Durations.of([20.0])).faded()
    assert durations.quantile(0.5) == pytest.approx(20, rel=0.03)


def test_of_nothing_there_is_no_quantile() -> None:
    with pytest.raises(ValueError, match="no durations"):
        Durations().quantile(0.5)


@pytest.mark.parametrize("text", ["", "[]", '{"a":1}', '{"1":"2"}', '{"1":0}', '{"1":1.5}', '{"-1":1}', f'{{"{BUCKETS}":1}}'])
def test_what_it_did_not_write_it_does_not_read(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - that it is one is all that counts
        Durations.from_json(text)


@given(st.lists(st.floats(0, LONGEST), min_size=1, max_size=50), st.floats(0, 2 * LONGEST))
def test_what_is_said_to_be_within_or_beyond_a_time_is(seconds: list[float], time: float) -> None:
    durations = Durations.of(seconds)
    # A duration on the very edge of a bucket may fall on either side of it.
    within, beyond = sum(one <= time * 1.000001 for one in seconds), sum(one >= time * 0.999999 for one in seconds)
    assert durations.share_within(time) <= within / len(seconds) + 1e-9
    assert durations.share_beyond(time) <= beyond / len(seconds) + 1e-9


def test_at_the_end_of_a_bucket_every_job_is_on_one_side_or_the_other() -> None:
    durations = Durations.of([0.1, SHORTEST, 0.6, 5, 60])
    assert (durations.share_within(SHORTEST), durations.share_beyond(SHORTEST)) == (0.4, 0.6)
    assert (Durations().share_within(1), Durations().share_beyond(1)) == (0, 0)
