"""What a caller may read: one job, its input and result, a list of jobs, the job types. The owner comes with each call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import InputMissing, JobNotFound
from asyncjobs.core.job import DELIVERY, AsyncJob, JobKey, Status, present_job
from asyncjobs.core.placement import with_links
from asyncjobs.core.ports import ListPosition, Objects, Store
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import JobType
from asyncjobs.service.long_poll import LongPoll, Waited

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
        """Return whether the job belongs to the list."""
        return self.status in (None, job.status) and self.job_type in (None, job.job_type)


@dataclass(frozen=True, slots=True)
class JobsPage:
    """A part of the list, and where the next one begins; None at the end."""

    jobs: Sequence[AsyncJob]
    next: ListPosition | None


_JOBS_PER_READ = 100
_MOST_READS = 5
"""A page of a list costs no more than these reads, however few of the jobs it is for."""


class Queries:
    """Everything that reads jobs."""

    def __init__(
        self,
        *,
        store: Store,
        objects: Objects,
        catalog: Catalog,
        clock: Clock,
        long_poll: LongPoll | None = None,
        backlog: Callable[[], Backlog] | None = None,
    ) -> None:
        """`backlog` is called for a job that waits in a queue. Without it, no answer has a queue's length."""
        self._store = store
        self._objects = objects
        self._catalog = catalog
        self._clock = clock
        self._long_poll = long_poll or LongPoll(clock)
        self._backlog = backlog
        self._is_open: Callable[[AsyncJob], bool] = lambda _: True

    def only(self, is_open: Callable[[AsyncJob], bool]) -> Queries:
        """Return queries for which only these jobs exist. The list of jobs is not restricted."""
        restricted = copy(self)
        restricted._is_open = is_open  # noqa: SLF001 - of the same class
        return restricted

    def job(self, owner: str, async_job_id: str) -> AsyncJob:
        """Return the job as it is stored now, with new links to its artifacts. Raises `JobNotFound`, `Unavailable`."""
        job = present_job(self._store.get(JobKey(owner, async_job_id)), self._clock())
        if not self._is_open(job):
            raise JobNotFound
        return with_links(job, self._objects.artifact_link)

    @property
    def longest_wait(self) -> timedelta:
        """The longest that a request may wait for a change of its job."""
        return self._long_poll.longest

    def wait_for_job(self, owner: str, async_job_id: str, until: Callable[[AsyncJob], bool], at_most: timedelta) -> Waited:
        """Return the job when `until` is true for it, or as it is after `at_most`, or immediately if too many requests wait.

        Raises `JobNotFound`, `Unavailable`.
        """
        job = self.job(owner, async_job_id)
        at_most = min(at_most, self.longest_wait)
        if until(job):
            return Waited(job, at_most)
        with self._long_poll.turns(job, self._clock() + at_most) as turns:
            if turns is None:
                return Waited(job, None)
            for _ in turns:
                job = self.job(owner, async_job_id)
                if until(job):
                    break
        return Waited(job, at_most)

    def queue_depth(self, job: AsyncJob) -> int | None:
        """Return about how many messages, of all owners, wait in the job's queue. None when the number would say nothing.

        That is: for a job that does not wait in a queue, cannot start yet, or may wait for a lock; when the deployment does
        not show the number; and when the queue does not answer.
        """
        waits = job.status is Status.PENDING and job.is_claimable(self._clock()) and job.exclusive_key is None
        return self._backlog().waiting(job.priority) if waits and self._backlog is not None else None

    def link(self, job: AsyncJob) -> str | None:
        """Return a short-lived URL of the result, or the URL that its worker reported; None if the job itself holds the result."""
        if job.result is None or job.result.location is None:
            return None if job.result is None else job.result.url
        return self._objects.link(job)

    def input_of(self, job: AsyncJob) -> str:
        """Return the job's input as the JSON that is stored. Raises `InputMissing`, `Unavailable`."""
        if job.input_location is not None:
            # The object may be missing: a deletion is under way, or a tool other than asyncjobs has deleted it.
            return self._objects.get_input(job).decode()
        if job.input is None:
            raise InputMissing(job.async_job_id)
        return job.input

    def jobs(self, owner: str, query: JobsQuery) -> JobsPage:
        """Return the owner's jobs, newest first. Raises `Unavailable`.

        A page ends when it is full or after 500 jobs were read, whether they belong to it or not. So it may be short, even
        empty, with more behind it.
        """
        found: list[AsyncJob] = []
        position = query.after
        # Without a filter nearly all jobs belong to the list: only the expired ones do not.
        size = _JOBS_PER_READ if query.is_filtered else query.limit
        # Deliveries are a list of their own, so that they are found by their type only.
        for _ in range(_MOST_READS):
            page, position = self._store.list_by_owner(owner, limit=size, after=position, deliveries=query.job_type == DELIVERY)
            size = _JOBS_PER_READ
            for job in page:
                if query.matches(job) and not job.is_expired(self._clock()):
                    found.append(with_links(job, self._objects.artifact_link))
                    if len(found) == query.limit and (position is not None or job is not page[-1]):
                        return JobsPage(found, ListPosition(job.created_at, job.async_job_id))
            if position is None:
                break
        return JobsPage(found, position)

    def job_types(self) -> Iterable[JobType]:
        """Return every job type."""
        return self._catalog
