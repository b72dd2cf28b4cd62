"""Jobs, job types and quotas as clients receive them."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from asyncjobs.core.clock import epoch_milliseconds, rfc3339
from asyncjobs.core.exact_json import read_json
from asyncjobs.core.job import AsyncJob
from asyncjobs.jobtypes.decorator import JobType

if TYPE_CHECKING:
    from asyncjobs.core.rate import Quota


def job_path(job: AsyncJob, base: str) -> str:
    """Return the job's URL as a reference; `base` is that of the API (see `Request.base`)."""
    return f"{base}jobs/{job.async_job_id}"


def job_tag(job: AsyncJob) -> str:
    """Return the entity tag of the job's present state (RFC 9110 8.8.3).

    The generation distinguishes a record from a later one of the same id. An earlier release that still runs while the stack is
    updated raises no `seq`: the status shows the end of its jobs all the same.
    """
    return f'"{job.generation[:16]}.{job.seq}.{job.status.value}"'


def job_body(job: AsyncJob, base: str) -> dict[str, Any]:
    """Return the job, without the members that change while the job does not. Its links begin with `base`."""
    result = job.result
    return {
        "asyncJobId": job.async_job_id,
        "jobType": job.job_type,
        "status": job.status.value,
        "seq": job.seq,
        "priority": job.priority.value,
        "progress": job.progress,
        "message": job.message,
        "metadata": None if job.metadata is None else read_json(job.metadata),
        "attempt": job.attempt,
        "maxAttempts": job.max_attempts,
        "createdAt": rfc3339(job.created_at),
        "updatedAt": rfc3339(job.updated_at),
        "startedAt": job.started_at and rfc3339(job.started_at),
        "endedAt": job.ended_at and rfc3339(job.ended_at),
        "estimatedEndAt": None,
        "recordExpiresAt": epoch_milliseconds(job.record_expires_at) // 1000,
        "resultType": job.result_type and job.result_type.value,
        "result": read_json(result.text) if result and result.text is not None else None,
        "resultLocation": f"{job_path(job, base)}/result" if result and result.text is None else None,
        "error": error_body(job),
    }


def error_body(job: AsyncJob) -> dict[str, Any] | None:
    """Return the error of the job's last attempt, or None."""
    error = job.error
    if error is None:
        return None
    return {"code": error.code, "message": error.message, "type": error.type, "retryable": error.retryable}


def job_type_body(job_type: JobType) -> dict[str, Any]:
    """Return what a client needs to use the job type."""
    return {
        "jobType": job_type.name,
        "description": job_type.description,
        "inputSchema": job_type.input_schema,
        "outputSchema": job_type.output_schema,
        "expectedSeconds": job_type.expected.total_seconds(),
        "timeoutSeconds": job_type.timeout.total_seconds(),
        "maxAttempts": job_type.max_attempts,
        "priority": job_type.priority.value,
        "tracked": job_type.tracked,
        "retentionSeconds": job_type.retention.total_seconds(),
    }


def rate_headers(quota: Quota | None) -> dict[str, str]:
    """Return `RateLimit` and its policy (draft-ietf-httpapi-ratelimit-headers-10): `r` submits now, one more in `t` seconds."""
    if quota is None:
        return {}
    return {
        "ratelimit-policy": f'"submit";q={quota.burst};w={whole_seconds(quota.window)}',
        "ratelimit": f'"submit";r={quota.remaining};t={whole_seconds(quota.next_token)}',
    }


def whole_seconds(duration: timedelta) -> int:
    """Return the duration in seconds, rounded up, so that a client that waits so long is not too early."""
    return math.ceil(duration.total_seconds())
