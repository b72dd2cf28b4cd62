"""One attempt at one job, as a short pipeline: claim it, run it, decide what becomes of it, record that."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import timedelta

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import JobInterrupted, TimeLimitExceeded, Unavailable, UnknownJobType
from asyncjobs.core.job import (
    GRACE,
    SHORT_TIMEOUT,
    AsyncJob,
    JobFailure,
    LockOwner,
    Status,
    is_short,
    lease_length,
    retry_backoff,
)
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import Lost, Objects, Store
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import MAX_TIMEOUT
from asyncjobs.limits.locks import Locks
from asyncjobs.log import log_event
from asyncjobs.worker.attempt import TIME_LIMIT_EXCEEDED, Attempt, Errored, Outcome, Stopped, Succeeded
from asyncjobs.worker.heartbeat import Heartbeat, why_lost
from asyncjobs.worker.timeouts import call_with_timeout, exit_after

TRY_LATER = timedelta(seconds=30)
"""When a message comes back whose job could not be claimed or recorded because the table did not answer."""
HANDED_OVER = JobFailure(
    code="HANDED_OVER",
    message="It took longer than its caller is made to wait, and goes on in the background.",
    type="HandedOver",
    retryable=True,
)
_CLAIM_TRIES = 2
_RECORD_TRIES = 5


class Executor:
    """Runs what messages name. The truth is in the store; the answer only says what to do with the message."""

    def __init__(
        self,
        *,
        store: Store,
        objects: Objects,
        catalog: Catalog,
        locks: Locks,
        clock: Clock,
        at_most: timedelta = MAX_TIMEOUT,
        jitter: random.Random | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`at_most` is the longest an attempt may take here, whatever its type allows; then the queue gets the job."""
        self._store = store
        self._locks = locks
        self._objects = objects
        self._catalog = catalog
        self._clock = clock
        self._at_most = at_most
        self._jitter = jitter or random.Random()
        self._sleep = sleep

    def is_async(self, job_type: str) -> bool:
        """Whether the job is a coroutine, to be run by `run_async`."""
        try:
            return self._catalog[job_type].is_async
        except UnknownJobType:
            return False

    def timeout(self, job_type: str) -> timedelta:
        """The longest an attempt at the job may take."""
        try:
            return self._catalog[job_type].timeout
        except UnknownJobType:
            # Submitted by a newer release. It is claimed all the same, so that its attempts come to an end.
            return SHORT_TIMEOUT

    def run(self, message: JobMessage, *, claimant: str, remaining: timedelta) -> timedelta | None:
        """Make one attempt, if the job is to be had. Needs the main thread.

        Returns when the message is to come back, or None when it has done its duty.
        """
        claim = self._claim(message, claimant, remaining)
        if not isinstance(claim, AsyncJob):
            return claim
        try:
            return _comes_back(self.run_claimed(claim, remaining))
        except Unavailable:
            return TRY_LATER

    async def run_async(self, message: JobMessage, *, claimant: str, remaining: timedelta) -> timedelta | None:
        """The same for a coroutine; several may run side by side. The caller bounds them all by `exit_after`."""
        claim = self._claim(message, claimant, remaining)
        if not isinstance(claim, AsyncJob):
            return claim
        try:
            return _comes_back(await self.run_claimed_async(claim, remaining))
        except Unavailable:
            return TRY_LATER

    def run_claimed(self, claim: AsyncJob, remaining: timedelta) -> AsyncJob | None:
        """Make the attempt that the claimed job stands at. Needs the main thread.

        Returns the job as it ended or was released; None if it had been taken away. Raises `Unavailable` when that could not be
        recorded: whatever came of it is lost with this attempt, and when its lease is over, another one begins.
        """
        limit = self._limit(claim, remaining)
        with exit_after(limit), self._heartbeat(claim) as heartbeat:
            attempt = self._attempt(heartbeat, limit)
            try:
                outcome = call_with_timeout(attempt.run, limit)
            except TimeLimitExceeded as error:
                # It rang in the very moment when the job ended by itself.
                outcome = attempt.errored(error)
        return self._record(claim, heartbeat, outcome)

    async def run_claimed_async(self, claim: AsyncJob, remaining: timedelta) -> AsyncJob | None:
        """The same for a coroutine. The caller bounds it by `exit_after`."""
        limit = self._limit(claim, remaining)
        with self._heartbeat(claim) as heartbeat:
            outcome = await self._attempt(heartbeat, limit).run_async()
        return self._record(claim, heartbeat, outcome)

    # ── Claim ──────────────────────────────────────────────────────────────────────────────────────

    def _claim(self, message: JobMessage, claimant: str, remaining: timedelta) -> AsyncJob | timedelta | None:
        if remaining < 2 * GRACE:
            return timedelta(0)
        if message.exclusive_key is not None:
            try:
                running = self._locks.take(message.exclusive_key, LockOwner(message.key, message.generation))
            except Unavailable:
                log_event("CLAIM_DEFERRED", asyncJobId=message.key.async_job_id, jobType=message.job_type)
                return TRY_LATER
            if running is not None:
                # Not to come back: each return is a step towards the dead-letter queue. The job's end, or the sweeper, sends anew.
                log_event("JOB_WAITS", asyncJobId=message.key.async_job_id, jobType=message.job_type)
                return None
        now = self._clock()
        lease_until = now + lease_length(self.timeout(message.job_type))
        for _ in range(_CLAIM_TRIES):
            try:
                claim = self._store.claim_if_claimable(
                    message.key, generation=message.generation, by=claimant, now=now, lease_until=lease_until
                )
                break
            except Unavailable:
                # It may have been made all the same. Given up now, the attempt would be lost without having begun.
                continue
        else:
            log_event("CLAIM_DEFERRED", asyncJobId=message.key.async_job_id, jobType=message.job_type)
            return TRY_LATER
        if isinstance(claim, Lost):
            return self._refused(message, claim.current)
        log_event("JOB_STARTED", claim)
        return claim

    def _refused(self, message: JobMessage, current: AsyncJob | None) -> timedelta | None:
        """A message that came too early waits; any other has nothing to do: its job ended, or runs, or is not there.

        One whose job runs is not kept for the case that the run is lost: that is the sweeper's office.
        """
        status = current.status.value if current is not None and current.generation == message.generation else None
        log_event("DELIVERY_IGNORED", asyncJobId=message.key.async_job_id, jobType=message.job_type, status=status)
        if current is None or status is None:
            return None
        now = self._clock()
        if current.is_claimable(now):
            # It became so while the claim was on its way.
            return timedelta(0)
        if status == Status.PENDING and current.not_before is not None and current.not_before > now:
            return current.not_before - now
        return None

    # ── Run ────────────────────────────────────────────────────────────────────────────────────────

    def _limit(self, job: AsyncJob, remaining: timedelta) -> timedelta:
        """What the attempt has left: of its type's limit, or less, when Lambda or the job's deadline ends it before."""
        now = self._clock()
        # The claim itself may have taken seconds, and its lease runs from its beginning.
        left = min(self.timeout(job.job_type), self._at_most, remaining - GRACE) - (now - job.updated_at)
        return max(min(left, job.deadline_at - now), timedelta(0))

    def _heartbeat(self, job: AsyncJob) -> Heartbeat:
        return Heartbeat(self._store, job, self._clock, renews_lease=not is_short(self.timeout(job.job_type)))

    def _attempt(self, heartbeat: Heartbeat, limit: timedelta) -> Attempt:
        return Attempt(
            heartbeat=heartbeat,
            objects=self._objects,
            find_type=lambda: self._catalog[heartbeat.job.job_type],
            clock=self._clock,
            ends_at=self._clock() + limit,
        )

    # ── Decide and record ──────────────────────────────────────────────────────────────────────────

    def _record(self, claim: AsyncJob, heartbeat: Heartbeat, outcome: Outcome) -> AsyncJob | None:
        held = heartbeat.job
        if isinstance(outcome, Stopped):
            self._log_fenced(claim, outcome.reason)
            return None
        ended = self._ended(heartbeat.newest(), outcome)
        try:
            lost = self._swap_persistently(held, ended)
        except Unavailable:
            log_event("RECORD_DEFERRED", held)
            raise
        if lost is not None:
            self._log_fenced(claim, why_lost(held, lost.current))
            return None
        self._report(claim, ended, outcome)
        if ended.exclusive_key is not None and ended.is_finished:
            self._locks.wake(ended)
        return ended

    def _log_fenced(self, claim: AsyncJob, reason: JobInterrupted) -> None:
        log_event("JOB_FENCED", claim, reason=type(reason).__name__, durationMs=_milliseconds(self._clock() - claim.updated_at))

    def _ended(self, job: AsyncJob, outcome: Succeeded | Errored) -> AsyncJob:
        now = self._clock()
        if isinstance(outcome, Succeeded):
            return job.completed(now=now, result=outcome.result)
        if not outcome.failure.retryable or job.attempt >= job.max_attempts:
            return job.failed(now=now, error=outcome.failure)
        if outcome.failure.code == TIME_LIMIT_EXCEEDED and self._at_most < self.timeout(job.job_type):
            return job.released(now=now, error=HANDED_OVER, after=timedelta(0))
        after = retry_backoff(job.attempt, jitter=self._jitter) if outcome.after is None else outcome.after
        return job.released(now=now, error=outcome.failure, after=after)

    def _swap_persistently(self, held: AsyncJob, ended: AsyncJob) -> Lost | None:
        """The work is done: a table that is throttled for some seconds shall not make it be done again."""
        for attempt in range(1, _RECORD_TRIES):
            try:
                return self._store.swap_if_unchanged(held, ended)
            except Unavailable:
                self._sleep(self._jitter.uniform(0, 0.2 * 2**attempt))
        return self._store.swap_if_unchanged(held, ended)

    def _report(self, claim: AsyncJob, ended: AsyncJob, outcome: Succeeded | Errored) -> None:
        name = {Status.COMPLETED: "JOB_COMPLETED", Status.FAILED: "JOB_FAILED"}.get(ended.status, "JOB_RETRIED")
        took = _milliseconds(self._clock() - claim.updated_at)
        if isinstance(outcome, Errored):
            log_event(name, ended, durationMs=took, errorCode=outcome.failure.code, exception=outcome.exception)
        else:
            log_event(name, ended, durationMs=took)


def _comes_back(job: AsyncJob | None) -> timedelta | None:
    """When the message of a job that was released is to come back."""
    if job is None or job.status is not Status.PENDING or job.not_before is None:
        return None
    return job.not_before - job.updated_at


def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
