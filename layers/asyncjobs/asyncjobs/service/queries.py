"""What a caller may read: one job, its result, a list of jobs, the job types. The owner comes with each call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from asyncjobs.core.clock import Clock
from asyncjobs.core.job import AsyncJob, JobKey, Status, present_job
from asyncjobs.core.ports import ListPosition, Objects, Queue, Store
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import JobType
from asyncjobs.service.long_poll import Waiter

if TYPE_CHECKING:
    from asyncjobs.limits.backlog import Backlog


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsQuery:
    """Which of an owner's jobs to list."""

    status: Status | None = None
    job_type: str | None = None
    limit: int = 20
    after: ListPosition | None = None

    @property
    def is_filtered(self) -> bool:
        """Whether some jobs may not belong to the list."""
        return self.status is not None or self.job_type is not None

    def matches(self, job: AsyncJob) -> bool:
        """Whether the job belongs to the list."""
        return self.status in (None, job.status) and self.job_type in (None, job.job_type)


@dataclass(frozen=True, slots=True)
class JobsPage:
    """A piece of the list, and where the next one begins; None at the end."""

    jobs: Sequence[AsyncJob]
    next: ListPosition | None


_JOBS_PER_READ = 100
_MOST_READS = 5
"""A page of a list costs no more than these reads, however few of the jobs it is for."""


class Queries:
    """Everything that can be read."""

    def __init__(
        self,
        *,
        store: Store,
        objects: Objects,
        catalog: Catalog,
        clock: Clock,
        waiter: Waiter | None = None,
        queue: Callable[[], Queue] | None = None,
    ) -> None:
        """`queue` is called when a queue is to be looked at for the first time; without it none is."""
        self._queue = queue
        self._store = store
        self._objects = objects
        self._catalog = catalog
        self._clock = clock
        self._waiter = waiter or Waiter(clock)

    def job(self, owner: str, async_job_id: str) -> AsyncJob:
        """The job as it stands now. Raises `JobNotFound`, `Unavailable`."""
        return present_job(self._store.get(JobKey(owner, async_job_id)), self._clock())

    def wait_for_job(self, owner: str, async_job_id: str, until: Callable[[AsyncJob], bool], at_most: timedelta) -> AsyncJob:
        """The job as soon as `until` says so, or as it stands after `at_most` (20 s at the most).

        Raises `JobNotFound`, `Unavailable`.
        """
        return self._waiter.wait(lambda: self.job(owner, async_job_id), until, at_most)

    def queue_depth(self, job: AsyncJob) -> int | None:
        """About how many messages wait in the queue that the job waits in, everybody's; None where that would tell nothing.

        So it is for a job that does not wait, may not begin yet, or may wait for a lock; when nobody is to know; and when
        the queue does not answer.
        """
        waits = job.status is Status.PENDING and job.is_claimable(self._clock()) and job.exclusive_key is None
        return self._backlog.waiting(job.priority) if waits and self._backlog is not None else None

    def link(self, job: AsyncJob) -> str | None:
        """A short-lived URL of the result, or where else its worker has put it; None if it lies in the job itself."""
        if job.result is None or job.result.location is None:
            return None if job.result is None else job.result.url
        return self._objects.link(job.result.location)

    def jobs(self, owner: str, query: JobsQuery) -> JobsPage:
        """Return the owner's jobs, newest first. Raises `Unavailable`.

        A page ends when it is full or after 500 jobs were read, whether they belong to it or not. So it may be short, even
        empty, with more behind it.
        """
        found: list[AsyncJob] = []
        position = query.after
        # Without a filter nearly all jobs belong to the list: only the expired ones do not.
        size = _JOBS_PER_READ if query.is_filtered else query.limit
        for _ in range(_MOST_READS):
            page, position = self._store.list_by_owner(owner, limit=size, after=position)
            size = _JOBS_PER_READ
            for job in page:
                if query.matches(job) and not job.is_expired(self._clock()):
                    found.append(job)
                    if len(found) == query.limit and (position is not None or job is not page[-1]):
                        return JobsPage(found, ListPosition(job.created_at, job.async_job_id))
            if position is None:
                break
        return JobsPage(found, position)

    def job_types(self) -> Iterable[JobType]:
        """Every job type."""
        return self._catalog

    @cached_property
    def _backlog(self) -> Backlog | None:
        """Imported, and its client made, for the first job that waits: most polls are of jobs that run or have ended."""
        if self._queue is None:
            return None
        from asyncjobs.limits.backlog import Backlog  # noqa: PLC0415 - see above

        return Backlog(self._queue(), self._clock)
