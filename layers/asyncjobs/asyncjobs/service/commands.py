"""What a caller may ask for: commands, which change jobs, and queries, which do not. The owner comes with each call."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from asyncjobs.core.canonical_json import canonical_json
from asyncjobs.core.clock import Clock, rfc3339
from asyncjobs.core.errors import (
    AnotherIsRunning,
    IdempotencyKeyReused,
    JobAlreadyFinished,
    JobNotFinished,
    JobNotFound,
    JobNotRetryable,
    NotAdmitted,
    Unavailable,
)
from asyncjobs.core.job import (
    FENCE_AND_EXPIRY,
    FENCE_AND_PROGRESS,
    MAX_QUEUE_DELAY,
    RETRYABLE,
    AsyncJob,
    JobKey,
    LockOwner,
    Priority,
    RetentionFrom,
    Status,
    job_id_for,
    present_job,
    submitted,
)
from asyncjobs.core.message import JobMessage
from asyncjobs.core.placement import INLINE_INPUT_LIMIT, UPLOAD_LIFETIME
from asyncjobs.core.ports import Objects, Queue, Store
from asyncjobs.jobtypes import json_schema
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import JobType
from asyncjobs.log import log_event
from asyncjobs.service.long_poll import Waiter

if TYPE_CHECKING:
    from asyncjobs.core.rate import Quota
    from asyncjobs.limits.admission import Admission
    from asyncjobs.limits.locks import Locks
    from asyncjobs.tracking.reports import Reports
    from asyncjobs.tracking.worker_token import WorkerToken
    from asyncjobs.worker.inline import InlineExecutor


_LOCK_LATER = timedelta(seconds=10)
"""When to ask again for a lock that is held: jobs end when they end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitRequest:
    """What a client asks for. Its shape has been checked; its input has not."""

    job_type: str
    input: Any = None
    metadata: Mapping[str, Any] | None = None
    message: str | None = None
    priority: Priority | None = None
    delay: timedelta = timedelta(0)
    not_before: datetime | None = None
    retention: timedelta | None = None
    retention_from: RetentionFrom | None = None

    def fingerprint(self) -> bytes:
        """The same for requests that ask for the same, whatever the order of their fields."""
        asked = (
            self.job_type,
            self.input,
            self.metadata,
            self.message,
            self.delay.total_seconds(),
            self.not_before and rfc3339(self.not_before),
            self.retention and self.retention.total_seconds(),
            self.retention_from,
        )
        # Only where it is given: a request of before there were priorities may be repeated after.
        given = asked if self.priority is None else (*asked, self.priority)
        return hashlib.sha256(canonical_json(given)).digest()


@dataclass(frozen=True, slots=True)
class Submission:
    """The accepted job; `replayed` when an earlier request with the same idempotency key had made it.

    `quota` is what its owner's rate has left; None where there is no such limit. The worker's token is there when this
    request has made a tracked job, and never again.
    """

    job: AsyncJob
    replayed: bool
    quota: Quota | None = None
    worker_token: WorkerToken | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Upload:
    """An object to be uploaded: its key, for the job's input, and a URL to PUT it to. The URL is a secret."""

    key: str
    url: str
    expires_at: datetime


