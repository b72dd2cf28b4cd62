"""Deliveries: an event of a job on its way to a webhook. Each is a job of the webhook's owner, of a built-in type.

So a delivery is stored before it is sent, tried again by the rules of every job, never lost, listed, retried and kept. Its id
follows from the event, so an event that arrives twice has one delivery, and is the `webhook-id` of all tries.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from asyncjobs.context import JobContext
from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import Fatal, Retry, Unavailable
from asyncjobs.core.webhook import TEST, Webhook
from asyncjobs.jobtypes.built_in import DELIVERY_TYPE
from asyncjobs.jobtypes.decorator import JobDefinition
from asyncjobs.log import log_event
from asyncjobs.push.outbound import NotDelivered, Reply
from asyncjobs.push.signature import signed_headers

if TYPE_CHECKING:
    from asyncjobs.core.ports import Webhooks

BACKOFF = tuple(timedelta(hours=hours) for hours in (5 / 3600, 5 / 60, 0.5, 2, 5, 10, 14, 16, 24))
"""The delays after each failed try but the last: three days in all."""
_LEAST_SHARE = 0.75
"""Each delay is random, from this share of it up: the deliveries of an hour's outage must not all return together."""
MAX_RETRY_AFTER = timedelta(days=1)
_SWAP_TRIES = 3


class Post(Protocol):
    """Sends a request: `Outbound.post`."""

    def __call__(self, url: str, headers: dict[str, str], body: bytes, /) -> Reply: ...


class Deliverer:
    """The function of the built-in type: one try of a delivery."""

    def __init__(self, webhooks: Webhooks, post: Post, clock: Clock) -> None:
        self._webhooks = webhooks
        self._post = post
        self._clock = clock
        self._jitter = random.Random()

    @property
    def definition(self) -> JobDefinition:
        """Return the built-in type with its code."""
        return JobDefinition(self.deliver, DELIVERY_TYPE)

    def deliver(self, input: dict[str, str], context: JobContext) -> dict[str, int]:
        """Try once. Only a status of 2xx is a success; a redirect is none."""
        owner, is_test = input["owner"], input["event"] == TEST
        webhook = self._webhooks.of(owner).get(input["webhookId"])
        if webhook is None:
            raise Fatal("The webhook was deleted.", code="WEBHOOK_DELETED")
        if webhook.disabled_at is not None and not is_test:
            raise Fatal(
                "The webhook is disabled. Send a test delivery: if it succeeds, the webhook is enabled again.",
                code="WEBHOOK_DISABLED",
            )
        began = self._clock()
        try:
            reply = self._post(webhook.url, self._headers(context.async_job_id, input["body"], webhook), input["body"].encode())
        except NotDelivered as error:
            self._change(owner, webhook, lambda found: found.failed(now=self._clock()))
            raise self._again(context, str(error), error.code, is_test=is_test) from error
        if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
            self._change(owner, webhook, lambda found: found.answered())
            return {"status": reply.status, "milliseconds": (self._clock() - began) // timedelta(milliseconds=1)}
        if reply.status == HTTPStatus.GONE:
            self._change(owner, webhook, lambda found: found.refused(now=self._clock()))
            raise Fatal("The receiver answered 410: the webhook is disabled.", code="WEBHOOK_REFUSED")
        self._change(owner, webhook, lambda found: found.failed(now=self._clock()))
        message = f"The receiver answered {reply.status}."
        raise self._again(context, message, "WEBHOOK_REJECTED", retry_after=reply.retry_after, is_test=is_test)

    def _headers(self, message_id: str, body: str, webhook: Webhook) -> dict[str, str]:
        now = self._clock()
        return {"Content-Type": "application/json", **signed_headers(message_id, body, webhook.secrets(now), now)}

    def _again(
        self, context: JobContext, message: str, code: str, *, is_test: bool, retry_after: float | None = None
    ) -> Fatal | Retry:
        """Return what ends this try. A test is tried once: its owner waits for the answer."""
        if is_test:
            return Fatal(message, code=code)
        longest = BACKOFF[min(context.attempt, len(BACKOFF)) - 1]
        delay = longest * self._jitter.uniform(_LEAST_SHARE, 1)
        requested = timedelta(seconds=min(retry_after or 0, MAX_RETRY_AFTER.total_seconds()))
        return Retry(message, code=code, after=max(delay, requested))

    def _change(self, owner: str, webhook: Webhook, change: Callable[[Webhook], Webhook]) -> None:
        """Note how a try ended, if that is news: most tries write nothing here.

        If the table does not answer, the next try notes it: no delivery fails for that.
        """
        if change(webhook) == webhook:
            return
        with suppress(Unavailable):
            for _ in range(_SWAP_TRIES):
                own = self._webhooks.of(owner)
                found = own.get(webhook.webhook_id)
                if found is None or (changed := change(found)) == found:
                    return
                if self._webhooks.swap_if_unchanged(own, own.with_webhook(changed), self._clock()):
                    _log(changed, found)
                    return


def _log(changed: Webhook, before: Webhook) -> None:
    if changed.disabled_at is not None and before.disabled_at is None:
        log_event("WEBHOOK_DISABLED", webhookId=changed.webhook_id, reason=changed.disabled_reason)
    elif changed.disabled_at is None and before.disabled_at is not None:
        log_event("WEBHOOK_ENABLED", webhookId=changed.webhook_id)
