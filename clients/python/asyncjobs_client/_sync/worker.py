# Made from _async by tools/sync_client.py: change it there.
"""The worker of a tracked job."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import httpx2

from asyncjobs_client import reports
from asyncjobs_client._sync.connection import Connection
from asyncjobs_client._sync.runtime import Clock
from asyncjobs_client.errors import ApiError
from asyncjobs_client.problems import ended_of
from asyncjobs_client.snapshot import Snapshot
from asyncjobs_client.values import to_json
from asyncjobs_client.wire import with_json


class Worker:
    """Reports on one tracked job, with the token for just that job.

    `JobCancelled` from any report means: stop working. A report is repeated when its answer is lost.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout: float = 30.0,
        max_retries: int = 4,
        http_client: httpx2.Client | None = None,
        _clock: Clock | None = None,
    ) -> None:
        base, _, self.job_id = url.rstrip("/").rpartition("/")
        self._connection = Connection(base, token, timeout=timeout, max_retries=max_retries, http=http_client, clock=_clock)

    def report(self, *, progress: float | None = None, message: str | None = None) -> Snapshot:
        """Report progress in percent, a message, or both."""
        return self._send(reports.progressed(progress, message))

    def complete(self, result: Any = None, *, location: str | None = None, message: str | None = None) -> Snapshot:
        """End the job with a result of up to 8 KB, or with the https address of one."""
        return self._send(reports.completed(result, location, message))

    def fail(self, message: str, *, code: str | None = None) -> Snapshot:
        """End the job as failed. The owner sees both texts; a code has capitals, digits and underscores."""
        return self._send(reports.failed(message, code))

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def _send(self, report: dict[str, Any]) -> Snapshot:
        request = with_json("PATCH", f"/{self.job_id}/report", to_json(report), job_id=self.job_id)
        try:
            return Snapshot((self._connection.call(request)).record("asyncJobId"))
        except ApiError as error:
            raise ended_of(error, self.job_id) or error from error.__cause__
