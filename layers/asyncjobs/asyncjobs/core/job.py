"""What an asynchronous job is and how it may change. Pure: no clock, no AWS, no HTTP.

Each change is a method that returns the changed job; each is allowed only from some states, which it checks. Whether the
change *happens* is decided by the store, which swaps the old job for the new one only if nobody else changed it first.
"""

from __future__ import annotations

import hashlib
import random
import uuid
import zlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypedDict

from asyncjobs.core.clock import to_milliseconds, to_whole_seconds
from asyncjobs.core.errors import IllegalMove, JobNotFound

# ── The promise in numbers ─────────────────────────────────────────────────────────────────────────

MAX_ATTEMPTS_LIMIT = 10
MAX_DEADLINE = timedelta(days=1)

SHORT_TIMEOUT = timedelta(minutes=1)
"""Up to this time limit an attempt is covered by one lease; above it, by short leases that it renews."""

GRACE = timedelta(seconds=5)
"""What an attempt has left for its `finally` once its time limit has been raised in it."""

LEASE_MARGIN = timedelta(seconds=10)
"""How much longer than its attempt a lease lasts: more than the clocks of two Lambda hosts ever differ."""

HEARTBEAT = timedelta(seconds=8)
SHORT_LEASE = 3 * HEARTBEAT
"""Two heartbeats may be lost before the lease is. A dead worker is noticed at most SHORT_LEASE + SWEEP_INTERVAL later."""

SWEEP_INTERVAL = timedelta(minutes=1)
MAX_QUEUE_DELAY = timedelta(minutes=15)
"""The longest SQS delays a message. A job that starts later is sent by the sweeper, up to a sweep interval late."""
MAX_SWEEP_BACKOFF = timedelta(minutes=16)
MAX_LOCK_BACKOFF = timedelta(minutes=4)
"""The same for a job that waits for a lock: the longest it goes on waiting when the one before it ended and could not say so."""

RETRY_BACKOFF = timedelta(seconds=2)
MAX_RETRY_BACKOFF = timedelta(minutes=5)

MIN_RETENTION = timedelta(minutes=1)
"""How long a job is kept after its end at least, whatever its retention counts from: somebody is to see how it ended."""

UNFINISHED_RETENTION = timedelta(days=7)
"""How long after its deadline a record that nobody ended would still be there. The sweeper ends it long before."""

DUE_SHARDS = 4
"""Partitions of the due index; each takes about 500 new jobs a second. May be raised, never lowered, on a living table."""

MAX_MESSAGE_LENGTH = 256
MAX_ERROR_MESSAGE = 1024


class Status(StrEnum):
    """Where a job stands."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_finished(self) -> bool:
        """Whether the status never changes again."""
        return self in FINISHED


FINISHED = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
RETRYABLE = frozenset({Status.FAILED, Status.CANCELLED})


class RetentionFrom(StrEnum):
    """What a job's retention counts from."""

    CREATION = "CREATION"
    END = "END"


class Priority(StrEnum):
    """Which queue a job waits in. Each has workers of its own, so it waits behind jobs of its own priority and no others."""

    HIGH = "high"
    STANDARD = "standard"
    LOW = "low"


class ResultType(StrEnum):
    """Where a result lies: in the job itself, in the bucket, or where an outside worker says."""

    INLINE = "INLINE"
    S3 = "S3"
    URL = "URL"


@dataclass(frozen=True, slots=True)
class JobFailure:
    """Why an attempt, or the job, failed. All of it may be shown to the job's owner."""

    code: str
    message: str
    type: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Result:
    """A result: its JSON text, or where in the bucket it lies, or where else."""

    text: str | None = None
    location: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class JobKey:
    """What names a job. The owner is part of it, so no key of one owner reaches a job of another."""

    owner: str
    async_job_id: str


