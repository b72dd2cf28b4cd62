"""How often an owner may submit: a token bucket whose whole state is one instant. Pure: no clock, no AWS, no HTTP.

The bucket holds `burst` tokens, a submit takes one, and every `interval` one comes back. When it will be full again says all
there is to know of it (the generic cell rate algorithm): so it is one attribute, and taking a token one conditional write.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Quota:
    """What an owner has left, as a client is told."""

    burst: int
    window: timedelta
    """How long an empty bucket takes to be full."""
    remaining: int
    next_token: timedelta
    """How long until there is one more than `remaining`."""


@dataclass(frozen=True, slots=True)
class SubmitRate:
    """At most `burst` at once and, in the long run, `per_minute` a minute: never more than `burst + time / interval`."""

    per_minute: int
    burst: int

    @property
    def interval(self) -> timedelta:
        """Between two tokens: rounded up to the millisecond, which is what the table holds."""
        return timedelta(milliseconds=-(-60_000 // self.per_minute))

    def latest_full_at(self, now: datetime) -> datetime:
        """A bucket that will be full by this time, and no later, has a token now."""
        return now + (self.burst - 1) * self.interval

    def draw(self, full_at: datetime | None, now: datetime) -> tuple[bool, datetime]:
        """Take a token, if there is one: whether there was, and when the bucket is full from now on. None is a full bucket."""
        if full_at is not None and full_at > self.latest_full_at(now):
            return False, full_at
        return True, (now if full_at is None else max(full_at, now)) + self.interval

    def quota(self, full_at: datetime, now: datetime) -> Quota:
        """What is left in a bucket that will be full at `full_at`."""
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
