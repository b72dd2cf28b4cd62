"""The job that delivers an event."""

from __future__ import annotations

import json

from asyncjobs.core.job import DELIVERY
from asyncjobs.core.message import DELIVERIES, JobMessage
from asyncjobs.push.new_delivery import new_delivery
from tests.support.factories import JOB_ID, NOW, OWNER, WEBHOOK_ID, new_webhook

DELIVERY_ID = "22222222-2222-4222-8222-222222222222"
BODY = '{"type":"job.failed"}'


def test_delivery_is_a_job_of_the_owner_with_all_that_a_client_needs_in_its_metadata() -> None:
    job = new_delivery(new_webhook(), OWNER, DELIVERY_ID, event="job.failed", about=JOB_ID, body=BODY, now=NOW)
    assert (job.owner, job.async_job_id, job.job_type) == (OWNER, DELIVERY_ID, DELIVERY)
    assert json.loads(job.metadata or "") == {"webhookId": WEBHOOK_ID, "event": "job.failed", "asyncJobId": JOB_ID}
    assert job.live_owner is None
    assert job.is_delivery
    assert JobMessage.of(job).queue == DELIVERIES


def test_secret_of_the_webhook_is_not_in_its_deliveries() -> None:
    job = new_delivery(new_webhook(), OWNER, DELIVERY_ID, event="job.failed", about=JOB_ID, body=BODY, now=NOW)
    assert new_webhook().secret not in repr(job)
