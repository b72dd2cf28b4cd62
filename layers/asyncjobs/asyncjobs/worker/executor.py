"""One attempt at one job, step by step: claim it, run it, decide what becomes of it, record that, report it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import JobInterrupted, TimeLimitExceeded, Unavailable
from asyncjobs.core.job import GRACE, HANDED_OVER, MAX_QUEUE_DELAY, AsyncJob, LockOwner, Status, retry_backoff
from asyncjobs.core.message import JobMessage
from asyncjobs.core.placement import MAX_RESULT
from asyncjobs.core.ports import Lost, Objects, Store
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import MAX_TIMEOUT
from asyncjobs.limits.locks import Locks
from asyncjobs.log import log_event
from asyncjobs.worker.attempt import Attempt, Errored, Outcome, Stopped, Succeeded
from asyncjobs.worker.event_loop import JobTask
from asyncjobs.worker.heartbeat import Heartbeat, why_lost
from asyncjobs.worker.plan import BuiltIn, Plan
from asyncjobs.worker.process_state import STATE
from asyncjobs.worker.steps import blocking
from asyncjobs.worker.timeouts import ProcessEnd, call_with_timeout, interrupt_call, prepare_interruptions

Delay = timedelta | None
"""After what time a message returns to the queue; None for one that has done its work."""
TRY_LATER = timedelta(seconds=30)
"""When a message returns whose job could not be claimed or recorded because the table did not answer."""
_CLAIM_TRIES = 2
_RECORD_TRIES = 5


class Executor:
    """Makes the attempts that messages start. The store decides; the answer only says what becomes of the message.

    `run` and `run_claimed` are coroutines for all jobs: see `steps` for how to run them.
    """

    def __init__(
        self,
        *,
        store: Store,
        objects: Objects,
        catalog: Catalog,
        locks: Locks,
        clock: Clock,
        built_in: BuiltIn | None = None,
        max_result: int = MAX_RESULT,
        at_most: timedelta = MAX_TIMEOUT,
        grace: timedelta = GRACE,
        jitter: random.Random | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`at_most` is the longest an attempt may take here, whatever its type allows; then the queue gets the job.

        `max_result` is the largest result in bytes. `grace` is the time for its `finally` blocks after an interruption.
        """
        self._store = store
        self._locks = locks
        self._objects = objects
        self._catalog = catalog
        self._clock = clock
        self._built_in = built_in
        self._max_result = max_result
        self._at_most = at_most
        self._grace = grace
        self._jitter = jitter or random.Random()
        self._sleep = sleep

    def plan(self, job_type: str) -> Plan:
        """Look up how attempts at jobs of this type run."""
        return Plan.of(job_type, self._catalog, self._built_in)

    async def run(self, message: JobMessage, plan: Plan, *, claimant: str, remaining: timedelta) -> Delay:
        """Make one attempt, if the job can be claimed. Return what becomes of the message."""
        began = self._clock()
        claim = await blocking(self._claim, message, plan, claimant, remaining)
        if not isinstance(claim, AsyncJob):
            return claim
        # The lock may have taken seconds before the claim.
        remaining -= claim.updated_at - began
        try:
            ended = await self.run_claimed(claim, plan, remaining=remaining)
        except Unavailable:
            return TRY_LATER
        return _returns_after(ended)

    async def run_claimed(self, claim: AsyncJob, plan: Plan, *, remaining: timedelta) -> AsyncJob | None:
        """Make the attempt that the claim has begun.

        Returns the job as it ended or was released; None if another writer had taken it away. Raises `Unavailable` when the
        outcome could not be recorded: it is lost with this attempt, and when the lease ends, another attempt begins.
        """
        heartbeat, outcome = await self._perform(claim, plan, remaining)
        if isinstance(outcome, Stopped):
            self._report_fenced(claim, outcome.reason)
            return None
        decided = self._decide(heartbeat.with_last_progress(), plan, outcome)
        ended = await blocking(self._record, heartbeat.job, decided)
        if isinstance(ended, Lost):
            self._report_fenced(claim, why_lost(heartbeat.job, ended.current))
            return None
        self._report(claim, ended, outcome)
        if ended.is_finished:
            await blocking(self._locks.wake, ended)
        return ended

    # ── Claim ──────────────────────────────────────────────────────────────────────────────────────

    def _claim(self, message: JobMessage, plan: Plan, claimant: str, remaining: timedelta) -> AsyncJob | Delay:
        if remaining < 2 * GRACE:
            return timedelta(0)
        if message.exclusive_key is not None:
            try:
                running = self._locks.take(message.exclusive_key, LockOwner(message.key, message.generation))
            except Unavailable:
                log_event("CLAIM_DEFERRED", asyncJobId=message.key.async_job_id, jobType=message.job_type)
                return TRY_LATER
            if running is not None:
                # The message does not return: each return is a step toward the dead-letter queue. The end of the running job, or
                # the sweeper, sends a new one.
                log_event("JOB_WAITS", asyncJobId=message.key.async_job_id, jobType=message.job_type)
                return None
        now = self._clock()
        for _ in range(_CLAIM_TRIES):
            try:
                claim = self._store.claim_if_claimable(message, by=claimant, now=now, lease_until=now + plan.lease)
                break
            except Unavailable:
                # The claim may have been made all the same. If this gave up now, the attempt would be lost before it began.
                continue
        else:
            log_event("CLAIM_DEFERRED", asyncJobId=message.key.async_job_id, jobType=message.job_type)
            return TRY_LATER
        if isinstance(claim, Lost):
            return self._refused(message, claim.current)
        log_event("JOB_STARTED", claim)
        return claim

    def _refused(self, message: JobMessage, current: AsyncJob | None) -> Delay:
        """Return what becomes of the message of a job that cannot be claimed: it returns only if it came too early.

        The message of a running job is done, too: the sweeper recovers lost runs.
        """
        status = current.status.value if current is not None and message.describes(current) else None
        log_event("DELIVERY_IGNORED", asyncJobId=message.key.async_job_id, jobType=message.job_type, status=status)
        if current is None or status is None:
            return None
        now = self._clock()
        if current.is_claimable(now):
            # It became claimable while the claim was on its way.
            return timedelta(0)
        if status == Status.PENDING and current.not_before is not None and current.not_before > now:
            return current.not_before - now
        return None

    # ── Run ────────────────────────────────────────────────────────────────────────────────────────

    async def _perform(self, claim: AsyncJob, plan: Plan, remaining: timedelta) -> tuple[Heartbeat, Outcome]:
        prepare_interruptions()
        now = self._clock()
        limit = self._limit(claim, plan, remaining, now)
        # Coroutine jobs run side by side, and `run_side_by_side` bounds all of them together.
        with ProcessEnd(None if plan.is_async else limit + self._grace) as process_end:
            task = JobTask(process_end, self._grace) if plan.is_async else None
            interrupt = task.interrupt if task else partial(self._interrupt_main_thread, process_end)
            with Heartbeat(self._store, claim, self._clock, renews_lease=plan.renews_lease, interrupt=interrupt) as heartbeat:
                attempt = Attempt(
                    heartbeat=heartbeat,
                    objects=self._objects,
                    plan=plan,
                    clock=self._clock,
                    ends_at=now + limit,
                    max_result=self._max_result,
                )
                with STATE:
                    outcome = await attempt.run_async(task) if task else _run_in_time(attempt, limit)
                await blocking(heartbeat.stop)
            return heartbeat, outcome

    def _interrupt_main_thread(self, process_end: ProcessEnd, reason: JobInterrupted) -> None:
        # A job that does not end now, since it hangs in foreign code or suppresses the exception, ends with its process.
        process_end.within(self._grace)
        interrupt_call(reason)

    def _limit(self, claim: AsyncJob, plan: Plan, remaining: timedelta, now: datetime) -> timedelta:
        """Return the time that is left: what the type allows, or less if Lambda or the job's deadline ends the attempt first."""
        # The claim itself may have taken seconds, and its lease began before them.
        left = min(plan.timeout, self._at_most, remaining - GRACE) - (now - claim.updated_at)
        return max(min(left, claim.deadline_at - now), timedelta(0))

    # ── Decide ─────────────────────────────────────────────────────────────────────────────────────

    def _decide(self, job: AsyncJob, plan: Plan, outcome: Succeeded | Errored) -> AsyncJob:
        now = self._clock()
        if isinstance(outcome, Succeeded):
            return job.completed(now=now, result=outcome.result)
        has_attempts = job.attempt < job.max_attempts
        if has_attempts and isinstance(outcome.reason, TimeLimitExceeded) and self._at_most < plan.timeout:
            return job.released(now=now, error=HANDED_OVER, after=timedelta(0))
        if not has_attempts or not outcome.failure.retryable:
            return job.failed(now=now, error=outcome.failure)
        after = retry_backoff(job.attempt, jitter=self._jitter) if outcome.after is None else outcome.after
        return job.released(now=now, error=outcome.failure, after=after)

    # ── Record ─────────────────────────────────────────────────────────────────────────────────────

    def _record(self, held: AsyncJob, ended: AsyncJob) -> AsyncJob | Lost:
        try:
            return self._swap_persistently(held, ended)
        except Unavailable:
            log_event("RECORD_DEFERRED", held)
            raise

    def _swap_persistently(self, held: AsyncJob, ended: AsyncJob) -> AsyncJob | Lost:
        """Write the end. The work is done, so a table that is throttled for seconds must not cause another attempt."""
        for attempt in range(1, _RECORD_TRIES):
            try:
                return self._store.swap_if_unchanged(held, ended)
            except Unavailable:
                self._sleep(self._jitter.uniform(0, 0.2 * 2**attempt))
        return self._store.swap_if_unchanged(held, ended)

    # ── Report ─────────────────────────────────────────────────────────────────────────────────────

    def _report(self, claim: AsyncJob, ended: AsyncJob, outcome: Succeeded | Errored) -> None:
        name = {Status.COMPLETED: "JOB_COMPLETED", Status.FAILED: "JOB_FAILED"}.get(ended.status, "JOB_RETRIED")
        took = _milliseconds(self._clock() - claim.updated_at)
        if isinstance(outcome, Errored):
            log_event(name, ended, durationMs=took, errorCode=outcome.failure.code, exception=outcome.exception)
        else:
            log_event(name, ended, durationMs=took)

    def _report_fenced(self, claim: AsyncJob, reason: JobInterrupted) -> None:
        log_event("JOB_FENCED", claim, reason=type(reason).__name__, durationMs=_milliseconds(self._clock() - claim.updated_at))


def _run_in_time(attempt: Attempt, limit: timedelta) -> Outcome:
    try:
        return call_with_timeout(attempt.run, limit)
    except JobInterrupted as error:
        # It came in the moment when the job ended.
        return attempt.errored(error)


def _returns_after(ended: AsyncJob | None) -> Delay:
    """Return what becomes of the message: that of a released job returns to the queue."""
    if ended is None or ended.status is not Status.PENDING or ended.not_before is None:
        return None
    delay = ended.not_before - ended.updated_at
    # A message that waits counts as in flight, of which a queue may have 120,000. Receivers that are down for a day must not stop
    # all deliveries: from the queue's own longest delay on, the sweeper sends the next try.
    return None if ended.is_delivery and delay > MAX_QUEUE_DELAY else delay


def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
