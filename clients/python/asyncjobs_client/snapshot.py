"""A job's record as one answer had it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

COMPLETED, CANCELLED = "COMPLETED", "CANCELLED"
RUNNING = frozenset({"PENDING", "IN_PROGRESS"})
"""The statuses of which it is certain that the job has not ended. Any other may be one of a newer server."""

_VOLATILE = frozenset({"updatedAt", "estimatedEndAt", "recordExpiresAt", "queueDepth", "seq", "workerToken"})
"""Members that change while nothing happens to the job."""


@dataclass(frozen=True)
class Failure:
    """Why a job failed."""

    code: str
    message: str
    type: str | None = None
    retryable: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class Snapshot:
    """A job's record, frozen. A handle that has not been read yet has only the id: all other members are None."""

    raw: Mapping[str, Any]
    """The record as JSON has it, with members that this version of the client does not know."""
    etag: str | None = None
    retry_after: float | None = None
    """The seconds after which the next poll is worthwhile."""
    replayed: bool = False
    """Whether an earlier request with the same key has submitted the job."""
    request_id: str | None = None
    received: float | None = None
    """When the answer came, by this process's monotonic clock."""

    @property
    def id(self) -> str:
        """The job's id."""
        return str(self.raw["asyncJobId"])

    @property
    def is_known(self) -> bool:
        """Whether the record has been read."""
        return "status" in self.raw

    @property
    def is_finished(self) -> bool:
        """Whether the job has ended. The end's time decides, so that a status of a newer server is no obstacle."""
        return self.raw.get("endedAt") is not None

    @property
    def status(self) -> str | None:
        """PENDING, IN_PROGRESS, COMPLETED, FAILED, CANCELLED, or one of a newer server."""
        return self.raw.get("status")

    @property
    def job_type(self) -> str | None:
        """The job's type."""
        return self.raw.get("jobType")

    @property
    def priority(self) -> str | None:
        """The queue that the job waits in: `high`, `standard` or `low`."""
        return self.raw.get("priority")

    @property
    def progress(self) -> int | None:
        """Percent."""
        return self.raw.get("progress")

    @property
    def message(self) -> str | None:
        """The latest message."""
        return self.raw.get("message")

    @property
    def metadata(self) -> Any:
        """The metadata of the submit."""
        return self.raw.get("metadata")

    @property
    def attempt(self) -> int | None:
        """The number of attempts that have started."""
        return self.raw.get("attempt")

    @property
    def max_attempts(self) -> int | None:
        """The number of attempts that the job has; 0 for a tracked job."""
        return self.raw.get("maxAttempts")

    @property
    def seq(self) -> int | None:
        """The number of the record's state. None: an earlier server, without events."""
        return self.raw.get("seq")

    @property
    def created_at(self) -> datetime | None:
        """When the job was submitted."""
        return self._time("createdAt")

    @property
    def updated_at(self) -> datetime | None:
        """When the record last changed."""
        return self._time("updatedAt")

    @property
    def started_at(self) -> datetime | None:
        """When the first attempt started."""
        return self._time("startedAt")

    @property
    def ended_at(self) -> datetime | None:
        """When the job ended."""
        return self._time("endedAt")

    @property
    def estimated_end_at(self) -> datetime | None:
        """When the job will probably end, if there is an estimate."""
        return self._time("estimatedEndAt")

    @property
    def expires_at(self) -> datetime | None:
        """When the job and its result are deleted."""
        seconds = self.raw.get("recordExpiresAt")
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)

    @property
    def result_type(self) -> str | None:
        """INLINE, S3 or URL; None while there is no result."""
        return self.raw.get("resultType")

    @property
    def worker_token(self) -> str | None:
        """The secret of a tracked job's worker. Only an answer that issues it has it."""
        return self.raw.get("workerToken")

    @property
    def error(self) -> Failure | None:
        """Why the job failed."""
        found = self.raw.get("error")
        if not found:
            return None
        code, message = found.get("code") or "FAILED", found.get("message") or ""
        return Failure(code, message, found.get("type"), bool(found.get("retryable")))

    @property
    def visible(self) -> dict[str, Any]:
        """What makes an update: the record without the members that change while nothing happens."""
        return {name: value for name, value in self.raw.items() if name not in _VOLATILE}

    def _time(self, name: str) -> datetime | None:
        value = self.raw.get(name)
        return None if value is None else datetime.fromisoformat(value)

    def __repr__(self) -> str:
        state = f" {self.status} {self.progress} %" if self.is_known else ""
        return f"<{type(self).__name__} {self.id}{state}>"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"received": None}  # another process has another clock
