"""What a caller may ask for: commands, which change jobs, and queries, which do not. The owner comes with each call."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from asyncjobs import log, schemas
from asyncjobs.catalogue import Catalogue
from asyncjobs.clock import Clock
from asyncjobs.errors import (
    IdempotencyKeyReused,
    JobAlreadyFinished,
    JobNotFound,
    Unavailable,
)
from asyncjobs.lifecycle import (
    AsyncJob,
    JobKey,
    Status,
    job_id_for,
    submitted,
)
from asyncjobs.objects import INLINE_INPUT_LIMIT, Objects
from asyncjobs.queue import JobMessage, Queue
from asyncjobs.registry import JobType
from asyncjobs.store import ListPosition, Store

if TYPE_CHECKING:
    from asyncjobs.reports import Reports
    from asyncjobs.worker_token import WorkerToken


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitRequest:
    """What a client asks for. Its shape has been checked; its input has not."""

    job_type: str
    input: Any = None
    metadata: Mapping[str, Any] | None = None
    message: str | None = None
    delay: timedelta = timedelta(0)
    retention: timedelta | None = None

    def fingerprint(self) -> bytes:
        """The same for requests that ask for the same, whatever the order of their fields."""
        asked = (
            self.job_type,
            self.input,
            self.metadata,
            self.message,
            self.delay.total_seconds(),
            self.retention and self.retention.total_seconds(),
        )
        return hashlib.sha256(canonical_json(asked)).digest()


@dataclass(frozen=True, slots=True)
class Submission:
    """The accepted job; `replayed` when an earlier request with the same idempotency key had made it.

    The worker's token is there when this request has made a tracked job, and never again.
    """

    job: AsyncJob
    replayed: bool
    worker_token: WorkerToken | None = field(default=None, repr=False)


class Commands:
    """Submit and cancel."""

    def __init__(
        self, *, store: Store, queue: Queue, objects: Objects, catalogue: Catalogue, clock: Clock, max_retention: timedelta
    ) -> None:
        self._store = store
        self._queue = queue
        self._objects = objects
        self._catalogue = catalogue
        self._clock = clock
        self._max_retention = max_retention

    def submit(self, owner: str, request: SubmitRequest, *, idempotency_key: str | None = None) -> Submission:
        """Accept a job. Once this returns, it will run: the record is the promise, the message only makes it quick.

        Raises `UnknownJobType`, `InvalidInput`, `IdempotencyKeyReused`, or `Unavailable` (repeat it with the same key).
        """
        job_type = self._catalogue[request.job_type]
        schemas.check(job_type.name, job_type.input_schema, request.input)
        token = _worker_token(owner) if job_type.tracked else None
        job = self._new_job(owner, request, job_type, idempotency_key, gen=None if token is None else token.gen)
        job = self._with_input(job, request.input)
        existing = self._store.add_if_absent(job, self._clock())
        if existing is not None and existing.request_hash != job.request_hash:
            raise IdempotencyKeyReused
        accepted = existing or job
        if accepted.status is Status.PENDING and not accepted.is_tracked:
            # Also for a replay: the first request may have died before it sent.
            self._send(accepted)
        if existing is None:
            log.event("JOB_ACCEPTED", job)
        return Submission(accepted, replayed=existing is not None, worker_token=token if existing is None else None)

    def cancel(self, owner: str, async_job_id: str) -> AsyncJob:
        """End the job now. Cancelling it again does nothing.

        Raises `JobNotFound`, `JobAlreadyFinished`, `Unavailable`.
        """
        job = self._store.get(JobKey(owner, async_job_id))
        while True:
            job = _present(job, self._clock)
            if job.status is Status.CANCELLED:
                return job
            if job.is_finished:
                raise JobAlreadyFinished
            cancelled = job.cancelled(now=self._clock())
            outcome = self._store.swap_if_unchanged(job, cancelled)
            if outcome is None:
                log.event("JOB_CANCELLED", cancelled)
                return cancelled
            # A claim, a release or the end came first; each uses up a part of a small number, so this ends.
            job = outcome.current

    @cached_property
    def reports(self) -> Reports:
        """What outside workers tell of tracked jobs."""
        from asyncjobs.reports import Reports  # noqa: PLC0415 - only a report pays for it

        return Reports(store=self._store, clock=self._clock)

    def _new_job(
        self, owner: str, request: SubmitRequest, job_type: JobType, idempotency_key: str | None, *, gen: str | None
    ) -> AsyncJob:
        retention = job_type.retention if request.retention is None else request.retention
        return submitted(
            JobKey(owner, job_id_for(owner, idempotency_key)),
            job_type=job_type.name,
            request_hash=request.fingerprint(),
            max_attempts=job_type.max_attempts,
            time_limit=job_type.time_limit,
            deadline=job_type.deadline,
            retention=min(retention, self._max_retention),
            now=self._clock(),
            gen=gen,
            delay=request.delay,
            message=request.message,
            metadata=None if request.metadata is None else canonical_json(request.metadata).decode(),
        )

    def _with_input(self, job: AsyncJob, value: Any) -> AsyncJob:
        """The job with its input in the record or, a large one, in the bucket: before the record that names it."""
        data = canonical_json(value)
        if len(data) <= INLINE_INPUT_LIMIT:
            return job.with_input(text=data.decode())
        return job.with_input(location=self._objects.put_input(job, data))

    def _send(self, job: AsyncJob) -> None:
        delay = timedelta(0) if job.not_before is None else max(job.not_before - self._clock(), timedelta(0))
        try:
            self._queue.send(JobMessage.of(job), delay=delay)
        except Unavailable:
            # The job is accepted all the same: it is in the due index, and the sweeper will send it.
            log.event("JOB_ENQUEUE_DEFERRED", job)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsQuery:
    """Which of an owner's jobs to list."""

    status: Status | None = None
    job_type: str | None = None
    limit: int = 20
    after: ListPosition | None = None

    def matches(self, job: AsyncJob) -> bool:
        """Whether the job belongs to the list."""
        return self.status in (None, job.status) and self.job_type in (None, job.job_type)


