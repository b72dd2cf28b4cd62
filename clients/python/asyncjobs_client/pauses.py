"""When to repeat a request, and when to poll."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from asyncjobs_client.errors import ApiConnectionError, ApiError, AsyncjobsError

Random = Callable[[], float]

_TEMPORARY = frozenset({408, 429, 502, 503, 504})
_SERVER_ERROR = 500
_LONGEST_BACKOFF = 20.0
_LONGEST_RETRY_AFTER = 120.0
_SPREAD = 0.1
"""Pauses are up to 10 % longer than the server requires, so that clients that got the same answer do not come together."""
_SCHEDULE = ((30.0, 2.0), (120.0, 5.0))
"""Up to which age of the wait to poll how often, if the server does not say."""
_LAST_INTERVAL = 10.0


def is_temporary(error: AsyncjobsError) -> bool:
    """Return whether the same request may succeed later.

    A 500 with a code is the API's own answer. One without comes from the gateway, whatever happened behind it.
    """
    if isinstance(error, ApiError):
        return error.status in _TEMPORARY or (error.status == _SERVER_ERROR and error.code is None)
    return isinstance(error, ApiConnectionError)


def retry_pause(error: AsyncjobsError, failures: int, random: Random) -> float | None:
    """Return the seconds before the next try, after so many failed ones, or None: the caller decides about a long pause."""
    wanted = error.retry_after if isinstance(error, ApiError) else None
    if wanted is not None and wanted > _LONGEST_RETRY_AFTER:
        return None
    return backoff(error, failures, random)


def backoff(error: AsyncjobsError, failures: int, random: Random) -> float:
    """Return the seconds before the next try: `Retry-After`, or else a random part of a bound that doubles."""
    if isinstance(error, ApiError) and error.retry_after is not None:
        return _spread(error.retry_after, random)
    return random() * min(_LONGEST_BACKOFF, 0.25 * 2.0 ** min(failures, 10))


def poll_pause(retry_after: float | None, age: float, random: Random) -> float:
    """Return the seconds before the next poll of a wait that has lasted for `age` seconds."""
    if retry_after is None:
        retry_after = next((interval for until, interval in _SCHEDULE if age < until), _LAST_INTERVAL)
    return _spread(retry_after, random)


def _spread(seconds: float, random: Random) -> float:
    return seconds * (1 + _SPREAD * random())


def retry_after_of(value: str | None, date: str | None) -> float | None:
    """Return the seconds of a `Retry-After`. A date counts from the answer's own `Date`, not from this machine's clock."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - a date is rare

    try:
        return max(0.0, (parsedate_to_datetime(value) - parsedate_to_datetime(date or "")).total_seconds())
    except (ValueError, TypeError):  # not dates, or only one of them has a time zone
        return None


@dataclass(frozen=True)
class Patience:
    """How long a wait lasts. `give_up` None is without limit."""

    give_up: float | None
    began: float

    def age(self, now: float) -> float:
        """Return how long the wait has lasted."""
        return now - self.began

    def left(self, now: float) -> float:
        """Return how long the wait goes on."""
        return float("inf") if self.give_up is None else self.give_up - self.age(now)
