"""One table from our errors to the problems (RFC 9457) that clients are told."""

from __future__ import annotations

from collections.abc import Mapping

from asyncjobs.core.errors import (
    AnotherIsRunning,
    AsyncJobsError,
    Busy,
    IdempotencyKeyReused,
    InputProblem,
    InvalidCursor,
    InvalidInput,
    InvalidReport,
    InvalidWorkerToken,
    JobAlreadyFinished,
    JobHasEnded,
    JobNotFinished,
    JobNotFound,
    JobNotRetryable,
    JobNotTracked,
    NotAdmitted,
    ResultTooLarge,
    SubmitRateExceeded,
    TooManyLiveJobs,
    Unavailable,
    UnknownJobType,
)
from asyncjobs.core.job import Status
from asyncjobs.http.render import rate_headers, whole_seconds
from asyncjobs.http.request import Problem, invalid_request

PROBLEMS: Mapping[type[AsyncJobsError], tuple[int, str, str, str]] = {
    UnknownJobType: (400, "UNKNOWN_JOB_TYPE", "There is no such job type", "GET /api/v1/job-types lists those there are."),
    InvalidCursor: (
        400,
        "INVALID_CURSOR",
        "The cursor is not valid",
        "Begin again without one; send it with the same filters.",
    ),
    JobNotFound: (404, "JOB_NOT_FOUND", "There is no such job", "It does not exist, is not yours, or has expired."),
    JobNotFinished: (409, "JOB_NOT_FINISHED", "The job has not finished", "Cancel it first; then it can be deleted."),
    JobNotRetryable: (
        409,
        "JOB_NOT_RETRYABLE",
        "The job can not be retried",
        "Only a job that runs here, and failed or was cancelled, can be; submit another one instead.",
    ),
    JobAlreadyFinished: (409, "JOB_ALREADY_FINISHED", "The job has already finished", "A finished job cannot be cancelled."),
    AnotherIsRunning: (
        409,
        "JOB_CREATION_FAILED",
        "Another operation is already running",
        "The job was not accepted. Send it again when the running one has ended.",
    ),
    JobNotTracked: (409, "JOB_NOT_TRACKED", "The job is not tracked", "It runs here, and its own attempt reports of it."),
    InvalidWorkerToken: (
        401,
        "INVALID_WORKER_TOKEN",
        "The worker's token is not valid",
        "Send the `workerToken` of the answer that created this very job as `Authorization: Bearer`.",
    ),
    IdempotencyKeyReused: (
        422,
        "IDEMPOTENCY_KEY_REUSED",
        "The idempotency key was used for another request",
        "Use a new key for a new request; repeat a request with exactly the same body.",
    ),
    SubmitRateExceeded: (
        429,
        "SUBMIT_RATE_EXCEEDED",
        "You submit more often than you may",
        "The job was not accepted. Send it again: Retry-After says when.",
    ),
    TooManyLiveJobs: (
        429,
        "TOO_MANY_LIVE_JOBS",
        "Too many of your jobs are unfinished",
        "The job was not accepted. Send it again when one of yours has ended or was cancelled.",
    ),
    Busy: (503, "BUSY", "Too many jobs wait", "The job was not accepted. Send it again: Retry-After says when."),
    Unavailable: (503, "UNAVAILABLE", "Not available at the moment", "Nothing was changed that you cannot repeat: try again."),
}


_HEADERS: Mapping[type[AsyncJobsError], Mapping[str, str]] = {
    Unavailable: {"retry-after": "2"},
    InvalidWorkerToken: {"www-authenticate": "Bearer"},
}


def to_problem(error: AsyncJobsError) -> Problem:
    """The problem that a client is told. An error that none is for is raised again: it is nobody's fault but ours."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, InvalidReport):
        return invalid_request(*error.problems)
    if isinstance(error, InvalidInput):
        problems = [InputProblem(f"/input{problem.pointer}", problem.detail) for problem in error.problems]
        return invalid_request(*problems)
    if isinstance(error, JobHasEnded):
        code = "JOB_CANCELLED" if error.status == Status.CANCELLED else "JOB_ALREADY_FINISHED"
        return Problem(
            409, code, "The job has ended", "Stop working on it: nothing changes it any more.", jobStatus=error.status
        )
    if isinstance(error, ResultTooLarge):
        detail = f"{error} Put it where its reader can fetch it, and report its https URL as `resultLocation`."
        return Problem(413, "RESULT_TOO_LARGE", "The result is too large", detail)
    if type(error) not in PROBLEMS:
        raise error
    status, code, title, detail = PROBLEMS[type(error)]
    headers = _HEADERS.get(type(error), {})
    if isinstance(error, NotAdmitted):
        headers = {"retry-after": str(whole_seconds(error.retry_after)), **rate_headers(error.quota)}
    running = {"asyncJobId": error.async_job_id} if isinstance(error, AnotherIsRunning) and error.async_job_id else {}
    return Problem(status, code, title, detail, headers=headers, **running)