@dataclass(frozen=True, slots=True)
class JobsPage:
    """A piece of the list, and where the next one begins; None at the end."""

    jobs: Sequence[AsyncJob]
    next: ListPosition | None


class Queries:
    """Everything that can be read."""

    _MOST_PAGES = 5

    def __init__(self, *, store: Store, objects: Objects, catalogue: Catalogue, clock: Clock) -> None:
        self._store = store
        self._objects = objects
        self._catalogue = catalogue
        self._clock = clock

    def job(self, owner: str, async_job_id: str) -> AsyncJob:
        """The job as it stands now. Raises `JobNotFound`, `Unavailable`."""
        return _present(self._store.get(JobKey(owner, async_job_id)), self._clock)

    def link(self, job: AsyncJob) -> str | None:
        """A short-lived URL of the result, or where else its worker has put it; None if it lies in the job itself."""
        if job.result is None or job.result.location is None:
            return None if job.result is None else job.result.url
        return self._objects.link(job.result.location)

    def jobs(self, owner: str, query: JobsQuery) -> JobsPage:
        """The owner's jobs, newest first. A page may be short, even empty, with more behind it. Raises `Unavailable`."""
        found: list[AsyncJob] = []
        position = query.after
        for _ in range(self._MOST_PAGES):
            page, position = self._store.list_by_owner(owner, limit=query.limit, after=position)
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
        return self._catalogue


def canonical_json(value: Any) -> bytes:
    """The value as JSON: the same bytes for the same value."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode()


def _worker_token(owner: str) -> WorkerToken:
    from asyncjobs.worker_token import WorkerToken  # noqa: PLC0415 - only a tracked job pays for it

    return WorkerToken.new(owner)


def _present(job: AsyncJob | None, clock: Clock) -> AsyncJob:
    if job is None or job.is_expired(clock()):
        raise JobNotFound
    return job
