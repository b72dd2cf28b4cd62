"""A client for asyncjobs: submit a job, wait for it, get its result.

`Jobs` is for ordinary code, `AsyncJobs` for asyncio: the same methods, awaited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncjobs_client._sync.client import Jobs, Page, Tracked
from asyncjobs_client._sync.files import ResultStream
from asyncjobs_client._sync.job import Job
from asyncjobs_client._sync.worker import Worker
from asyncjobs_client._version import __version__
from asyncjobs_client.errors import (
    ApiConnectionError,
    ApiError,
    ApiTimeout,
    AsyncjobsError,
    BadRequest,
    Conflict,
    Forbidden,
    GaveUp,
    InvalidWebhook,
    JobCancelled,
    JobError,
    JobFailed,
    KeyReused,
    NotConfigured,
    NotFound,
    RateLimited,
    Unauthorized,
    Unavailable,
)
from asyncjobs_client.events import Event
from asyncjobs_client.options import SubmitOptions
from asyncjobs_client.snapshot import Failure, Snapshot
from asyncjobs_client.values import File

if TYPE_CHECKING:
    from asyncjobs_client._async.client import AsyncJobs, AsyncPage, AsyncTracked
    from asyncjobs_client._async.files import AsyncResultStream
    from asyncjobs_client._async.job import AsyncJob
    from asyncjobs_client._async.worker import AsyncWorker
    from asyncjobs_client.records import Endpoint, JobType, Ticket
    from asyncjobs_client.webhooks import Webhook, verify_webhook

__all__ = [
    "ApiConnectionError",
    "ApiError",
    "ApiTimeout",
    "AsyncJob",
    "AsyncJobs",
    "AsyncPage",
    "AsyncResultStream",
    "AsyncTracked",
    "AsyncWorker",
    "AsyncjobsError",
    "BadRequest",
    "Conflict",
    "Endpoint",
    "Event",
    "Failure",
    "File",
    "Forbidden",
    "GaveUp",
    "InvalidWebhook",
    "Job",
    "JobCancelled",
    "JobError",
    "JobFailed",
    "JobType",
    "Jobs",
    "KeyReused",
    "NotConfigured",
    "NotFound",
    "Page",
    "RateLimited",
    "ResultStream",
    "Snapshot",
    "SubmitOptions",
    "Ticket",
    "Tracked",
    "Unauthorized",
    "Unavailable",
    "Webhook",
    "Worker",
    "__version__",
    "verify_webhook",
]

_LATER = {
    "AsyncJob": "_async.job",
    "AsyncJobs": "_async.client",
    "AsyncPage": "_async.client",
    "AsyncResultStream": "_async.files",
    "AsyncTracked": "_async.client",
    "AsyncWorker": "_async.worker",
    "Endpoint": "records",
    "JobType": "records",
    "Ticket": "records",
    "Webhook": "webhooks",
    "verify_webhook": "webhooks",
}
"""Names that most programs do not need, by their modules: asyncio alone takes as long as the rest."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - nor this

    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)


def __dir__() -> list[str]:
    return __all__
