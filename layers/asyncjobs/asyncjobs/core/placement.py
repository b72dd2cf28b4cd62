"""Where inputs and results are stored: in the record up to a limit, in the bucket above it, and under which name."""

from __future__ import annotations

import json
from datetime import timedelta

from asyncjobs.core.errors import Fatal
from asyncjobs.core.job import AsyncJob

INLINE_INPUT_LIMIT = 2 * 1024
"""Bytes of JSON up to which an input lies in the record, which pays for it on each write: docs/decisions.md has the sums."""
INLINE_RESULT_LIMIT = 8 * 1024
"""Bytes of JSON up to which a result lies in the record: up to here one larger write is cheaper than a PUT."""
LINK_LIFETIME = timedelta(minutes=5)
UPLOAD_LIFETIME = timedelta(minutes=15)
"""How long an upload may be begun; one that is under way by then goes on."""
MAX_UPLOAD = 5 * 1024**3
"""Bytes. What S3 takes in one PUT."""
JSON = "application/json"


def result_location(job: AsyncJob, attempt: int) -> str:
    """Where an attempt's result lies, and no other's."""
    return f"results/{job.async_job_id}/{job.generation}/{attempt}"


def checked_json(data: bytes) -> str:
    """The bytes as text. Raises `Fatal` unless they are JSON that can be read and written again: no NaN, no 1e999."""
    try:
        text = data.decode()
        json.dumps(json.loads(text), ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise Fatal(
            f"What the job streamed as JSON is none: {type(error).__name__}.", code="RESULT_NOT_SERIALIZABLE"
        ) from error
    return text
