"""The time, as everything here uses it: aware, UTC, whole milliseconds (what the table and the wire can hold)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Now."""
    return to_milliseconds(datetime.now(UTC))


def to_milliseconds(instant: datetime) -> datetime:
    """The instant with everything below a millisecond cut off."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def to_whole_seconds(instant: datetime) -> datetime:
    """The instant, moved on to the next whole second unless it is one: what DynamoDB's TTL can hold."""
    floor = instant.replace(microsecond=0)
    return floor if floor == instant else floor + timedelta(seconds=1)


def rfc3339(instant: datetime) -> str:
    """The instant as RFC 3339, in UTC, with milliseconds: `2026-02-03T10:00:00.000Z`. Sorts as text."""
    return instant.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant.microsecond // 1000:03d}Z"


def from_rfc3339(text: str) -> datetime:
    """The instant that `rfc3339` wrote."""
    return datetime.fromisoformat(text)


def epoch_milliseconds(instant: datetime) -> int:
    """Milliseconds since 1970."""
    return (instant - _EPOCH) // _MILLISECOND


def from_epoch_milliseconds(milliseconds: int) -> datetime:
    """The instant that `epoch_milliseconds` counted."""
    return _EPOCH + milliseconds * _MILLISECOND


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
