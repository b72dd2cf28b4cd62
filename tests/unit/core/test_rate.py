"""A token bucket that is one time: it never gives too much, and its quota is exact."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs.core.rate import SubmitRate
from tests.support.factories import NOW

RATES = st.builds(SubmitRate, per_minute=st.integers(1, 6000), burst=st.integers(1, 30))
PAUSES = st.lists(st.integers(0, 5000).map(lambda milliseconds: timedelta(milliseconds=milliseconds)), max_size=80)
TEN_A_MINUTE = SubmitRate(per_minute=10, burst=3)


def drawn(rate: SubmitRate, times: list[datetime], full_at: datetime | None = None) -> list[datetime]:
    """Return the times at which a token was taken."""
    found = []
    for now in times:
        taken, full_at = rate.draw(full_at, now)
        if taken:
            found.append(now)
    return found


def times(pauses: list[timedelta]) -> list[datetime]:
    found = [NOW]
    for pause in pauses:
        found.append(found[-1] + pause)
    return found


def emptied(rate: SubmitRate, now: datetime) -> datetime:
    """Return when a bucket that is emptied now is full again."""
    return now + rate.burst * rate.interval


def test_full_bucket_gives_its_burst_and_then_one_token_per_interval() -> None:
    at_once = [NOW] * 5
    later = [NOW + timedelta(seconds=seconds) for seconds in (5.999, 6, 6, 11.999, 12)]
    assert drawn(TEN_A_MINUTE, at_once + later) == [NOW] * 3 + [later[1], later[4]]


def test_bucket_never_holds_more_than_its_burst() -> None:
    long_ago = NOW - timedelta(days=30)
    assert len(drawn(TEN_A_MINUTE, [NOW] * 9, full_at=long_ago)) == 3


@given(RATES, PAUSES)
def test_any_period_has_at_most_the_burst_and_the_refill(rate: SubmitRate, pauses: list[timedelta]) -> None:
    found = drawn(rate, times(pauses))
    for first, start in enumerate(found):
        for last in range(first, len(found)):
            assert last - first + 1 <= rate.burst + (found[last] - start) / rate.interval


@given(RATES, PAUSES)
def test_token_is_available_exactly_when_the_quota_says(rate: SubmitRate, pauses: list[timedelta]) -> None:
    full_at: datetime | None = None
    for now in times(pauses):
        taken, full_at = rate.draw(full_at, now)
        if not taken:
            wait = rate.quota(full_at, now).next_token
            assert rate.draw(full_at, now + wait)[0]
            assert not rate.draw(full_at, now + wait - timedelta(milliseconds=1))[0]


@given(RATES, PAUSES)
def test_remaining_tokens_are_available_now_and_the_next_one_on_time(rate: SubmitRate, pauses: list[timedelta]) -> None:
    full_at: datetime | None = None
    for now in times(pauses):
        _, full_at = rate.draw(full_at, now)
        quota = rate.quota(full_at, now)
        assert len(drawn(rate, [now] * (rate.burst + 1), full_at)) == quota.remaining
        assert len(drawn(rate, [now + quota.next_token] * (rate.burst + 1), full_at)) == quota.remaining + 1


@given(RATES)
def test_empty_bucket_is_full_after_its_window(rate: SubmitRate) -> None:
    full_at = emptied(rate, NOW)
    window = rate.quota(full_at, NOW).window
    assert rate.quota(full_at, NOW).remaining == 0
    assert len(drawn(rate, [NOW + window] * (rate.burst + 1), full_at)) == rate.burst


@pytest.mark.parametrize(("per_minute", "milliseconds"), [(1, 60_000), (60, 1000), (7, 8572), (6000, 10), (5999, 11)])
def test_interval_is_rounded_up_to_milliseconds(per_minute: int, milliseconds: int) -> None:
    assert SubmitRate(per_minute, 1).interval == timedelta(milliseconds=milliseconds)


def test_smaller_burst_applies_to_existing_buckets() -> None:
    full_at = emptied(SubmitRate(per_minute=10, burst=9), NOW)
    taken, _ = TEN_A_MINUTE.draw(full_at, NOW + timedelta(seconds=36))
    assert not taken
    assert TEN_A_MINUTE.quota(full_at, NOW + timedelta(seconds=36)).next_token == timedelta(seconds=6)


@given(RATES, st.integers(-500, 500))
def test_fast_clock_gains_its_lead_only_once(rate: SubmitRate, milliseconds: int) -> None:
    ahead = timedelta(milliseconds=milliseconds)
    both = [now + (ahead if number % 2 else timedelta(0)) for number, now in enumerate([NOW] * (3 * rate.burst + 99))]
    assert len(drawn(rate, both)) <= rate.burst + abs(ahead) / rate.interval
