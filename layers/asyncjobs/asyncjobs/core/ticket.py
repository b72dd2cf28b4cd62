"""What a ticket opens: some jobs of one owner, read-only, for minutes."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from asyncjobs.core.errors import InvalidTicket
from asyncjobs.core.job import AsyncJob

MAX_TICKET = timedelta(minutes=15)
"""As long as an access token of the stack's own pool: a sign-out ends neither earlier."""
MAX_TICKET_JOBS = 20

_PREFIX = "ajt_"
"""The prefix by which secret scanners, and people, recognize a ticket."""
_SECRET_BYTES = 32
_TEXT = re.compile(_PREFIX + "[A-Za-z0-9_-]{43}")
_HASH_BYTES = 16
"""128 bits: nobody finds a ticket for a hash. The ticket is random, so its hash needs no salt."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket as it is stored. Its text, the secret, is not."""

    owner: str
    jobs: Mapping[str, datetime] | None
    """The time of creation of each job that the ticket opens; None for all jobs of the owner.

    A job that was deleted and submitted again with the same idempotency key has the same id and another time.
    """
    expires_at: datetime
    connection_ends_at: datetime | None = None
    """When the connection ends that the ticket opens, once; None for a ticket that reads."""

    def opens(self, job: AsyncJob) -> bool:
        """Return whether the ticket is for this job."""
        return is_open(job, self.owner, self.jobs)


def is_open(job: AsyncJob, owner: str, jobs: Mapping[str, datetime] | None) -> bool:
    """Return whether the job is among these jobs of the owner: see `Ticket.jobs`."""
    return job.owner == owner and (jobs is None or jobs.get(job.async_job_id) == job.created_at)


def new_ticket_text() -> str:
    """Make the text of a new ticket. Never store or log it."""
    return _PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def ticket_hash(text: str) -> str:
    """Return the hash under which the ticket is stored. Raises `InvalidTicket` for a text that is not a ticket's."""
    if not _TEXT.fullmatch(text):
        raise InvalidTicket
    return hashlib.sha256(text.encode()).digest()[:_HASH_BYTES].hex()
