"""Submit a job: one draft passes through the steps from a valid request to the answer."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from asyncjobs.core.canonical_json import canonical_json
from asyncjobs.core.clock import Clock, rfc3339
from asyncjobs.core.durations import size_class
from asyncjobs.core.errors import (
    AcceptanceUnknown,
    AnotherIsRunning,
    IdempotencyKeyReused,
    InputProblem,
    InvalidInput,
    NotAdmitted,
    Unavailable,
    UnknownWebhook,
    WebhooksOff,
)
from asyncjobs.core.job import (
    RETRYABLE,
    AsyncJob,
    JobKey,
    LockOwner,
    Priority,
    RetentionFrom,
    Status,
    job_id_for,
    submitted,
)
from asyncjobs.core.placement import INLINE_INPUT_LIMIT, MAX_UPLOADS_PER_JOB, uploads_in
from asyncjobs.core.ports import Objects, Store, Webhooks
from asyncjobs.core.records import replace
from asyncjobs.jobtypes import json_schema
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import INPUT_BYTES, JobType
from asyncjobs.log import log_event

if TYPE_CHECKING:
    from asyncjobs.core.rate import Quota
    from asyncjobs.limits.admission import Admission
    from asyncjobs.limits.locks import Locks
    from asyncjobs.service.sender import Sender
    from asyncjobs.tracking.worker_token import WorkerToken
    from asyncjobs.worker.immediate import ImmediateExecutor

_RETRY_LOCK_AFTER = timedelta(seconds=10)
"""When a client should submit again while the lock is held: nobody can say when the other job ends."""


@dataclass(frozen=True, kw_only=True)
class SubmitRequest:
    """What a client submits. Its shape is valid; its input is not checked yet."""

    job_type: str
    input: Any = None
    metadata: Mapping[str, Any] | None = None
    message: str | None = None
    priority: Priority | None = None
    delay: timedelta = timedelta(0)
    not_before: datetime | None = None
    retention: timedelta | None = None
    retention_from: RetentionFrom | None = None
    webhook: str | None = None
    estimate: timedelta | None = None
    """How long the caller expects the job to take. Requests with different ones are the same."""

    @cached_property
    def input_json(self) -> bytes:
        """The input as canonical JSON. It may be large, and several steps need it."""
        return canonical_json(self.input)

    @cached_property
    def uploads(self) -> Sequence[str]:
        """The keys of the uploads that the input names."""
        return uploads_in(self.input_json)

    def size_class(self, size: str) -> int | None:
        """Return the class of the size that the job's type names; None if the input has no such number."""
        if size == INPUT_BYTES:
            return size_class(len(self.input_json))
        value = self.input.get(size) if isinstance(self.input, Mapping) else None
        return size_class(float(value)) if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None

    def fingerprint(self) -> bytes:
        """Return the same digest for requests with the same content, whatever the order of their fields."""
        others = [
            self.metadata,
            self.message,
            self.delay.total_seconds(),
            self.not_before and rfc3339(self.not_before),
            self.retention and self.retention.total_seconds(),
            self.retention_from,
        ]
        if self.priority is not None:
            # Omitted when unset, so that fingerprints from earlier releases still match.
            others.append(self.priority)
        if self.webhook is not None:
            others.append({"webhook": self.webhook})
        # One JSON array, joined from parts that are JSON already.
        parts = (canonical_json(self.job_type), self.input_json, canonical_json(others)[1:])
        return hashlib.sha256(b"[" + b",".join(parts)).digest()

    def dedupe_digest(self) -> bytes:
        """Return the same digest for requests with the same type and input."""
        return hashlib.sha256(b"[%b,%b]" % (canonical_json(self.job_type), self.input_json)).digest()


@dataclass(frozen=True, slots=True)
class Submission:
    """The accepted job. `replayed` says that an earlier request had created it.

    `quota` is what the owner's submit rate has left; None without such a limit. Only the request that creates a tracked job
    gets its `worker_token`.
    """

    job: AsyncJob
    replayed: bool
    quota: Quota | None = None
    worker_token: WorkerToken | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """A submit between two steps."""

    job: AsyncJob
    """The new job, as far as the steps have made it."""
    request: SubmitRequest
    job_type: JobType
    in_background: bool
    may_exist: bool
    """Whether an earlier request may have created the job: its id comes from an idempotency key or from the input."""
    dedupe_key: str | None = None
    worker_token: WorkerToken | None = field(default=None, repr=False)
    quota: Quota | None = None
    runs_immediately: bool = False
    existing: AsyncJob | None = None
    """The record that the put found in place of a new one."""

    @property
    def needs_lock(self) -> bool:
        """Whether the submit takes the lock. A job that waits for it, or starts later, gets it from the worker."""
        lock = self.job_type.exclusive
        return lock is not None and lock.policy != "QUEUE" and self.job.not_before is None

    def can_replay(self, existing: AsyncJob) -> bool:
        """Return whether this job of an earlier request is the answer to this one, too.

        A deduplicated input gets another job when the first has failed or was cancelled. A job under an idempotency key is the
        answer to each request with that key, however it ended, unless its submit was refused.
        """
        return not existing.was_rolled_back if self.dedupe_key is None else existing.status not in RETRYABLE

    def needs_new_job(self, existing: AsyncJob) -> bool:
        """Return whether the input has to get another job than this one, which it stands for now."""
        return self.dedupe_key is not None and not self.can_replay(existing)

    @property
    def has_objects(self) -> bool:
        """Whether the submit stores the input in the bucket, or keeps uploads there."""
        return len(self.request.input_json) > INLINE_INPUT_LIMIT or bool(self.request.uploads)


