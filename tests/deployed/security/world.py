"""The whole service in one process: the API, the worker and the sweeper over fakes, with the sample jobs."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from asyncjobs.core.job import AsyncJob, JobKey
from asyncjobs.http.api import Api
from asyncjobs.http.command_routes import command_handlers
from asyncjobs.http.dialects.api import DialectsApi
from asyncjobs.http.dialects.find import BUILT_IN, find_dialects
from asyncjobs.http.event_routes import event_handlers
from asyncjobs.http.query_routes import query_handlers
from asyncjobs.http.ticket_query_routes import ticket_query_handlers
from asyncjobs.http.ticket_routes import ticket_handlers
from asyncjobs.http.tracked_routes import tracked_handlers
from asyncjobs.http.webhook_routes import webhook_handlers
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import GENERIC, tracked_job
from asyncjobs.push.event_log import EventLogWriter
from asyncjobs.push.tickets import TicketIssuer
from asyncjobs.service.contents import Contents
from asyncjobs.service.event_feed import EventFeed
from asyncjobs.service.queries import Queries
from asyncjobs.service.sender import Sender
from asyncjobs.service.webhooks import WebhookCommands
from asyncjobs.tracking.reports import Reports
from asyncjobs.worker.sqs_batch import BatchWorker
from tests.support import sample_jobs
from tests.support.factories import NOW, job_types_of
from tests.support.fakes import FakeClock, FakeEventLog, FakeObjects, FakeQueue, FakeStore, FakeTickets, FakeWebhooks
from tests.support.http_events import SOCKET_URL, SUBMIT, Answer, http_event
from tests.support.parts import make_commands, make_executor, make_sweeper
from tests.support.stream import change_of

LONG = timedelta(minutes=15)


def sample_catalog() -> Catalog:
    return Catalog({**job_types_of(*vars(sample_jobs).values()), GENERIC: tracked_job(GENERIC)})


CATALOG = sample_catalog()


@dataclass
class World:
    """A service over fakes, called as users and Lambda call it."""

    store: FakeStore = field(default_factory=FakeStore)
    queue: FakeQueue = field(default_factory=FakeQueue)
    objects: FakeObjects = field(default_factory=FakeObjects)
    tickets: FakeTickets = field(default_factory=FakeTickets)
    webhooks: FakeWebhooks = field(default_factory=FakeWebhooks)
    event_log: FakeEventLog = field(default_factory=FakeEventLog)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))
    catalog: Catalog = CATALOG
    groups: str | None = None
    """The groups in each token."""

    def __post_init__(self) -> None:
        parts: Any = {"store": self.store, "objects": self.objects, "catalog": self.catalog, "clock": self.clock}
        webhook_commands = WebhookCommands(
            webhooks=self.webhooks, store=self.store, sender=Sender(self.queue, self.clock), clock=self.clock
        )
        commands = make_commands(queue=self.queue, webhooks=lambda: self.webhooks, **parts)
        issuer = TicketIssuer(store=self.store, tickets=self.tickets, clock=self.clock)
        queries = Queries(**parts)
        self._api = Api(
            {
                **command_handlers(commands, clock=self.clock, max_retention=timedelta(days=30)),
                **tracked_handlers(Reports(store=self.store, clock=self.clock)),
                **ticket_handlers(issuer, socket_url=SOCKET_URL),
                **webhook_handlers(webhook_commands, self.clock),
                **query_handlers(queries, clock=self.clock),
                **event_handlers(EventFeed(queries, self.event_log), clock=self.clock),
                **ticket_query_handlers(queries, self.tickets, self.event_log, clock=self.clock),
            }
        )
        contents = Contents(queries=queries, objects=self.objects)
        self._dialects = DialectsApi(find_dialects(BUILT_IN), call=self._handle, contents=contents, clock=self.clock)
        self._event_log_writer = EventLogWriter(self.event_log)
        self._streamed: dict[JobKey, AsyncJob] = {}
        executor = make_executor(
            queue=self.queue, jitter=random.Random(1), sleep=lambda seconds: self.clock.advance(seconds=seconds), **parts
        )
        self._worker = BatchWorker(executor, self.queue)
        self._sweeper = make_sweeper(store=self.store, queue=self.queue, clock=self.clock)

    def call(self, route: str, owner: Any = "alice", **event: Any) -> Answer:
        """Send a request of a user whose token the gateway accepted."""
        return self.answer(http_event(route, owner, groups=self.groups, **event))

    def answer(self, event: Mapping[str, Any]) -> Answer:
        """Handle an event of the gateway."""
        return Answer.of(self._handle(event))

    def in_dialect(self, dialect: str, method: str, path: str, owner: Any = "alice", **event: Any) -> Answer:
        """Send a request to a dialect."""
        found = http_event(f"{method} /compat/{{dialect}}/{{proxy+}}", owner, groups=self.groups, **event)
        found["requestContext"]["http"]["method"] = method
        found["pathParameters"] = {"dialect": dialect, "proxy": path.removeprefix("/")}
        return Answer.of(self._dialects.handle(found))

    def _handle(self, event: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._api.handle(event)
        self._stream()
        return answer

    def _stream(self) -> None:
        """Hand the changes since the last time to the event log, as the table's stream does."""
        changes = [(self._streamed.get(key), job) for key, job in self.store.jobs.items() if self._streamed.get(key) != job]
        self._event_log_writer.consume([change_of(old, new) for old, new in changes])
        self._streamed = dict(self.store.jobs)

    def submit(self, owner: str = "alice", *, key: str | None = None, **body: Any) -> Answer:
        headers = {} if key is None else {"idempotency-key": key}
        return self.call(SUBMIT, owner, headers=headers, body=json.dumps(body))

    def work(self) -> None:
        """Deliver each message of the queue."""
        bodies = [message.to_body() for message in self.queue.sent]
        self.queue.sent.clear()
        self.queue.delays.clear()
        for body in bodies:
            self.deliver(body)

    def deliver(self, *bodies: str) -> list[str]:
        """Deliver a batch of messages, and return the numbers of those that return to the queue."""
        records = [{"messageId": str(n), "receiptHandle": "r", "body": body} for n, body in enumerate(bodies)]
        answer = self._worker.handle({"Records": records}, request_id="request", remaining=lambda: LONG)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]

    def sweep(self) -> None:
        """Sweep a minute later."""
        self.clock.advance(seconds=60)
        self._sweeper.sweep(lambda: LONG)
