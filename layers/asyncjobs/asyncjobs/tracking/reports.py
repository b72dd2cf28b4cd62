"""Outside workers' reports on tracked jobs, and their tokens.

A report is checked, applied to the stored job, and recorded by one conditional write; a new token is stored by one, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import (
    Fatal,
    InputProblem,
    InvalidInput,
    InvalidReport,
    InvalidWorkerToken,
    JobAlreadyFinished,
    JobHasEnded,
    JobNotFound,
    JobNotTracked,
    ResultTooLarge,
    Unavailable,
)
from asyncjobs.core.exact_json import write_json
from asyncjobs.core.job import (
    FENCE_AND_PROGRESS,
    FENCE_AND_TOKEN,
    MAX_ERROR_MESSAGE,
    MAX_MESSAGE_LENGTH,
    AsyncJob,
    JobFailure,
    JobKey,
    Result,
    Status,
    present_job,
)
from asyncjobs.core.placement import INLINE_RESULT_LIMIT, checked_json
from asyncjobs.core.ports import Store
from asyncjobs.jobtypes import json_schema
from asyncjobs.log import log_event
from asyncjobs.tracking.worker_token import WorkerToken

MAX_URL_LENGTH = 2048
DEFAULT_ERROR_CODE = "JOB_ERROR"

SCHEMA: Mapping[str, Any] = json_schema.nulls_left_out(
    {
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "properties": {
            "status": {"enum": [Status.IN_PROGRESS.value, Status.COMPLETED.value, Status.FAILED.value]},
            "progress": {"type": "number", "minimum": 0, "maximum": 100},
            "message": {"type": "string", "maxLength": MAX_MESSAGE_LENGTH},
            "result": {},
            "resultLocation": {"type": "string", "maxLength": MAX_URL_LENGTH},
            "error": json_schema.nulls_left_out(
                {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["message"],
                    "properties": {
                        "code": {"type": "string", "pattern": "^[A-Z][A-Z0-9_]{0,63}$"},
                        "message": {"type": "string", "minLength": 1, "maxLength": MAX_ERROR_MESSAGE},
                    },
                }
            ),
        },
    }
)
"""The schema of a report. `Report.of` checks which of its fields go together."""

# No user before the host, which makes one host look like another, and only characters that a header may have.
_URL = re.compile(r"https://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?(?:[/?#][\x21-\x7e]*)?")
_TRIES = 5
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A worker's report: progress, or the end."""

    status: Status = Status.IN_PROGRESS
    progress: int | None = None
    message: str | None = None
    result: Result | None = None
    error: JobFailure | None = None

    @classmethod
    def of(cls, fields: Any) -> Report:
        """Make a report of these fields, camelCase as in JSON. Raises `InvalidReport`, `ResultTooLarge`."""
        try:
            json_schema.check(SCHEMA, fields)
        except InvalidInput as error:
            raise InvalidReport(error.problems) from error
        fields = json_schema.without_nulls(fields)
        status = Status(fields.get("status", Status.IN_PROGRESS))
        if problems := list(_contradictions(status, fields)):
            raise InvalidReport(problems)
        progress = fields.get("progress")
        return cls(
            status=status,
            # Rounded as a job's own progress is.
            progress=None if progress is None else round(progress),
            message=fields.get("message"),
            result=_result(fields) if status is Status.COMPLETED else None,
            error=_failure(fields["error"]) if status is Status.FAILED else None,
        )

    def applied_to(self, job: AsyncJob, now: datetime) -> AsyncJob:
        """Return the job after the report."""
        advanced = job.advanced(now=now, progress=self.progress, message=self.message)
        if self.result is not None:
            return advanced.completed(now=now, result=self.result)
        if self.error is not None:
            return advanced.failed(now=now, error=self.error)
        return advanced

    def matches(self, job: AsyncJob) -> bool:
        """Return whether the job has ended exactly so: the report was recorded before, and its answer was lost."""
        reported = (self.status, self.result, self.error, job.message if self.message is None else self.message)
        return reported == (job.status, job.result, job.error, job.message)


