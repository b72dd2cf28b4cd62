"""The secret of an outside worker for one tracked job. The job stores only a hash of it.

So readers of the table, its stream or a backup cannot report. Each submit, retry and new token replaces the hash, and a
job has one, so at most one token is valid.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

from asyncjobs.core.job import AsyncJob, is_owner

_PREFIX = "ajw_"
"""The prefix by which secret scanners, and people, recognize a token."""
_SECRET_BYTES = 32
_HASH_BYTES = 16
"""128 bits: nobody finds a secret for a hash. Every write of the job pays for each byte."""
_TEXT = re.compile(_PREFIX + r"[A-Za-z0-9_-]{44,383}")
"""In base64, with an owner of 1 to 255 characters."""


@dataclass(frozen=True, slots=True)
class WorkerToken:
    """A worker's token: the owner, which is needed to find the job, and the secret."""

    owner: str
    secret: bytes = field(repr=False)

    @classmethod
    def new(cls, owner: str) -> WorkerToken:
        """Make a new token."""
        return cls(owner, secrets.token_bytes(_SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> WorkerToken | None:
        """Read the output of `text`; None for anything else. Use `matches` to check the token against a job."""
        if not _TEXT.fullmatch(text):
            return None
        try:
            encoded = text.removeprefix(_PREFIX)
            data = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
            token = cls(data[:-_SECRET_BYTES].decode("ascii"), data[-_SECRET_BYTES:])
        except ValueError:
            return None
        return token if is_owner(token.owner) and token.text == text else None

    @property
    def text(self) -> str:
        """The token's text for the worker. Never store or log it."""
        return _PREFIX + base64.urlsafe_b64encode(self.owner.encode("ascii") + self.secret).decode().rstrip("=")

    @property
    def hash(self) -> bytes:
        """The hash that the job stores. The secret is random, so it needs no salt."""
        return hashlib.sha256(self.secret).digest()[:_HASH_BYTES]

    def matches(self, job: AsyncJob) -> bool:
        """Return whether this is the present token of the job."""
        # Earlier releases stored no hash: the generation was its hexadecimal text.
        stored = job.generation if job.token_hash is None else job.token_hash.hex()
        return hmac.compare_digest(self.hash.hex(), stored) and job.owner == self.owner and job.is_tracked
