"""The submit rate of an owner: a token bucket whose whole state is one time. Pure: no clock, no AWS, no HTTP.

The bucket holds `burst` tokens, a submit takes one, and every `interval` one comes back. The time when it will be full
again is its whole state (the generic cell rate algorithm). So it is one attribute, and taking a token is one conditional
write.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Quota:
    """The rest of an owner's rate, as shown to the client."""

    burst: int
    window: timedelta
    """How long an empty bucket takes to fill."""
    remaining: int
    next_token: timedelta
    """How long until there is one more than `remaining`."""


@dataclass(frozen=True, slots=True)
class SubmitRate:
    """At most `burst` in a burst and `per_minute` a minute in the long run: never more than `burst + time / interval`."""

    per_minute: int
    burst: int

    @property
    def interval(self) -> timedelta:
        """The time between two tokens, rounded up to the millisecond, the table's unit."""
        return timedelta(milliseconds=-(-60_000 // self.per_minute))

    def latest_full_at(self, now: datetime) -> datetime:
        """Return the latest `full_at` of a bucket that has a token now."""
        return now + (self.burst - 1) * self.interval

    def draw(self, full_at: datetime | None, now: datetime) -> tuple[bool, datetime]:
        """Take a token if there is one. Return whether there was, and the new `full_at`. None is a full bucket."""
        if full_at is not None and full_at > self.latest_full_at(now):
            return False, full_at
        return True, (now if full_at is None else max(full_at, now)) + self.interval

    def quota(self, full_at: datetime, now: datetime) -> Quota:
        """Return the rest of a bucket that will be full at `full_at`."""
        taken = max(0, -((now - full_at) // self.interval))
        remaining = max(0, self.burst - taken)
        # Of `taken` tokens the last one comes back at `full_at`, and each other an interval before the next.
        next_token = full_at - now - (self.burst - remaining - 1) * self.interval
        return Quota(
            burst=self.burst,
            window=self.burst * self.interval,
            remaining=remaining,
            next_token=max(timedelta(0), next_token),
        )
