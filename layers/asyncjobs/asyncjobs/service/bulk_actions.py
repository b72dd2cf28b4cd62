"""Actions of administrators on many jobs: a part within a request, or all of them in the background, as a job of the administrator.

In the background, the function invokes itself for as long as there are parts. Lambda repeats an invocation that dies, and may make
any of them twice. So the state is in stored parts only: a part names its jobs before anything happens to them. An invocation that finds one
which has not ended acts on the same jobs again, and skips those to which it has happened. One invocation stores each part first,
and any other one stops there.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

from asyncjobs.core.administration import (
    BulkEntry,
    BulkPart,
    BulkParts,
    BulkTask,
    Continuations,
    FailedPosition,
    LivePosition,
)
from asyncjobs.core.canonical_json import canonical_json
from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import (
    AsyncJobsError,
    JobAlreadyFinished,
    JobHasEnded,
    JobNotFinished,
    JobNotFound,
    JobNotRetryable,
    Unavailable,
    UnknownJobType,
    Unreadable,
)
from asyncjobs.core.job import (
    BULK_ACTION,
    AsyncJob,
    JobFailure,
    JobKey,
    Result,
    Status,
    check_cancel,
    check_delete,
    job_id_for,
    present_job,
    submitted,
)
from asyncjobs.core.ports import Store
from asyncjobs.core.records import replace
from asyncjobs.jobtypes.built_in import BULK_ACTION_TYPE
from asyncjobs.log import log_event
from asyncjobs.service.administration import (
    Actor,
    Administration,
    FailedPage,
    FailedQuery,
    LivePage,
    LiveQuery,
)
from asyncjobs.service.commands import Commands
from asyncjobs.tracking.reports import Report, Reports

DONE, ELIGIBLE, STOPPED = "DONE", "ELIGIBLE", "STOPPED"
"""The outcomes of a job that an action on many has changed, in a trial would change, or did not reach."""
_ALMOST = 99
"""The most progress before the end."""
_NOT_STARTED = JobFailure(
    code="NOT_STARTED", message="The action could not be started. Start it again.", type="NotStarted", retryable=False
)


class BulkAction(StrEnum):
    """An action on many jobs."""

    RETRY = "retry"
    CANCEL = "cancel"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkRequest:
    """An action on many jobs, and what selects them."""

    action: BulkAction
    jobs: FailedQuery | LiveQuery | Sequence[JobKey]
    filter: Mapping[str, Any]
    """What selects the jobs, as it is recorded."""
    is_trial: bool = False
    expected: int | None = None
    """About how many jobs there are, by the administrator's count."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an action on many jobs did to one of them: nothing, for the reason of `error`, if there is one."""

    key: JobKey
    error: AsyncJobsError | None


class BulkSlice(NamedTuple):
    """A part of an action on many jobs, and the position of the next one in the list that was given; None at the end."""

    outcomes: Sequence[Outcome]
    next: FailedPosition | LivePosition | None