@dataclass(frozen=True, slots=True)
class LockOwner:
    """A job in one of its generations: who holds a lock."""

    key: JobKey
    generation: str

    @classmethod
    def of(cls, job: AsyncJob) -> LockOwner:
        """The job as it stands now."""
        return cls(job.key, job.generation)

    def is_over(self, job: AsyncJob | None, now: datetime) -> bool:
        """Whether this generation has ended, from what stands there as the job. Once over, it is so for ever."""
        return job is None or job.generation != self.generation or job.is_finished or job.is_expired(now)


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncJob:
    """A job, as it stands at one moment."""

    owner: str
    async_job_id: str
    job_type: str
    status: Status = Status.PENDING
    generation: str
    """Made anew by each submit that creates a record; messages and writes of an earlier record do not fit it."""
    request_hash: bytes
    priority: Priority = Priority.STANDARD
    attempt: int = 0
    """Attempts begun. Only a claim raises it, by one, so (attempt, claimed_by) names one invocation: the fencing token."""
    max_attempts: int
    """0 for a tracked job: none is ever begun here."""
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    deadline_at: datetime
    record_expires_at: datetime
    retention: timedelta
    retention_from: RetentionFrom = RetentionFrom.END
    not_before: datetime | None = None
    due_at: datetime | None
    """When the sweeper looks at the job next. None exactly when it is finished."""
    sweeps: int = 0
    claimed_by: str | None = None
    lease_until: datetime | None = None
    progress: int = 0
    progress_at: datetime | None = None
    """When it was first told to be so far: heartbeats and messages that come after move `updated_at` and not this."""
    message: str | None = None
    input: str | None = None
    input_location: str | None = None
    metadata: str | None = None
    result: Result | None = None
    error: JobFailure | None = None
    live_owner: str | None = None
    """The owner, for as long as the job counts among the owner's live ones; None when nobody counts them, and at the end."""
    exclusive_key: str | None = None
    """The lock that it runs under, and how many may hold it: see `exclusive`. None for most jobs, which need none."""
    waits_since: datetime | None = None
    """Since when it could have begun, had it the lock. None once it has begun, or ended, or if it needs none."""

    # ── What it is ─────────────────────────────────────────────────────────────────────────────────

    @property
    def key(self) -> JobKey:
        """Its name."""
        return JobKey(self.owner, self.async_job_id)

    @property
    def is_finished(self) -> bool:
        """Whether it has ended."""
        return self.status.is_finished

    @property
    def result_type(self) -> ResultType | None:
        """Where its result lies; None while there is none."""
        if self.result is None:
            return None
        if self.result.url is not None:
            return ResultType.URL
        return ResultType.INLINE if self.result.location is None else ResultType.S3

    @property
    def effect_key(self) -> str:
        """The same on every attempt: what a job passes to others, so that they recognise a repeated effect."""
        return f"{self.async_job_id}.{self.generation}"

    @property
    def is_tracked(self) -> bool:
        """Whether somebody outside does the work and reports of it. No attempt is left to claim, so no worker of ours does."""
        return self.max_attempts == 0

    def is_expired(self, now: datetime) -> bool:
        """Whether it counts as gone. DynamoDB deletes expired records days later, so every reader asks."""
        return self.record_expires_at <= now

    def is_claimed_by(self, claimant: str) -> bool:
        """Whether this very invocation holds it: so a claim whose answer got lost is recognised."""
        return self.status is Status.IN_PROGRESS and self.claimed_by == claimant

    def is_same_attempt(self, other: AsyncJob) -> bool:
        """Whether one and the same attempt holds both, so that only its own reports lie between them."""
        return all(getattr(self, field) == getattr(other, field) for field in FENCE)

    def is_claimable(self, now: datetime) -> bool:
        """Whether an attempt may begin: it waits and may start, or its holder's lease has run out."""
        if self.is_expired(now) or self.deadline_at <= now or self.attempt >= self.max_attempts:
            return False
        if self.status is Status.PENDING:
            return self.not_before is None or self.not_before <= now
        return self.status is Status.IN_PROGRESS and self._lease_is_over(now)

    def is_put_of(self, job: AsyncJob) -> bool:
        """Whether this is what came of the job's put: of its generation, and no other attempt than the put began."""
        return self.generation == job.generation and job.claimed_by in (None, self.claimed_by)

    def with_input(self, *, text: str | None = None, location: str | None = None) -> AsyncJob:
        """The new job with its input, before it is stored: the JSON text itself, or where in the bucket it lies."""
        return replace(self, input=text, input_location=location)

    def counted(self) -> AsyncJob:
        """The new job as one that counts among its owner's live ones until it ends, before it is stored."""
        return replace(self, live_owner=self.owner)

    def exclusively(self, key: str) -> AsyncJob:
        """The new job as one that runs under that lock only, before it is stored."""
        return replace(self, exclusive_key=key, waits_since=self.not_before or self.created_at)

    # ── What the worker does ───────────────────────────────────────────────────────────────────────

    def claimed(self, *, by: str, now: datetime, lease_until: datetime) -> AsyncJob:
        """An attempt begins. The store makes this change without reading first, by the rule of `is_claimable`."""
        _require(self.is_claimable(now), "claimed")
        late_sweep = self.due_at is None or self.due_at > lease_until
        return replace(
            self,
            status=Status.IN_PROGRESS,
            attempt=self.attempt + 1,
            claimed_by=by,
            lease_until=lease_until,
            started_at=self.started_at or now,
            updated_at=now,
            # A new attempt counts its own progress.
            progress=0,
            progress_at=None,
            waits_since=None,
            due_at=lease_until if late_sweep else self.due_at,
            sweeps=0 if late_sweep else self.sweeps,
        )

    def reported(self, *, now: datetime, progress: int, message: str | None, lease_until: datetime) -> AsyncJob:
        """The attempt tells how far it is, and that it lives. Progress never goes back; the lease never gets shorter."""
        if self.lease_until is None:
            raise IllegalMove("Only a job in progress reports.")
        return replace(
            self._so_far(progress, now),
            message=message if message is not None else self.message,
            lease_until=max(lease_until, self.lease_until),
            updated_at=now,
        )

    def completed(self, *, now: datetime, result: Result) -> AsyncJob:
        """The attempt succeeded. Its result's bytes must exist already."""
        _require(self.status is Status.IN_PROGRESS, "completed")
        return replace(self._ended(Status.COMPLETED, now), progress=100, result=result, error=None)

    def failed(self, *, now: datetime, error: JobFailure) -> AsyncJob:
        """It ends without a result."""
        return replace(self._ended(Status.FAILED, now), error=error)

    def released(self, *, now: datetime, error: JobFailure, after: timedelta) -> AsyncJob:
        """The attempt failed, and another one may begin in a while."""
        _require(self.status is Status.IN_PROGRESS and self.attempt < self.max_attempts, "released")
        # No later than the deadline, when there is nothing left to wait for.
        after = max(timedelta(0), min(after, self.deadline_at - now))
        # No finer than the record holds it: else this write would not recognise itself when its answer gets lost.
        not_before = to_milliseconds(now + after)
        return replace(
            self,
            status=Status.PENDING,
            claimed_by=None,
            lease_until=None,
            not_before=not_before,
            due_at=min(not_before + SWEEP_INTERVAL, self.deadline_at),
            sweeps=0,
            error=error,
            updated_at=now,
        )

    # ── What an outside worker does ────────────────────────────────────────────────────────────────

    def advanced(self, *, now: datetime, progress: int | None, message: str | None) -> AsyncJob:
        """Somebody outside works on it, and tells how far it is. The first report starts it; progress never goes back."""
        _require(self.is_tracked and not self.is_finished, "advanced")
        return replace(
            self._so_far(progress or 0, now),
            status=Status.IN_PROGRESS,
            started_at=self.started_at or now,
            message=message if message is not None else self.message,
            updated_at=now,
        )

    # ── What its owner does ────────────────────────────────────────────────────────────────────────

    def cancelled(self, *, now: datetime) -> AsyncJob:
        """It ends now; a running attempt learns of it with its next report."""
        return self._ended(Status.CANCELLED, now)

    def withdrawn(self, *, now: datetime) -> AsyncJob:
        """It ends before it began: another job was quicker to take its lock, and its submit is refused.

        Nobody was told of it but who asked for it at the same moment by the same key; so it is not kept for long.
        """
        ended = replace(self._ended(Status.CANCELLED, now), error=ANOTHER_IS_RUNNING)
        return replace(ended, record_expires_at=to_whole_seconds(now + MIN_RETENTION))

    def retried(self, *, max_attempts: int, timeout: timedelta, deadline: timedelta, now: datetime) -> AsyncJob:
        """It begins anew, with all its attempts and its whole deadline before it.

        In a generation of its own: no message, no write and no bytes of the one before fit it.
        """
        _require(self.status in RETRYABLE, "retried")
        return AsyncJob(
            owner=self.owner,
            async_job_id=self.async_job_id,
            job_type=self.job_type,
            generation=uuid.uuid4().hex,
            request_hash=self.request_hash,
            priority=self.priority,
            max_attempts=max_attempts,
            created_at=self.created_at,
            updated_at=now,
            **_schedule(start=now, delay=timedelta(0), max_attempts=max_attempts, timeout=timeout, deadline=deadline),
            retention=self.retention,
            retention_from=self.retention_from,
            input=self.input,
            input_location=self.input_location,
            metadata=self.metadata,
            exclusive_key=self.exclusive_key,
            waits_since=None if self.exclusive_key is None else now,
        )

    def marked_deleted(self, *, now: datetime) -> AsyncJob:
        """It counts as gone from now on, and expires earlier than before: who compares when it does, notices."""
        _require(self.is_finished, "forgotten")
        return replace(self, record_expires_at=min(self.record_expires_at - timedelta(seconds=1), now.replace(microsecond=0)))

    # ── What the sweeper does ──────────────────────────────────────────────────────────────────────

    def ended_by_time(self, now: datetime) -> AsyncJob | None:
        """The failed job, if its deadline has passed or its last attempt is lost; None if it may go on."""
        if self.is_finished:
            return None
        if self.deadline_at <= now:
            return self.failed(now=now, error=DEADLINE_EXCEEDED)
        if self.status is Status.IN_PROGRESS and self._lease_is_over(now) and self.attempt >= self.max_attempts:
            return self.failed(now=now, error=WORKER_LOST)
        return None

    def rescheduled(self, now: datetime) -> AsyncJob:
        """The job to be looked at again: when its lease ends or its delay is over, or, if it was due, ever less often."""
        if self.is_claimable(now):
            most = MAX_SWEEP_BACKOFF if self.waits_since is None else MAX_LOCK_BACKOFF
            backoff = min(SWEEP_INTERVAL * 2**self.sweeps, most)
            return replace(self, due_at=min(now + backoff, self.deadline_at), sweeps=self.sweeps + 1)
        waits_for = self.lease_until if self.status is Status.IN_PROGRESS else self.not_before
        if self.is_tracked:
            waits_for = self.deadline_at
        if waits_for is None:
            raise IllegalMove("Only a job that is due or waits is postponed.")
        # A lease that ends this very millisecond is still held: look a moment later, or the swap would change nothing.
        return replace(self, due_at=min(max(waits_for, now) + timedelta(milliseconds=1), self.deadline_at))

    # ── Shared ─────────────────────────────────────────────────────────────────────────────────────

    def _lease_is_over(self, now: datetime) -> bool:
        return self.lease_until is not None and self.lease_until < now

    def _so_far(self, progress: int, now: datetime) -> AsyncJob:
        return self if progress <= self.progress else replace(self, progress=progress, progress_at=now)

    def _ended(self, status: Status, now: datetime) -> AsyncJob:
        _require(not self.is_finished, status)
        kept_until = (now if self.retention_from is RetentionFrom.END else self.created_at) + self.retention
        return replace(
            self,
            status=status,
            ended_at=now,
            updated_at=now,
            record_expires_at=to_whole_seconds(max(kept_until, now + MIN_RETENTION)),
            due_at=None,
            lease_until=None,
            live_owner=None,
            waits_since=None,
            progress_at=None,
        )


