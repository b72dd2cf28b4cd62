"""What a running job may ask for and tell: the one object that is handed to it."""

from __future__ import annotations

import logging
from typing import BinaryIO, Protocol, Self


class ResultStream(Protocol):
    """A result that is written piece by piece. Use it in a `with`, then return it from the job.

    A small result ends up in the job's own record; a larger one goes to S3 in parts while it is written, so that memory
    stays flat (about 8 MB) whatever its size. Leaving the `with` by an exception discards it.
    """

    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...
    def write(self, data: bytes, /) -> int:
        """Append the bytes; returns how many."""
        ...


class JobContext(Protocol):
    """An attempt, as the job sees it. `asyncjobs.testing.FakeContext` is one for unit tests."""

    @property
    def async_job_id(self) -> str:
        """The job's id."""
        ...

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        ...

    @property
    def max_attempts(self) -> int:
        """How many there may be."""
        ...

    @property
    def effect_key(self) -> str:
        """The same on every attempt at this job, and on no other: pass it downstream as the idempotency key."""
        ...

    @property
    def remaining_seconds(self) -> float:
        """Seconds until `TimeLimitExceeded` is raised in the job."""
        ...

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """Logs JSON lines that carry the job's id, type and attempt. Never log payloads."""
        ...

    def progress(self, percent: float, message: str | None = None) -> None:
        """Tell how far the job is, 0 to 100, and in a few words what it does now.

        Call it as often as you like: a background writer sends the newest at most once a second. What goes back is
        ignored, what lies outside 0 to 100 is clamped, a message is cut at 256 characters.

        Raises `JobCancelled` or `LeaseLost` when the job must stop, at most about a second after the fact for a job that
        reports progress.
        """
        ...

    def check(self) -> None:
        """Find out whether the job must stop, and raise what `progress` would, without telling anything new.

        It costs the same: at most one write a second.
        """
        ...

    def stream_result(self, content_type: str = "application/json") -> ResultStream:
        """A stream to write a large result to. Only JSON can end up in the job's own record; other types go to S3."""
        ...

    def open_input(self, key: str) -> BinaryIO:
        """The object `key` in the inputs area of the job's owner, to be read as a stream.

        Raises `Fatal` (`INPUT_MISSING`) when it is not there.
        """
        ...
