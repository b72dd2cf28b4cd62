"""Queries: one job, its input and result, a list of jobs, the job types."""

from __future__ import annotations

import gc

gc.disable()  # Nothing that loads here is garbage. To look for some would take a sixth of the time.

from functools import cache
from typing import TYPE_CHECKING, Any

from asyncjobs.aws import clients
from asyncjobs.aws.dynamodb_history import DynamoHistory
from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.aws.log_lines import lambda_logger
from asyncjobs.aws.s3 import S3Objects
from asyncjobs.aws.sqs import SqsQueue
from asyncjobs.core.clock import utc_now
from asyncjobs.estimates.history import CachedHistory
from asyncjobs.http.api import Api, Handlers
from asyncjobs.http.query_routes import query_handlers
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.service.long_poll import LongPoll
from asyncjobs.service.queries import Queries
from asyncjobs.settings import Settings

if TYPE_CHECKING:
    from asyncjobs.core.ports import EventLog
    from asyncjobs.limits.backlog import Backlog
    from asyncjobs.limits.waits import WaitSlots

settings = Settings()
logger = lambda_logger(settings.application, settings.log_level)
table_name, has_event_log = settings.table_name, settings.has_event_log
queue_urls, max_waits = settings.queue_urls, settings.max_waits
# Two clients would take longer to make than to use.
dynamodb = clients.dynamodb()
store = DynamoStore(table_name, dynamodb)


@cache
def backlog() -> Backlog:
    """Return how long the queues are. Imported, with its client, for the first job that waits: most polls are of others."""
    from asyncjobs.limits.backlog import Backlog

    return Backlog(SqsQueue(queue_urls), utc_now)


def wait_slots() -> WaitSlots:
    """Return the slots for waiting requests. They are imported by the first wait."""
    from asyncjobs.limits.waits import WaitSlots

    return WaitSlots(store=store, clock=utc_now, slots=max_waits)


def event_log() -> EventLog | None:
    """Return the log of events. It is imported by the first request that may be for one."""
    from asyncjobs.aws.dynamodb_events import DynamoEventLog

    return DynamoEventLog(table_name, dynamodb) if has_event_log else None


def event_routes() -> Handlers:
    """Return the routes of events. They are imported by the first request for one."""
    from asyncjobs.http.event_routes import event_handlers
    from asyncjobs.service.event_feed import EventFeed

    return event_handlers(EventFeed(queries, event_log()), clock=utc_now, durations_of=history.of)


queries = Queries(
    store=store,
    objects=S3Objects(settings.bucket_name, may_list=False),
    catalog=Catalog.read(default_retention=settings.default_retention),
    clock=utc_now,
    long_poll=LongPoll(utc_now, longest=settings.max_wait, slots=wait_slots if max_waits else None),
    backlog=backlog if settings.shows_queue_depth else None,
)
history = CachedHistory(DynamoHistory(table_name, dynamodb))


def ticket_query_routes() -> Handlers:
    """Return the handlers of the operations that a ticket opens. They are imported by the first of them."""
    from asyncjobs.aws.dynamodb_tickets import DynamoTickets
    from asyncjobs.http.ticket_query_routes import ticket_query_handlers

    tickets = DynamoTickets(table_name, dynamodb)
    return ticket_query_handlers(queries, tickets, event_log(), clock=utc_now, durations_of=history.of)


api = Api(query_handlers(queries, clock=utc_now, durations_of=history.of), more=(event_routes, ticket_query_routes))

# Collections leave out what has loaded, since it stays.
gc.freeze()
gc.enable()


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer an HTTP API event."""
    logger.set_correlation_id(event["requestContext"]["requestId"])
    return api.handle(event)
