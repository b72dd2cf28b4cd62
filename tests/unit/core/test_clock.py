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
    instant_of,
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


NOON = datetime(2026, 2, 3, 12, tzinfo=UTC)
NEW_YEAR = datetime(2017, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-02-03T12:00:00Z", NOON),
        ("2026-02-03t12:00:00z", NOON),
        ("2026-02-03 12:00:00+00:00", NOON),
        ("2026-02-03T12:00:00-00:00", NOON),
        ("2026-02-03T13:30:00+01:30", NOON),
        ("2026-02-02T12:01:00-23:59", NOON),
        ("2026-02-03T12:00:00.5Z", NOON + timedelta(milliseconds=500)),
        ("2026-02-03T12:00:00.05Z", NOON + timedelta(milliseconds=50)),
        ("2026-02-03T12:00:00.1234567+00:00", NOON + timedelta(milliseconds=123)),
        ("2026-02-03T12:00:00.123999999Z", NOON + timedelta(milliseconds=123)),
        (f"2026-02-03T12:00:00.{'9' * 100_000}Z", NOON + timedelta(milliseconds=999)),
        ("2016-12-31T23:59:60Z", NEW_YEAR),
        ("2016-12-31T23:59:60.25Z", NEW_YEAR + timedelta(milliseconds=250)),
        ("2017-01-01T00:59:60+01:00", NEW_YEAR),
        ("2016-12-31T15:59:60-08:00", NEW_YEAR),
        ("2024-02-29T12:00:00Z", datetime(2024, 2, 29, 12, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999Z", datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
    ],
    ids=lambda value: str(value)[:40],
)
def test_time_of_a_client_is_read_in_each_form_of_rfc_3339(text: str, instant: datetime) -> None:
    assert instant_of(text) == instant
    assert instant_of(text).utcoffset() == timedelta(0)


@settings(max_examples=50)
@given(INSTANTS)
def test_own_times_are_read_as_clients_times(instant: datetime) -> None:
    assert instant_of(rfc3339(instant)) == instant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2026-02-03",
        "2026-02-03T12:00:00",
        "2026-02-03T12:00Z",
        "2026-02-03T12:00:00.Z",
        "2026-02-03T12:00:00,5Z",
        "2026-02-03T12:00:00Z\n",
        " 2026-02-03T12:00:00Z",
        "2026-02-03_12:00:00Z",
        "20260203T120000Z",
        "2026-2-3T12:00:00Z",
        "2026-W06-2T12:00:00Z",
        "2026-02-30T12:00:00Z",
        "2025-02-29T12:00:00Z",
        "2026-13-01T12:00:00Z",
        "2026-02-03T24:00:00Z",
        "2026-02-03T12:60:00Z",
        "2026-02-03T12:00:61Z",
        "2026-02-03T12:00:60Z",
        "2016-12-31T23:59:60+01:00",
        "2026-02-03T12:00:00+24:00",
        "2026-02-03T12:00:00+01:60",
        "2026-02-03T12:00:00+0100",
        "2026-02-03T12:00:00+01",
        "2026-02-03T12:00:00UTC",
        "٢٠٢٦-02-03T12:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:00",
        "9999-12-31T23:59:60Z",
    ],
)
def test_other_text_is_no_time(text: str) -> None:
    with pytest.raises((ValueError, OverflowError)):
        instant_of(text)
