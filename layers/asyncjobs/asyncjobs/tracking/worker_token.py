"""The secret by which an outside worker reports of one tracked job. What is kept of it tells nobody what it is.

A tracked job's `gen` is a digest of the token's secret. So the token fits this job in this generation and no other, nothing
more has to be stored, and whoever reads the table, its stream or a backup cannot report.
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
"""By which scanners for leaked secrets, and people, know one."""
_SECRET_BYTES = 32
_TEXT = re.compile(_PREFIX + r"[A-Za-z0-9_-]{44,256}")
OWNER = re.compile(r"[\x20-\x22\x24-\x7e]{1,128}")
"""Who can be an owner: what `http` takes for a token's `sub`."""


@dataclass(frozen=True, slots=True)
class WorkerToken:
    """The owner, because it takes the owner to find the job, and the secret."""

    owner: str
    secret: bytes = field(repr=False)

    @classmethod
    def new(cls, owner: str) -> WorkerToken:
        """One that nobody has had before."""
        return cls(owner, secrets.token_bytes(_SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> WorkerToken | None:
        """The token that is written so; None for anything else. Whether it is any good, `fits` tells."""
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
        """How it goes over the wire. Never store or log it."""
        return _PREFIX + base64.urlsafe_b64encode(self.owner.encode("ascii") + self.secret).decode().rstrip("=")

    @property
    def generation(self) -> str:
        """The generation of the one job that it is for: 128 bits of the secret's digest, as long as any other job's."""
        return hashlib.sha256(self.secret).hexdigest()[:32]

    def fits(self, job: AsyncJob) -> bool:
        """Whether it was made for this job, as it was created last."""
        return hmac.compare_digest(self.generation, job.generation) and job.owner == self.owner and job.is_tracked
