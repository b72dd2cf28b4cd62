# Made from _async by tools/sync_client.py: change it there.
"""Webhooks: receivers of a caller's events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from asyncjobs_client._sync.connection import Connection
from asyncjobs_client._sync.job import Job
from asyncjobs_client.records import Endpoint
from asyncjobs_client.values import to_json
from asyncjobs_client.wire import Request, with_json


@dataclass(frozen=True)
class Webhooks:
    """Your webhooks. Creating, rotating and testing are not repeated when an answer is lost: look at the list first."""

    _connection: Connection

    def create(
        self,
        url: str,
        *,
        events: Sequence[str] | None = None,
        job_types: Sequence[str] | None = None,
        named_only: bool = False,
        include_result: bool = False,
    ) -> Endpoint:
        """Create a webhook, and return it with its secret. Without `events`, it gets those that end a job."""
        body = {
            "url": url,
            "events": events,
            "jobTypes": job_types,
            "namedOnly": named_only or None,
            "includeResult": include_result or None,
        }
        given = {name: value for name, value in body.items() if value is not None}
        answer = self._connection.once(with_json("POST", "/webhooks", to_json(given)))
        return Endpoint.of(answer.record("webhookId"))

    def all(self) -> Sequence[Endpoint]:
        """Return all webhooks, oldest first."""
        body = (self._connection.call(Request("GET", "/webhooks"))).record("webhooks")
        return [Endpoint.of(each) for each in body["webhooks"]]

    def rotate(self, webhook_id: str) -> Endpoint:
        """Replace the secret, and return the webhook with the new one. For a day, deliveries are signed by both."""
        return Endpoint.of((self._connection.once(_on(webhook_id, "POST", "/rotate"))).record("webhookId"))

    def test(self, webhook_id: str) -> Job:
        """Deliver a test, and return the delivery, which is a job: wait for it."""
        return Job.of(self._connection, self._connection.once(_on(webhook_id, "POST", "/test")))

    def delete(self, webhook_id: str) -> None:
        """Delete a webhook."""
        self._connection.once(_on(webhook_id, "DELETE"))


def _on(webhook_id: str, method: str, rest: str = "") -> Request:
    return Request(method, f"/webhooks/{quote(webhook_id, safe='')}{rest}")
