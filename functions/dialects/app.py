"""Dialects: the API of the submit and the status function, in the words of other job APIs."""

from __future__ import annotations

import gc

gc.disable()  # Nothing that loads here is garbage. To look for some would take a sixth of the time.

from functools import partial
from typing import Any

from asyncjobs.aws import clients
from asyncjobs.aws.dynamodb_history import DynamoHistory
from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.aws.dynamodb_webhooks import DynamoWebhooks
from asyncjobs.aws.log_lines import lambda_logger, request_of, set_request
from asyncjobs.aws.s3 import S3Objects
from asyncjobs.aws.sqs import SqsQueue
from asyncjobs.core.clock import utc_now
from asyncjobs.estimates.history import CachedHistory
from asyncjobs.http.api import Api
from asyncjobs.http.command_routes import command_handlers
from asyncjobs.http.dialects.api import DialectsApi
from asyncjobs.http.dialects.find import find_dialects
from asyncjobs.http.query_routes import query_handlers
from asyncjobs.http.tracked_routes import tracked_handlers
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.limits.admission import Admission
from asyncjobs.limits.locks import Locks
from asyncjobs.limits.waits import WaitSlots
from asyncjobs.service.commands import Commands
from asyncjobs.service.contents import Contents
from asyncjobs.service.long_poll import LongPoll
from asyncjobs.service.queries import Queries
from asyncjobs.settings import Settings
from asyncjobs.tracking.reports import Reports
from asyncjobs.tracking.worker_token import WorkerToken
from asyncjobs.worker.executor import Executor
from asyncjobs.worker.immediate import ImmediateExecutor
from asyncjobs.worker.job_process import JobProcess

settings = Settings()
logger = lambda_logger(settings.application, settings.log_level)
dynamodb = clients.dynamodb()
store = DynamoStore(settings.table_name, dynamodb)
queue = SqsQueue(settings.queue_urls)
objects = S3Objects(settings.bucket_name)
catalog = Catalog.read(default_retention=settings.default_retention)
history = DynamoHistory(settings.table_name, dynamodb)
webhooks = DynamoWebhooks(settings.table_name, dynamodb)
locks = Locks(store=store, queue=queue, clock=utc_now)
max_retention, max_waits = settings.max_retention, settings.max_waits
is_limited = settings.submit_rate_per_minute or settings.max_live or settings.max_backlog
admission = Admission.of(settings, store=store, queue=queue, clock=utc_now) if is_limited else None
slots = WaitSlots(store=store, clock=utc_now, slots=max_waits)
long_poll = LongPoll(utc_now, longest=settings.max_wait, slots=(lambda: slots) if max_waits else None)
executor = partial(
    Executor, store=store, objects=objects, catalog=catalog, locks=locks, clock=utc_now, max_result=settings.max_result
)
job_process = JobProcess(
    executor, megabytes=settings.memory, request=partial(request_of, logger), set_request=partial(set_request, logger)
)
commands = Commands(
    store=store,
    queue=queue,
    objects=objects,
    catalog=catalog,
    clock=utc_now,
    max_retention=max_retention,
    locks=lambda: locks,
    new_worker_token=WorkerToken.new,
    webhooks=(lambda: webhooks) if settings.webhooks else None,
    admission=admission,
    long_poll=long_poll,
    immediate_executor=ImmediateExecutor(
        threshold=settings.immediate_threshold, history=history, store=store, job_process=lambda: job_process, clock=utc_now
    ),
)
queries = Queries(store=store, objects=objects, catalog=catalog, clock=utc_now, long_poll=long_poll)
ours = Api(
    {
        **command_handlers(commands, clock=utc_now, max_retention=max_retention, job_types=catalog),
        **query_handlers(queries, clock=utc_now, durations_of=CachedHistory(history).of),
        **tracked_handlers(Reports(store=store, clock=utc_now)),
    }
)
api = DialectsApi(
    find_dialects(settings.dialects),
    call=ours.handle,
    contents=Contents(queries=queries, objects=objects, admission=admission),
    clock=utc_now,
    job_types=catalog,
)

# Collections leave out what has loaded, since it stays.
gc.freeze()
gc.enable()


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer an HTTP API event."""
    logger.set_correlation_id(event["requestContext"]["requestId"])
    return api.handle(event)
