"""Jobs and job types with defaults; a test sets only the fields that it is about."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncjobs.core.job import AsyncJob, JobFailure, JobKey, submitted
from asyncjobs.core.webhook import Webhook
from asyncjobs.jobtypes.decorator import DEFAULT_DEADLINE, DEFAULT_RETENTION, JobType, definition_of, type_without_options
from asyncjobs.jobtypes.pydantic_schema import describe

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
OWNER = "alice"
JOB_ID = "3f2b8c1e-4d5a-4b6c-8d7e-9f0a1b2c3d4e"
WEBHOOK_ID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


def new_job(
    *,
    owner: str = OWNER,
    async_job_id: str = JOB_ID,
    timeout: timedelta = timedelta(minutes=1),
    now: datetime = NOW,
    delay: timedelta = timedelta(0),
    **changes: Any,
) -> AsyncJob:
    """Return a job that was just submitted."""
    job = submitted(
        JobKey(owner, async_job_id),
        job_type="sample.returns",
        request_hash=b"h" * 32,
        max_attempts=3,
        timeout=timeout,
        deadline=timedelta(hours=24),
        retention=timedelta(days=7),
        now=now,
        delay=delay,
    ).with_input(text="{}")
    return replace(job, **changes)


def new_tracked_job(*, owner: str = OWNER, async_job_id: str = JOB_ID, **changes: Any) -> AsyncJob:
    """Return a tracked job that was just submitted, with a deadline of an hour."""
    job = submitted(
        JobKey(owner, async_job_id),
        job_type="generic",
        request_hash=b"h" * 32,
        max_attempts=0,
        timeout=timedelta(hours=1),
        deadline=timedelta(hours=1),
        retention=timedelta(minutes=5),
        now=NOW,
    )
    return replace(job, **changes)


def new_webhook(**changes: Any) -> Webhook:
    """Return a webhook for the events that end a job."""
    webhook = Webhook(
        webhook_id=WEBHOOK_ID,
        url="https://app.example.com/events",
        created_at=NOW,
        secret="whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    )
    return replace(webhook, **changes)


def running_job(
    *, by: str = "worker-1", now: datetime = NOW, lease: timedelta = timedelta(seconds=75), **changes: Any
) -> AsyncJob:
    """Return a job whose first attempt has just begun."""
    return replace(new_job(now=now).claimed(by=by, now=now, lease_until=now + lease), **changes)


def live_jobs(count: int, **changes: Any) -> list[AsyncJob]:
    """Return so many waiting jobs of seven owners, a second apart."""
    return [
        new_job(
            async_job_id=str(uuid.UUID(int=number << 64 | number, version=4)),
            owner=f"user-{number % 7}",
            now=NOW + timedelta(seconds=number),
            **changes,
        )
        for number in range(count)
    ]


def failed_jobs(count: int, code: str = "BROKEN", job_type: str = "sample.returns") -> list[AsyncJob]:
    """Return so many jobs of seven owners that failed, a second apart."""
    error = JobFailure(code=code, message="x", type="Fatal", retryable=False)
    return [
        running_job(async_job_id=str(uuid.uuid4()), owner=f"user-{number % 7}", job_type=job_type).failed(
            now=NOW + timedelta(seconds=number), error=error
        )
        for number in range(count)
    ]


def numbered(job: AsyncJob, *, by: int = 1) -> AsyncJob:
    """Return the job as the store has it after so many writes that a client can see."""
    return replace(job, seq=job.seq + by)


def job_types_of(*values: object) -> dict[str, JobType]:
    """Return the job types that functions among the values declare, such as those of a module's `vars()`."""
    definitions = [found for found in map(definition_of, values) if found is not None]
    return {found.job_type.name: describe(found) for found in definitions}


def job_type(name: str, **changes: Any) -> JobType:
    """Return a job type that accepts any input."""
    return replace(
        type_without_options(
            name=name,
            module="jobs.none",
            function="none",
            description="Does nothing.",
            expected=timedelta(seconds=10),
            timeout=timedelta(minutes=1),
            max_attempts=3,
            retention=DEFAULT_RETENTION,
            immediate=None,
            deadline=DEFAULT_DEADLINE,
            input_schema={},
            output_schema={},
        ),
        **changes,
    )
