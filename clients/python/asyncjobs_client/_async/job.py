"""A job's handle: a frozen record, and everything that can be done with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any, Self, TypeVar, overload

from asyncjobs_client import reports
from asyncjobs_client._async import files
from asyncjobs_client._async.connection import AsyncConnection
from asyncjobs_client._async.runtime import Callback, result_of
from asyncjobs_client._async.watch import AsyncWatch
from asyncjobs_client.errors import (
    ApiConnectionError,
    ApiError,
    AsyncjobsError,
    GaveUp,
    JobCancelled,
    JobFailed,
    NotFound,
    RateLimited,
)
from asyncjobs_client.events import Event
from asyncjobs_client.pauses import is_temporary
from asyncjobs_client.snapshot import CANCELLED, COMPLETED, Snapshot
from asyncjobs_client.values import converted, to_json
from asyncjobs_client.wire import Answer, command, get_input, get_job, job_path, with_json

T = TypeVar("T")


@dataclass(frozen=True, eq=False, repr=False)
class AsyncJob(Snapshot):
    """A job. Its members are the record as it was read last; each method that reads or changes it returns a new one."""

    _connection: AsyncConnection = field(kw_only=True)

    @classmethod
    def of(cls, connection: AsyncConnection, answer: Answer) -> Self:
        """Return the job of an answer with a record."""
        return cls(
            answer.record("asyncJobId"),
            etag=answer.headers.get("etag"),
            retry_after=answer.retry_after,
            replayed=answer.headers.get("idempotency-replayed", "").lower() == "true",
            request_id=answer.headers.get("apigw-requestid"),
            received=connection.clock.now(),
            _connection=connection,
        )

    @property
    def url(self) -> str:
        """The job's address, for its worker."""
        return self._connection.base_url + job_path(self.id)

    async def wait(
        self, *, give_up: float | None = 300.0, on_update: Callback | None = None, cancel_on_give_up: bool = False
    ) -> Self:
        """Wait until the job has ended, however, and return it.

        `give_up` is how long to wait, in seconds: then `GaveUp` is raised, and the job goes on, unless `cancel_on_give_up`.
        None waits without limit. `on_update` gets the job each time it has changed: live, if the server can. Without it, the
        client polls when the server says. A poll that fails does not end the wait. Ctrl-C ends it, and not the job.
        """
        job = self
        try:
            async for job in AsyncWatch(self, give_up).updates(live=on_update is not None):
                if on_update:
                    await result_of(on_update(job))
        except GaveUp as gave_up:
            if cancel_on_give_up:
                try:
                    await self.cancel()
                except AsyncjobsError as error:  # the job has ended meanwhile, or the API cannot be reached
                    gave_up.add_note(f"The job was not cancelled: {error}")
            raise
        return job

    def updates(self, *, give_up: float | None = 300.0) -> AsyncIterator[Self]:
        """Return an iterator over the job as it is, and each time it has changed, until it has ended: live, if the server can."""
        return AsyncWatch(self, give_up).updates(live=True)

    def events(self, *, after: int = 0, give_up: float | None = 300.0) -> AsyncIterator[Event]:
        """Return an iterator over the job's events after a number, each once, until it has ended. Raise `NotFound` if the server has none."""
        return AsyncWatch(self, give_up).events(after)

    @overload
    async def result(
        self,
        *,
        give_up: float | None = 300.0,
        on_update: Callback | None = None,
        as_: Callable[..., T],
        cancel_on_give_up: bool = False,
    ) -> T: ...
    @overload
    async def result(
        self,
        *,
        give_up: float | None = 300.0,
        on_update: Callback | None = None,
        as_: None = None,
        cancel_on_give_up: bool = False,
    ) -> Any: ...
    async def result(
        self,
        *,
        give_up: float | None = 300.0,
        on_update: Callback | None = None,
        as_: Callable[..., Any] | None = None,
        cancel_on_give_up: bool = False,
    ) -> Any:
        """Wait until the job has ended, and return its result. Raise `JobFailed` or `JobCancelled` if it has none.

        `as_` converts it: a model of pydantic, a dataclass, or any function. A result that is not JSON is bytes.
        """
        job = await self.wait(give_up=give_up, on_update=on_update, cancel_on_give_up=cancel_on_give_up)
        if job.status == CANCELLED:
            raise JobCancelled(job)
        if job.status != COMPLETED:
            raise JobFailed(job)
        if job.result_type in {"INLINE", None}:
            return converted(job.raw.get("result"), as_)
        return converted(await files.load(self._connection, self.id), as_)

    def open(self) -> AbstractAsyncContextManager[files.AsyncResultStream]:
        """Open the result of a completed job, of any size and type. It continues after an interruption."""
        return files.opened(self._connection, self.id)

    async def download(self, path: str | PathLike[str], *, on_progress: files.OnBytes | None = None) -> Path:
        """Write the result of a completed job to a file. While it is not whole, its name ends with `.part`."""
        return await files.save(self._connection, self.id, Path(path), on_progress)

    async def input(self) -> Any:
        """Return the input as it was stored, to submit it again with a change. Raise `NotFound` if the server has none."""
        return (await self._connection.call(get_input(self.id))).json()

    async def refresh(self) -> Self:
        """Read the record again."""
        return self._new(await self._connection.call(get_job(self.id)))

    async def cancel(self) -> Self:
        """Cancel the job. Cancelling again is no error."""
        return self._new(await self._connection.call(command("POST", self.id, "cancel")))

    async def retry(self) -> Self:
        """Run a job again that failed or was cancelled. It keeps its id."""
        failures = 0
        while True:
            try:
                return self._new(await self._connection.once(command("POST", self.id, "retry")))
            except (ApiConnectionError, ApiError) as error:
                failures += 1
                if isinstance(error, RateLimited) or not is_temporary(error):  # no doubt: it was refused
                    await self._connection.pause(error, failures)
                    continue
                job = await self.refresh()
                if not job.is_finished:
                    return job  # the request has arrived, and only its answer was lost
                if not self.is_finished or job.raw["endedAt"] != self.raw["endedAt"]:
                    raise  # nobody can say whether it ended before this request, or after
                await self._connection.pause(error, failures)

    async def delete(self) -> None:
        """Delete a finished job, its input and its result."""
        failures = 0
        while True:
            try:
                await self._connection.once(command("DELETE", self.id))
            except NotFound:
                if not failures:
                    raise
                return  # an earlier try has deleted it
            except (ApiConnectionError, ApiError) as error:
                failures += 1
                await self._connection.pause(error, failures)
            else:
                return

    async def report(self, *, progress: float | None = None, message: str | None = None) -> Self:
        """Report on a tracked job, as its owner."""
        return await self._report(reports.progressed(progress, message))

    async def complete(self, result: Any = None, *, location: str | None = None, message: str | None = None) -> Self:
        """Complete a tracked job with a result, or with the address of one."""
        return await self._report(reports.completed(result, location, message))

    async def fail(self, message: str, *, code: str | None = None) -> Self:
        """End a tracked job as failed."""
        return await self._report(reports.failed(message, code))

    async def new_worker_token(self) -> Self:
        """Issue a new token for the worker of a tracked job: no earlier one is valid any more."""
        return self._new(await self._connection.call(command("POST", self.id, "worker-token")))

    async def _report(self, report: dict[str, Any]) -> Self:
        return self._new(await self._connection.call(with_json("PATCH", job_path(self.id), to_json(report), job_id=self.id)))

    def _new(self, answer: Answer) -> Self:
        return type(self).of(self._connection, answer)

    def with_record(self, raw: dict[str, Any]) -> Self:
        """Return the job with another record, which no answer had as a whole."""
        return replace(self, raw=raw)
