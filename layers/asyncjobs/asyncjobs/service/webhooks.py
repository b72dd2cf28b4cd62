"""What an owner does with its webhooks: create, list, rotate, test and delete them. The owner comes with each call."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncjobs.core.clock import Clock, rfc3339
from asyncjobs.core.errors import InputProblem, InvalidInput, TooManyWebhooks, Unavailable, WebhookNotFound
from asyncjobs.core.exact_json import write_json
from asyncjobs.core.job import AsyncJob
from asyncjobs.core.ports import Store, Webhooks
from asyncjobs.core.webhook import MAX_WEBHOOKS, TEST, OwnerWebhooks, Webhook, new_secret
from asyncjobs.log import log_event
from asyncjobs.push.new_delivery import new_delivery
from asyncjobs.push.webhook_url import InvalidUrl, target_of
from asyncjobs.service.sender import Sender

if TYPE_CHECKING:
    from asyncjobs.limits.admission import Admission

_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRequest:
    """What a client registers. Its shape is valid; its URL is not checked yet."""

    url: str
    events: tuple[str, ...]
    job_types: tuple[str, ...]
    named_only: bool
    with_result: bool


class WebhookCommands:
    """Everything that changes webhooks, apart from deliveries."""

    def __init__(
        self,
        *,
        webhooks: Webhooks,
        store: Store,
        sender: Sender,
        clock: Clock,
        to_loopback: bool = False,
        admission: Admission | None = None,
    ) -> None:
        """With `to_loopback`, webhooks may be on this machine, and nowhere else."""
        self._webhooks = webhooks
        self._store = store
        self._sender = sender
        self._clock = clock
        self._to_loopback = to_loopback
        self._admission = admission

    def create(self, owner: str, request: WebhookRequest) -> Webhook:
        """Register a webhook with a new secret.

        Raises `InvalidInput`, `TooManyWebhooks`, `SubmitRateExceeded`, `Unavailable`.
        """
        try:
            target_of(request.url, to_loopback=self._to_loopback)
        except InvalidUrl as error:
            raise InvalidInput([InputProblem("/url", str(error))]) from error
        self._take_token(owner)
        webhook = Webhook(
            webhook_id=str(uuid.uuid4()),
            url=request.url,
            events=request.events,
            job_types=request.job_types,
            named_only=request.named_only,
            with_result=request.with_result,
            created_at=self._clock(),
            secret=new_secret(),
        )

        def add(own: OwnerWebhooks) -> OwnerWebhooks:
            if len(own.webhooks) >= MAX_WEBHOOKS:
                raise TooManyWebhooks
            return own.with_webhook(webhook)

        self._change(owner, add)
        log_event("WEBHOOK_CREATED", webhookId=webhook.webhook_id)
        return webhook

    def own(self, owner: str) -> tuple[Webhook, ...]:
        """Return the owner's webhooks, oldest first. Raises `Unavailable`."""
        return self._webhooks.of(owner).webhooks

    def rotate(self, owner: str, webhook_id: str) -> Webhook:
        """Give the webhook a new secret; the present one stays valid for a day. Raises `WebhookNotFound`, `Unavailable`."""
        secret, now = new_secret(), self._clock()
        own = self._change(owner, lambda own: own.with_webhook(_found(own, webhook_id).rotated(secret=secret, now=now)))
        log_event("WEBHOOK_ROTATED", webhookId=webhook_id)
        return _found(own, webhook_id)

    def delete(self, owner: str, webhook_id: str) -> None:
        """Delete the webhook. Deliveries that wait for their next try fail. Raises `WebhookNotFound`, `Unavailable`."""

        def remove(own: OwnerWebhooks) -> OwnerWebhooks:
            _found(own, webhook_id)
            return own.without(webhook_id)

        self._change(owner, remove)
        log_event("WEBHOOK_DELETED", webhookId=webhook_id)

    def test(self, owner: str, webhook_id: str) -> AsyncJob:
        """Deliver a test event, in one try. A success enables a disabled webhook again.

        Raises `WebhookNotFound`, `SubmitRateExceeded`, `Unavailable`.
        """
        webhook = _found(self._webhooks.of(owner), webhook_id)
        self._take_token(owner)
        now = self._clock()
        body = write_json({"type": TEST, "timestamp": rfc3339(now), "data": {"webhookId": webhook_id}})
        delivery = new_delivery(webhook, owner, str(uuid.uuid4()), event=TEST, about=None, body=body, now=now)
        self._store.add_if_absent(delivery, now)
        log_event("JOB_ACCEPTED", delivery)
        self._sender.send(delivery)
        return delivery

    def _take_token(self, owner: str) -> None:
        """Count the request under the owner's submit rate: it stores something, or sends a message."""
        if self._admission is not None:
            self._admission.take_token(owner)

    def _change(self, owner: str, change: Callable[[OwnerWebhooks], OwnerWebhooks]) -> OwnerWebhooks:
        """Read, change and write, again if another write came in between: a delivery may note a failure."""
        for _ in range(_TRIES):
            own = self._webhooks.of(owner)
            changed = change(own)
            if self._webhooks.swap_if_unchanged(own, changed, self._clock()):
                return changed
        raise Unavailable("Too many concurrent writes to the owner's webhooks.")


def _found(own: OwnerWebhooks, webhook_id: str) -> Webhook:
    webhook = own.get(webhook_id)
    if webhook is None:
        raise WebhookNotFound
    return webhook
