"""What an asynchronous job is and how it may change. Pure: no clock, no AWS, no HTTP.

Each change is a method that returns the changed job, and checks that the job's state allows the change. The store decides
whether the change *happens*: it swaps the old job for the new one only if no other write changed the job first.
"""

from __future__ import annotations

import hashlib
import random
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from typing import TypedDict

from asyncjobs.core.clock import to_milliseconds, to_whole_seconds
from asyncjobs.core.errors import IllegalMove, JobAlreadyFinished, JobNotFinished, JobNotFound
from asyncjobs.core.records import replace

# ── The promise in numbers ─────────────────────────────────────────────────────────────────────────

MAX_ATTEMPTS_LIMIT = 10
MAX_DEADLINE = timedelta(days=1)
MAX_TRACKED_DEADLINE = timedelta(days=30)
"""The longest deadline of a tracked job, which costs nothing while it waits: no message, lease, lock or object."""

SHORT_TIMEOUT = timedelta(minutes=1)
"""Up to this timeout, one lease covers an attempt; above it, the attempt renews short leases."""

GRACE = timedelta(seconds=5)
"""The time for an attempt's `finally` blocks after `TimeLimitExceeded` was raised in it."""

IMMEDIATE_TIMEOUT = timedelta(seconds=5)
"""The longest time that a job runs while its submit waits. Then its attempt ends, and the job goes to the queue."""
IMMEDIATE_GRACE = timedelta(seconds=1)
"""The same as `GRACE` for such a job, whose caller waits."""

LEASE_MARGIN = timedelta(seconds=10)
"""How much longer than its attempt a lease lasts: more than the clocks of two Lambda hosts differ."""

HEARTBEAT = timedelta(seconds=8)
SHORT_LEASE = 3 * HEARTBEAT
"""Two heartbeats may be lost without losing the lease. A dead worker is noticed after at most SHORT_LEASE + SWEEP_INTERVAL."""

SWEEP_INTERVAL = timedelta(minutes=1)
MAX_QUEUE_DELAY = timedelta(minutes=15)
"""The longest delay of an SQS message. The sweeper sends jobs that start later, up to a sweep interval late."""
MAX_SWEEP_BACKOFF = timedelta(minutes=16)
MAX_LOCK_BACKOFF = timedelta(minutes=4)
"""The same for a job that waits for a lock: the longest additional wait when the wake-up after the previous job is lost."""

RETRY_BACKOFF = timedelta(seconds=2)
MAX_RETRY_BACKOFF = timedelta(minutes=5)

MIN_RETENTION = timedelta(minutes=1)
"""How long a job is kept after its end at least, whatever its retention counts from, so that its client can read the end."""

UNFINISHED_RETENTION = timedelta(days=7)
"""How long after its deadline an unfinished record expires. The sweeper ends the job long before."""


class DuePart(StrEnum):
    """The parts of the due index, in the order of a sweep. The value begins the keys of the part's partitions.

    A sweep finds the lost workers among the running jobs first, however many jobs wait. A claim would pay two index writes to
    move its job between parts. So only a write that moves the due time anyway also moves the job.
    """

    RUNNING = "r"
    """Jobs that a sweep has seen running, or that were claimed after a sweep."""
    NEW = ""
    """Jobs that no sweep has moved: they wait, or run since their first minute. Earlier releases have only this part."""
    WAITING = "w"
    """Jobs that waited when a sweep moved them."""


DUE_SHARDS = {DuePart.RUNNING: 4, DuePart.NEW: 16, DuePart.WAITING: 4}
"""Partitions of the due index; each takes about 500 new jobs a second. May be raised, never lowered, on a table with jobs.

The sweeper alone fills the other parts, so they need fewer. Each partition costs a read a minute.
"""

DELIVERY = "webhook.deliver"
"""The built-in type of a job that delivers an event to a webhook. Such a job has a queue and a list of its own."""

BULK_ACTION = "admin.action"
"""The built-in type of a job that an administrator's action on many jobs is. The administrators' function reports on it."""

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
"""The pattern of an id: a version 4 UUID of RFC 9562."""

MAX_MESSAGE_LENGTH = 256
MAX_ERROR_MESSAGE = 1024

