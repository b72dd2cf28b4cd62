"""Make a delivery, without what sends it: the stream's and the submit function make deliveries, and only the worker sends them."""

from __future__ import annotations

import hashlib
from datetime import datetime

from asyncjobs.core.canonical_json import canonical_json
from asyncjobs.core.job import AsyncJob, JobKey, submitted
from asyncjobs.core.webhook import Webhook
from asyncjobs.jobtypes.built_in import DELIVERY_TYPE


def new_delivery(
    webhook: Webhook, owner: str, async_job_id: str, *, event: str, about: str | None, body: str, now: datetime
) -> AsyncJob:
    """Return the job that delivers the body. `about` is the id of the job that the event is about.

    The owner can read its metadata and its input, as those of every job. Neither has a secret: the worker reads that.
    """
    metadata = {"webhookId": webhook.webhook_id, "event": event, "asyncJobId": about}
    job = submitted(
        JobKey(owner, async_job_id),
        job_type=DELIVERY_TYPE.name,
        request_hash=hashlib.sha256(async_job_id.encode()).digest(),
        priority=DELIVERY_TYPE.priority,
        max_attempts=DELIVERY_TYPE.max_attempts,
        timeout=DELIVERY_TYPE.timeout,
        deadline=DELIVERY_TYPE.deadline,
        retention=DELIVERY_TYPE.retention,
        now=now,
        metadata=canonical_json({name: value for name, value in metadata.items() if value}).decode(),
    )
    fields = {"owner": owner, "webhookId": webhook.webhook_id, "event": event, "body": body}
    return job.with_input(text=canonical_json(fields).decode())