class BulkActions:
    """Retries, cancels and deletes many jobs. The caller has checked the administrator's rights."""

    def __init__(
        self,
        *,
        administration: Administration,
        store: Store,
        commands: Commands,
        parts: BulkParts,
        continuations: Continuations,
        reports: Reports,
        code_of: Callable[[AsyncJobsError], str],
        clock: Clock,
    ) -> None:
        """`code_of` returns the code with which an error is stored: that of the action on this job alone."""
        self._administration = administration
        self._store = store
        self._commands = commands
        self._parts = parts
        self._continuations = continuations
        self._reports = reports
        self._code_of = code_of
        self._clock = clock

    # ── Within a request ───────────────────────────────────────────────────────────────────────────

    def act_on(self, actor: Actor, request: BulkRequest) -> BulkSlice:
        """Act on the jobs of one page of a list, or on these jobs, as far as the time of a request goes.

        A trial says what would become of each, and changes nothing. The action is recorded once, with what selects its jobs. A
        request that is repeated after `Unavailable` finds the jobs that are done already.
        """
        page = self._page(request.jobs)
        keys = [job.key for job in page.jobs] if isinstance(page, FailedPage | LivePage) else page
        if request.is_trial:
            found = self._store.get_all(keys)
            outcomes = [_outcome(key, partial(self._check, request.action, found.get(key))) for key in keys]
        else:
            if keys:
                self._administration.note(actor, f"bulk.{request.action}", filter=request.filter, count=len(keys))
            outcomes = [self._act(request.action, key) for key in keys]
        return BulkSlice(outcomes, page.next if isinstance(page, FailedPage | LivePage) else None)

    # ── In the background ──────────────────────────────────────────────────────────────────────────

    def start(self, actor: Actor, request: BulkRequest, body: Mapping[str, Any]) -> AsyncJob:
        """Start the action, and return its job, which the administrator owns. `body` is that of the request, which was checked.

        It is recorded first. Raises `Unavailable`: then it has not started, or the job says what it does.
        """
        now = self._clock()
        job = submitted(
            JobKey(actor.subject, job_id_for(actor.subject, None)),
            job_type=BULK_ACTION,
            # Random: without an idempotency key, no later request can be the same one.
            request_hash=secrets.token_bytes(32),
            max_attempts=BULK_ACTION_TYPE.max_attempts,
            timeout=BULK_ACTION_TYPE.timeout,
            deadline=BULK_ACTION_TYPE.deadline,
            retention=BULK_ACTION_TYPE.retention,
            now=now,
            metadata=canonical_json({"action": request.action.value, **_shown(request.filter)}).decode(),
        )
        task = BulkTask(owner=job.owner, async_job_id=job.async_job_id, request_id=actor.request_id, request=body)
        self._administration.note(
            actor, f"bulk.{request.action}", **_about(task), filter=request.filter, count=request.expected or 0
        )
        self._store.add_if_absent(job, now)
        log_event("JOB_ACCEPTED", job)
        try:
            self._continuations.go_on(task)
        except Unavailable:
            self._reports.by_bulk_action(job.key, Report(status=Status.FAILED, error=_NOT_STARTED))
            raise
        return job

    def go_on(self, task: BulkTask, request: BulkRequest, has_time: Callable[[], bool]) -> None:
        """Act on part after part while there is time, and have another invocation go on with the rest.

        Raises `Unavailable`: the same task then goes on where it was.
        """
        number, part, before = self._found(task)
        is_again = part is not None
        if self._is_over(task.key):
            if part is not None and part.outcomes is None:
                part = self._stopped(task, number, request, part)
            self._note_end(task, request, part or before)
            return
        while True:
            part = part or self._begun(task, number, request, before, has_time)
            if part is None:
                return  # another invocation has begun this part, and goes on
            if part.outcomes is None:
                part = self._acted(task, number, request, part, has_time, is_again=is_again)
            if part.outcomes is None:
                break
            if part.next is None:
                self._complete(task, request, part)
                return
            if not self._report(task.key, request, part):
                self._note_end(task, request, part)
                return
            number, before, part, is_again = number + 1, part, None, False
            if not has_time():
                break
        self._continuations.go_on(replace(task, part=number))

    def outcomes(self, async_job_id: str, number: int) -> BulkPart | None:
        """Return a part of an action that was started; None if there is none of this number yet. Raises `JobNotFound`."""
        part = self._parts.get(async_job_id, number)
        if part is None and number == 0:
            raise JobNotFound
        return part

    def _found(self, task: BulkTask) -> tuple[int, BulkPart | None, BulkPart | None]:
        """Return the number of the part to go on with, that part if it has begun, and the part before it.

        An earlier invocation for the same task may have got further before it died.
        """
        number = task.part
        before = self._parts.get(task.async_job_id, number - 1) if number else None
        while True:
            part = self._parts.get(task.async_job_id, number)
            if part is None or part.outcomes is None or part.next is None:
                return number, part, before
            number, before = number + 1, part

    def _is_over(self, key: JobKey) -> bool:
        """Return whether the action's job has ended: it was cancelled, or its deadline has passed, or all is done."""
        job = self._store.get(key)
        return job is None or job.is_finished or job.is_expired(self._clock())

    def _begun(
        self, task: BulkTask, number: int, request: BulkRequest, before: BulkPart | None, has_time: Callable[[], bool]
    ) -> BulkPart | None:
        """Store the next part, which names its jobs; None if another invocation came first."""
        part = self._next(task.key, request.jobs, before, has_time)
        return part if self._parts.begin(task.async_job_id, number, part, self._clock()) else None

    def _next(
        self,
        own: JobKey,
        jobs: FailedQuery | LiveQuery | Sequence[JobKey],
        before: BulkPart | None,
        has_time: Callable[[], bool],
    ) -> BulkPart:
        """Return the next part. It leaves out the action's own job, which is a live one."""
        counts = {} if before is None else before.counts
        position = None if before is None else before.next
        while True:
            page = self._page(_after(jobs, position))
            if not isinstance(page, FailedPage | LivePage):
                stored = self._store.get_all(page)
                entries = [BulkEntry(key, _generation_of(stored.get(key))) for key in page]
                return BulkPart(entries=entries, next=None, counts=counts)
            position = page.next
            entries = [BulkEntry(job.key, job.generation) for job in page.jobs if job.key != own]
            # A filter may leave nothing of a page.
            if entries or position is None or not has_time():
                return BulkPart(entries=entries, next=position, counts=counts)

    def _acted(
        self, task: BulkTask, number: int, request: BulkRequest, part: BulkPart, has_time: Callable[[], bool], *, is_again: bool
    ) -> BulkPart:
        """Act on each job of the part, and store what became of it. Return the part as it is if the time does not suffice."""
        outcomes: list[str] = []
        has_acted = False
        for entry in part.entries:
            if is_again and self._has_happened(request.action, entry):
                outcomes.append(DONE)
            elif has_acted and not has_time():
                return part
            else:
                # At least one, so that each invocation gets further.
                has_acted = True
                outcomes.append(self._outcome_of(request.action, entry))
        return self._ended(task, number, part, outcomes)

    def _stopped(self, task: BulkTask, number: int, request: BulkRequest, part: BulkPart) -> BulkPart:
        """Store which jobs of a part were done before the action was stopped in the middle of it."""
        outcomes = [DONE if self._has_happened(request.action, entry) else STOPPED for entry in part.entries]
        return self._ended(task, number, part, outcomes)

    def _ended(self, task: BulkTask, number: int, part: BulkPart, outcomes: Sequence[str]) -> BulkPart:
        ended = replace(part, outcomes=outcomes, counts=dict(Counter(part.counts) + Counter(outcomes)))
        self._parts.end(task.async_job_id, number, ended, self._clock())
        return ended

    def _outcome_of(self, action: BulkAction, entry: BulkEntry) -> str:
        error = self._act(action, entry.key).error
        # An invocation for the same part, which came twice, may have been quicker.
        return DONE if error is None or self._has_happened(action, entry) else self._code_of(error)

    def _has_happened(self, action: BulkAction, entry: BulkEntry) -> bool:
        """Return whether the action has been done to the job since its part began, as far as its record says."""
        if entry.generation is None:
            return False
        try:
            job = self._store.get(entry.key)
        except Unreadable:
            return False
        if job is None or job.is_expired(self._clock()):
            return action is BulkAction.DELETE
        # A retry makes another generation, and so does a submit that follows a deletion.
        return job.status is Status.CANCELLED if action is BulkAction.CANCEL else job.generation != entry.generation

    def _report(self, key: JobKey, request: BulkRequest, part: BulkPart) -> bool:
        """Report on the action's job, and return whether the action goes on."""
        handled = sum(part.counts.values())
        progress = min(_ALMOST, 100 * handled // request.expected) if request.expected else None
        try:
            self._reports.by_bulk_action(key, Report(progress=progress, message=_message(part)))
        except (JobHasEnded, JobNotFound):
            return False
        return True

    def _complete(self, task: BulkTask, request: BulkRequest, part: BulkPart) -> None:
        self._note_end(task, request, part)
        result = Result(text=canonical_json({"action": request.action.value, "outcomes": part.counts}).decode())
        # A cancel that came so late changes nothing.
        with suppress(JobHasEnded, JobNotFound):
            self._reports.by_bulk_action(task.key, Report(status=Status.COMPLETED, result=result, message=_message(part)))

    def _note_end(self, task: BulkTask, request: BulkRequest, last: BulkPart | None) -> None:
        """Record how far the action came: once, under the id of its job."""
        counts = {} if last is None else last.counts
        self._administration.note(
            Actor(task.owner, task.request_id),
            f"bulk.{request.action}.end",
            audit_id=task.async_job_id,
            **_about(task),
            filter=request.filter,
            count=counts.get(DONE, 0),
            outcomes=counts,
        )

    # ── Shared ─────────────────────────────────────────────────────────────────────────────────────

    def _page(self, jobs: FailedQuery | LiveQuery | Sequence[JobKey]) -> FailedPage | LivePage | Sequence[JobKey]:
        if isinstance(jobs, FailedQuery):
            return self._administration.failed(jobs)
        return self._administration.live(jobs) if isinstance(jobs, LiveQuery) else jobs

    def _check(self, action: BulkAction, job: AsyncJob | Unreadable | None) -> None:
        """Raise what the action on this job alone would, as the job is now."""
        found = present_job(None if isinstance(job, Unreadable) else job, self._clock())
        if action is BulkAction.CANCEL:
            check_cancel(found)
        elif action is BulkAction.DELETE:
            check_delete(found)
        else:
            self._commands.retryable_type(found)

    def _act(self, action: BulkAction, key: JobKey) -> Outcome:
        act = {
            BulkAction.RETRY: self._commands.retry,
            BulkAction.CANCEL: self._commands.cancel,
            BulkAction.DELETE: self._commands.delete,
        }[action]
        return _outcome(key, partial(act, key.owner, key.async_job_id))


def _outcome(key: JobKey, act: Callable[[], object]) -> Outcome:
    try:
        act()
    except (JobNotFound, JobNotRetryable, JobAlreadyFinished, JobNotFinished, UnknownJobType) as error:
        return Outcome(key, error)
    except Unreadable:
        return Outcome(key, JobNotFound())
    return Outcome(key, None)


def _after(
    jobs: FailedQuery | LiveQuery | Sequence[JobKey], position: FailedPosition | LivePosition | None
) -> FailedQuery | LiveQuery | Sequence[JobKey]:
    """Return the list from this position on."""
    if isinstance(jobs, FailedQuery) and isinstance(position, FailedPosition):
        return replace(jobs, after=position)
    if isinstance(jobs, LiveQuery) and isinstance(position, LivePosition):
        return replace(jobs, after=position)
    return jobs


def _generation_of(job: AsyncJob | Unreadable | None) -> str | None:
    return job.generation if isinstance(job, AsyncJob) else None


def _about(task: BulkTask) -> dict[str, Any]:
    return {"owner": task.owner, "async_job_id": task.async_job_id, "job_type": BULK_ACTION}


def _shown(filter: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what selects the jobs, without the ids of each."""
    return {name: len(value) if name == "jobs" else value for name, value in filter.items()}


def _message(part: BulkPart) -> str:
    handled, done = sum(part.counts.values()), part.counts.get(DONE, 0)
    return f"{done} of {handled} jobs done" if done != handled else f"{done} jobs done"
