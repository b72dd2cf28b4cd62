"""The secret of an outside worker for one tracked job. Only a digest of it is stored.

A tracked job's `gen` is a digest of the token's secret. So the token fits this job in this generation and no other, nothing
more has to be stored, and readers of the table, its stream or a backup cannot report.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

from asyncjobs.core.job import AsyncJob

_PREFIX = "ajw_"
"""The prefix by which secret scanners, and people, recognize a token."""
_SECRET_BYTES = 32
_TEXT = re.compile(_PREFIX + r"[A-Za-z0-9_-]{44,256}")
OWNER = re.compile(r"[\x20-\x22\x24-\x7e]{1,128}")
"""Valid owners: the `sub` values that `http` accepts."""


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
        """Read the output of `text`; None for anything else. Use `fits` to check the token against a job."""
        if not _TEXT.fullmatch(text):
            return None
        try:
            encoded = text.removeprefix(_PREFIX)
            data = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
            token = cls(data[:-_SECRET_BYTES].decode("ascii"), data[-_SECRET_BYTES:])
        except ValueError:
            return None
        return token if OWNER.fullmatch(token.owner) and token.text == text else None

    @property
    def text(self) -> str:
        """The token's text for the worker. Never store or log it."""
        return _PREFIX + base64.urlsafe_b64encode(self.owner.encode("ascii") + self.secret).decode().rstrip("=")

    @property
    def generation(self) -> str:
        """The generation of the token's job: 128 bits of the secret's digest, as long as any other job's."""
        return hashlib.sha256(self.secret).hexdigest()[:32]

    def fits(self, job: AsyncJob) -> bool:
        """Return whether the token was made for this job in its present generation."""
        return hmac.compare_digest(self.generation, job.generation) and job.owner == self.owner and job.is_tracked