class Reports:
    """Records reports, and issues the tokens of the workers that report."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def by_owner(self, key: JobKey, report: Report) -> AsyncJob:
        """Record a report of the job's owner; a report that was recorded before changes nothing.

        Raises `JobNotFound`, `JobNotTracked`, `JobHasEnded`, `Unavailable`.
        """
        job = self._read(key)
        if not job.has_outside_worker:
            raise JobNotTracked
        return self._record(job, report)

    def by_bulk_action(self, key: JobKey, report: Report) -> AsyncJob:
        """Record a report of an action on many jobs on its own job. Raises `JobNotFound`, `JobHasEnded`, `Unavailable`."""
        return self._record(self._read(key), report)

    def by_worker(self, async_job_id: str, token: WorkerToken, report: Report) -> AsyncJob:
        """Record a report of a worker with the job's token. Raises `InvalidWorkerToken`, `JobHasEnded`, `Unavailable`."""
        try:
            return self._record(self._read(JobKey(token.owner, async_job_id)), report, token)
        except JobNotFound as error:
            raise InvalidWorkerToken from error

    def issue_token(self, key: JobKey) -> tuple[AsyncJob, WorkerToken]:
        """Issue a new token for the job's worker. No earlier token is valid from now on.

        Raises `JobNotFound`, `JobNotTracked`, `JobAlreadyFinished`, `Unavailable`.
        """
        job = self._store.get(key)
        while True:
            job = present_job(job, self._clock())
            if not job.has_outside_worker:
                raise JobNotTracked
            if job.is_finished:
                raise JobAlreadyFinished
            # Another token for each try: this request may have stored the last one, and then another request replaced it.
            token = WorkerToken.new(key.owner)
            reissued = job.reissued(token_hash=token.hash)
            outcome = self._store.swap_if_unchanged(job, reissued, FENCE_AND_TOKEN)
            if isinstance(outcome, AsyncJob):
                log_event("WORKER_TOKEN_ISSUED", outcome)
                return outcome, token
            # The first report, the end, or another new token came first. None of them comes often.
            job = outcome.current

    def _read(self, key: JobKey) -> AsyncJob:
        return present_job(self._store.get(key), self._clock())

    def _record(self, job: AsyncJob, report: Report, token: WorkerToken | None = None) -> AsyncJob:
        """Write the changed job if no other write came in between; otherwise decide again, by the token's validity, too."""
        current: AsyncJob | None = job
        for _ in range(_TRIES):
            now = self._clock()
            if current is None or current.generation != job.generation or current.is_expired(now):
                raise JobNotFound
            if token is not None and not token.matches(current):
                raise InvalidWorkerToken
            if current.is_finished:
                if report.matches(current):
                    return current
                raise JobHasEnded(current.status)
            # A report after the deadline ends the job, as the sweeper would within the minute.
            changed = current.ended_by_time(now) or report.applied_to(current, now)
            outcome = current if changed == current else self._store.swap_if_unchanged(current, changed, FENCE_AND_PROGRESS)
            if isinstance(outcome, AsyncJob):
                _log(current, outcome)
                if outcome.is_finished and not report.matches(outcome):
                    raise JobHasEnded(outcome.status)
                return outcome
            current = outcome.current
        raise Unavailable("Other reports on the job come at the same time.")


def _contradictions(status: Status, fields: Mapping[str, Any]) -> Iterator[InputProblem]:
    if not fields:
        yield InputProblem("", "reports nothing: every field is null")
    for name, of in {"result": Status.COMPLETED, "resultLocation": Status.COMPLETED, "error": Status.FAILED}.items():
        if name in fields and status is not of:
            yield InputProblem(f"/{name}", f"belongs to a report with the status {of}")
    if status is Status.FAILED and "error" not in fields:
        yield InputProblem("/error", "is required: it says why the job failed")
    if "result" in fields and "resultLocation" in fields:
        yield InputProblem("/resultLocation", "cannot be given together with `result`")
    elif not _URL.fullmatch(fields.get("resultLocation", "https://any")):
        yield InputProblem("/resultLocation", "must be an https URL without credentials, in printable ASCII only")


def _result(fields: Mapping[str, Any]) -> Result:
    if "resultLocation" in fields:
        return Result(url=fields["resultLocation"])
    try:
        data = write_json(fields.get("result")).encode()
        if len(data) <= INLINE_RESULT_LIMIT:
            return Result(text=checked_json(data))
    except (ValueError, TypeError, RecursionError, Fatal) as error:
        # Only server-side code can report it: a request is JSON.
        raise InvalidReport([InputProblem("/result", "has no JSON of its own")]) from error
    raise ResultTooLarge(size=len(data), limit=INLINE_RESULT_LIMIT)


def _failure(fields: Mapping[str, Any]) -> JobFailure:
    return JobFailure(
        code=fields.get("code") or DEFAULT_ERROR_CODE, message=fields["message"], type="ReportedFailure", retryable=False
    )


def _log(before: AsyncJob, after: AsyncJob) -> None:
    """Log a start or an end, not progress. Never log an error's text, which comes from outside."""
    if before.started_at is None and after.started_at is not None:
        log_event("JOB_STARTED", after)
    if after.status is Status.COMPLETED and after.started_at is not None:
        log_event("JOB_COMPLETED", after, durationMs=(after.updated_at - after.started_at) // _MILLISECOND)
    elif after.status is Status.FAILED:
        log_event("JOB_FAILED", after)
