"""The table of error codes: everything that follows from a code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from asyncjobs.core.errors import (
    AnotherIsRunning,
    AsyncJobsError,
    Busy,
    IdempotencyKeyReused,
    InputMissing,
    InvalidCursor,
    InvalidTicket,
    InvalidWorkerToken,
    JobAlreadyFinished,
    JobNotFinished,
    JobNotFound,
    JobNotRetryable,
    JobNotTracked,
    JobTypeNotFound,
    ResultTooLarge,
    SubmitRateExceeded,
    TooManyLiveJobs,
    TooManyPausedTypes,
    TooManyWatchers,
    TooManyWatches,
    TooManyWebhooks,
    Unavailable,
    UnknownJobType,
    UnknownWebhook,
    WebhookNotFound,
    WebhooksOff,
)

COMPUTED = ""
"""The value of a header in the table when each answer computes its own."""


# A NamedTuple, not a dataclass: defining a dataclass takes 0.4 ms of each cold start.
class ErrorCode(NamedTuple):
    """A code that a problem may have, with all that follows from it."""

    status: int
    code: str
    title: str
    """A noun phrase, the same in each answer with this code."""
    detail: str
    """What the caller can do next. An answer may say it more precisely."""
    raised_as: type[AsyncJobsError] | None = None
    """The error of the library that becomes this problem."""
    headers: Mapping[str, str] = {}
    waiting_status: int | None = None
    """The status when the caller waited for the job."""


_RETRY_AFTER = {"Retry-After": COMPUTED}
_NOT_ACCEPTED = "The job was not accepted."

ERRORS: Mapping[str, ErrorCode] = {
    error.code: error
    for error in (
        ErrorCode(
            400,
            "INVALID_JSON",
            "Invalid JSON",
            "Send JSON in UTF-8 without duplicate names, NaN, NUL, more than 32 levels or 38 digits. `errors` names the place.",
        ),
        ErrorCode(
            400, "INVALID_REQUEST", "Invalid request", "Correct the places named in `errors` and send the request again."
        ),
        ErrorCode(
            400,
            "INVALID_INPUT",
            "Input rejected by the job",
            "Correct the input as `error` says and submit it as a new request. The job was accepted, and failed for its input.",
        ),
        ErrorCode(
            400,
            "UNKNOWN_JOB_TYPE",
            "Unknown job type",
            "Use one of the job types that `GET /api/v1/job-types` lists.",
            UnknownJobType,
        ),
        ErrorCode(
            400,
            "UNKNOWN_WEBHOOK",
            "Unknown webhook",
            "Use the `webhookId` of one of your webhooks, which `GET /api/v1/webhooks` lists.",
            UnknownWebhook,
        ),
        ErrorCode(
            400,
            "INVALID_CURSOR",
            "Invalid cursor",
            "Start again without a cursor. Send a cursor only with the filters of the page that returned it.",
            InvalidCursor,
        ),
        ErrorCode(
            401,
            "INVALID_WORKER_TOKEN",
            "Invalid worker token",
            "Send the latest `workerToken` that was returned for this job, as `Authorization: Bearer`.",
            InvalidWorkerToken,
            {"WWW-Authenticate": "Bearer"},
        ),
        ErrorCode(
            401,
            "INVALID_TICKET",
            "Invalid ticket",
            "Issue a new ticket with `POST /api/v1/tickets` and send it as `Authorization: Bearer` or `ticket` in the query.",
            InvalidTicket,
            {"WWW-Authenticate": "Bearer"},
        ),
        ErrorCode(
            403,
            "OWNER_MISSING",
            "Missing token subject",
            "Use an access token, not an ID token, whose `sub` claim is 1 to 255 ASCII characters.",
        ),
        ErrorCode(
            403,
            "WEBHOOKS_OFF",
            "Webhooks not enabled",
            "Poll your jobs, or have the operator deploy this API with `Webhooks` set to ON.",
            WebhooksOff,
        ),
        ErrorCode(
            403,
            "ADMIN_RIGHT_MISSING",
            "Missing right of an administrator",
            "Have yourself added to a group that has the `right`, and sign in again: a token has the groups of its sign-in.",
        ),
        ErrorCode(
            404,
            "INPUT_NOT_FOUND",
            "Input not found",
            "Look for the input where it came from. The job has none stored: its object was deleted, or the work is done outside.",
            InputMissing,
        ),
        ErrorCode(
            404,
            "JOB_NOT_FOUND",
            "Job not found",
            "Check the id. The job does not exist, belongs to another owner, or has expired.",
            JobNotFound,
        ),
        ErrorCode(
            404,
            "JOB_TYPE_NOT_FOUND",
            "Job type not found",
            "Name a job type that runs here: `GET /api/v1/job-types` lists them. Tracked types and deliveries cannot be paused.",
            JobTypeNotFound,
        ),
        ErrorCode(
            404,
            "QUEUE_NOT_FOUND",
            "Queue not found",
            "Name a priority: high, standard or low. `GET /api/v1/admin/queues` lists the queues.",
        ),
        ErrorCode(
            404,
            "WEBHOOK_NOT_FOUND",
            "Webhook not found",
            "List your webhooks to see their ids. The webhook does not exist, or belongs to another owner.",
            WebhookNotFound,
        ),
        ErrorCode(
            406, "NOT_ACCEPTABLE", "Unsupported response format", "Send `Accept: application/json`, or no Accept header."
        ),
        ErrorCode(
            409,
            "JOB_ALREADY_FINISHED",
            "Job already finished",
            "Get the job to see how it ended. A finished job cannot be cancelled, and accepts no reports and no new worker token.",
            JobAlreadyFinished,
        ),
        ErrorCode(409, "JOB_NOT_FINISHED", "Job not finished", "Cancel the job first, then delete it.", JobNotFinished),
        ErrorCode(
            409,
            "JOB_NOT_RETRYABLE",
            "Job not retryable",
            "Submit a new job. Only a job that failed or was cancelled can be retried, unless its type has become tracked or no longer is.",
            JobNotRetryable,
        ),
        ErrorCode(
            409,
            "JOB_CREATION_FAILED",
            "Another operation is already running",
            f"{_NOT_ACCEPTED} Submit it again when the running job has ended; `asyncJobId` names that job if it is yours.",
            AnotherIsRunning,
            _RETRY_AFTER,
        ),
        ErrorCode(
            409,
            "JOB_NOT_TRACKED",
            "Job not tracked",
            "Use a tracked job. This job runs here, reports its own progress and has no worker token.",
            JobNotTracked,
        ),
        ErrorCode(
            409,
            "JOB_NOT_COMPLETED",
            "Job not completed",
            "Request the result again after the number of seconds in Retry-After.",
            headers=_RETRY_AFTER,
            waiting_status=504,
        ),
        ErrorCode(
            409,
            "JOB_FAILED",
            "Job failed",
            "Read `error` for the reason, then retry the job or submit a new one. It has no result.",
            waiting_status=500,
        ),
        ErrorCode(409, "JOB_CANCELLED", "Job cancelled", "Retry the job or submit a new one. It has no result."),
        ErrorCode(
            409,
            "TOO_MANY_WEBHOOKS",
            "Webhook limit exceeded",
            "Delete a webhook that you no longer need. You have ten, which is the most.",
            TooManyWebhooks,
        ),
        ErrorCode(
            409,
            "TOO_MANY_PAUSED_TYPES",
            "Limit of paused job types exceeded",
            "Resume a job type, or pause a priority. 30 job types are paused, which is the most.",
            TooManyPausedTypes,
        ),
        ErrorCode(
            413,
            "REQUEST_TOO_LARGE",
            "Request body too large",
            "Upload large data with `POST /api/v1/uploads` and send its key instead.",
        ),
        ErrorCode(
            413,
            "RESULT_TOO_LARGE",
            "Result too large",
            "Store the result where its reader can fetch it, and report its https URL as `resultLocation`.",
            ResultTooLarge,
        ),
        ErrorCode(
            415, "UNSUPPORTED_MEDIA_TYPE", "Unsupported media type", "Send the body with `Content-Type: application/json`."
        ),
        ErrorCode(
            415,
            "UNSUPPORTED_CONTENT_ENCODING",
            "Unsupported content encoding",
            "Send the body as it is, or compressed with `Content-Encoding: gzip`.",
            headers={"Accept-Encoding": "gzip"},
        ),
        ErrorCode(
            422,
            "IDEMPOTENCY_KEY_REUSED",
            "Idempotency key reused",
            "Use a new key for a new request. Repeat a request with exactly the same body.",
            IdempotencyKeyReused,
        ),
        ErrorCode(
            429,
            "SUBMIT_RATE_EXCEEDED",
            "Submit rate limit exceeded",
            f"{_NOT_ACCEPTED} Retry after the number of seconds in Retry-After.",
            SubmitRateExceeded,
            {**_RETRY_AFTER, "RateLimit": COMPUTED, "RateLimit-Policy": COMPUTED},
        ),
        ErrorCode(
            429,
            "TOO_MANY_LIVE_JOBS",
            "Unfinished job limit exceeded",
            f"{_NOT_ACCEPTED} Submit it again when one of your jobs has ended, or cancel one.",
            TooManyLiveJobs,
            _RETRY_AFTER,
        ),
        ErrorCode(
            429,
            "TOO_MANY_WATCHES",
            "Watch limit of the connection exceeded",
            "End another watch first, watch all your jobs with a ticket of `scope` owner, or open another connection.",
            TooManyWatches,
        ),
        ErrorCode(
            429,
            "TOO_MANY_WATCHERS",
            "Watcher limit exceeded",
            "Poll the job, or wait for it, instead. As many connections as may watch it do so already.",
            TooManyWatchers,
        ),
        ErrorCode(
            500,
            "INTERNAL_ERROR",
            "Internal error",
            "Report the `requestId` to the operator of this API. The request may have taken effect: repeat a submit only with "
            "the same Idempotency-Key.",
        ),
        ErrorCode(
            503,
            "BUSY",
            "Queue full",
            f"{_NOT_ACCEPTED} Retry after the number of seconds in Retry-After.",
            Busy,
            _RETRY_AFTER,
        ),
        ErrorCode(
            503,
            "UNAVAILABLE",
            "Service temporarily unavailable",
            "Retry after the number of seconds in Retry-After. Repeat a submit with the same Idempotency-Key: "
            "without a key, a repeated submit may create a second job.",
            Unavailable,
            {"Retry-After": "2"},
        ),
    )
}
