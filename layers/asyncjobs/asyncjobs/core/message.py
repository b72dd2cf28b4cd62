"""The message that names a job to a worker."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from asyncjobs.core.errors import MalformedMessage
from asyncjobs.core.job import AsyncJob, JobKey, Priority

_VERSION = 1


@dataclass(frozen=True, slots=True)
class JobMessage:
    """A hint that a job may run now, with everything that a worker needs to claim it without reading."""

    key: JobKey
    generation: str
    job_type: str
    exclusive_key: str | None = None
    """The lock that the job runs under; None without a lock."""
    priority: Priority = field(default=Priority.STANDARD, compare=False)
    """The queue to send to. It is not in the body: the queue itself is the priority, and receivers do not need it."""

    @classmethod
    def of(cls, job: AsyncJob) -> JobMessage:
        """Return the message for the job."""
        return cls(job.key, job.generation, job.job_type, job.exclusive_key, job.priority)

    @property
    def group(self) -> str:
        """The owner's group, between which SQS shares a queue fairly: 64 hexadecimal digits, not the name."""
        return hashlib.sha256(self.key.owner.encode()).hexdigest()

    def to_body(self) -> str:
        """Return the message's text for SQS."""
        return json.dumps(
            {
                "version": _VERSION,
                "owner": self.key.owner,
                "asyncJobId": self.key.async_job_id,
                "gen": self.generation,
                "jobType": self.job_type,
                **({} if self.exclusive_key is None else {"exclusiveKey": self.exclusive_key}),
            }
        )

    @classmethod
    def parse(cls, body: str) -> JobMessage:
        """Read the output of `to_body`. Raises `MalformedMessage` for anything else, including a newer version."""
        try:
            fields: Any = json.loads(body)
            version, *texts = (fields[name] for name in ("version", "owner", "asyncJobId", "gen", "jobType"))
            exclusive_key = fields.get("exclusiveKey")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise MalformedMessage(f"Not a job message: {type(error).__name__}.") from error
        texts.append("none" if exclusive_key is None else exclusive_key)
        if version != _VERSION or not all(isinstance(text, str) and text for text in texts):
            raise MalformedMessage("Not a job message, or of a version that this worker does not support.")
        owner, async_job_id, generation, job_type, _ = texts
        return cls(JobKey(owner, async_job_id), generation, job_type, exclusive_key)
