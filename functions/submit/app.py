"""Commands: submit a job; cancel, retry or delete one. Quick jobs run immediately, beside this function."""

from __future__ import annotations

import gc

gc.disable()  # Nothing that loads here is garbage. To look for some would take a sixth of the time.

from functools import cache, partial
from typing import TYPE_CHECKING, Any

from asyncjobs.aws import clients
from asyncjobs.aws.dynamodb_history import DynamoHistory
from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.aws.log_lines import lambda_logger, request_of, set_request
from asyncjobs.aws.s3 import S3Objects
from asyncjobs.aws.sqs import SqsQueue
from asyncjobs.core.clock import utc_now
from asyncjobs.http.api import Api, Handlers
from asyncjobs.http.command_routes import command_handlers
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.service.commands import Commands
from asyncjobs.service.long_poll import LongPoll
from asyncjobs.settings import Settings
from asyncjobs.worker.immediate import ImmediateExecutor

if TYPE_CHECKING:
    from asyncjobs.core.ports import Webhooks
    from asyncjobs.limits.locks import Locks
    from asyncjobs.limits.waits import WaitSlots
    from asyncjobs.tracking.worker_token import WorkerToken
    from asyncjobs.worker.job_process import JobProcess

settings = Settings()
logger = lambda_logger(settings.application, settings.log_level)
dynamodb = clients.dynamodb()
table_name = settings.table_name
store = DynamoStore(table_name, dynamodb)
queue = SqsQueue(settings.queue_urls)
objects = S3Objects(settings.bucket_name)
catalog = Catalog.read(default_retention=settings.default_retention)
# The functions below need these. They are read now, so that a missing one fails the first invocation.
memory, max_result, max_waits = settings.memory, settings.max_result, settings.max_waits
with_webhooks, to_loopback, socket_url = settings.webhooks, settings.delivers_to_loopback, settings.socket_url

admission = None
if settings.submit_rate_per_minute or settings.max_live or settings.max_backlog:
    from asyncjobs.limits.admission import Admission

    admission = Admission.of(settings, store=store, queue=queue, clock=utc_now)


# A cold start pays for each module that it imports, and most processes need none of these.


@cache
def locks() -> Locks:
    """Return the locks of exclusive jobs."""
    from asyncjobs.limits.locks import Locks

    return Locks(store=store, queue=queue, clock=utc_now)


def new_worker_token(owner: str) -> WorkerToken:
    """Return a token for a new tracked job of this owner."""
    from asyncjobs.tracking.worker_token import WorkerToken

    return WorkerToken.new(owner)


@cache
def job_process() -> JobProcess:
    """Return the process that runs quick jobs. The first of them makes it."""
    from asyncjobs.worker.executor import Executor
    from asyncjobs.worker.job_process import JobProcess

    executor = partial(
        Executor, store=store, objects=objects, catalog=catalog, locks=locks(), clock=utc_now, max_result=max_result
    )
    return JobProcess(executor, megabytes=memory, request=partial(request_of, logger), set_request=partial(set_request, logger))


def wait_slots() -> WaitSlots:
    """Return the slots for waiting requests. They are imported by the first wait."""
    from asyncjobs.limits.waits import WaitSlots

    return WaitSlots(store=store, clock=utc_now, slots=max_waits)


@cache
def webhooks() -> Webhooks:
    """Return the webhooks. They are imported by the first request that is about one."""
    from asyncjobs.aws.dynamodb_webhooks import DynamoWebhooks

    return DynamoWebhooks(table_name, dynamodb)


def tracked_routes() -> Handlers:
    """Return the handlers of tracked jobs' reports. They are imported by the first report."""
    from asyncjobs.http.tracked_routes import tracked_handlers
    from asyncjobs.tracking.reports import Reports

    return tracked_handlers(Reports(store=store, clock=utc_now))


def webhook_routes() -> Handlers:
    """Return the handlers of webhooks. They are imported by the first request that is about one."""
    from asyncjobs.http.webhook_routes import webhook_handlers
    from asyncjobs.service.sender import Sender
    from asyncjobs.service.webhooks import WebhookCommands

    if not with_webhooks:
        return webhook_handlers(None, utc_now)
    commands = WebhookCommands(
        webhooks=webhooks(),
        store=store,
        sender=Sender(queue, utc_now),
        clock=utc_now,
        to_loopback=to_loopback,
        admission=admission,
    )
    return webhook_handlers(commands, utc_now)


def ticket_routes() -> Handlers:
    """Return the handler that issues tickets. It is imported by the first of them."""
    from asyncjobs.aws.dynamodb_tickets import DynamoTickets
    from asyncjobs.http.ticket_routes import ticket_handlers
    from asyncjobs.push.tickets import TicketIssuer

    issuer = TicketIssuer(store=store, tickets=DynamoTickets(table_name, dynamodb), clock=utc_now, admission=admission)
    return ticket_handlers(issuer, socket_url=socket_url)


commands = Commands(
    store=store,
    queue=queue,
    objects=objects,
    catalog=catalog,
    clock=utc_now,
    max_retention=settings.max_retention,
    locks=locks,
    new_worker_token=new_worker_token,
    webhooks=webhooks if with_webhooks else None,
    admission=admission,
    long_poll=LongPoll(utc_now, longest=settings.max_wait, slots=wait_slots if max_waits else None),
    immediate_executor=ImmediateExecutor(
        threshold=settings.immediate_threshold,
        history=DynamoHistory(table_name, dynamodb),
        store=store,
        job_process=job_process,
        clock=utc_now,
    ),
)
handlers = command_handlers(
    commands, clock=utc_now, max_retention=settings.max_retention, max_upload=settings.max_upload, job_types=catalog
)
api = Api(handlers, more=(tracked_routes, ticket_routes, webhook_routes))

# Collections leave out what has loaded, since it stays.
gc.freeze()
gc.enable()


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer an HTTP API event."""
    logger.set_correlation_id(event["requestContext"]["requestId"])
    return api.handle(event)
