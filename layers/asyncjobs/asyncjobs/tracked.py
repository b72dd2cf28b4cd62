"""Tracked jobs for server-side code in the same AWS account: directly in the table, without HTTP.

The code needs `dynamodb:PutItem`, `GetItem` and `UpdateItem` on the stack's table, and so can write any job there: use it
only in code that you trust like the stack itself. Other workers report over HTTP, with a worker's token.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.core.canonical_json import canonical_json
from asyncjobs.core.clock import Clock, utc_now
from asyncjobs.core.job import AsyncJob, JobKey, is_owner, job_id_for, submitted
from asyncjobs.jobtypes.decorator import DEFAULT_DEADLINE, DEFAULT_TRACKED_RETENTION, GENERIC, tracked_job
from asyncjobs.log import log_event
from asyncjobs.tracking.reports import DEFAULT_ERROR_CODE, Report, Reports
from asyncjobs.tracking.worker_token import WorkerToken

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True)
class CreatedJob:
    """A new tracked job, and the token for an outside worker that reports over HTTP."""

    job: AsyncJob
    worker_token: str = field(repr=False)


class TrackedJobs:
    """Creates tracked jobs and reports on them.

    Every method raises `Unavailable` when the table does not answer; repeat the call then. All but `create_job` raise
    `JobNotFound`, `JobNotTracked`, `JobHasEnded` (it was cancelled, or its deadline passed: stop working), and
    `InvalidReport` for reports that the HTTP API would reject, too.
    """

    def __init__(self, table_name: str, client: DynamoDBClient | None = None, *, clock: Clock = utc_now) -> None:
        self._store = DynamoStore(table_name, client)
        self._clock = clock
        self._reports = Reports(store=self._store, clock=clock)

    def create_job(
        self,
        owner: str,
        job_type: str = GENERIC,
        *,
        message: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        retention_seconds: float = DEFAULT_TRACKED_RETENTION.total_seconds(),
        deadline_seconds: float = DEFAULT_DEADLINE.total_seconds(),
    ) -> CreatedJob:
        """Create a job of `owner`, the `sub` of a user's token. The options are those of `tracked_job`.

        Its owner can retry it over HTTP only if the stack's catalog has the job type.

        Raises `InvalidJob` for an option that is out of range, and `ValueError` for an invalid owner.
        """
        if not is_owner(owner):
            raise ValueError(f"{owner!r} is not a valid owner: use the `sub` of the user's token.")
        declared = tracked_job(job_type, retention_seconds=retention_seconds, deadline_seconds=deadline_seconds)
        token = WorkerToken.new(owner)
        now = self._clock()
        job = submitted(
            JobKey(owner, job_id_for(owner, None)),
            job_type=declared.name,
            # Random: without an idempotency key, no later request can be the same one.
            request_hash=secrets.token_bytes(32),
            max_attempts=declared.max_attempts,
            timeout=declared.timeout,
            deadline=declared.deadline,
            retention=declared.retention,
            now=now,
            message=message,
            metadata=None if metadata is None else canonical_json(metadata).decode(),
            token_hash=token.hash,
        )
        self._store.add_if_absent(job, now)
        log_event("JOB_ACCEPTED", job)
        return CreatedJob(job, token.text)

    def update_job(self, key: JobKey, *, progress: float | None = None, message: str | None = None) -> AsyncJob:
        """Report the progress, 0 to 100. The first report starts the job, and progress never decreases."""
        return self._report(key, status="IN_PROGRESS", progress=progress, message=message)

    def complete_job(
        self, key: JobKey, result: Any = None, *, result_location: str | None = None, message: str | None = None
    ) -> AsyncJob:
        """Complete the job with a small result, or an https URL of a larger one. May also raise `ResultTooLarge`."""
        return self._report(key, status="COMPLETED", message=message, result=result, resultLocation=result_location)

    def fail_job(self, key: JobKey, error: str, *, code: str = DEFAULT_ERROR_CODE, message: str | None = None) -> AsyncJob:
        """End the job without a result. The owner reads `error`; `code` is for programs."""
        return self._report(key, status="FAILED", error={"code": code, "message": error}, message=message)

    def issue_worker_token(self, key: JobKey) -> str:
        """Issue a new token for an outside worker that reports over HTTP. No earlier token is valid from now on.

        Raises `JobAlreadyFinished` instead of `JobHasEnded`.
        """
        _, token = self._reports.issue_token(key)
        return token.text

    def _report(self, key: JobKey, **fields: Any) -> AsyncJob:
        return self._reports.by_owner(key, Report.of({name: value for name, value in fields.items() if value is not None}))