class Commands:
    """What changes jobs: submit, cancel, retry, delete."""

    def __init__(
        self,
        *,
        store: Store,
        queue: Queue,
        objects: Objects,
        catalog: Catalog,
        clock: Clock,
        max_retention: timedelta,
        inline_executor: InlineExecutor | None = None,
        waiter: Waiter | None = None,
        admission: Admission | None = None,
    ) -> None:
        self._store = store
        self._queue = queue
        self._admission = admission
        self._objects = objects
        self._catalog = catalog
        self._clock = clock
        self._max_retention = max_retention
        self._inline_executor = inline_executor
        self._waiter = waiter or Waiter(clock)

    def submit(
        self, owner: str, request: SubmitRequest, *, idempotency_key: str | None = None, in_background: bool = False
    ) -> Submission:
        """Accept a job. Once this returns, it will run: the record is the promise, the message only makes it quick.

        One of a quick type has run by then, unless it is to run `in_background` or later.

        Raises `UnknownJobType`, `InvalidInput`, `IdempotencyKeyReused`, `NotAdmitted`, or `Unavailable` (repeat it with the
        same key).
        """
        job_type = self._catalog[request.job_type]
        json_schema.check(job_type.name, job_type.input_schema, request.input)
        if idempotency_key is None and job_type.dedupe:
            return self._submit_once(owner, request, job_type, in_background=in_background)
        key, is_named = JobKey(owner, job_id_for(owner, idempotency_key)), idempotency_key is not None
        if job_type.tracked:
            return self._track(key, request, job_type, is_named=is_named)
        job = self._new_job(key, request, job_type, request.fingerprint())
        return self._accept(job, request, job_type, in_background=in_background, is_named=is_named)

    def wait(self, job: AsyncJob, at_most: timedelta) -> AsyncJob:
        """The accepted job as soon as it has finished, or as it stands after `at_most` (20 s at the most)."""
        if job.is_finished:
            return job
        try:
            return self._waiter.wait(lambda: self._read(job.key), lambda job: job.is_finished, at_most)
        except (Unavailable, JobNotFound):
            # It is accepted all the same, and who asked for it must learn its name.
            return job

    def cancel(self, owner: str, async_job_id: str) -> AsyncJob:
        """End the job now. Cancelling it again does nothing.

        Raises `JobNotFound`, `JobAlreadyFinished`, `Unavailable`.
        """
        job = self._store.get(JobKey(owner, async_job_id))
        while True:
            job = present_job(job, self._clock())
            if job.status is Status.CANCELLED:
                return job
            if job.is_finished:
                raise JobAlreadyFinished
            cancelled = job.cancelled(now=self._clock())
            # As reports compare each other: so what is answered is the job as it ended.
            outcome = self._store.swap_if_unchanged(job, cancelled, FENCE_AND_PROGRESS)
            if outcome is None:
                log_event("JOB_CANCELLED", cancelled)
                if cancelled.exclusive_key is not None:
                    self._locks.wake(cancelled)
                return cancelled
            # A claim, a release, a report or the end came first. Reports come seldom enough for a cancel to come in between.
            job = outcome.current

    @cached_property
    def reports(self) -> Reports:
        """What outside workers tell of tracked jobs."""
        from asyncjobs.tracking.reports import Reports  # noqa: PLC0415 - only a report pays for it

        return Reports(store=self._store, clock=self._clock)

    def retry(self, owner: str, async_job_id: str) -> AsyncJob:
        """Begin a job that failed or was cancelled anew, with the attempts and the time that its type has now.

        Raises `JobNotFound`, `JobNotRetryable`, `UnknownJobType`, `NotAdmitted`, `Unavailable`.
        """
        job = self._store.get(JobKey(owner, async_job_id))
        while True:
            job = present_job(job, self._clock())
            if job.status not in RETRYABLE or job.is_tracked:
                # Nobody tells an outside worker to begin again, and the one there was has a token of the old generation.
                raise JobNotRetryable
            job_type = self._catalog[job.job_type]
            retried = job.retried(
                max_attempts=job_type.max_attempts,
                timeout=job_type.timeout,
                deadline=job_type.deadline,
                now=self._clock(),
            )
            if self._admission is not None:
                retried, _ = self._admission.admit(retried)
            outcome = self._store.swap_if_unchanged(job, retried, FENCE_AND_EXPIRY)
            if outcome is None:
                log_event("JOB_RETRY_ACCEPTED", retried)
                self._send(retried)
                return retried
            # Another retry, or a deletion, came first; or this one did, and somebody has gone on from there.
            job = outcome.current
            if job is not None and job.generation == retried.generation:
                return job

    def delete(self, owner: str, async_job_id: str) -> None:
        """Forget a finished job, with its input and its results. Its idempotency key is free again.

        From the first write on it is gone for everybody. Should this die after that, another call, or in time the table's TTL
        and the bucket's lifecycle, remove what is left.

        Raises `JobNotFound`, `JobNotFinished`, `Unavailable`.
        """
        job = self._store.get(JobKey(owner, async_job_id))
        while True:
            now = self._clock()
            if job is None or (job.is_expired(now) and not job.is_finished):
                raise JobNotFound
            if not job.is_finished:
                raise JobNotFinished
            marked_deleted = job.marked_deleted(now=now)
            # Also of one that has expired, perhaps by a deletion that died on the way: a retry that read it before must lose.
            outcome = self._store.swap_if_unchanged(job, marked_deleted)
            if outcome is None:
                self._remove(marked_deleted)
                if job.is_expired(now):
                    raise JobNotFound
                log_event("JOB_DELETED", marked_deleted)
                return
            # A retry, or another deletion, came first.
            job = outcome.current

    def upload(self, owner: str, *, content_type: str, size: int) -> Upload:
        """Where the owner may put an object of that type and size (bytes), for a job of its own to open by its key."""
        key = f"uploads/{uuid.uuid4()}"
        url = self._objects.upload_link(owner, key, content_type=content_type, size=size)
        return Upload(key=key, url=url, expires_at=self._clock() + UPLOAD_LIFETIME)

    def _submit_once(self, owner: str, request: SubmitRequest, job_type: JobType, *, in_background: bool) -> Submission:
        """The same input is the same job, unless that came to nothing."""
        digest = hashlib.sha256(canonical_json([request.job_type, request.input])).digest()
        instead_of = None
        while True:
            now = self._clock()
            async_job_id = self._store.reserve_dedupe_key(
                owner, digest.hex(), job_id_for(owner, None), now=now, until=now + job_type.dedupe, instead_of=instead_of
            )
            # Whoever named it may have died before it put the job: then this one does.
            job = self._new_job(JobKey(owner, async_job_id), request, job_type, digest)
            submission = self._accept(job, request, job_type, in_background=in_background, is_named=True)
            if not submission.replayed or submission.job.status not in RETRYABLE:
                return submission
            instead_of = async_job_id

    def _track(self, key: JobKey, request: SubmitRequest, job_type: JobType, *, is_named: bool) -> Submission:
        from asyncjobs.tracking.worker_token import WorkerToken  # noqa: PLC0415 - only a tracked job pays for it

        token = WorkerToken.new(key.owner)
        job = self._new_job(key, request, job_type, request.fingerprint(), generation=token.generation)
        submission = self._accept(job, request, job_type, in_background=True, is_named=is_named)
        return submission if submission.replayed else replace(submission, worker_token=token)

    def _accept(
        self, job: AsyncJob, request: SubmitRequest, job_type: JobType, *, in_background: bool, is_named: bool
    ) -> Submission:
        """Create the job, unless it is there. `is_named` says that it may be: its id is drawn from a key or an input."""
        quota = None
        running = self._locks.in_the_way(job) if _asks_for_lock(job, job_type) else None
        if running is not None:
            return self._instead_of(job, job_type, running, is_named=is_named)
        if self._admission is not None:
            try:
                job, quota = self._admission.admit(job)
            except NotAdmitted as refusal:
                return self._accepted_before(job, refusal, is_named=is_named)
        job = self._with_input(job, request.input)
        inline_executor = None if in_background else self._inline_executor_for(job, job_type)
        if inline_executor is not None:
            job = inline_executor.claimed(job, job_type)
        existing = self._store.add_if_absent(job, self._clock())
        if existing is not None and existing.request_hash != job.request_hash:
            raise IdempotencyKeyReused
        accepted = existing or job
        running = self._withdrawn_for(job) if existing is None and _asks_for_lock(job, job_type) else None
        if running is not None:
            return self._instead_of(job, job_type, running, is_named=False)
        if existing is None:
            log_event("JOB_ACCEPTED", job)
            if inline_executor is not None:
                accepted = inline_executor.run(job)
        if accepted.status is Status.PENDING and not accepted.is_tracked:
            # Also for a replay: the first request may have died before it sent.
            self._send(accepted)
        return Submission(accepted, replayed=accepted.generation != job.generation, quota=quota)

    def _read(self, key: JobKey) -> AsyncJob:
        return present_job(self._store.get(key), self._clock())

    def _remove(self, job: AsyncJob) -> None:
        """The bytes first: while the record is there, it says where they are."""
        self._objects.delete_all(job)
        self._store.remove_if_unchanged(job)

    def _new_job(
        self, key: JobKey, request: SubmitRequest, job_type: JobType, request_hash: bytes, *, generation: str | None = None
    ) -> AsyncJob:
        now = self._clock()
        delay = request.delay if request.not_before is None else max(request.not_before - now, timedelta(0))
        retention = job_type.retention if request.retention is None else request.retention
        job = submitted(
            key,
            job_type=job_type.name,
            request_hash=request_hash,
            priority=request.priority or job_type.priority,
            max_attempts=job_type.max_attempts,
            timeout=job_type.timeout,
            deadline=job_type.deadline,
            retention=min(retention, self._max_retention),
            retention_from=request.retention_from or job_type.retention_from,
            now=now,
            generation=generation,
            delay=delay,
            message=request.message,
            metadata=None if request.metadata is None else canonical_json(request.metadata).decode(),
        )
        if job_type.exclusive is None:
            return job
        from asyncjobs.limits.locks import exclusive_key  # noqa: PLC0415 - see `_locks`

        return job.exclusively(exclusive_key(job_type.exclusive, key.owner, canonical_json(request.input)))

    def _inline_executor_for(self, job: AsyncJob, job_type: JobType) -> InlineExecutor | None:
        """Who runs the job here and now; None for one that is to begin later, or elsewhere."""
        inline_executor = self._inline_executor
        return inline_executor if inline_executor and job.not_before is None and inline_executor.takes(job_type) else None

    @cached_property
    def _locks(self) -> Locks:
        """Imported for the first exclusive job: a cold start pays for each module, and most processes see none."""
        from asyncjobs.limits.locks import Locks  # noqa: PLC0415

        return Locks(store=self._store, queue=self._queue, clock=self._clock)

    def _withdrawn_for(self, job: AsyncJob) -> AsyncJob | None:
        """Take the lock for the job that was just put. Returns who was quicker, and for whom it was withdrawn; None if it stays."""
        try:
            running = self._locks.take(job.exclusive_key or "", LockOwner.of(job))
        except Unavailable:
            # The record stands, so it is accepted: the worker will ask for the lock, and the job waits as long as it must.
            return None
        withdrawn = job.withdrawn(now=self._clock())
        if running is None or self._store.swap_if_unchanged(job, withdrawn) is not None:
            # It has the lock. Or the sweeper had it sent in the meantime, a worker took the lock for it, and it has begun.
            return None
        # Perhaps it was woken instead of somebody who waits.
        self._locks.wake(withdrawn)
        return running

    def _instead_of(self, job: AsyncJob, job_type: JobType, running: AsyncJob, *, is_named: bool) -> Submission:
        """What a caller gets while another job holds the lock: an earlier request's job, the running one, or a refusal."""
        is_own = running.owner == job.owner
        joins = job_type.exclusive is not None and job_type.exclusive.policy == "JOIN" and running.job_type == job.job_type
        refusal = AnotherIsRunning(retry_after=_LOCK_LATER, async_job_id=running.async_job_id if is_own else None)
        return self._accepted_before(job, refusal, is_named=is_named, instead=running if is_own and joins else None)

    def _accepted_before(
        self, job: AsyncJob, refusal: NotAdmitted, *, is_named: bool, instead: AsyncJob | None = None
    ) -> Submission:
        """The job that an earlier request with the same key, or input, made: who tries too often still learns what became of it.

        If there is none, the one `instead`, or the refusal.
        It is only looked up. A message more, with each of many tries, is what a queue that is too long needs least.
        """
        existing = self._store.get(job.key) if is_named else None
        if existing is None or existing.is_expired(self._clock()):
            if instead is not None:
                return Submission(instead, replayed=True)
            log_event("JOB_REFUSED", jobType=job.job_type, reason=type(refusal).__name__)
            raise refusal
        if existing.request_hash != job.request_hash:
            raise IdempotencyKeyReused
        return Submission(existing, replayed=True, quota=refusal.quota)

    def _with_input(self, job: AsyncJob, value: Any) -> AsyncJob:
        """The job with its input in the record or, a large one, in the bucket: before the record that names it."""
        data = canonical_json(value)
        if len(data) <= INLINE_INPUT_LIMIT:
            return job.with_input(text=data.decode())
        return job.with_input(location=self._objects.put_input(job, data))

    def _send(self, job: AsyncJob) -> None:
        delay = timedelta(0) if job.not_before is None else max(job.not_before - self._clock(), timedelta(0))
        if delay > MAX_QUEUE_DELAY:
            return
        try:
            self._queue.send(JobMessage.of(job), delay=delay)
        except Unavailable:
            # The job is accepted all the same: it is in the due index, and the sweeper will send it.
            log_event("JOB_ENQUEUE_DEFERRED", job)


def _asks_for_lock(job: AsyncJob, job_type: JobType) -> bool:
    """Whether the submit asks for the lock. What may only begin later waits for it then: nobody knows who will hold it."""
    return job_type.exclusive is not None and job_type.exclusive.policy != "QUEUE" and job.not_before is None
