"""The consumer of the table's stream that makes a delivery for each event and webhook."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from asyncjobs.core.clock import Clock, rfc3339
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.events import Event, EventType
from asyncjobs.core.exact_json import read_json, write_json
from asyncjobs.core.job import AsyncJob
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import Queue, Store, Webhooks
from asyncjobs.core.webhook import EVENTS, OwnerWebhooks, Webhook, delivery_id
from asyncjobs.log import log_event
from asyncjobs.push.changes import Change, body_with_job
from asyncjobs.push.new_delivery import new_delivery

MAX_RESULT = 1024
"""Bytes of JSON. A delivery is a record, too, and each of its writes pays for each byte."""


class WebhookConsumer:
    """Makes deliveries. Each is stored before its message is sent, as every job is: the put is the commit point."""

    def __init__(self, *, webhooks: Webhooks, store: Store, queue: Queue, clock: Clock) -> None:
        self._webhooks = webhooks
        self._store = store
        self._queue = queue
        self._clock = clock

    def consume(self, changes: Sequence[Change]) -> Collection[Change]:
        """See `Consumer`. A change that arrives again finds its delivery stored, and sends no second message."""
        found = [(change.new, event) for change in changes if (event := _deliverable(change)) is not None]
        if not found:
            return ()
        owners = self._webhooks.of_all(list(dict.fromkeys(job.owner for job, _ in found)))
        stored: list[AsyncJob] = []
        try:
            for job, event in found:
                for delivery in self._deliveries(job, event, owners.get(job.owner)):
                    if self._store.add_if_absent(delivery, self._clock()) is None:
                        stored.append(delivery)  # noqa: PERF401 - those before a failure must stay
        finally:
            # Also when the table stops answering: the change arrives again, and finds these deliveries stored.
            self._send(stored)
        return ()

    def _deliveries(self, job: AsyncJob, event: Event, own: OwnerWebhooks | None) -> Iterator[AsyncJob]:
        name = f"job.{event.type}"
        for webhook in () if own is None else own.webhooks:
            if webhook.takes(name, job):
                yield new_delivery(
                    webhook,
                    job.owner,
                    delivery_id(webhook.webhook_id, async_job_id=job.async_job_id, generation=job.generation, seq=event.seq),
                    event=name,
                    about=job.async_job_id,
                    body=body_of(event, job, webhook),
                    now=self._clock(),
                )

    def _send(self, deliveries: Sequence[AsyncJob]) -> None:
        """Send the messages. One that is not sent is late, not lost: the sweeper finds its job."""
        if not deliveries:
            return
        try:
            refused: Sequence[Any] = self._queue.send_all([JobMessage.of(delivery) for delivery in deliveries])
        except Unavailable:
            refused = deliveries
        if refused:
            log_event("SEND_DEFERRED", count=len(refused))


def _deliverable(change: Change) -> Event | None:
    """Return the event that webhooks may subscribe to."""
    event = change.event
    return event if event is not None and f"job.{event.type}" in EVENTS else None


def body_of(event: Event, job: AsyncJob, webhook: Webhook) -> str:
    """Return the body of the event's delivery: never the job's input, and its result only if it is small and requested."""
    data = body_with_job(event, job)
    text = job.result.text if job.result is not None else None
    if webhook.with_result and event.type is EventType.COMPLETED and text is not None and len(text.encode()) <= MAX_RESULT:
        data["result"] = read_json(text)
    return write_json({"type": f"job.{event.type}", "timestamp": rfc3339(event.at), "data": data})
