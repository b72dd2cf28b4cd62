"""The client."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self, TypeVar, Unpack, overload

import httpx2

from asyncjobs_client._async import files
from asyncjobs_client._async.connection import AsyncConnection
from asyncjobs_client._async.job import AsyncJob
from asyncjobs_client._async.runtime import Callback, Clock, Token
from asyncjobs_client.errors import ApiError, NotConfigured
from asyncjobs_client.options import SubmitOptions, held, submit_request
from asyncjobs_client.problems import ended_of
from asyncjobs_client.values import File, files_in, to_json, with_keys
from asyncjobs_client.wire import Request, api_url, with_json

if TYPE_CHECKING:
    from asyncjobs_client._async.webhooks import AsyncWebhooks
    from asyncjobs_client.records import JobType, Ticket

T = TypeVar("T")

URL_VARIABLE = "ASYNCJOBS_URL"
_ROOM = 5.0
"""Seconds that an answer may come later than it was held for."""


@dataclass(frozen=True)
class AsyncPage:
    """A page of a list. `cursor` None is the end; a page may be empty before."""

    jobs: Sequence[AsyncJob]
    cursor: str | None


class AsyncJobs:
    """A client of one API. Threads and tasks may share it.

    `base_url` is the API's address, or `ASYNCJOBS_URL`; `token` a bearer token, a function that returns one, or
    `ASYNCJOBS_TOKEN`. `timeout` is the time of one request in seconds; a wait has `give_up`. `live=False` never reads events.
    """

    def __init__(
        self,
        base_url: str | None = None,
        token: Token | None = None,
        *,
        timeout: float = 30.0,
        max_retries: int = 4,
        live: bool = True,
        http_client: httpx2.AsyncClient | None = None,
        _clock: Clock | None = None,
    ) -> None:
        url = base_url or os.environ.get(URL_VARIABLE)
        if not url:
            raise NotConfigured(f"The API's address is missing: pass `base_url`, or set {URL_VARIABLE}.")
        self._connection = AsyncConnection(
            api_url(url), token, timeout=timeout, max_retries=max_retries, live=live, http=http_client, clock=_clock
        )

    @overload
    async def run(
        self,
        job_type: str,
        input: object = None,
        *,
        give_up: float | None = 300.0,
        on_update: Callback | None = None,
        as_: Callable[..., T],
        cancel_on_give_up: bool = False,
        **submit: Unpack[SubmitOptions],
    ) -> T: ...
    @overload
    async def run(
        self,
        job_type: str,
        input: object = None,
        *,
        give_up: float | None = 300.0,
        on_update: Callback | None = None,
        as_: None = None,
        cancel_on_give_up: bool = False,
        **submit: Unpack[SubmitOptions],
    ) -> Any: ...
    async def run(
        self,
        job_type: str,
        input: object = None,
        *,
        give_up: float | None = 300.0,
        on_update: Callback | None = None,
        as_: Callable[..., Any] | None = None,
        cancel_on_give_up: bool = False,
        **submit: Unpack[SubmitOptions],
    ) -> Any:
        """Submit a job, wait for it, and return its result. A quick job takes one request.

        See `submit` for the options, and `Job.result` for the wait.
        """
        began = self._connection.clock.now()
        job = await self._submitted(job_type, input, submit, prefer=None)
        left = None if give_up is None else max(0.0, give_up - (self._connection.clock.now() - began))
        return await job.result(give_up=left, on_update=on_update, as_=as_, cancel_on_give_up=cancel_on_give_up)

    async def submit(self, job_type: str, input: object = None, **options: Unpack[SubmitOptions]) -> AsyncJob:
        """Submit a job and return it. It is not waited for, unless `wait` is given.

        `input` is JSON, a dataclass or a model of pydantic. A `File` in JSON or in a dataclass is uploaded first. See `SubmitOptions`.
        """
        return await self._submitted(job_type, input, options, prefer="respond-async")

    def job(self, job_id: str) -> AsyncJob:
        """Return a handle for a job, without a request."""
        return AsyncJob({"asyncJobId": job_id}, _connection=self._connection)

    async def get(self, job_id: str) -> AsyncJob:
        """Return a job."""
        return await self.job(job_id).refresh()

    async def list(
        self, *, status: str | None = None, job_type: str | None = None, limit: int | None = None
    ) -> AsyncIterator[AsyncJob]:
        """Yield your jobs, newest first: all of them, or `limit`."""
        left = limit
        async for page in self.pages(status=status, job_type=job_type, limit=limit):
            for job in page.jobs[:left]:
                yield job
            left = None if left is None else left - len(page.jobs)
            if left is not None and left <= 0:
                return

    async def pages(
        self, *, status: str | None = None, job_type: str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> AsyncIterator[AsyncPage]:
        """Yield pages of your jobs. `limit` ends them when so many jobs have been yielded; `cursor` begins in the middle."""
        left = limit
        while True:
            size = None if left is None else str(min(left, 100))
            query = {"status": status, "jobType": job_type, "limit": size, "cursor": cursor}
            request = Request("GET", "/jobs", {name: value for name, value in query.items() if value is not None})
            body = (await self._connection.call(request)).record("jobs")
            jobs = [AsyncJob(record, _connection=self._connection) for record in body["jobs"]]
            cursor = body.get("nextCursor")
            yield AsyncPage(jobs, cursor)
            left = None if left is None else left - len(jobs)
            if cursor is None or (left is not None and left <= 0):
                return

    async def upload(
        self,
        source: str | PathLike[str] | bytes | BinaryIO,
        *,
        content_type: str | None = None,
        on_progress: files.OnBytes | None = None,
    ) -> str:
        """Upload a file, and return its key for a job's input. It is read in pieces."""
        return await files.upload(self._connection, File(source, content_type), on_progress)

    async def types(self) -> Sequence[JobType]:
        """Return the job types, with the schemas of their input and output."""
        from asyncjobs_client.records import JobType  # noqa: PLC0415 - few programs need it

        body = (await self._connection.call(Request("GET", "/job-types"))).record("jobTypes")
        return [JobType.of(each) for each in body["jobTypes"]]

    @property
    def tracked(self) -> AsyncTracked:
        """Jobs whose work is done elsewhere."""
        return AsyncTracked(self._connection)

    @property
    def webhooks(self) -> AsyncWebhooks:
        """Receivers of your jobs' events."""
        from asyncjobs_client._async.webhooks import AsyncWebhooks  # noqa: PLC0415 - few programs need it

        return AsyncWebhooks(self._connection)

    async def ticket(self, *job_ids: str, ttl: float | None = None) -> Ticket:
        """Return a secret for a browser: it opens these jobs, or all that you own, read-only, for up to 15 minutes."""
        from asyncjobs_client.records import Ticket  # noqa: PLC0415 - few programs need it

        body = {"jobs": job_ids} if job_ids else {"scope": "owner"}
        given = body | ({} if ttl is None else {"ttlSeconds": int(ttl)})
        answer = (await self._connection.call(with_json("POST", "/tickets", to_json(given)))).record("ticket")
        return Ticket(answer["ticket"], answer, answer.get("expiresAt"))

    def with_options(
        self,
        *,
        timeout: float | None = None,
        max_retries: int | None = None,
        token: Token | None = None,
        live: bool | None = None,
    ) -> Self:
        """Return a client with other options, and the same connections."""
        other = object.__new__(type(self))
        other._connection = self._connection.changed(token, timeout=timeout, max_retries=max_retries, live=live)
        return other

    async def aclose(self) -> None:
        """Close the connections."""
        await self._connection.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _submitted(self, job_type: str, value: object, options: SubmitOptions, *, prefer: str | None) -> AsyncJob:
        keys = [await files.upload(self._connection, file) for file in files_in(value)]
        request = submit_request(job_type, with_keys(value, iter(keys)), options, prefer=prefer)
        return await _submit(self._connection, request)


async def _submit(connection: AsyncConnection, request: Request) -> AsyncJob:
    seconds = held(request)
    within = max(connection.timeout, seconds + _ROOM) if seconds else connection.timeout
    try:
        return AsyncJob.of(connection, await connection.call(request, within=within))
    except ApiError as error:
        raise ended_of(error, None) or error from error.__cause__


@dataclass(frozen=True)
class AsyncTracked:
    """Tracked jobs: something outside does the work and reports it."""

    _connection: AsyncConnection

    async def create(
        self,
        job_type: str | None = None,
        *,
        message: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        key: str | None = None,
        retention: float | None = None,
    ) -> AsyncJob:
        """Create a tracked job. Give its `url` and `worker_token` to the worker.

        With a `key` of your own, a repetition returns the same job without a token, so that its worker's stays valid.
        """
        options: SubmitOptions = {"message": message, "metadata": metadata, "key": key, "retention": retention}
        job = await _submit(self._connection, submit_request(job_type, None, options, prefer=None))
        if key is None and job.worker_token is None:  # the first answer was lost, and with it the token
            return await job.new_worker_token()
        return job
