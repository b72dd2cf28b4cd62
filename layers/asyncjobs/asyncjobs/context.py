"""The context: the object that a running job receives."""

from __future__ import annotations

import logging
from typing import BinaryIO, Protocol, Self


class ResultStream(Protocol):
    """A result that is written piece by piece. Use it in a `with`, then return it from the job.

    A small result is stored in the job's own record. A larger one goes to S3 in parts while it is written, so that memory
    use stays constant (about 8 MB) for any size. Leaving the `with` by an exception discards the result.
    """

    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...
    def write(self, data: bytes, /) -> int:
        """Append the bytes and return their number."""
        ...


class JobContext(Protocol):
    """An attempt's interface for the job. `asyncjobs.testing.FakeContext` is one for unit tests."""

    @property
    def async_job_id(self) -> str:
        """The job's id."""
        ...

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        ...

    @property
    def max_attempts(self) -> int:
        """The largest number of attempts."""
        ...

    @property
    def effect_key(self) -> str:
        """The same on every attempt at this job, and on no other job: use it as idempotency key for services you call."""
        ...

    @property
    def remaining_seconds(self) -> float:
        """Seconds until `TimeLimitExceeded` is raised in the job."""
        ...

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger of JSON lines with the job's id, type and attempt. Never log payloads."""
        ...

    def progress(self, percent: float, message: str | None = None) -> None:
        """Report the progress, 0 to 100, and a short message.

        Call it as often as you like: a background writer sends the newest values at most once a second. A lower value than
        before is ignored, a value outside 0 to 100 is clamped, and a message is cut at 256 characters.

        Raises `JobCancelled` or `LeaseLost` when the job must stop, at most about a second after the fact for a job that
        reports progress.
        """
        ...

    def check(self) -> None:
        """Raise what `progress` would if the job must stop, without a new report.

        It costs the same: at most one write a second.
        """
        ...

    def stream_result(self, content_type: str = "application/json") -> ResultStream:
        """Open a stream for a large result. Only JSON can be stored in the job's own record; other types go to S3."""
        ...

    def open_input(self, key: str) -> BinaryIO:
        """Open the object `key` in the inputs area of the job's owner as a stream.

        Raises `Fatal` (`INPUT_MISSING`) when it does not exist.
        """
        ...
