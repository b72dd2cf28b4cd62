"""Dialects: the API of the submit and the status function, in the words of other job APIs."""

from __future__ import annotations

from collections.abc import Mapping
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
from asyncjobs.http.answers import Answer
from asyncjobs.http.command_routes import commands_api
from asyncjobs.http.dialects.api import DialectsApi
from asyncjobs.http.dialects.find import find_dialects
from asyncjobs.http.query_routes import QUERIES, queries_api
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
from asyncjobs.worker.inline import InlineExecutor
from asyncjobs.worker.job_process import JobProcess

settings = Settings()
logger = lambda_logger(settings.application, settings.log_level)
dynamodb = clients.dynamodb()
store = DynamoStore(settings.table_name, dynamodb)
queue = SqsQueue(settings.queue_urls)
objects = S3Objects(settings.bucket_name)
catalog = Catalog.read(default_retention=settings.default_retention)
history = DynamoHistory(settings.table_name, dynamodb)
webhooks, with_webhooks = DynamoWebhooks(settings.table_name, dynamodb), settings.webhooks
locks = Locks(store=store, queue=queue, clock=utc_now)
max_retention, max_waits = settings.max_retention, settings.max_waits
is_limited = settings.submit_rate_per_minute or settings.max_live or settings.max_backlog
admission = Admission.of(settings, store=store, queue=queue, clock=utc_now) if is_limited else None
slots = WaitSlots(store=store, clock=utc_now, slots=max_waits)
long_poll = LongPoll(utc_now, longest=settings.max_wait, slots=(lambda: slots) if max_waits else None)
ports: Any = {"store": store, "objects": objects, "catalog": catalog, "clock": utc_now}
job_process = JobProcess(
    partial(Executor, max_result=settings.max_result, locks=locks, **ports),
    megabytes=settings.memory,
    request=partial(request_of, logger),
    set_request=partial(set_request, logger),
)
threshold = settings.immediate_threshold
commands = commands_api(
    Commands(
        queue=queue,
        max_retention=max_retention,
        locks=lambda: locks,
        new_worker_token=WorkerToken.new,
        admission=admission,
        long_poll=long_poll,
        webhooks=(lambda: webhooks) if with_webhooks else None,
        inline_executor=InlineExecutor(threshold=threshold, history=history, store=store, run=job_process.run, clock=utc_now),
        **ports,
    ),
    clock=utc_now,
    max_retention=max_retention,
    job_types=catalog,
    more=(lambda: tracked_handlers(Reports(store=store, clock=utc_now)),),
)
queries = queries_api(Queries(long_poll=long_poll, **ports), clock=utc_now, estimate=CachedHistory(history).of)
QUERY_ROUTES = frozenset(operation.route_key for operation in QUERIES)


def answer(event: Mapping[str, Any]) -> Answer:
    """Answer a request of one of our own routes."""
    return (queries if event["routeKey"] in QUERY_ROUTES else commands).handle(event)


api = DialectsApi(
    find_dialects(settings.dialects),
    call=answer,
    contents=Contents(store=store, objects=objects, clock=utc_now, admission=admission),
    clock=utc_now,
    job_types=catalog,
)


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer an HTTP API event."""
    logger.set_correlation_id(event["requestContext"]["requestId"])
    return api.handle(event)
