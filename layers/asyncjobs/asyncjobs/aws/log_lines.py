"""Log lines for CloudWatch: one JSON line per event, which is also its metric (EMF), by Powertools for AWS Lambda.

A line holds its event's fields and the request that it belongs to, and nothing that other code attaches to the logger.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any, TypeVar

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import EphemeralMetrics

from asyncjobs.core.clock import from_epoch_milliseconds, rfc3339
from asyncjobs.core.errors import AsyncJobsError, InvocationFailed
from asyncjobs.log import COUNT, LOGGER, exception_fields, exception_of, log_event, ungrouped

R = TypeVar("R")

NAMESPACE = "asyncjobs"
_TRACE = "_X_AMZN_TRACE_ID"
_REQUEST_KEYS = ("correlation_id", "function_request_id", "cold_start")
_MAX_TEXT = 1000
"""Characters of an exception's text. A longer one quotes data, and says no more."""


def lambda_logger(application: str, level: str, *, with_exception_text: bool = False) -> Logger:
    """Write the library's events, and the jobs' own lines, to standard output, from where Lambda sends them to CloudWatch.

    `application` is the stack's name, a dimension of its metrics. Decorate the handler with `inject_lambda_context`.
    """
    formatter = _Formatter(application, with_exception_text=with_exception_text)
    logger = Logger(service=LOGGER.name, logger_formatter=formatter)
    # Powertools prefers Lambda's own level, which is INFO wherever the platform's lines are filtered.
    LOGGER.setLevel(level)
    # A job's code may configure the root logger, which would print each line a second time.
    LOGGER.propagate = False
    return logger


def failures_without_text(handler: Callable[[dict[str, Any], Any], R]) -> Callable[[dict[str, Any], Any], R]:
    """Log what ends an invocation, and raise an error without its text: Lambda writes whatever it catches into the log.

    The invocation fails all the same, so Lambda retries it and counts it for the alarm.
    """

    @wraps(handler)
    def handle(event: dict[str, Any], context: Any) -> R:
        try:
            return handler(event, context)
        except Exception as error:  # noqa: BLE001 - see above
            log_event("INVOCATION_FAILED", exception=error)
            raise InvocationFailed(type(error).__name__) from None

    return handle


def request_of(logger: Logger) -> dict[str, Any]:
    """Return the request that the lines belong to, for a process that works for this one."""
    keys = logger.get_current_keys()
    return {"trace": os.environ.get(_TRACE), **{key: keys.get(key) for key in _REQUEST_KEYS}}


def set_request(logger: Logger, request: Mapping[str, Any]) -> None:
    """Set what `request_of` has returned: for the lines, and for the calls to AWS, which carry the trace."""
    logger.append_keys(**{key: request[key] for key in _REQUEST_KEYS})
    if request["trace"] is None:
        os.environ.pop(_TRACE, None)
    else:
        os.environ[_TRACE] = request["trace"]


class _Formatter(LambdaPowertoolsFormatter):
    """Formats a line with the ids that Powertools has of the invocation, and without the parts that may quote a payload.

    Powertools' own format writes every `extra`, an exception's text and the source line that raised it.
    """

    def __init__(self, application: str, *, with_exception_text: bool) -> None:
        super().__init__()
        self._application = application
        self._with_exception_text = with_exception_text
        self._emf_by_type: dict[str | None, EphemeralMetrics] = {}

    def format(self, record: logging.LogRecord) -> str:
        """Make the line."""
        fields = getattr(record, "fields", {})
        metrics = getattr(record, "metrics", None)
        line = {
            "timestamp": rfc3339(from_epoch_milliseconds(int(record.created * 1000))),
            "level": record.levelname,
            "message": record.getMessage(),
            **_request(self.get_current_keys()),
            **fields,
            **self._exception(exception_of(record)),
            **(self._counted(metrics, fields) if metrics else {}),
        }
        text = json.dumps(line, ensure_ascii=False, default=str, separators=(",", ":"))
        return text.encode(errors="replace").decode()  # a lone surrogate is no UTF-8, and would cost the whole line

    def _exception(self, error: BaseException | None) -> dict[str, Any]:
        if error is None:
            return {}
        fields = exception_fields(error)
        if self._with_exception_text and (texts := list(_texts(error))):
            fields["exceptionText"] = "; ".join(texts)[:_MAX_TEXT]
        return fields

    def _counted(self, metrics: Mapping[str, str], fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what makes CloudWatch count the line, by the application, and by the application and job type.

        A metric whose value is not known is left out: CloudWatch drops a line that announces a metric without a value.
        """
        values = {name: fields.get(name, 1 if unit == COUNT else None) for name, unit in metrics.items()}
        known = {name: {"Unit": metrics[name], "Value": value} for name, value in values.items() if value is not None}
        return self._emf(fields.get("jobType")).serialize_metric_set(metrics=known) if known else {}

    def _emf(self, job_type: str | None) -> EphemeralMetrics:
        """Return what serializes a job type's metrics. It holds none itself: threads share it."""
        if job_type not in self._emf_by_type:
            emf = EphemeralMetrics(namespace=NAMESPACE, dimension_set={"application": self._application})
            if job_type is not None:
                emf.add_dimensions(application=self._application, jobType=job_type)
            self._emf_by_type[job_type] = emf
        return self._emf_by_type[job_type]


def _texts(error: BaseException) -> Iterator[str]:
    """Yield what the exception says, or what those in its group say: a group's own text is of no use.

    An error of asyncjobs, which a job raises on purpose, has a text for the job's owner, and a code for the log.
    """
    for single in ungrouped(error):
        if not isinstance(single, AsyncJobsError):
            try:
                yield str(single) if single is error else f"{type(single).__name__}: {single}"
            except Exception:  # noqa: BLE001 - it is the job's exception, and its text may be code that fails
                yield type(single).__name__


def _request(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return which request a line belongs to, of the keys that `inject_lambda_context` has set.

    The API's functions have a correlation id, the gateway's id of the request: the `requestId` of a problem.
    """
    request: dict[str, Any] = {}
    if (request_id := keys.get("correlation_id") or keys.get("function_request_id")) is not None:
        request["requestId"] = request_id
    trace = os.environ.get(_TRACE, "")
    if "Sampled=1" in trace:  # X-Ray has no other
        request["traceId"] = trace.partition("Root=")[2].partition(";")[0]
    if keys.get("cold_start"):
        request["coldStart"] = True
    return request