SUBMIT_CLAIMANT = "submit/"
"""The beginning of a claimant that is a submit. A worker's begins with Lambda's request id."""

MAX_OWNER_LENGTH = 255
"""What OpenID Connect Core (2) allows for a `sub`."""


class Status(StrEnum):
    """The state of a job."""

    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_finished(self) -> bool:
        """Whether the job has ended. Only its owner's retry starts it again."""
        return self in FINISHED


FINISHED = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
RETRYABLE = frozenset({Status.FAILED, Status.CANCELLED})


class RetentionFrom(StrEnum):
    """The start of a job's retention."""

    CREATION = "CREATION"
    END = "END"


class Priority(StrEnum):
    """The queue that a job waits in. Each has its own workers, so a job waits only for jobs of its own priority."""

    HIGH = "high"
    STANDARD = "standard"
    LOW = "low"


class ResultType(StrEnum):
    """The place of a result: the job's record, the bucket, or a URL that an outside worker reported."""

    INLINE = "INLINE"
    S3 = "S3"
    URL = "URL"


@dataclass(frozen=True, slots=True)
class JobFailure:
    """The reason why an attempt or a job failed. The job's owner may read all of it."""

    code: str
    message: str
    type: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Result:
    """A result: its JSON text, its location in the bucket, or its URL elsewhere."""

    text: str | None = None
    location: str | None = None
    url: str | None = None


def is_owner(text: str) -> bool:
    """Return whether this may be an owner: a `sub` by OpenID Connect Core (2), which is any ASCII text that is not too long."""
    return 0 < len(text) <= MAX_OWNER_LENGTH and text.isascii()


_NUMBER_SIGN = "\N{MUSIC SHARP SIGN}"


def owner_part(owner: str) -> str:
    """Return the owner as a part of a text whose parts are separated by `#`, so that no two owners share such a text.

    The sign in place of a `#` is not ASCII, so no owner contains it.
    """
    return owner.replace("#", _NUMBER_SIGN)


def owner_of_part(part: str) -> str:
    """Read the output of `owner_part`."""
    return part.replace(_NUMBER_SIGN, "#")


def list_name(owner: str, *, deliveries: bool) -> str:
    """Return the name of the owner's list of deliveries or of all other jobs, which no other owner's list has."""
    return f"{_NUMBER_SIGN}{owner}" if deliveries else owner


@dataclass(frozen=True, slots=True)
class JobKey:
    """The name of a job. The owner is part of it, so a key of one owner never reaches a job of another."""

    owner: str
    async_job_id: str


