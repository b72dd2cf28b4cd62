"""What a caller may ask for: commands, which change jobs, and queries, which do not. The owner comes with each call."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from asyncjobs import log, schemas
from asyncjobs.catalogue import Catalogue
from asyncjobs.clock import Clock, rfc3339
from asyncjobs.errors import (
    AnotherIsRunning,
    IdempotencyKeyReused,
    JobAlreadyFinished,
    JobNotFinished,
    JobNotFound,
    JobNotRetryable,
    NotAdmitted,
    Unavailable,
)
from asyncjobs.lifecycle import (
    FENCE_AND_EXPIRY,
    FENCE_AND_PROGRESS,
    MAX_QUEUE_DELAY,
    RETRYABLE,
    AsyncJob,
    Holder,
    JobKey,
    Priority,
    RetentionFrom,
    Status,
    job_id_for,
    submitted,
)
from asyncjobs.objects import INLINE_INPUT_LIMIT, UPLOAD_LIFETIME, Objects
from asyncjobs.queue import JobMessage, Queue
from asyncjobs.registry import JobType
from asyncjobs.store import ListPosition, Store
from asyncjobs.waiting import Waiter

if TYPE_CHECKING:
    from asyncjobs.admission import Admission
    from asyncjobs.backlog import Backlog
    from asyncjobs.exclusive import Locks
    from asyncjobs.immediate import FirstWorker
    from asyncjobs.rate import Quota
    from asyncjobs.reports import Reports
    from asyncjobs.worker_token import WorkerToken


_LEAST_WITH_EXPONENT = 1e21
"""From here on JSON's canonical form writes numbers with an exponent, so that they stay what they are."""

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
        catalogue: Catalogue,
        clock: Clock,
        max_retention: timedelta,
        first_worker: FirstWorker | None = None,
        waiter: Waiter | None = None,
        admission: Admission | None = None,
    ) -> None:
        self._store = store
        self._queue = queue
        self._admission = admission
        self._objects = objects
        self._catalogue = catalogue
        self._clock = clock
        self._max_retention = max_retention
        self._first_worker = first_worker
        self._waiter = waiter or Waiter(clock)

    def submit(
        self, owner: str, request: SubmitRequest, *, idempotency_key: str | None = None, in_background: bool = False
    ) -> Submission:
        """Accept a job. Once this returns, it will run: the record is the promise, the message only makes it quick.

        One of a quick type has run by then, unless it is to run `in_background` or later.

        Raises `UnknownJobType`, `InvalidInput`, `IdempotencyKeyReused`, `NotAdmitted`, or `Unavailable` (repeat it with the
        same key).
        """
        job_type = self._catalogue[request.job_type]
        schemas.check(job_type.name, job_type.input_schema, request.input)
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
            job = _present(job, self._clock)
            if job.status is Status.CANCELLED:
                return job
            if job.is_finished:
                raise JobAlreadyFinished
            cancelled = job.cancelled(now=self._clock())
            # As reports compare each other: so what is answered is the job as it ended.
            outcome = self._store.swap_if_unchanged(job, cancelled, FENCE_AND_PROGRESS)
            if outcome is None:
                log.event("JOB_CANCELLED", cancelled)
                if cancelled.exclusive_key is not None:
                    self._locks.wake(cancelled)
                return cancelled
            # A claim, a release, a report or the end came first. Reports come seldom enough for a cancel to come in between.
            job = outcome.current

    @cached_property
    def reports(self) -> Reports:
        """What outside workers tell of tracked jobs."""
        from asyncjobs.reports import Reports  # noqa: PLC0415 - only a report pays for it

        return Reports(store=self._store, clock=self._clock)

    def retry(self, owner: str, async_job_id: str) -> AsyncJob:
        """Begin a job that failed or was cancelled anew, with the attempts and the time that its type has now.

        Raises `JobNotFound`, `JobNotRetryable`, `UnknownJobType`, `NotAdmitted`, `Unavailable`.
        """
        job = self._store.get(JobKey(owner, async_job_id))
        while True:
            job = _present(job, self._clock)
            if job.status not in RETRYABLE or job.is_tracked:
                # Nobody tells an outside worker to begin again, and the one there was has a token of the old generation.
                raise JobNotRetryable
            job_type = self._catalogue[job.job_type]
            retried = job.retried(
                max_attempts=job_type.max_attempts,
                time_limit=job_type.time_limit,
                deadline=job_type.deadline,
                now=self._clock(),
            )
            if self._admission is not None:
                retried, _ = self._admission.admit(retried)
            outcome = self._store.swap_if_unchanged(job, retried, FENCE_AND_EXPIRY)
            if outcome is None:
                log.event("JOB_RETRY_ACCEPTED", retried)
                self._send(retried)
                return retried
            # Another retry, or a deletion, came first; or this one did, and somebody has gone on from there.
            job = outcome.current
            if job is not None and job.gen == retried.gen:
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
            forgotten = job.forgotten(now=now)
            # Also of one that has expired, perhaps by a deletion that died on the way: a retry that read it before must lose.
            outcome = self._store.swap_if_unchanged(job, forgotten)
            if outcome is None:
                self._remove(forgotten)
                if job.is_expired(now):
                    raise JobNotFound
                log.event("JOB_DELETED", forgotten)
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
            async_job_id = self._store.name_if_free(
                owner, digest.hex(), job_id_for(owner, None), now=now, until=now + job_type.dedupe, instead_of=instead_of
            )
            # Whoever named it may have died before it put the job: then this one does.
            job = self._new_job(JobKey(owner, async_job_id), request, job_type, digest)
            submission = self._accept(job, request, job_type, in_background=in_background, is_named=True)
            if not submission.replayed or submission.job.status not in RETRYABLE:
                return submission
            instead_of = async_job_id

    def _track(self, key: JobKey, request: SubmitRequest, job_type: JobType, *, is_named: bool) -> Submission:
        from asyncjobs.worker_token import WorkerToken  # noqa: PLC0415 - only a tracked job pays for it

        token = WorkerToken.new(key.owner)
        job = self._new_job(key, request, job_type, request.fingerprint(), gen=token.gen)
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
        first_worker = None if in_background else self._first_worker_for(job, job_type)
        if first_worker is not None:
            job = first_worker.claimed(job, job_type)
        existing = self._store.add_if_absent(job, self._clock())
        if existing is not None and existing.request_hash != job.request_hash:
            raise IdempotencyKeyReused
        accepted = existing or job
        running = self._withdrawn_for(job) if existing is None and _asks_for_lock(job, job_type) else None
        if running is not None:
            return self._instead_of(job, job_type, running, is_named=False)
        if existing is None:
            log.event("JOB_ACCEPTED", job)
            if first_worker is not None:
                accepted = first_worker.run(job)
        if accepted.status is Status.PENDING and not accepted.is_tracked:
            # Also for a replay: the first request may have died before it sent.
            self._send(accepted)
        return Submission(accepted, replayed=accepted.gen != job.gen, quota=quota)

    def _read(self, key: JobKey) -> AsyncJob:
        return _present(self._store.get(key), self._clock)

    def _remove(self, job: AsyncJob) -> None:
        """The bytes first: while the record is there, it says where they are."""
        self._objects.delete_all(job)
        self._store.remove_if_unchanged(job)

    def _new_job(
        self, key: JobKey, request: SubmitRequest, job_type: JobType, request_hash: bytes, *, gen: str | None = None
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
            time_limit=job_type.time_limit,
            deadline=job_type.deadline,
            retention=min(retention, self._max_retention),
            retention_from=request.retention_from or job_type.retention_from,
            now=now,
            gen=gen,
            delay=delay,
            message=request.message,
            metadata=None if request.metadata is None else canonical_json(request.metadata).decode(),
        )
        if job_type.exclusive is None:
            return job
        from asyncjobs.exclusive import exclusive_key  # noqa: PLC0415 - see `_locks`

        return job.exclusively(exclusive_key(job_type.exclusive, key.owner, canonical_json(request.input)))

    def _first_worker_for(self, job: AsyncJob, job_type: JobType) -> FirstWorker | None:
        """Who runs the job here and now; None for one that is to begin later, or elsewhere."""
        first_worker = self._first_worker
        return first_worker if first_worker and job.not_before is None and first_worker.takes(job_type) else None

    @cached_property
    def _locks(self) -> Locks:
        """Imported for the first exclusive job: a cold start pays for each module, and most processes see none."""
        from asyncjobs.exclusive import Locks  # noqa: PLC0415

        return Locks(store=self._store, queue=self._queue, clock=self._clock)

    def _withdrawn_for(self, job: AsyncJob) -> AsyncJob | None:
        """Take the lock for the job that was just put. Returns who was quicker, and for whom it was withdrawn; None if it stays."""
        try:
            running = self._locks.take(job.exclusive_key or "", Holder.of(job))
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
            log.event("JOB_REFUSED", jobType=job.job_type, reason=type(refusal).__name__)
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

    def __init__(
        self,
        *,
        store: Store,
        objects: Objects,
        catalogue: Catalogue,
        clock: Clock,
        waiter: Waiter | None = None,
        queue: Callable[[], Queue] | None = None,
    ) -> None:
        """`queue` is called when a queue is to be looked at for the first time; without it none is."""
        self._queue = queue
        self._store = store
        self._objects = objects
        self._catalogue = catalogue
        self._clock = clock
        self._waiter = waiter or Waiter(clock)

    def job(self, owner: str, async_job_id: str) -> AsyncJob:
        """The job as it stands now. Raises `JobNotFound`, `Unavailable`."""
        return _present(self._store.get(JobKey(owner, async_job_id)), self._clock)

    def job_once(self, owner: str, async_job_id: str, until: Callable[[AsyncJob], bool], at_most: timedelta) -> AsyncJob:
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

    @cached_property
    def _backlog(self) -> Backlog | None:
        """Imported, and its client made, for the first job that waits: most polls are of jobs that run or have ended."""
        if self._queue is None:
            return None
        from asyncjobs.backlog import Backlog  # noqa: PLC0415 - see above

        return Backlog(self._queue(), self._clock)


def _asks_for_lock(job: AsyncJob, job_type: JobType) -> bool:
    """Whether the submit asks for the lock. What may only begin later waits for it then: nobody knows who will hold it."""
    return job_type.exclusive is not None and job_type.exclusive.policy != "QUEUE" and job.not_before is None


def canonical_json(value: Any) -> bytes:
    """The value as JSON: the same bytes for the same value, whether its author wrote 44 or 44.0, as in RFC 8785 (3.2.2.3)."""
    return json.dumps(_canonical(value), ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode()


def _canonical(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < _LEAST_WITH_EXPONENT:
        return int(value)
    if isinstance(value, Mapping):
        return {name: _canonical(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(member) for member in value]
    return value


def _present(job: AsyncJob | None, clock: Clock) -> AsyncJob:
    if job is None or job.is_expired(clock()):
        raise JobNotFound
    return job