FENCE = ("generation", "status", "attempt", "claimed_by")
"""What must be unchanged for a holder's write to count: no claim, release, cancel or end came between."""
FENCE_AND_LEASE = (*FENCE, "lease_until")
"""The same for who takes a job from its holder by time: a heartbeat in between must stop it."""
FENCE_AND_REPORT = (*FENCE, "updated_at")
"""The same for a report: one that was held up on its way must not undo a later one."""
FENCE_AND_PROGRESS = (*FENCE_AND_REPORT, "progress", "message")
"""The same for reports of several workers, whose clocks differ: within one millisecond `updated_at` tells nothing."""
FENCE_AND_DUE = (*FENCE, "due_at")
"""The same for who looks after a due job: of two sweepers only one goes on."""
FENCE_AND_EXPIRY = (*FENCE, "record_expires_at")
"""The same for who begins a finished job anew: a deletion in between changes nothing but when it expires."""


def submitted(
    key: JobKey,
    *,
    job_type: str,
    request_hash: bytes,
    priority: Priority = Priority.STANDARD,
    max_attempts: int,
    timeout: timedelta,
    deadline: timedelta,
    retention: timedelta,
    retention_from: RetentionFrom = RetentionFrom.END,
    now: datetime,
    generation: str | None = None,
    delay: timedelta = timedelta(0),
    message: str | None = None,
    input: str | None = None,
    metadata: str | None = None,
) -> AsyncJob:
    """A new job. It is due for the sweeper from the first moment on, so that accepting it is one write and no promise."""
    start = now + delay
    return AsyncJob(
        owner=key.owner,
        async_job_id=key.async_job_id,
        job_type=job_type,
        generation=generation or uuid.uuid4().hex,
        request_hash=request_hash,
        priority=priority,
        max_attempts=max_attempts,
        created_at=now,
        updated_at=now,
        **_schedule(start=start, delay=delay, max_attempts=max_attempts, timeout=timeout, deadline=deadline),
        retention=retention,
        retention_from=retention_from,
        not_before=start if delay else None,
        message=message,
        input=input,
        metadata=metadata,
    )