@dataclass(frozen=True, slots=True)
class LockOwner:
    """A job in one of its generations, as the owner of a lock."""

    key: JobKey
    generation: str

    @classmethod
    def of(cls, job: AsyncJob) -> LockOwner:
        """Return the job in its present generation."""
        return cls(job.key, job.generation)

    def is_over(self, job: AsyncJob | None, now: datetime) -> bool:
        """Return whether this generation has ended, given the stored job. Once over, it stays over."""
        return job is None or job.generation != self.generation or job.is_finished or job.is_expired(now)


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncJob:
    """A job at one moment."""

    owner: str
    async_job_id: str
    job_type: str
    status: Status = Status.PENDING
    generation: str
    """Created by each submit that creates a record, so messages and writes of an earlier record do not match."""
    request_hash: bytes
    priority: Priority = Priority.STANDARD
    seq: int = 0
    """The number of writes that a client can see, from 1 at the put on; a retry goes on counting. 0 for a record of an earlier
    release. Only the store raises it, in those writes themselves, so there is exactly one visible state for each number."""
    attempt: int = 0
    """The number of attempts begun. Only a claim raises it, by one, so (attempt, claimed_by) is the fencing token."""
    max_attempts: int
    """0 for a tracked job: no attempt is ever begun here."""
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
    """When the sweeper reads the job next. None if and only if the job is finished."""
    due_part: DuePart = DuePart.NEW
    sweeps: int = 0
    claimed_by: str | None = None
    lease_until: datetime | None = None
    progress: int = 0
    progress_at: datetime | None = None
    """When the present progress was first reported. Later heartbeats and messages move `updated_at` only."""
    message: str | None = None
    input: str | None = None
    input_location: str | None = None
    metadata: str | None = None
    result: Result | None = None
    error: JobFailure | None = None
    live_owner: str | None = None
    """The owner, while the job counts among the owner's live jobs; None without such a limit, and after the end."""
    exclusive_key: str | None = None
    """The lock that the job runs under, and how many jobs may hold it: see `limits.locks`. None without a lock."""
    waits_since: datetime | None = None
    """Since when the job waits for its lock. None after it has begun or ended, or without a lock."""
    token_hash: bytes | None = None
    """The hash of a tracked job's present worker token; None for other jobs, and for a tracked job of an earlier release."""
    webhook: str | None = None
    """The id of the webhook that the submit named; None if it named none."""
    size_class: int | None = None
    """The class of the size that its type names (`core.durations.size_class`). None for a type without one, or without a size."""
    named_event: str | None = None
    """The event that the job's code sent, with the number of the write that brought it: see `core.named_events`.

    The next write of its attempt removes it. Only the table's stream reads it, which has each write.
    """

    # ── Properties ─────────────────────────────────────────────────────────────────────────────────

    @property
    def key(self) -> JobKey:
        """The job's name."""
        return JobKey(self.owner, self.async_job_id)

    @property
    def is_finished(self) -> bool:
        """Whether the job has ended."""
        return self.status.is_finished

    @property
    def durations_name(self) -> str:
        """The name under which the durations of such jobs are learned."""
        return durations_name(self.job_type, self.size_class)

    @property
    def result_type(self) -> ResultType | None:
        """The place of the result; None while there is none."""
        if self.result is None:
            return None
        if self.result.url is not None:
            return ResultType.URL
        return ResultType.INLINE if self.result.location is None else ResultType.S3

    @property
    def effect_key(self) -> str:
        """The same key on every attempt, so that services that the job calls recognize a repeated effect."""
        return f"{self.async_job_id}.{self.generation}"

    @property
    def is_delivery(self) -> bool:
        """Whether the job delivers an event of another job."""
        return self.job_type == DELIVERY

    @property
    def is_bulk_action(self) -> bool:
        """Whether the job is an administrator's action on many jobs: tracked, without a worker that has a token."""
        return self.job_type == BULK_ACTION

    @property
    def has_outside_worker(self) -> bool:
        """Whether its owner, or a worker with a token, reports on the job."""
        return self.is_tracked and not self.is_bulk_action

    @property
    def is_tracked(self) -> bool:
        """Whether an outside worker does the work. No attempt can be claimed, so none of our workers runs it."""
        return self.max_attempts == 0

    def is_expired(self, now: datetime) -> bool:
        """Return whether the job counts as deleted. DynamoDB deletes expired records days later, so every reader checks."""
        return self.record_expires_at <= now

    def is_claimed_by(self, claimant: str) -> bool:
        """Return whether this invocation has claimed the job, to recognize a claim whose answer was lost."""
        return self.status is Status.IN_PROGRESS and self.claimed_by == claimant

    @property
    def is_begun_by_submit(self) -> bool:
        """Whether the submit function has claimed the present attempt, by the job's put."""
        return self.claimed_by is not None and self.claimed_by.startswith(SUBMIT_CLAIMANT)

    def is_same_attempt(self, other: AsyncJob) -> bool:
        """Return whether both belong to the same attempt, so that they differ only by its own reports."""
        return all(getattr(self, field) == getattr(other, field) for field in FENCE)

    def is_claimable(self, now: datetime) -> bool:
        """Return whether an attempt may begin: the job waits and may start, or the lease of its last attempt has ended."""
        if self.is_expired(now) or self.deadline_at <= now or self.attempt >= self.max_attempts:
            return False
        if self.status is Status.PENDING:
            return self.not_before is None or self.not_before <= now
        return self.status is Status.IN_PROGRESS and self._lease_is_over(now)

    @property
    def is_first_sent_by_sweep(self) -> bool:
        """Whether the job never had a message: its start was later than the queue can delay one, and no sweep has sent it yet."""
        if self.attempt or self.sweeps or self.not_before is None:
            return False
        return self.not_before - self.created_at > MAX_QUEUE_DELAY

    def is_due_late(self, lease_until: datetime) -> bool:
        """Return whether a sweep would find the loss of a worker with this lease late, so that its claim moves the due time."""
        return self.due_at is None or self.due_at > lease_until or self.due_part is DuePart.WAITING

    @property
    def was_rolled_back(self) -> bool:
        """Whether the submit that created the job was refused after all: see `rolled_back`."""
        return self.status is Status.CANCELLED and self.attempt == 0 and self.error == ANOTHER_IS_RUNNING

    def is_put_of(self, job: AsyncJob) -> bool:
        """Return whether this record comes from the job's put: same generation, and no attempt but the one of the put."""
        return self.generation == job.generation and job.claimed_by in (None, self.claimed_by)

    def is_news_after(self, old: AsyncJob) -> bool:
        """Return whether a client can see that the job is not as it was: the write that changes it so raises `seq`.

        A heartbeat without news, a sweep, a new worker token and a deletion are not: `updated_at` alone is no news.
        """
        return _shown(self) != _shown(old) or self.named_event not in (None, old.named_event)

    def with_input(self, *, text: str | None = None, location: str | None = None) -> AsyncJob:
        """Add the input to a new job before it is stored: the JSON text itself, or its location in the bucket."""
        return replace(self, input=text, input_location=location)

    def with_id(self, async_job_id: str) -> AsyncJob:
        """Return the new job under another id, before it is stored."""
        return replace(self, async_job_id=async_job_id)

    def counted(self) -> AsyncJob:
        """Count a new job among its owner's live jobs until it ends, before it is stored."""
        return replace(self, live_owner=self.owner)

    def exclusively(self, key: str) -> AsyncJob:
        """Put a new job under a lock, before it is stored."""
        return replace(self, exclusive_key=key, waits_since=self.not_before or self.created_at)

    # ── Changes by a worker ────────────────────────────────────────────────────────────────────────

    def claimed(self, *, by: str, now: datetime, lease_until: datetime) -> AsyncJob:
        """Begin an attempt. The store makes this change without reading first, by the rule of `is_claimable`."""
        _require(self.is_claimable(now), "claimed")
        moves_due = self.is_due_late(lease_until)
        return replace(
            self,
            status=Status.IN_PROGRESS,
            attempt=self.attempt + 1,
            claimed_by=by,
            lease_until=lease_until,
            started_at=self.started_at or now,
            updated_at=now,
            # Each attempt counts its own progress.
            progress=0,
            progress_at=None,
            waits_since=None,
            due_at=min(lease_until, self.deadline_at) if moves_due else self.due_at,
            due_part=DuePart.RUNNING if moves_due else self.due_part,
            sweeps=0 if moves_due else self.sweeps,
        )

    def progressed(self, *, now: datetime, progress: int, message: str | None) -> AsyncJob:
        """Take in progress that the next write records. Progress never decreases; without a message the last one stays."""
        if progress > self.progress:
            return replace(self, progress=progress, progress_at=now, message=self.message if message is None else message)
        return self if message is None or message == self.message else replace(self, message=message)

    def reported(
        self, *, now: datetime, progress: int, message: str | None, lease_until: datetime, named_event: str | None = None
    ) -> AsyncJob:
        """Record progress, an event of the job's code, and a heartbeat. The lease never gets shorter."""
        if self.lease_until is None:
            raise IllegalMove("Only a job in progress reports.")
        return replace(
            self.progressed(now=now, progress=progress, message=message),
            lease_until=max(lease_until, self.lease_until),
            updated_at=now,
            named_event=named_event,
        )

    def completed(self, *, now: datetime, result: Result) -> AsyncJob:
        """End the job with a result, which must be stored already."""
        _require(self.status is Status.IN_PROGRESS, "completed")
        return self._ended(Status.COMPLETED, now, result=result, error=None)

    def failed(self, *, now: datetime, error: JobFailure) -> AsyncJob:
        """End the job without a result."""
        return self._ended(Status.FAILED, now, error=error)

    def released(self, *, now: datetime, error: JobFailure, after: timedelta) -> AsyncJob:
        """End the attempt, so that another one may begin after a delay."""
        _require(self.status is Status.IN_PROGRESS and self.attempt < self.max_attempts, "released")
        # No later than the deadline, at which the job ends anyway.
        after = max(timedelta(0), min(after, self.deadline_at - now))
        # No finer than the record holds it: otherwise a lost answer to this write could not be recognized.
        not_before = to_milliseconds(now + after)
        return replace(
            self,
            status=Status.PENDING,
            claimed_by=None,
            lease_until=None,
            not_before=not_before,
            due_at=min(not_before + SWEEP_INTERVAL, self.deadline_at),
            due_part=DuePart.NEW,
            sweeps=0,
            error=error,
            updated_at=now,
            named_event=None,
        )

    # ── Changes by an outside worker ───────────────────────────────────────────────────────────────

    def advanced(self, *, now: datetime, progress: int | None, message: str | None) -> AsyncJob:
        """Record an outside worker's report. The first report starts the job; progress never decreases."""
        _require(self.is_tracked and not self.is_finished, "advanced")
        return replace(
            self.progressed(now=now, progress=progress or 0, message=message),
            status=Status.IN_PROGRESS,
            started_at=self.started_at or now,
            updated_at=now,
        )

    # ── Changes by the owner ───────────────────────────────────────────────────────────────────────

    def cancelled(self, *, now: datetime) -> AsyncJob:
        """End the job now; a running attempt notices at its next report."""
        return self._ended(Status.CANCELLED, now, error=self.error)

    def rolled_back(self, *, now: datetime) -> AsyncJob:
        """End the job before it began: another job took its lock first, and its submit is refused.

        A request with the same key at the same moment may have received the job, so the record stays for a minute. A later
        request with this key is refused until then.
        """
        ended = self._ended(Status.CANCELLED, now, error=ANOTHER_IS_RUNNING)
        return replace(ended, record_expires_at=to_whole_seconds(now + MIN_RETENTION))

    def retried(
        self,
        *,
        max_attempts: int,
        timeout: timedelta,
        deadline: timedelta,
        now: datetime,
        token_hash: bytes | None = None,
    ) -> AsyncJob:
        """Start the job again, with all its attempts and its whole deadline.

        The new generation matches no message, write or object of the earlier one. A tracked job also gets a new worker token.
        """
        _require(self.status in RETRYABLE, "retried")
        return replace(
            self,
            status=Status.PENDING,
            generation=uuid.uuid4().hex,
            attempt=0,
            max_attempts=max_attempts,
            updated_at=now,
            started_at=None,
            ended_at=None,
            **_schedule(start=now, delay=timedelta(0), max_attempts=max_attempts, timeout=timeout, deadline=deadline),
            not_before=None,
            due_part=DuePart.NEW,
            sweeps=0,
            claimed_by=None,
            lease_until=None,
            progress=0,
            progress_at=None,
            message=None,
            result=None,
            error=None,
            live_owner=None,
            waits_since=None if self.exclusive_key is None else now,
            token_hash=token_hash,
        )

    def reissued(self, *, token_hash: bytes) -> AsyncJob:
        """Replace the worker token. Nothing that a client reads changes, so `updated_at` stays, too."""
        _require(self.is_tracked and not self.is_finished, "reissued")
        return replace(self, token_hash=token_hash)

    def marked_deleted(self, *, now: datetime) -> AsyncJob:
        """Mark the job as deleted: it is expired from now on. A write that compares the expiry then loses."""
        _require(self.is_finished, "deleted")
        return replace(self, record_expires_at=min(self.record_expires_at - timedelta(seconds=1), now.replace(microsecond=0)))

    # ── Changes by the sweeper ─────────────────────────────────────────────────────────────────────

    def ended_by_time(self, now: datetime) -> AsyncJob | None:
        """Return the failed job if its deadline has passed or its last attempt is lost; None if it may continue."""
        if self.is_finished:
            return None
        if self.deadline_at <= now:
            return self.failed(now=now, error=DEADLINE_EXCEEDED)
        if self.status is Status.IN_PROGRESS and self._lease_is_over(now) and self.attempt >= self.max_attempts:
            return self.failed(now=now, error=WORKER_LOST)
        return None

    def rescheduled(self, now: datetime) -> AsyncJob:
        """Move the due time to the end of the lease or delay; if the job was due already, by a growing backoff."""
        if self.is_claimable(now):
            most = MAX_SWEEP_BACKOFF if self.waits_since is None else MAX_LOCK_BACKOFF
            backoff = min(SWEEP_INTERVAL * 2**self.sweeps, most)
            part = DuePart.WAITING if self.status is Status.PENDING else DuePart.RUNNING
            return replace(self, due_at=min(now + backoff, self.deadline_at), due_part=part, sweeps=self.sweeps + 1)
        waits_for = self.lease_until if self.status is Status.IN_PROGRESS else self.not_before
        if self.is_tracked:
            waits_for = self.deadline_at
        if waits_for is None:
            raise IllegalMove("Only a job that is due or waits is rescheduled.")
        part = DuePart.RUNNING if self.lease_until is not None else self.due_part
        # A lease that ends in this millisecond is still held: one millisecond later, or the swap would change nothing.
        return replace(self, due_at=min(max(waits_for, now) + timedelta(milliseconds=1), self.deadline_at), due_part=part)

    # ── Shared ─────────────────────────────────────────────────────────────────────────────────────

    def _lease_is_over(self, now: datetime) -> bool:
        return self.lease_until is not None and self.lease_until < now

    def _ended(self, status: Status, now: datetime, *, error: JobFailure | None, result: Result | None = None) -> AsyncJob:
        _require(not self.is_finished, status)
        kept_until = (now if self.retention_from is RetentionFrom.END else self.created_at) + self.retention
        return replace(
            self,
            status=status,
            progress=100 if status is Status.COMPLETED else self.progress,
            result=result,
            error=error,
            ended_at=now,
            updated_at=now,
            record_expires_at=to_whole_seconds(max(kept_until, now + MIN_RETENTION)),
            due_at=None,
            due_part=DuePart.NEW,
            lease_until=None,
            live_owner=None,
            waits_since=None,
            progress_at=None,
            named_event=None,
        )


