"""JSON log lines, one short sentence and the same few keys each time; metrics ride on them (CloudWatch EMF).

Never in a line: payloads, exception messages (they quote payloads), tokens, URLs of results.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from typing import Any

from asyncjobs.core.clock import from_epoch_milliseconds, rfc3339
from asyncjobs.core.job import AsyncJob

NAMESPACE = "asyncjobs"

_COUNT = "Count"
_METRICS = {
    "JOB_ACCEPTED": {"JobsAccepted": _COUNT},
    "JOB_REFUSED": {"JobsRefused": _COUNT},
    "JOB_ENQUEUE_DEFERRED": {"EnqueuesDeferred": _COUNT},
    "JOB_COMPLETED": {"JobsCompleted": _COUNT, "durationMs": "Milliseconds"},
    "JOB_FAILED": {"JobsFailed": _COUNT},
    "JOB_RETRIED": {"JobsRetried": _COUNT},
    "JOB_CANCELLED": {"JobsCancelled": _COUNT},
    "JOB_FENCED": {"AttemptsFenced": _COUNT},
    "REQUEST_FAILED": {"RequestsFailed": _COUNT},
    "SWEPT": {"oldestDueAgeMs": "Milliseconds"},
}
"""The events that are counted. One of them is one EMF line: log and metric for the price of a line."""

_logger = logging.getLogger("asyncjobs")
_application = ""


def configure(application: str) -> None:
    """Write lines to standard output, which Lambda ships to CloudWatch. `application` tells stacks apart in metrics."""
    global _application  # noqa: PLW0603 - one process is one function of one stack
    _application = application
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonFormatter())
    _logger.handlers = [handler]
    _logger.setLevel(logging.INFO)
    # Lambda's own handler on the root would print each line a second time.
    _logger.propagate = False


def log_event(name: str, job: AsyncJob | None = None, **fields: Any) -> None:
    """Say that something was decided. Fields are camelCase, as everywhere in JSON."""
    about = job_fields(job) if job is not None else {}
    _logger.info(name, extra={"fields": {**about, **fields, **_metrics(name, {**about, **fields})}})


def job_fields(job: AsyncJob) -> dict[str, Any]:
    """What every line about a job carries."""
    return {"asyncJobId": job.async_job_id, "jobType": job.job_type, "attempt": job.attempt, "status": job.status.value}


def for_job(job: AsyncJob) -> logging.LoggerAdapter[logging.Logger]:
    """The logger that is handed to a running job."""
    return logging.LoggerAdapter(_logger.getChild("job"), {"fields": job_fields(job)})


def stack(error: BaseException) -> tuple[str, ...]:
    """Where it was raised, without its own words: those may quote what the job worked on."""
    return tuple(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__))


def _metrics(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that make CloudWatch count the line, by the application and by the application and job type."""
    metrics = _METRICS.get(name)
    if metrics is None:
        return {}
    dimensions = [["application"], ["application", "jobType"]] if "jobType" in fields else [["application"]]
    return {
        "application": _application,
        **{metric: 1 for metric, unit in metrics.items() if unit == _COUNT},
        "_aws": {
            "Timestamp": time.time_ns() // 1_000_000,
            "CloudWatchMetrics": [
                {
                    "Namespace": NAMESPACE,
                    "Dimensions": dimensions,
                    "Metrics": [
                        {"Name": metric, "Unit": unit} for metric, unit in metrics.items() if metric in fields or unit == _COUNT
                    ],
                }
            ],
        },
    }


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": rfc3339(from_epoch_milliseconds(int(record.created * 1000))),
            "level": record.levelname,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            line |= {"errorType": type(error).__name__, "stack": stack(error)}
        return json.dumps(line, ensure_ascii=False, default=str)
