"""The message that names a job to a worker."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from asyncjobs.core.errors import MalformedMessage
from asyncjobs.core.job import DELIVERY, AsyncJob, JobKey, Priority, is_owner

DELIVERIES = "deliveries"
"""The name of the queue of deliveries, so that no job waits for a slow receiver."""

_VERSION = 1
_MAX_BODY = 8 * 1024
_ID = "[0-9A-Za-z-]{1,64}"
_JOB_TYPE = "[a-z][a-z0-9_.]{0,99}"
_LOCK = f"([1-9]|10)#{_JOB_TYPE}(#[^#]{{1,255}}(#[0-9a-f]{{64}})?)?"
"""What `Locks.exclusive_key` makes: how many jobs may hold the lock, its name, and perhaps the owner and a digest."""


@dataclass(frozen=True, slots=True)
class JobMessage:
    """A hint that a job may run now, with everything that a worker needs to claim it without reading."""

    key: JobKey
    generation: str
    job_type: str
    exclusive_key: str | None = None
    """The lock that the job runs under; None without a lock."""
    priority: Priority = field(default=Priority.STANDARD, compare=False)
    """Decides about the queue. It is not in the body: the queue itself is the priority, and receivers do not need it."""

    @classmethod
    def of(cls, job: AsyncJob) -> JobMessage:
        """Return the message for the job."""
        return cls(job.key, job.generation, job.job_type, job.exclusive_key, job.priority)

    @property
    def queue(self) -> str:
        """The name of the queue to send to: its priority, or that of the deliveries."""
        return DELIVERIES if self.job_type == DELIVERY else self.priority.value

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

    def describes(self, job: AsyncJob) -> bool:
        """Return whether all that the message says about the job is true. Else it does nothing: only the record decides."""
        said = (self.key, self.generation, self.job_type, self.exclusive_key)
        return said == (job.key, job.generation, job.job_type, job.exclusive_key)

    @classmethod
    def parse(cls, body: str) -> JobMessage:
        """Read the output of `to_body`. Raises `MalformedMessage` for anything else, including a newer version.

        Each part is bounded, since a worker logs some of them, and reads as many locks as the lock's limit says.
        """
        try:
            fields: Any = json.loads(body) if len(body) <= _MAX_BODY else {}
            version, owner, *texts = (fields[name] for name in ("version", "owner", "asyncJobId", "gen", "jobType"))
            exclusive_key = fields.get("exclusiveKey")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise MalformedMessage(f"Not a job message: {type(error).__name__}.") from error
        is_known = type(version) is int and version == _VERSION and isinstance(owner, str) and is_owner(owner)
        if not is_known or not all(map(_fits, (_ID, _ID, _JOB_TYPE), texts)):
            raise MalformedMessage("Not a job message, or of a version that this worker does not support.")
        if exclusive_key is not None and not _fits(_LOCK, exclusive_key):
            raise MalformedMessage("Not the lock of a job.")
        async_job_id, generation, job_type = texts
        return cls(JobKey(owner, async_job_id), generation, job_type, exclusive_key)


_compiled = functools.cache(re.compile)
"""Compiled when the first message is read: a submit only writes messages."""


def _fits(pattern: str, value: object) -> bool:
    return isinstance(value, str) and _compiled(pattern).fullmatch(value) is not None