_shown = attrgetter("status", "attempt", "progress", "message", "result", "error")

FENCE = ("generation", "status", "attempt", "claimed_by")
"""Fields that an attempt's write compares: no claim, release, cancel or end came in between."""
FENCE_AND_LEASE = (*FENCE, "lease_until")
"""For a takeover by time, which a heartbeat in between must stop."""
FENCE_AND_REPORT = (*FENCE, "updated_at", "seq")
"""For a report: a delayed one must not undo a later one, and a repeated one must not raise `seq` again.

Within a millisecond, only `seq` distinguishes them. Earlier releases do not raise it, and are distinguished by `updated_at`.
"""
FENCE_AND_TOKEN = (*FENCE, "token_hash")
"""For a new worker token: of two, the later one stays. Reports in between do not stop it, so they cannot keep a stolen token valid."""
FENCE_AND_PROGRESS = (*FENCE_AND_REPORT, "progress", "message", "token_hash")
"""For reports of several workers, whose clocks differ: within one millisecond, `updated_at` does not distinguish them.

A new worker token in between stops a report by the earlier one.
"""
FENCE_AND_DUE = (*FENCE, "due_at")
"""For sweeping a due job: of two sweepers, only one continues."""
FENCE_AND_EXPIRY = (*FENCE, "record_expires_at")
"""For a retry of a finished job: a deletion in between changes only the expiry."""


