"""The API over fakes, called with HTTP API events. Each answer is checked against the OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from asyncjobs.codegen.openapi import document
from asyncjobs.core.administration import GROUPS
from asyncjobs.core.durations import Durations
from asyncjobs.core.job import AsyncJob, JobFailure
from asyncjobs.core.placement import MAX_UPLOAD
from asyncjobs.http.admin_operation import Groups
from asyncjobs.http.admin_routes import ADMIN, AdminRoutes
from asyncjobs.http.api import Api
from asyncjobs.http.command_routes import command_handlers
from asyncjobs.http.event_routes import event_handlers
from asyncjobs.http.operations import handlers_by_route
from asyncjobs.http.query_routes import query_handlers
from asyncjobs.http.ticket_query_routes import ticket_query_handlers
from asyncjobs.http.ticket_routes import ticket_handlers
from asyncjobs.http.tracked_routes import tracked_handlers
from asyncjobs.http.webhook_routes import webhook_handlers
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import GENERIC, Exclusive, tracked_job
from asyncjobs.limits.admission import Admission
from asyncjobs.limits.backlog import Backlog
from asyncjobs.limits.waits import WaitSlots
from asyncjobs.push.tickets import TicketIssuer
from asyncjobs.service.event_feed import EventFeed
from asyncjobs.service.long_poll import MAX_WAIT, LongPoll
from asyncjobs.service.queries import Queries
from asyncjobs.service.sender import Sender
from asyncjobs.service.webhooks import WebhookCommands
from asyncjobs.tracking.reports import Reports
from tests.deployed.openapi.contract import Contract
from tests.support.factories import NOW, OWNER, job_type, new_job
from tests.support.fakes import (
    FakeAuditLog,
    FakeClock,
    FakeContinuations,
    FakeDeadLetters,
    FakeEventLog,
    FakeHistory,
    FakeIndexes,
    FakeObjects,
    FakePollers,
    FakeQueue,
    FakeQueueDepths,
    FakeStore,
    FakeTickets,
    FakeWebhooks,
)
from tests.support.http_events import JOBS, REPORT, SOCKET_URL, SUBMIT, UPDATE, UPLOAD, Answer, http_event, text_of
from tests.support.parts import make_administration, make_bulk_actions, make_commands

SEARCH = "POST /api/v1/search/{subject}"
SEARCH_SYNCHRONOUS = "GET /api/v1/search/{subject}"

READS = job_type(
    "api.reads",
    description="Reads pages.",
    input_schema={
        "type": "object",
        "additionalProperties": False,
        "required": ["pages"],
        "properties": {"pages": {"type": "integer", "minimum": 1}, "title": {"type": "string", "maxLength": 10}},
    },
    output_schema={"type": "integer"},
)
SEARCHES = job_type(
    "api.searches",
    routes=("POST /search/{subject}",),
    synchronous_routes=("GET /search/{subject}",),
    input_schema={
        "type": "object",
        "additionalProperties": False,
        "required": ["subject"],
        "properties": {
            "subject": {"type": "string"},
            "limit": {"anyOf": [{"type": "integer", "maximum": 100}, {"type": "null"}]},
            "ratio": {"type": "number"},
            "exact": {"type": "boolean"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "pages": {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]},
        },
    },
)
CATALOG = Catalog(
    {
        "api.reads": READS,
        "api.searches": SEARCHES,
        "api.takes_anything": job_type("api.takes_anything"),
        "api.is_alone": job_type("api.is_alone", exclusive=Exclusive("alone")),
        # The name of a body's schema, too.
        "report": job_type("report", input_schema={"type": "object", "required": ["pages"]}),
        GENERIC: tracked_job(GENERIC),
    }
)
CONTRACT = Contract(document(CATALOG))
BODY = {"jobType": "api.reads", "input": {"pages": 9}}
FAILURE = JobFailure(code="HOPELESS", message="The document is encrypted: remove its password.", type="Fatal", retryable=False)


@dataclass
class InMemoryApi:
    """The API's commands and queries over fakes."""

    store: FakeStore = field(default_factory=FakeStore)
    queue: FakeQueue = field(default_factory=FakeQueue)
    objects: FakeObjects = field(default_factory=FakeObjects)
    tickets: FakeTickets = field(default_factory=FakeTickets)
    webhooks: FakeWebhooks | None = field(default_factory=FakeWebhooks)
    event_log: FakeEventLog = field(default_factory=FakeEventLog)
    pollers: FakePollers = field(default_factory=FakePollers)
    queues: FakeQueueDepths = field(default_factory=FakeQueueDepths)
    dead_letters: FakeDeadLetters = field(default_factory=FakeDeadLetters)
    history: FakeHistory = field(default_factory=FakeHistory)
    audit: FakeAuditLog = field(default_factory=FakeAuditLog)
    continuations: FakeContinuations = field(default_factory=FakeContinuations)
    clock: FakeClock = field(default_factory=lambda: FakeClock(NOW))
    limits: Mapping[str, Any] | None = None
    durations: dict[str, Durations] = field(default_factory=dict)
    durations_read: list[str] = field(default_factory=list)
    shows_queue_depth: bool = False
    longest_wait: timedelta = MAX_WAIT
    wait_slots: int = 0
    max_upload: int = MAX_UPLOAD
    catalog: Catalog = CATALOG

    def __post_init__(self) -> None:
        self.wait = SimulatedWait(self)
        slots = WaitSlots(store=self.store, clock=self.clock, slots=self.wait_slots)
        long_poll = LongPoll(
            self.clock, self.wait.sleep, longest=self.longest_wait, slots=(lambda: slots) if self.wait_slots else None
        )
        admission = self.limits and Admission(store=self.store, queue=self.queue, clock=self.clock, **self.limits)
        commands = make_commands(
            store=self.store,
            queue=self.queue,
            objects=self.objects,
            catalog=self.catalog,
            clock=self.clock,
            long_poll=long_poll,
            admission=admission or None,
            webhooks=None if self.webhooks is None else self._own_webhooks,
        )
        webhook_commands = None
        if self.webhooks is not None:
            webhook_commands = WebhookCommands(
                webhooks=self.webhooks,
                store=self.store,
                sender=Sender(self.queue, self.clock),
                clock=self.clock,
                admission=admission or None,
            )
        backlog = Backlog(self.queue, self.clock)
        queries = Queries(
            store=self.store,
            objects=self.objects,
            catalog=self.catalog,
            clock=self.clock,
            long_poll=long_poll,
            backlog=(lambda: backlog) if self.shows_queue_depth else None,
        )
        issuer = TicketIssuer(store=self.store, tickets=self.tickets, clock=self.clock, admission=admission or None)
        feed = EventFeed(queries, self.event_log)
        past: Any = {"clock": self.clock, "durations_of": self.durations_of}
        self._api = Api(
            {
                **command_handlers(
                    commands,
                    clock=self.clock,
                    max_retention=timedelta(days=30),
                    max_upload=self.max_upload,
                    job_types=self.catalog,
                ),
                **tracked_handlers(Reports(store=self.store, clock=self.clock)),
                **ticket_handlers(issuer, socket_url=SOCKET_URL),
                **webhook_handlers(webhook_commands, self.clock),
                **query_handlers(queries, **past),
                **event_handlers(feed, **past),
                **ticket_query_handlers(queries, self.tickets, self.event_log, **past),
            }
        )

        self.indexes = FakeIndexes(self.store)
        parts: Any = {"store": self.store, "objects": self.objects, "clock": self.clock}
        own_commands = make_commands(queue=self.queue, catalog=self.catalog, **parts)
        administration = make_administration(
            store=self.store,
            queue=self.queue,
            catalog=self.catalog,
            clock=self.clock,
            letters=self.dead_letters,
            indexes=self.indexes,
            queues=self.queues,
            pollers=self.pollers,
            histories=self.history,
            commands=own_commands,
            audit=self.audit,
        )
        self.admin_routes = AdminRoutes(
            administration,
            bulk=make_bulk_actions(
                administration,
                store=self.store,
                commands=own_commands,
                clock=self.clock,
                continuations=self.continuations,
            ),
            queries=Queries(catalog=self.catalog, **parts),
            feed=feed,
            logs=lambda job: f"https://logs.example/{job.async_job_id}",
            groups=Groups.named("cognito:groups", GROUPS),
            clock=self.clock,
        )
        self._admin = Api(handlers_by_route(self.admin_routes, ADMIN))

    def _own_webhooks(self) -> FakeWebhooks:
        assert self.webhooks is not None
        return self.webhooks

    def durations_of(self, name: str) -> Durations | None:
        self.durations_read.append(name)
        return self.durations.get(name)

    def call(self, route: str, *, owner: str = OWNER, **event: Any) -> Answer:
        body = {"body": '{"progress": 1}'} if route in {UPDATE, REPORT} else {}
        answer = self.handle(http_event(route, owner, **{**body, **event}))
        if not route.startswith("HEAD "):
            CONTRACT.check(route, answer["statusCode"], answer["headers"], text_of(answer))
        return Answer.of(answer)

    def handle(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Answer an event of the gateway."""
        return (self._admin if "/admin/" in event["routeKey"] else self._api).handle(event)

    def submit(self, body: Any, *, key: str | None = None, prefer: str | None = None, owner: str = OWNER) -> Answer:
        headers = {name: value for name, value in (("idempotency-key", key), ("prefer", prefer)) if value is not None}
        return self.call(SUBMIT, owner=owner, headers=headers, body=json.dumps(body))

    def upload(self, body: Any) -> Answer:
        return self.call(UPLOAD, body=json.dumps(body))

    def add_jobs(self, *jobs: AsyncJob) -> None:
        self.store.jobs |= {job.key: job for job in jobs}


@dataclass
class SimulatedWait:
    """Moves the clock instead of sleeping, and stores each job of `events` when its second has come."""

    api: InMemoryApi
    events: list[tuple[float, AsyncJob]] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.api.clock.advance(seconds=seconds)
        while self.events and self.events[0][0] <= self.elapsed:
            self.api.add_jobs(self.events.pop(0)[1])

    @property
    def elapsed(self) -> float:
        return (self.api.clock.now - NOW).total_seconds()


def listed(number: int, **changes: Any) -> AsyncJob:
    """Return a job for a list. A higher number means a newer job."""
    return new_job(async_job_id=f"00000000-0000-4000-8000-{number:012}", now=NOW + timedelta(seconds=number), **changes)


def walk(api: InMemoryApi, query: Mapping[str, str], *, owner: str = OWNER) -> Iterator[list[str]]:
    """Yield the ids on each page of a list."""
    cursor: str | None = ""
    while cursor is not None:
        answer = api.call(JOBS, owner=owner, query={**query, "cursor": cursor} if cursor else query)
        assert answer.status == 200
        yield [job["asyncJobId"] for job in answer.body["jobs"]]
        cursor = answer.body["nextCursor"]
