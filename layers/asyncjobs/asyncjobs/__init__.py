"""Asynchronous jobs for an HTTP API on AWS. This module has everything that the author of a job needs."""

from asyncjobs.context import JobContext, ResultStream
from asyncjobs.core.errors import Fatal, JobCancelled, JobInterrupted, LeaseLost, Retry, TimeLimitExceeded
from asyncjobs.jobtypes.decorator import INPUT_BYTES, Exclusive, job, tracked_job

__all__ = [
    "INPUT_BYTES",
    "Exclusive",
    "Fatal",
    "JobCancelled",
    "JobContext",
    "JobInterrupted",
    "LeaseLost",
    "ResultStream",
    "Retry",
    "TimeLimitExceeded",
    "job",
    "tracked_job",
]
