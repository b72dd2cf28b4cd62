"""Answers with a job in them, and the problems of a job that has no result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from asyncjobs.core.clock import rfc3339
from asyncjobs.core.durations import Durations
from asyncjobs.core.job import INVALID_INPUT, AsyncJob, Status
from asyncjobs.estimates.poll_schedule import estimated_end, retry_after
from asyncjobs.http.answers import Answer, answer
from asyncjobs.http.problems import Problem
from asyncjobs.http.render import error_body

PastDurations = Callable[[str], Durations | None]
"""Returns the durations of past jobs by `AsyncJob.durations_name`; None when they are unavailable."""


def none_known(_name: str) -> None:
    """Return None for every name: no past jobs are known."""


def job_answer(
    status: int,
    job: AsyncJob,
    body: Mapping[str, Any],
    now: datetime,
    headers: Mapping[str, str] | None = None,
    *,
    durations_of: PastDurations = none_known,
    extra: Mapping[str, Any] | None = None,
) -> Answer:
    """Return an answer with the job, whose `job_body` is `body`, and with `extra` members that are not part of it."""
    polling, members = dict[str, str](), {**body, **(extra or {})}
    if not job.is_finished:
        past = durations_of(job.durations_name)
        polling = {"retry-after": str(retry_after(job, now, past))}
        members["estimatedEndAt"] = (end := estimated_end(job, now, past)) and rfc3339(end)
    return answer(status, members, headers={**polling, **(headers or {})})


def polling_headers(job: AsyncJob, now: datetime, durations_of: PastDurations = none_known) -> dict[str, str]:
    """Return when to poll next; nothing for a job that has finished."""
    return {} if job.is_finished else {"retry-after": str(retry_after(job, now, durations_of(job.durations_name)))}


def wait_applied(at_most: timedelta | None) -> dict[str, str]:
    """Return how long the request could wait, of `Waited`. 0 says that it did not wait at all."""
    return {"preference-applied": f"wait={(at_most or timedelta(0)) // timedelta(seconds=1)}"}


def no_result(job: AsyncJob, now: datetime, durations_of: PastDurations) -> Problem:
    """Return why the job has no result."""
    code = _CODES.get(job.status, "JOB_NOT_COMPLETED")
    headers = polling_headers(job, now, durations_of)
    return Problem(code, headers=headers, asyncJobId=job.async_job_id, error=error_body(job))


def failed_while_waiting(job: AsyncJob, headers: Mapping[str, str]) -> Problem:
    """Return why the job failed, to a caller that waited for it. An input that does not fit is the caller's error."""
    code = INVALID_INPUT if job.error is not None and job.error.code == INVALID_INPUT else "JOB_FAILED"
    return Problem(code, waiting=True, headers=headers, asyncJobId=job.async_job_id, error=error_body(job))


def no_result_in_time(job: AsyncJob, now: datetime, headers: Mapping[str, str]) -> Problem:
    """Return why there is no result, to a caller that waited for the bare result."""
    if job.status is Status.FAILED:
        return failed_while_waiting(job, headers)
    code = _CODES.get(job.status, "JOB_NOT_COMPLETED")
    detail = None if job.is_finished else "The job is still running. Get it at the URL in Location."
    headers = {**headers, **polling_headers(job, now)}
    return Problem(code, detail, waiting=True, headers=headers, asyncJobId=job.async_job_id)


_CODES = {Status.FAILED: "JOB_FAILED", Status.CANCELLED: "JOB_CANCELLED"}
