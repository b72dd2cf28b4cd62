"""Uploads and results of any size: read and written in pieces, and resumed."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import httpx2

from asyncjobs_client._async.connection import AsyncConnection
from asyncjobs_client._async.runtime import in_thread
from asyncjobs_client.errors import ApiConnectionError, ApiError, AsyncjobsError, BadRequest, Forbidden, Unauthorized
from asyncjobs_client.problems import ended_of
from asyncjobs_client.uploads import bytes_of, upload_request
from asyncjobs_client.values import File
from asyncjobs_client.wire import Answer, error_of, get_result

OnBytes = Callable[[int, int | None], object]
"""Called with the number of bytes so far, and with that of all bytes if it is known."""

_LINK_OVER = (BadRequest, Unauthorized, Forbidden)
"""What the storage answers to a link that is over. S3 says 403, or 400 `ExpiredToken` if the credentials of its signer are."""

_PIECE = 1 << 18
_OK, _PARTIAL, _SEE_OTHER, _TAKEN = 200, 206, 303, 412


async def upload(connection: AsyncConnection, file: File, on_progress: OnBytes | None = None) -> str:
    """Upload a file and return its key."""
    with bytes_of(file) as source:
        start = source.tell()
        size = await in_thread(source.seek, 0, os.SEEK_END) - start
        request = upload_request(file, size)
        link: dict[str, Any] | None = None
        is_doubtful, failures = False, 0
        while True:
            if link is None:
                link, is_doubtful = (await connection.call(request)).record("url", "key", "headers"), False
            try:
                pieces = _pieces(source, start, size, on_progress)
                await _put(connection, link, pieces, is_doubtful=is_doubtful)
            except _LINK_OVER:
                failures += 1
                if failures > connection.max_retries:
                    raise
                link = None
            except AsyncjobsError as error:
                is_doubtful, failures = True, failures + 1
                await connection.pause(error, failures)
            else:
                return cast("str", link["key"])


async def _pieces(source: BinaryIO, start: int, size: int, on_progress: OnBytes | None) -> AsyncIterator[bytes]:
    await in_thread(source.seek, start)
    sent = 0
    while sent < size and (piece := await in_thread(source.read, min(_PIECE, size - sent))):
        yield piece
        sent += len(piece)
        if on_progress:
            on_progress(sent, size)


async def _put(connection: AsyncConnection, link: dict[str, Any], pieces: AsyncIterator[bytes], *, is_doubtful: bool) -> None:
    """Send the object. A 412 shows that it is there: by an earlier try, if one may have arrived."""
    async with connection.sending(
        "PUT", link["url"], headers=dict(link["headers"]), content=pieces, timeout=httpx2.Timeout(connection.timeout, pool=None)
    ) as response:
        if response.status_code == _OK or (response.status_code == _TAKEN and is_doubtful):
            return
        raise error_of(Answer(response.status_code, response.headers, await response.aread()), None)


class AsyncResultStream:
    """A result that is read in pieces. After an interruption it continues where it was.

    Iterate over it, or `read` it like a file.
    """

    content_type: str | None = None
    size: int | None = None
    """The number of bytes, if the server says so."""

    def __init__(self, connection: AsyncConnection, job_id: str) -> None:
        self.position = 0
        self._connection = connection
        self._job_id = job_id
        self._link: str | None = None
        self._etag: str | None = None
        self._is_replaced = False
        self._buffer = b""
        self._received = self._receive()

    async def begin(self) -> None:
        """Read the beginning, so that the type and the size are known."""
        self._buffer = await anext(self._received, b"")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._buffer:
            piece, self._buffer = self._buffer, b""
            yield piece
        async for piece in self._received:
            yield piece

    async def read(self, size: int = -1) -> bytes:
        """Return so many bytes, or fewer at the end; all that are left if it is negative."""
        found = [self._buffer]
        count = len(self._buffer)
        self._buffer = b""
        while size < 0 or count < size:
            piece = await anext(self._received, b"")
            if not piece:
                break
            found.append(piece)
            count += len(piece)
        whole = b"".join(found)
        if 0 <= size < count:
            whole, self._buffer = whole[:size], whole[size:]
        return whole

    async def aclose(self) -> None:
        """End the transfer."""
        await self._received.aclose()

    async def _receive(self) -> Any:
        failures = 0
        while True:
            before = self.position
            try:
                async for piece in self._transfer():
                    self.position += len(piece)
                    yield piece
            except AsyncjobsError as error:
                if self._is_replaced:
                    raise  # no repetition brings the rest of it
                failures = 1 if self.position > before else failures + 1
                if isinstance(error, _LINK_OVER) and self._link and failures <= self._connection.max_retries:
                    self._link = None  # the link is over: get another one
                else:
                    await self._connection.pause(error, failures)
            else:
                return

    async def _transfer(self) -> AsyncIterator[bytes]:
        """Yield what is left, in one transfer."""
        if self._link is None:
            try:
                answer = await self._connection.once(get_result(self._job_id))
            except ApiError as error:
                raise ended_of(error, self._job_id) or error from None
            if answer.status != _SEE_OTHER:
                self.content_type, self.size = answer.headers.get("content-type"), len(answer.body)
                yield answer.body[self.position :]
                return
            self._link = answer.headers["location"]
        timeout = httpx2.Timeout(self._connection.timeout, pool=None)
        headers = {"accept": "*/*", "accept-encoding": "identity"}  # bytes of a range are those of the object
        if self.position:
            headers["range"] = f"bytes={self.position}-"
            if self._etag:
                headers["if-match"] = self._etag
        async with self._connection.sending(
            "GET", self._link, headers=headers, timeout=timeout, job_id=self._job_id
        ) as response:
            skip = await self._begun(response)
            async for piece in response.aiter_raw():
                if skip < len(piece):
                    yield piece[skip:]
                skip = max(0, skip - len(piece))

    async def _begun(self, response: httpx2.Response) -> int:
        """Check the answer of the storage, and return how many of its bytes have been received before."""
        headers, status = response.headers, response.status_code
        if status not in {_OK, _PARTIAL}:
            raise error_of(Answer(status, headers, await response.aread()), self._job_id)
        self._is_replaced = bool(self.position) and headers.get("etag") != self._etag
        if self._is_replaced:
            raise ApiConnectionError("The result was replaced while it was read: begin again.", job_id=self._job_id)
        self._etag, self.content_type = headers.get("etag"), headers.get("content-type")
        if status == _PARTIAL:
            return 0
        length = headers.get("content-length")
        self.size = int(length) if length else None
        return self.position


@asynccontextmanager
async def opened(connection: AsyncConnection, job_id: str) -> AsyncIterator[AsyncResultStream]:
    """Open a job's result."""
    stream = AsyncResultStream(connection, job_id)
    try:
        await stream.begin()
        yield stream
    finally:
        await stream.aclose()


async def load(connection: AsyncConnection, job_id: str) -> Any:
    """Return a whole result: the value if it is JSON, or else its bytes."""
    async with opened(connection, job_id) as stream:
        content = await stream.read()
        kind = (stream.content_type or "").partition(";")[0].strip()
    return json.loads(content) if kind == "application/json" or kind.endswith("+json") else content


async def save(connection: AsyncConnection, job_id: str, path: Path, on_progress: OnBytes | None = None) -> Path:
    """Write a result to a file, which has its name only when it is whole."""
    partial = path.with_name(f"{path.name}.part")
    async with opened(connection, job_id) as stream:
        with partial.open("wb") as file:
            async for piece in stream:
                await in_thread(file.write, piece)
                if on_progress:
                    on_progress(file.tell(), stream.size)
    partial.replace(path)
    return path
