"""What the library logs: events by name, each with its level and the metrics that it counts.

An event holds the same few keys each time, and never payloads, tokens or URLs of results. An exception's text may quote a
payload. So an event carries the exception itself, and `asyncjobs.aws.log_lines`, which makes the lines, decides what to write
of it. docs/operations.md lists all events.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from traceback import walk_tb
from typing import Any

from asyncjobs.core.job import AsyncJob

LEVELS = {
    "JOB_ACCEPTED": logging.INFO,
    "JOB_REFUSED": logging.INFO,
    "JOB_ENQUEUE_DEFERRED": logging.WARNING,
    "JOB_WAITS": logging.INFO,
    "JOB_STARTED": logging.INFO,
    "JOB_COMPLETED": logging.INFO,
    "JOB_RETRIED": logging.WARNING,
    "JOB_FAILED": logging.ERROR,
    "JOB_CANCELLED": logging.INFO,
    "JOB_FENCED": logging.WARNING,
    "JOB_RETRY_ACCEPTED": logging.INFO,
    "WORKER_TOKEN_ISSUED": logging.INFO,
    "JOB_DELETED": logging.INFO,
    "WEBHOOK_CREATED": logging.INFO,
    "WEBHOOK_ROTATED": logging.INFO,
    "WEBHOOK_DELETED": logging.INFO,
    "WEBHOOK_DISABLED": logging.WARNING,
    "WEBHOOK_ENABLED": logging.INFO,
    "WAIT_REFUSED": logging.INFO,
    "PROBLEM_ANSWERED": logging.INFO,
    "REQUEST_FAILED": logging.ERROR,
    "INLINE_RUN_FAILED": logging.ERROR,
    "DELIVERY_IGNORED": logging.INFO,
    "DELIVERY_FAILED": logging.ERROR,
    "MESSAGE_MALFORMED": logging.ERROR,
    "CLAIM_DEFERRED": logging.WARNING,
    "HEARTBEAT_DEFERRED": logging.WARNING,
    "EVENTS_DROPPED": logging.WARNING,
    "RECORD_DEFERRED": logging.WARNING,
    "RETURN_DEFERRED": logging.WARNING,
    "PROCESS_REPLACED": logging.WARNING,
    "SEND_DEFERRED": logging.WARNING,
    "WAKE_DEFERRED": logging.WARNING,
    "SWEPT": logging.INFO,
    "SWEEP_FAILED": logging.ERROR,
    "INVOCATION_FAILED": logging.ERROR,
    "RECORD_UNREADABLE": logging.ERROR,
    "LOCATION_REFUSED": logging.ERROR,
    "HISTORY_UNAVAILABLE": logging.WARNING,
    "BACKLOG_UNAVAILABLE": logging.WARNING,
    "DURATIONS_LEARNED": logging.INFO,
    "CHANGES_DEFERRED": logging.WARNING,
    "CHANGE_FAILED": logging.ERROR,
    "CHANGE_SKIPPED": logging.ERROR,
    "DURATIONS_DEFERRED": logging.WARNING,
    "PUSH_DROPPED": logging.WARNING,
    "ADMIN_ACTION": logging.INFO,
    "ISSUER_UNAVAILABLE": logging.WARNING,
}
"""The events. Failures are errors; retries, deferred calls and lost races are warnings."""

COUNT, MILLISECONDS = "Count", "Milliseconds"
METRICS = {
    "JOB_ACCEPTED": {"JobsAccepted": COUNT},
    "JOB_REFUSED": {"JobsRefused": COUNT},
    "JOB_ENQUEUE_DEFERRED": {"EnqueuesDeferred": COUNT},
    "JOB_COMPLETED": {"JobsCompleted": COUNT, "durationMs": MILLISECONDS},
    "JOB_RETRIED": {"JobsRetried": COUNT},
    "JOB_FAILED": {"JobsFailed": COUNT},
    "JOB_CANCELLED": {"JobsCancelled": COUNT},
    "JOB_FENCED": {"AttemptsFenced": COUNT},
    "WEBHOOK_DISABLED": {"WebhooksDisabled": COUNT},
    "REQUEST_FAILED": {"RequestsFailed": COUNT},
    "SWEPT": {"oldestDueAgeMs": MILLISECONDS, "sweepFailures": COUNT},
    "CHANGE_SKIPPED": {"ChangesSkipped": COUNT},
}
"""The metrics of the events that are counted, with their units. The value is the event's field of that name; a count without
one rises by one."""

LOGGER = logging.getLogger("asyncjobs")


def log_event(
    name: str,
    job: AsyncJob | None = None,
    *,
    exception: BaseException | None = None,
    level: int | None = None,
    **fields: Any,
) -> None:
    """Log an event, at its own level unless `level` is given. Fields are camelCase, as everywhere in JSON.

    An event that counts a metric is logged whatever the level: an alarm must not depend on how much is logged.
    """
    level, metrics = level or LEVELS[name], METRICS.get(name)
    if not metrics and not LOGGER.isEnabledFor(level):
        return
    about = job_fields(job) if job is not None else {}
    # Not as the record's own exc_info: any other handler would write the exception's text.
    extra = {"fields": {**about, **fields}, "metrics": metrics, "exception": exception}
    LOGGER.handle(LOGGER.makeRecord(LOGGER.name, level, "", 0, name, (), None, extra=extra))


def job_fields(job: AsyncJob) -> dict[str, Any]:
    """Return what every line about a job carries: its id, its type and, from the first on, its attempt.

    The event's name says the job's status.
    """
    fields = {"asyncJobId": job.async_job_id, "jobType": job.job_type}
    return {**fields, "attempt": job.attempt} if job.attempt else fields


def for_job(job: AsyncJob) -> logging.LoggerAdapter[logging.Logger]:
    """Return the logger for a running job's own lines."""
    return logging.LoggerAdapter(LOGGER.getChild("job"), {"fields": job_fields(job)})


def exception_of(record: logging.LogRecord) -> BaseException | None:
    """Return the exception of an event, or of a line that a job's code logs."""
    error: BaseException | None = getattr(record, "exception", None)
    return error if error is not None or not record.exc_info else record.exc_info[1]


def exception_fields(error: BaseException) -> dict[str, Any]:
    """Return the exception's type and where it was raised, without its text; of a group, also where its members were raised."""
    raised = dict.fromkeys((error, *ungrouped(error)))
    frames = [frame for each in raised for frame in walk_tb(each.__traceback__)]
    places = [f"{frame.f_code.co_filename}:{line} {frame.f_code.co_qualname}" for frame, line in frames]
    return {"errorType": type(error).__name__, "traceback": places}


def ungrouped(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions of a group, and of the groups in it; any other exception yields itself."""
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from ungrouped(member)
    else:
        yield error
