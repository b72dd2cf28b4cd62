"""Connections of the WebSocket API, and the topics that they watch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple

from asyncjobs.core.clock import epoch_milliseconds, from_epoch_milliseconds
from asyncjobs.core.job import AsyncJob, owner_of_part, owner_part

MAX_WATCHERS = 100
"""Connections that watch one topic at the same time: each of them costs a message for each change."""
MAX_WATCHES = 20
"""Topics that one connection watches at the same time."""
CONNECT_WITHIN = timedelta(minutes=1)
"""How long a ticket may wait for its connection. Its URL may be in logs by then, and opens nothing any more."""


class Topic(NamedTuple):
    """Something to watch: one job, or all jobs of an owner."""

    owner: str
    async_job_id: str | None = None
    created_at: datetime | None = None
    """When the job was created: a later job of the same id has other watchers."""

    @classmethod
    def of_job(cls, job: AsyncJob) -> Topic:
        """Return the topic of this job."""
        return cls(job.owner, job.async_job_id, job.created_at)

    @property
    def text(self) -> str:
        """Return the topic as text. No two topics have the same one."""
        if self.async_job_id is None or self.created_at is None:
            return f"O#{owner_part(self.owner)}"
        return f"J#{owner_part(self.owner)}#{self.async_job_id}#{epoch_milliseconds(self.created_at)}"

    @classmethod
    def parse(cls, text: str) -> Topic:
        """Read the output of `text`."""
        _, owner, *job = text.split("#")
        if not job:
            return cls(owner_of_part(owner))
        async_job_id, created_at = job
        return cls(owner_of_part(owner), async_job_id, from_epoch_milliseconds(int(created_at)))


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection that a ticket has opened. It may watch what the ticket is for, until it ends."""

    connection_id: str
    owner: str
    jobs: Mapping[str, datetime] | None
    """See `Ticket.jobs`."""
    ends_at: datetime
    watches: frozenset[str] = frozenset()
    """The texts of the topics that it watches."""


class Posted(Enum):
    """What became of a message to a connection."""

    SENT = "sent"
    GONE = "gone"
    """The connection is closed."""
    DROPPED = "dropped"
    """The gateway accepts no more messages now. A later message, or a ping, shows what was missed."""