def durations_name(job_type: str, size_class: int | None) -> str:
    """Return the name under which durations are learned: a type's, or one for each class of sizes of a type that names a size."""
    return job_type if size_class is None else f"{job_type}#{size_class}"


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
    delay: timedelta = timedelta(0),
    message: str | None = None,
    metadata: str | None = None,
    token_hash: bytes | None = None,
    webhook: str | None = None,
    size_class: int | None = None,
) -> AsyncJob:
    """Return a new job. It is due for the sweeper from its first write on, so accepting it takes one write."""
    start = now + delay
    return AsyncJob(
        owner=key.owner,
        async_job_id=key.async_job_id,
        job_type=job_type,
        generation=uuid.uuid4().hex,
        request_hash=request_hash,
        priority=priority,
        seq=1,
        max_attempts=max_attempts,
        created_at=now,
        updated_at=now,
        **_schedule(start=start, delay=delay, max_attempts=max_attempts, timeout=timeout, deadline=deadline),
        retention=retention,
        retention_from=retention_from,
        not_before=start if delay else None,
        message=message,
        metadata=metadata,
        token_hash=token_hash,
        webhook=webhook,
        size_class=size_class,
    )


class _Schedule(TypedDict):
    """The times that follow from a job's start: its deadline, its expiry and its first sweep."""

    deadline_at: datetime
    record_expires_at: datetime
    due_at: datetime


