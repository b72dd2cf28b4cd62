"""Contents of jobs that no record shows: inputs, whole results, and uploads that come with a request."""

from __future__ import annotations

import hashlib
import uuid
from typing import TYPE_CHECKING, Any

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import Fatal, InputMissing
from asyncjobs.core.exact_json import read_json
from asyncjobs.core.job import AsyncJob, JobKey, present_job
from asyncjobs.core.placement import checked_json, with_links
from asyncjobs.core.ports import Objects, Store

if TYPE_CHECKING:
    from asyncjobs.limits.admission import Admission

MAX_SHOWN_RESULT = 2_000_000
"""Bytes. A function's answer has 6 MB at most, and text may take three times its bytes in it."""


class Contents:
    """Reads the contents of an owner's jobs, and stores uploads that come with a request."""

    def __init__(self, *, store: Store, objects: Objects, clock: Clock, admission: Admission | None = None) -> None:
        self._store = store
        self._objects = objects
        self._clock = clock
        self._admission = admission

    def input(self, key: JobKey) -> Any:
        """Return the job's input, or None if it has none any more. Raises `JobNotFound`, `Unavailable`."""
        return self.input_of(self._job(key))

    def input_of(self, job: AsyncJob) -> Any:
        """Return the input of a job that was read already, or None if it has none any more. Raises `Unavailable`."""
        if job.input_location is None:
            return None if job.input is None else read_json(job.input)
        try:
            return read_json(self._objects.get_input(job).decode())
        except InputMissing:
            # A tool other than asyncjobs has deleted it, or a deletion that is under way.
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
        return with_links(present_job(self._store.get(key), self._clock()), self._objects.artifact_link)


def _upload_id(idempotency_key: str, data: bytes) -> uuid.UUID:
    name = idempotency_key.encode()
    digest = hashlib.sha256(len(name).to_bytes(4, "big") + name + data).digest()
    return uuid.UUID(bytes=digest[:16], version=4)
