"""Contents of jobs as values: inputs, whole results, and uploads that come with a request."""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING, Any

from asyncjobs.core.errors import Fatal, InputMissing
from asyncjobs.core.exact_json import read_json
from asyncjobs.core.job import AsyncJob, JobKey
from asyncjobs.core.placement import checked_json
from asyncjobs.core.ports import Objects
from asyncjobs.service.queries import Queries

if TYPE_CHECKING:
    from asyncjobs.limits.admission import Admission

MAX_SHOWN_RESULT = 2_000_000
"""Bytes. A function's answer has 6 MB at most, and text may take three times its bytes in it."""


class Contents:
    """Reads the contents of an owner's jobs, and stores uploads that come with a request."""

    def __init__(self, *, queries: Queries, objects: Objects, admission: Admission | None = None) -> None:
        self._queries = queries
        self._objects = objects
        self._admission = admission

    def input(self, key: JobKey) -> Any:
        """Return the job's input, or None if it has none any more. Raises `JobNotFound`, `Unavailable`."""
        try:
            return read_json(self._queries.input_of(self._job(key)))
        except InputMissing:
            return None

    def result(self, key: JobKey) -> Any:
        """Return the job's result, or None if it has none. Raises `JobNotFound`, `Unavailable`.

        A result that is too large for an answer, or no JSON, or stored elsewhere, is an object with its `url`.
        """
        job = self._job(key)
        if job.result is None:
            return None
        if job.result.text is not None:
            return read_json(job.result.text)
        if job.result.url is not None:
            return {"url": job.result.url}
        data = self._objects.get_result(job, at_most=MAX_SHOWN_RESULT)
        try:
            if data is not None:
                return read_json(checked_json(data))
        except Fatal:
            # A job has streamed bytes that are not JSON, and named them so. Nothing has read a large result before.
            pass
        return {"url": self._objects.link(job)}

    def store_upload(self, owner: str, data: bytes, *, content_type: str, idempotency_key: str | None) -> str:
        """Store an object for the owner's next job and return its key. It counts as an upload.

        The same object with the same idempotency key has the same name, so that a repeated request is the same request.
        Raises `SubmitRateExceeded`, `Unavailable`.
        """
        if self._admission is not None:
            self._admission.take_token(owner)
        key = f"uploads/{uuid.uuid4() if idempotency_key is None else _upload_id(idempotency_key, data)}"
        self._objects.put_upload(owner, key, data, content_type=content_type)
        return key

    def _job(self, key: JobKey) -> AsyncJob:
        return self._queries.job(key.owner, key.async_job_id)


def _upload_id(idempotency_key: str, data: bytes) -> uuid.UUID:
    name = idempotency_key.encode()
    digest = hashlib.sha256(len(name).to_bytes(4, "big") + name + data).digest()
    return uuid.UUID(bytes=digest[:16], version=4)