def _schedule(*, start: datetime, delay: timedelta, max_attempts: int, timeout: timedelta, deadline: timedelta) -> _Schedule:
    deadline_at = start + deadline
    # Never later than the end of the first claim's lease, so the claim need not move it, which would cost two more writes.
    pause = timedelta(0) if delay > MAX_QUEUE_DELAY else min(lease_length(timeout), SWEEP_INTERVAL)
    return _Schedule(
        deadline_at=deadline_at,
        record_expires_at=to_whole_seconds(deadline_at + UNFINISHED_RETENTION),
        # The sweeper only ends a tracked job at its deadline.
        due_at=min(start + pause, deadline_at) if max_attempts else deadline_at,
    )


def job_id_for(owner: str, idempotency_key: str | None) -> str:
    """Return a new job's id with the layout of a version 4 UUID (RFC 9562).

    It is derived from the key if there is one, so that every retry of a submit addresses the same record; otherwise it is
    random. The owner's length is hashed, too, so that no other owner and key give the same text.
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


def check_cancel(job: AsyncJob) -> None:
    """Raise `JobAlreadyFinished` if the job ended in another way: a second cancel does nothing."""
    if job.is_finished and job.status is not Status.CANCELLED:
        raise JobAlreadyFinished


def check_delete(job: AsyncJob) -> None:
    """Raise `JobNotFinished` if the job has not ended."""
    if not job.is_finished:
        raise JobNotFinished


def due_shard(async_job_id: str, part: DuePart) -> str:
    """Return the partition of a job in this part of the due index."""
    return f"{part}{zlib.crc32(async_job_id.encode()) % DUE_SHARDS[part]}"


def due_shards(part: DuePart) -> Sequence[str]:
    """Return all partitions of this part of the due index."""
    return [f"{part}{number}" for number in range(DUE_SHARDS[part])]


def _require(allowed: bool, move: str) -> None:  # noqa: FBT001 - a condition, not a switch
    if not allowed:
        raise IllegalMove(f"A job in this state cannot be {move.lower()}.")


def is_short(timeout: timedelta) -> bool:
    """Return whether attempts with this timeout run on one lease, without heartbeats."""
    return timeout <= SHORT_TIMEOUT


def lease_length(timeout: timedelta) -> timedelta:
    """Return the length of a new lease."""
    if not is_short(timeout):
        return SHORT_LEASE
    # Not below the sweep interval: the sweeper would not notice a shorter lease's end earlier, and it costs index writes.
    return max(timeout + GRACE + LEASE_MARGIN, SWEEP_INTERVAL)


def retry_backoff(attempt: int, *, jitter: random.Random) -> timedelta:
    """Return the delay after this attempt: random, up to a bound that doubles each time (full jitter)."""
    bound = min(RETRY_BACKOFF * 2 ** (attempt - 1), MAX_RETRY_BACKOFF)
    return timedelta(seconds=jitter.uniform(0, bound.total_seconds()))


INVALID_INPUT = "INVALID_INPUT"
"""The code of a job whose input its own model rejects."""
DEADLINE_EXCEEDED = JobFailure(
    code="DEADLINE_EXCEEDED",
    message="The job was not finished by its deadline.",
    type="DeadlineExceeded",
    retryable=False,
)
WORKER_LOST = JobFailure(
    code="WORKER_LOST",
    message="The worker was lost in the last attempt: killed, out of memory, or out of time.",
    type="WorkerLost",
    retryable=False,
)
HANDED_OVER = JobFailure(
    code="HANDED_OVER",
    message="The job takes longer than a submit may run it. A worker runs it next.",
    type="HandedOver",
    retryable=True,
)
PROCESS_LOST = JobFailure(
    code="WORKER_LOST",
    message="The process that ran the job while its caller waited was lost. A worker runs it next.",
    type="WorkerLost",
    retryable=True,
)
ANOTHER_IS_RUNNING = JobFailure(
    code="JOB_CREATION_FAILED",
    message="Another operation is already running.",
    type="AnotherIsRunning",
    retryable=True,
)
