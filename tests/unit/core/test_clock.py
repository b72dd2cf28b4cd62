"""Times are whole milliseconds in UTC, as text and as numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncjobs.core.clock import (
    epoch_milliseconds,
    from_epoch_milliseconds,
    from_rfc3339,
    rfc3339,
    to_milliseconds,
    to_whole_seconds,
    utc_now,
)

INSTANTS = st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)).map(to_milliseconds)  # noqa: DTZ001


def test_now_is_utc_in_whole_milliseconds() -> None:
    now = utc_now()
    assert now.utcoffset() == timedelta(0)
    assert now.microsecond % 1000 == 0
    assert abs(datetime.now(UTC) - now) < timedelta(minutes=1)


@settings(max_examples=50)
@given(INSTANTS)
def test_every_time_round_trips_through_text_and_number(instant: datetime) -> None:
    assert from_rfc3339(rfc3339(instant)) == instant
    assert from_epoch_milliseconds(epoch_milliseconds(instant)) == instant


@settings(max_examples=50)
@given(INSTANTS, INSTANTS)
def test_texts_sort_as_the_times_do(one: datetime, other: datetime) -> None:
    assert (rfc3339(one) < rfc3339(other)) == (one < other)


def test_text_is_rfc_3339_in_utc_with_milliseconds() -> None:
    assert rfc3339(datetime(2026, 2, 3, 4, 5, 6, 7000, UTC)) == "2026-02-03T04:05:06.007Z"


def test_time_is_truncated_to_milliseconds() -> None:
    assert to_milliseconds(datetime(2026, 2, 3, 4, 5, 6, 7999, UTC)) == datetime(2026, 2, 3, 4, 5, 6, 7000, UTC)


@pytest.mark.parametrize(("microseconds", "second"), [(0, 6), (1000, 7), (999000, 7)])
def test_part_of_a_second_is_rounded_up(microseconds: int, second: int) -> None:
    assert to_whole_seconds(datetime(2026, 2, 3, 4, 5, 6, microseconds, UTC)) == datetime(2026, 2, 3, 4, 5, second, tzinfo=UTC)
