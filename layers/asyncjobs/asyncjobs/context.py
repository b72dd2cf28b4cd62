"""The context: the object that a running job receives."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, BinaryIO, Protocol, Self


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


class UploadedFile(Protocol):
    """An upload of the job's owner."""

    @property
    def key(self) -> str:
        """Its key: `uploads/` and an id. `open_input` opens it."""
        ...

    @property
    def size(self) -> int:
        """Its size in bytes."""
        ...

    @property
    def uploaded_at(self) -> datetime:
        """When it was complete."""
        ...


class ArtifactStream(ResultStream, Protocol):
    """A file that belongs to the job's result. Write it in a `with`, and put its `reference` into the result.

    It goes to S3, in parts of 8 MB while it is written. Leaving the `with` by an exception discards it.
    """

    @property
    def reference(self) -> str:
        """A text that stands for the file in the result. Each answer with the result has a link in its place."""
        ...


class JobContext(Protocol):
    """An attempt's interface for the job. `asyncjobs.testing.FakeContext` is one for unit tests."""

    @property
    def async_job_id(self) -> str:
        """The job's id."""
        ...

    @property
    def owner(self) -> str:
        """The job's owner, which is the `sub` of its caller's token: to decide what the job may reach. Keep it out of logs."""
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

    def event(self, name: str, data: Mapping[str, Any] | None = None) -> None:
        """Send an event of the job's own, such as `event("rows_loaded", {"table": "orders", "rows": 1200})`.

        It gets the job's next `seq`, and reaches all who follow the job, in the order of the calls. The name is lower-case
        words, the data a JSON object of up to 1 KB. A background writer sends it soon, so the job does not wait. An attempt that
        runs again sends its events again, as events of their own.

        Raises `Fatal` for an event that is not valid (`INVALID_EVENT`) and beyond 100 events of an attempt
        (`TOO_MANY_EVENTS`), and as `progress` does when the job must stop.
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

    def open_artifact(self, name: str, content_type: str) -> ArtifactStream:
        """Open a file of this name that belongs to the result, up to ten of them.

        The name has letters, digits, spaces, dots, hyphens and underscores, 100 characters at most. The result itself may have
        8 KB of JSON then. The file is kept as long as the job, and deleted with it.
        """
        ...

    def open_input(self, key: str) -> BinaryIO:
        """Open the object `key` in the inputs area of the job's owner as a stream.

        Raises `Fatal` (`INPUT_MISSING`) when it does not exist.
        """
        ...

    def uploads(self) -> Iterator[UploadedFile]:
        """Yield the uploads of the job's owner, and of nobody else, in the order of their keys."""
        ...

    def delete_upload(self, key: str) -> None:
        """Delete an upload of the job's owner. A missing one is not an error, so a later attempt may delete it again.

        The worker needs the permission `s3:DeleteObject`: see docs/jobs.md. Raises `Fatal` (`NOT_AN_UPLOAD`) for any other key.
        """
        ...

    def open_file(self, name: str) -> BinaryIO:
        """Open a file that a job of the same owner has saved, as a stream.

        Raises `Fatal` (`FILE_MISSING`) when there is none.
        """
        ...

    def save_file(self, name: str, file: BinaryIO) -> None:
        """Save a file for later jobs of the same owner, in place of an earlier one of this name.

        Readers get the earlier file or this one, and never a part. A job that dies before leaves the earlier one. The bucket's
        lifecycle deletes it with the longest retention. The worker needs the permission `s3:PutObject`: see docs/jobs.md.
        """
        ...
