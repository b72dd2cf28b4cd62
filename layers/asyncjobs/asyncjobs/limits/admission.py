"""Admission: limits on an owner's submits and jobs, and on a queue's backlog, checked before anything is stored."""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import Busy, SubmitRateExceeded, TooManyLiveJobs
from asyncjobs.core.job import AsyncJob, Priority, Status
from asyncjobs.core.ports import Queue, Store
from asyncjobs.core.rate import Quota, SubmitRate
from asyncjobs.limits.backlog import Backlog
from asyncjobs.settings import Settings

_NEWEST = 10
"""The jobs of an owner that are read while a queue is full."""
_LATER = timedelta(seconds=10)
"""When to retry where the right time cannot be known, since jobs end at any time."""


class Admission:
    """The limits of a deployment: an owner's rate (None: no limit), its live jobs, and a queue's backlog (0: no limit)."""

    def __init__(
        self,
        *,
        store: Store,
        queue: Queue,
        clock: Clock,
        rate: SubmitRate | None = None,
        max_live: int = 0,
        max_backlog: int = 0,
    ) -> None:
        self._store = store
        self._backlog = Backlog(queue, clock)
        self._clock = clock
        self._rate = rate
        self._max_live = max_live
        self._max_backlog = max_backlog

    @classmethod
    def of(cls, settings: Settings, *, store: Store, queue: Queue, clock: Clock) -> Self:
        """Return the limits of these settings."""
        per_minute = settings.submit_rate_per_minute
        return cls(
            store=store,
            queue=queue,
            clock=clock,
            rate=SubmitRate(per_minute, settings.submit_burst) if per_minute else None,
            max_live=settings.max_live,
            max_backlog=settings.max_backlog,
        )

    def admit(self, job: AsyncJob) -> tuple[AsyncJob, Quota | None]:
        """Return the new job as it may be stored, and the rest of its owner's rate (None without one).

        Raises `Busy`, `TooManyLiveJobs`, `SubmitRateExceeded`, or `Unavailable` (the put would fail, too). The token comes
        last, so that a job which another limit rejects takes none.
        """
        owner = job.owner
        # A tracked job never goes to a queue.
        if self._max_backlog and not job.is_tracked and self._is_full_for(owner, job.priority):
            raise Busy("The queue is full.", retry_after=_LATER)
        if self._max_live:
            if self._store.count_live(owner, at_most=self._max_live) >= self._max_live:
                raise TooManyLiveJobs(f"{self._max_live} jobs of this owner are unfinished.", retry_after=_LATER)
            job = job.counted()
        return job, self.take_token(owner)

    def take_token(self, owner: str) -> Quota | None:
        """Take a token from the owner's bucket, and return the rest of its rate (None without one).

        Raises `SubmitRateExceeded`, `Unavailable`.
        """
        rate = self._rate
        if rate is None:
            return None
        now = self._clock()
        taken, full_at = self._store.take_token_if_any(owner, rate, now)
        quota = rate.quota(full_at, now)
        if not taken:
            raise SubmitRateExceeded(
                f"More than {rate.per_minute} submits a minute.", retry_after=quota.next_token, quota=quota
            )
        return quota

    def _is_full_for(self, owner: str, priority: Priority) -> bool:
        """Return whether the queue is full, and has a message of one of the owner's newest jobs.

        A full queue admits the first job of any other owner, so nobody's messages keep the others out. A queue that does not
        answer is not full: jobs are accepted while it is down.
        """
        if (self._backlog.waiting(priority) or 0) < self._max_backlog:
            return False
        newest, _ = self._store.list_by_owner(owner, limit=_NEWEST)
        now = self._clock()
        return any(job.status is Status.PENDING and job.priority is priority and job.is_claimable(now) for job in newest)