class _Schedule(TypedDict):
    """What follows from when a job may start: it must be over by its deadline, and somebody must look at it before."""

    deadline_at: datetime
    record_expires_at: datetime
    due_at: datetime


def _schedule(*, start: datetime, delay: timedelta, max_attempts: int, timeout: timedelta, deadline: timedelta) -> _Schedule:
    deadline_at = start + deadline
    # Never later than the first claim's lease ends: the claim then need not move it, which would cost two writes more.
    pause = timedelta(0) if delay > MAX_QUEUE_DELAY else min(lease_length(timeout), SWEEP_INTERVAL)
    return _Schedule(
        deadline_at=deadline_at,
        record_expires_at=to_whole_seconds(deadline_at + UNFINISHED_RETENTION),
        # A tracked job's deadline is all that the sweeper has to do with it.
        due_at=min(start + pause, deadline_at) if max_attempts else deadline_at,
    )


def job_id_for(owner: str, idempotency_key: str | None) -> str:
    """A new job's id, laid out as a version 4 UUID (RFC 9562).

    Derived from the key when there is one, so that every retry of a submit addresses the same record; random otherwise.
    The owner's length goes in too, so that no other owner and key run together to the same text.
    """
    if idempotency_key is None:
        return str(uuid.uuid4())
    name = owner.encode()
    digest = hashlib.sha256(len(name).to_bytes(4, "big") + name + idempotency_key.encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def present_job(job: AsyncJob | None, now: datetime) -> AsyncJob:
    """Return the job. Raise `JobNotFound` if there is none or it has expired."""
    if job is None or job.is_expired(now):
        raise JobNotFound
    return job


def due_shard(async_job_id: str) -> str:
    """The partition of the due index that a job lies in."""
    return str(zlib.crc32(async_job_id.encode()) % DUE_SHARDS)


def _require(allowed: bool, move: str) -> None:  # noqa: FBT001 - a condition, not a switch
    if not allowed:
        raise IllegalMove(f"A job that stands as this one does cannot be {move.lower()}.")


def is_short(timeout: timedelta) -> bool:
    """Whether attempts with this time limit run on one lease, without heartbeats."""
    return timeout <= SHORT_TIMEOUT


def lease_length(timeout: timedelta) -> timedelta:
    """How long a lease lasts when it is taken."""
    if not is_short(timeout):
        return SHORT_LEASE
    # Not under the sweep interval: a lease that ends before the sweeper would look anyway only costs index writes.
    return max(timeout + GRACE + LEASE_MARGIN, SWEEP_INTERVAL)


def retry_backoff(attempt: int, *, jitter: random.Random) -> timedelta:
    """How long to wait after this attempt: anything up to a bound that doubles each time (full jitter)."""
    bound = min(RETRY_BACKOFF * 2 ** (attempt - 1), MAX_RETRY_BACKOFF)
    return timedelta(seconds=jitter.uniform(0, bound.total_seconds()))


DEADLINE_EXCEEDED = JobFailure(
    code="DEADLINE_EXCEEDED",
    message="The job was not finished by its deadline.",
    type="DeadlineExceeded",
    retryable=False,
)
WORKER_LOST = JobFailure(
    code="WORKER_LOST",
    message="The worker was lost in each attempt: killed, out of memory, or out of time.",
    type="WorkerLost",
    retryable=False,
)
ANOTHER_IS_RUNNING = JobFailure(
    code="JOB_CREATION_FAILED",
    message="Another operation is already running.",
    type="AnotherIsRunning",
    retryable=True,
)
