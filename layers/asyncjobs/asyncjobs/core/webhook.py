"""The webhooks of an owner: where the events of its jobs are delivered. Pure: no clock, no network.

Each change is a method that returns the changed webhook. The store swaps all webhooks of an owner in one write.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from asyncjobs.core.records import replace

if TYPE_CHECKING:
    from asyncjobs.core.job import AsyncJob

MAX_WEBHOOKS = 10
"""Webhooks of an owner. They are one item of the table, which the stream's reader reads for each owner of a batch."""
MAX_URL = 1000
MAX_JOB_TYPES = 20

SECRET_OVERLAP = timedelta(days=1)
"""How long after a rotation the previous secret signs as well."""
DISABLED_AFTER = timedelta(days=5)
"""How long a receiver may fail without a success in between. A single delivery is tried for three days."""

EVENTS = (
    "job.created",
    "job.started",
    "job.released",
    "job.completed",
    "job.failed",
    "job.cancelled",
    "job.retried",
    "job.custom",
)
"""The events that a webhook may subscribe to. Progress is not one: a delivery costs as much as a short job."""
ENDS = ("job.completed", "job.failed", "job.cancelled")
"""The events of a webhook that names none."""
TEST = "webhook.test"

_SECRET_BYTES = 32
_PREFIX = "whsec_"
"""By which Standard Webhooks, secret scanners and people recognize a secret."""


class DisabledReason(StrEnum):
    """Why a webhook gets no deliveries."""

    REFUSED = "REFUSED"
    """The receiver answered 410."""
    FAILING = "FAILING"
    """The receiver failed for days."""


def new_secret() -> str:
    """Make a signing secret, in the form of Standard Webhooks."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A webhook at one moment."""

    webhook_id: str
    url: str
    events: tuple[str, ...] = ENDS
    job_types: tuple[str, ...] = ()
    """Types of jobs whose events are delivered; none is all types."""
    named_only: bool = False
    """Whether only jobs whose submit names the webhook have their events delivered."""
    with_result: bool = False
    """Whether a delivery contains the job's result, if it is small."""
    created_at: datetime
    secret: str = field(repr=False)
    previous_secret: str | None = field(default=None, repr=False)
    previous_until: datetime | None = None
    failing_since: datetime | None = None
    """Since when no delivery has succeeded, although some were tried."""
    disabled_at: datetime | None = None
    disabled_reason: DisabledReason | None = None

    def takes(self, event: str, job: AsyncJob) -> bool:
        """Return whether this event of the job is delivered here."""
        if self.disabled_at is not None or event not in self.events:
            return False
        if job.webhook == self.webhook_id:
            return True
        return not self.named_only and (not self.job_types or job.job_type in self.job_types)

    def secrets(self, now: datetime) -> tuple[str, ...]:
        """Return the secrets that sign a delivery: also the previous one, for a day after it was replaced."""
        if self.previous_secret is None or self.previous_until is None or self.previous_until <= now:
            return (self.secret,)
        return (self.secret, self.previous_secret)

    def rotated(self, *, secret: str, now: datetime) -> Webhook:
        """Replace the secret. The present one stays valid for a day; an earlier one no longer is."""
        return replace(self, secret=secret, previous_secret=self.secret, previous_until=now + SECRET_OVERLAP)

    def answered(self) -> Webhook:
        """Note a success, which also enables the webhook again."""
        return replace(self, failing_since=None, disabled_at=None, disabled_reason=None)

    def failed(self, *, now: datetime) -> Webhook:
        """Note a failure. Failures for days disable the webhook."""
        if self.failing_since is None:
            return replace(self, failing_since=now)
        if self.disabled_at is None and now - self.failing_since >= DISABLED_AFTER:
            return replace(self, disabled_at=now, disabled_reason=DisabledReason.FAILING)
        return self

    def refused(self, *, now: datetime) -> Webhook:
        """Disable the webhook: its receiver answered that it takes no deliveries any more."""
        if self.disabled_at is not None:
            return self
        return replace(self, failing_since=self.failing_since or now, disabled_at=now, disabled_reason=DisabledReason.REFUSED)


@dataclass(frozen=True, slots=True)
class OwnerWebhooks:
    """All webhooks of an owner, oldest first."""

    owner: str
    webhooks: tuple[Webhook, ...] = ()
    revision: int = 0
    """Raised by each change, so that a change of an earlier state is not stored."""

    def get(self, webhook_id: str) -> Webhook | None:
        """Return the webhook of that id."""
        return next((webhook for webhook in self.webhooks if webhook.webhook_id == webhook_id), None)

    def with_webhook(self, webhook: Webhook) -> OwnerWebhooks:
        """Add the webhook, or put it in the place of the one with its id."""
        if self.get(webhook.webhook_id) is None:
            return self._changed((*self.webhooks, webhook))
        return self._changed(tuple(webhook if each.webhook_id == webhook.webhook_id else each for each in self.webhooks))

    def without(self, webhook_id: str) -> OwnerWebhooks:
        """Leave out the webhook of that id."""
        return self._changed(tuple(each for each in self.webhooks if each.webhook_id != webhook_id))

    def _changed(self, webhooks: tuple[Webhook, ...]) -> OwnerWebhooks:
        return OwnerWebhooks(self.owner, webhooks, self.revision + 1)


def delivery_id(webhook_id: str, *, async_job_id: str, generation: str, seq: int) -> str:
    """Return the id of the delivery of an event: the same however often the event arrives.

    Its layout is that of every job's id, a version 4 UUID. It is the `webhook-id` of each try.
    """
    name = f"{webhook_id}#{async_job_id}#{generation}#{seq}"
    return str(uuid.UUID(bytes=hashlib.sha256(name.encode()).digest()[:16], version=4))