_Refusal = NotAdmitted | UnknownWebhook | WebhooksOff
_Step = Callable[[_Draft], _Draft | Submission]


class SubmitPipeline:
    """Takes a request to its submission.

    The order of the steps is part of the protocol. A refused request leaves nothing behind, so the limits come before the
    first write. The record names the input, so the input is stored first, unless an earlier request has stored it. A lock
    names a record that exists, so the put comes before the lock; the first look at the lock only saves the write in most
    cases. The message comes last: it is a hint, and the sweeper sends every one that is missing.
    """

    def __init__(
        self,
        *,
        store: Store,
        objects: Objects,
        catalog: Catalog,
        clock: Clock,
        max_retention: timedelta,
        sender: Sender,
        locks: Callable[[], Locks],
        new_worker_token: Callable[[str], WorkerToken],
        webhooks: Callable[[], Webhooks] | None,
        admission: Admission | None,
        immediate_executor: ImmediateExecutor | None,
    ) -> None:
        self._store = store
        self._objects = objects
        self._catalog = catalog
        self._clock = clock
        self._max_retention = max_retention
        self._sender = sender
        self._locks = locks
        self._new_worker_token = new_worker_token
        self._webhooks = webhooks
        self._admission = admission
        self._immediate_executor = immediate_executor
        self._steps: tuple[_Step, ...] = (
            self._check_webhook,
            self._check_lock,
            self._admit,
            self._find_existing,
            self._store_input,
            self._claim_if_immediate,
            self._put,
            self._settle_lock,
        )

    def run(self, owner: str, request: SubmitRequest, *, idempotency_key: str | None, in_background: bool) -> Submission:
        """Accept a job. Once this returns, the job will run, whatever happens to its message.

        A job of a quick type has already run, unless it starts later or the request is `in_background`.

        Raises `UnknownJobType`, `InvalidInput`, `WebhooksOff`, `UnknownWebhook`, `IdempotencyKeyReused`, `NotAdmitted`, or
        `Unavailable`: nothing was accepted, unless it is `AcceptanceUnknown`.
        """
        request, job_type = self._validated(request)
        draft = self._draft(owner, request, job_type, idempotency_key, in_background=in_background)
        for step in self._steps:
            outcome = step(draft)
            if isinstance(outcome, Submission):
                return outcome
            draft = outcome
        return self._run_or_send(draft)

    # ── Validate and draft ─────────────────────────────────────────────────────────────────────────

    def _validated(self, request: SubmitRequest) -> tuple[SubmitRequest, JobType]:
        job_type = self._catalog[request.job_type]
        if request.input is None and not json_schema.allows(job_type.input_schema, None):
            # Null stands for an input that is left out, unless the type has a meaning for it.
            request = dataclasses.replace(request, input={})
        json_schema.check(job_type.input_schema, request.input)
        if len(request.uploads) > MAX_UPLOADS_PER_JOB:
            raise InvalidInput([InputProblem("", f"names more than {MAX_UPLOADS_PER_JOB} uploads; submit several jobs")])
        return request, job_type

    def _draft(
        self, owner: str, request: SubmitRequest, job_type: JobType, idempotency_key: str | None, *, in_background: bool
    ) -> _Draft:
        """Draft the job under an id from the idempotency key, else from its input if its type deduplicates, else at random."""
        dedupe_key = None
        if idempotency_key is None and job_type.dedupe:
            request_hash = request.dedupe_digest()
            dedupe_key = request_hash.hex()
            async_job_id = self._reserve(owner, dedupe_key, job_type)
        elif idempotency_key is None:
            async_job_id = job_id_for(owner, None)
            # No other request can have this id, so nothing compares the hash, and a large input need not be hashed.
            request_hash = hashlib.sha256(async_job_id.encode()).digest()
        else:
            async_job_id = job_id_for(owner, idempotency_key)
            request_hash = request.fingerprint()
        worker_token = self._new_worker_token(owner) if job_type.tracked else None
        return _Draft(
            job=self._new_job(
                JobKey(owner, async_job_id),
                request,
                job_type,
                request_hash,
                token_hash=None if worker_token is None else worker_token.hash,
            ),
            request=request,
            job_type=job_type,
            in_background=in_background,
            may_exist=idempotency_key is not None or dedupe_key is not None,
            dedupe_key=dedupe_key,
            worker_token=worker_token,
        )

    def _reserve(self, owner: str, dedupe_key: str, job_type: JobType, *, instead_of: str | None = None) -> str:
        """Return the id that the input stands for. Its job may be missing: the submit that reserved it died before its put."""
        now = self._clock()
        return self._store.reserve_dedupe_key(
            owner, dedupe_key, job_id_for(owner, None), now=now, until=now + job_type.dedupe, instead_of=instead_of
        )

    def _new_job(
        self, key: JobKey, request: SubmitRequest, job_type: JobType, request_hash: bytes, *, token_hash: bytes | None
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
            delay=delay,
            message=request.message,
            metadata=None if request.metadata is None else canonical_json(request.metadata).decode(),
            token_hash=token_hash,
            webhook=request.webhook,
            size_class=None if job_type.size is None else request.size_class(job_type.size),
        )
        if job_type.exclusive is None:
            return job
        return job.exclusively(self._locks().exclusive_key(job_type.exclusive, key.owner, request.input_json))

    # ── The steps, in their order ──────────────────────────────────────────────────────────────────

    def _check_webhook(self, draft: _Draft) -> _Draft | Submission:
        """Check that the owner has the webhook. It may be deleted later: then nothing is delivered, and a replay stays one."""
        webhook = draft.request.webhook
        if webhook is None:
            return draft
        if self._webhooks is None:
            return self._replay_or_refuse(draft, WebhooksOff())
        if self._webhooks().of(draft.job.owner).get(webhook) is None:
            return self._replay_or_refuse(draft, UnknownWebhook())
        return draft

    def _check_lock(self, draft: _Draft) -> _Draft | Submission:
        """Answer with the conflict while another job holds the lock. This only reads: the lock is taken after the put."""
        running = self._locks().in_the_way(draft.job) if draft.needs_lock else None
        return draft if running is None else self._conflict(draft, running)

    def _admit(self, draft: _Draft) -> _Draft | Submission:
        if self._admission is None:
            return draft
        try:
            job, quota = self._admission.admit(draft.job)
        except NotAdmitted as refusal:
            return self._replay_or_refuse(draft, refusal)
        return replace(draft, job=job, quota=quota)

    def _find_existing(self, draft: _Draft) -> _Draft:
        """Look for an earlier request's job, so that a repeated request does not store the input a second time."""
        if not draft.may_exist or not draft.has_objects:
            return draft
        existing = self._store.get(draft.job.key)
        if existing is None or existing.is_expired(self._clock()):
            return draft
        return self._rename(draft) if draft.needs_new_job(existing) else self._take_existing(draft, existing)

    def _store_input(self, draft: _Draft) -> _Draft:
        """Keep the input in the record or, a large one, in the bucket, where its uploads are kept, too."""
        if draft.existing is not None:
            return draft
        if draft.request.uploads:
            self._objects.keep_uploads(draft.job, draft.request.uploads)
        data = draft.request.input_json
        if len(data) <= INLINE_INPUT_LIMIT:
            return replace(draft, job=draft.job.with_input(text=data.decode()))
        return replace(draft, job=draft.job.with_input(location=self._objects.put_input(draft.job, data)))

    def _claim_if_immediate(self, draft: _Draft) -> _Draft:
        """Begin the first attempt in the same write as the record, if the job is to run in this process."""
        executor = self._immediate_executor
        if executor is None or draft.in_background or draft.existing is not None or draft.job.not_before is not None:
            return draft
        if not executor.takes(draft.job_type, draft.request.estimate, size_class=draft.job.size_class):
            return draft
        return replace(draft, job=executor.claimed(draft.job, draft.job_type), runs_immediately=True)

    def _put(self, draft: _Draft) -> _Draft:
        """Create the record: from here on the job is accepted."""
        while draft.existing is None:
            try:
                existing = self._store.add_if_absent(draft.job, self._clock())
            except Unavailable as error:
                raise AcceptanceUnknown(draft.job.async_job_id) from error
            if existing is None:
                return draft
            if not draft.needs_new_job(existing):
                self._leave_objects(draft, existing)
                return self._take_existing(draft, existing)
            # Its input is stored again, under its own id.
            draft = self._store_input(self._rename(draft))
        return draft

    def _rename(self, draft: _Draft) -> _Draft:
        """Give the input a new job instead of the one that came to nothing. It is admitted already."""
        job = draft.job
        async_job_id = self._reserve(job.owner, draft.dedupe_key or "", draft.job_type, instead_of=job.async_job_id)
        return replace(draft, job=job.with_id(async_job_id))

    def _take_existing(self, draft: _Draft, existing: AsyncJob) -> _Draft:
        """Take the job of an earlier request. Raise why there can be none."""
        if existing.request_hash != draft.job.request_hash:
            raise IdempotencyKeyReused
        if not draft.can_replay(existing):
            # Nothing was accepted under this key, so there is nothing to replay; and its record is not expired yet.
            retry_after = existing.record_expires_at - self._clock()
            raise _refused(draft, AnotherIsRunning(retry_after=retry_after, async_job_id=None))
        return replace(draft, existing=existing)

    def _leave_objects(self, draft: _Draft, existing: AsyncJob) -> None:
        """Mark the uploads for the job that stays, and delete this request's copy of the input.

        Two requests came at the same moment, and this one may have marked the uploads last. If this fails, the bucket's lifecycle
        deletes what is left.
        """
        with suppress(Unavailable):
            if draft.request.uploads and existing.request_hash == draft.job.request_hash:
                self._objects.keep_uploads(existing, draft.request.uploads)
            # A job of this request that was retried has another generation, and the same input.
            if draft.job.input_location not in {None, existing.input_location}:
                self._objects.delete_all(draft.job)

    def _settle_lock(self, draft: _Draft) -> _Draft | Submission:
        """Take the lock for the new record, or end the record again if another job took the lock first."""
        if draft.existing is not None or not draft.needs_lock:
            return draft
        try:
            running = self._locks().take(draft.job.exclusive_key or "", LockOwner.of(draft.job))
        except Unavailable:
            # The job is accepted all the same: the worker takes the lock for it, and until then it waits.
            return draft
        if running is None or not self._roll_back(draft.job):
            return draft
        return self._conflict(replace(draft, may_exist=False), running)

    def _run_or_send(self, draft: _Draft) -> Submission:
        job = draft.job if draft.existing is None else draft.existing
        replayed = job.generation != draft.job.generation
        if draft.existing is None:
            log_event("JOB_ACCEPTED", job)
            if draft.runs_immediately and self._immediate_executor is not None:
                job = self._immediate_executor.run(job)
            # Not for a replay: any number of them would send any number of messages. If the first request died before it
            # sent the message, the sweeper sends it.
            if job.status is Status.PENDING and not job.is_tracked:
                self._sender.send(job)
        return Submission(job, replayed, draft.quota, None if replayed else draft.worker_token)

    # ── Other answers ──────────────────────────────────────────────────────────────────────────────

    def _roll_back(self, job: AsyncJob) -> bool:
        """End the record that did not get the lock. False if a worker has begun the job: then it has the lock by now."""
        ended = job.rolled_back(now=self._clock())
        try:
            outcome = self._store.swap_if_unchanged(job, ended)
        except Unavailable as error:
            raise AcceptanceUnknown(job.async_job_id) from error
        if not isinstance(outcome, AsyncJob):
            return False
        # The end of another job may have sent this one's message instead of that of a job that waits.
        self._locks().wake(ended)
        return True

    def _conflict(self, draft: _Draft, running: AsyncJob) -> Submission:
        """Answer while another job holds the lock: with an earlier request's job, with that one (`JOIN`), or with a refusal."""
        lock, is_own = draft.job_type.exclusive, running.owner == draft.job.owner
        joins = lock is not None and lock.policy == "JOIN" and is_own and running.job_type == draft.job.job_type
        refusal = AnotherIsRunning(retry_after=_RETRY_LOCK_AFTER, async_job_id=running.async_job_id if is_own else None)
        return self._replay_or_refuse(draft, refusal, joined=running if joins else None)

    def _replay_or_refuse(self, draft: _Draft, refusal: _Refusal, *, joined: AsyncJob | None = None) -> Submission:
        """Return the job that an earlier request with the same key or input created, else `joined`, else raise the refusal.

        The job is only read. A client that retries under a limit would otherwise add one message with each request.
        """
        existing = self._store.get(draft.job.key) if draft.may_exist else None
        if existing is None or existing.is_expired(self._clock()) or not draft.can_replay(existing):
            if joined is not None:
                return Submission(joined, replayed=True)
            raise _refused(draft, refusal)
        if existing.request_hash != draft.job.request_hash:
            raise IdempotencyKeyReused
        return Submission(existing, replayed=True, quota=refusal.quota if isinstance(refusal, NotAdmitted) else None)


def _refused(draft: _Draft, refusal: _Refusal) -> _Refusal:
    """Log the refusal and return it, to be raised."""
    log_event("JOB_REFUSED", jobType=draft.job.job_type, reason=type(refusal).__name__)
    return refusal
