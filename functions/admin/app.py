"""Administration: what administrators see and do of the jobs of all owners."""

from __future__ import annotations

import gc

gc.disable()  # Nothing that loads here is garbage. To look for some would take a sixth of the time.

from datetime import timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from asyncjobs.aws import clients
from asyncjobs.aws.dynamodb_audit import DynamoAuditLog
from asyncjobs.aws.dynamodb_bulk_parts import DynamoBulkParts
from asyncjobs.aws.dynamodb_events import DynamoEventLog
from asyncjobs.aws.dynamodb_indexes import DynamoIndexes
from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.aws.dynamodb_type_histories import DynamoTypeHistories
from asyncjobs.aws.lambda_continuations import LambdaContinuations, task_in
from asyncjobs.aws.lambda_pollers import LambdaPollers
from asyncjobs.aws.log_insights import LogInsights
from asyncjobs.aws.log_lines import failures_without_text, lambda_logger
from asyncjobs.aws.s3 import S3Objects
from asyncjobs.aws.sqs import SqsQueue
from asyncjobs.aws.sqs_dead_letters import SqsDeadLetters
from asyncjobs.aws.sqs_queue_depths import SqsQueueDepths
from asyncjobs.core.administration import DEAD_LETTERS, BulkTask
from asyncjobs.core.clock import utc_now
from asyncjobs.http.admin_operation import Groups
from asyncjobs.http.admin_routes import ADMIN, AdminRoutes
from asyncjobs.http.api import Api
from asyncjobs.http.operations import handlers_by_route
from asyncjobs.http.problems import code_of
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.limits.locks import Locks
from asyncjobs.service.administration import Administration
from asyncjobs.service.bulk_actions import BulkActions
from asyncjobs.service.commands import Commands
from asyncjobs.service.dead_letters import DeadLetterRedrive
from asyncjobs.service.event_feed import EventFeed
from asyncjobs.service.long_poll import LongPoll
from asyncjobs.service.queries import Queries
from asyncjobs.settings import Settings
from asyncjobs.tracking.reports import Reports
from asyncjobs.tracking.worker_token import WorkerToken

settings = Settings()
logger = lambda_logger(settings.application, settings.log_level)
table_name = settings.table_name
dynamodb, sqs, functions = clients.dynamodb(), clients.sqs(), clients.functions()
store, queue = DynamoStore(table_name, dynamodb), SqsQueue(settings.queue_urls, sqs)
objects, catalog = S3Objects(settings.bucket_name), Catalog.read()
locks = Locks(store=store, queue=queue, clock=utc_now)
# Administrators are few, but their requests must not wait: they would hold executions that users need.
queries = Queries(
    store=store, objects=objects, catalog=catalog, clock=utc_now, long_poll=LongPoll(utc_now, longest=timedelta(0))
)
commands = Commands(
    store=store,
    queue=queue,
    objects=objects,
    catalog=catalog,
    clock=utc_now,
    max_retention=timedelta(0),  # nothing is submitted here
    locks=lambda: locks,
    new_worker_token=WorkerToken.new,
)
administration = Administration(
    store=store,
    indexes=DynamoIndexes(table_name, dynamodb),
    queues=SqsQueueDepths({**settings.queue_urls, DEAD_LETTERS: settings.dead_letter_queue_url}, sqs),
    pollers=LambdaPollers(settings.pollers, functions),
    dead_letters=DeadLetterRedrive(
        letters=SqsDeadLetters(settings.dead_letter_queue_url, sqs), store=store, queue=queue, clock=utc_now
    ),
    histories=DynamoTypeHistories(table_name, dynamodb),
    catalog=catalog,
    commands=commands,
    audit=DynamoAuditLog(table_name, dynamodb, kept=settings.audit_retention),
    clock=utc_now,
)
routes = AdminRoutes(
    administration,
    bulk=BulkActions(
        administration=administration,
        store=store,
        commands=commands,
        parts=DynamoBulkParts(table_name, dynamodb, kept=settings.audit_retention),
        continuations=LambdaContinuations(settings.function_name, functions),
        reports=Reports(store=store, clock=utc_now),
        code_of=code_of,
        clock=utc_now,
    ),
    queries=queries,
    feed=EventFeed(queries, DynamoEventLog(table_name, dynamodb) if settings.has_event_log else None),
    logs=LogInsights(settings.region, settings.log_groups, utc_now).link,
    groups=Groups.named(settings.admin_group_claim, settings.admin_groups),
    clock=utc_now,
)
api = Api(handlers_by_route(routes, ADMIN))
ENOUGH_MILLISECONDS = 10_000
"""What the action on one job of many may take, when the table is slow. With less, another invocation goes on."""

# Collections leave out what has loaded, since it stays.
gc.freeze()
gc.enable()


def answer(event: dict[str, Any]) -> dict[str, Any]:
    """Answer an HTTP API event."""
    logger.set_correlation_id(event["requestContext"]["requestId"])
    return api.handle(event)


def go_on(task: BulkTask, context: LambdaContext) -> dict[str, Any]:
    """Go on with an action on many jobs while there is time. Nobody waits for the answer."""
    logger.set_correlation_id(task.request_id)
    routes.go_on_with_bulk_action(task, lambda: context.get_remaining_time_in_millis() > ENOUGH_MILLISECONDS)
    return {}


@logger.inject_lambda_context
@failures_without_text
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer an HTTP API event, or go on with an action on many jobs."""
    task = task_in(event)
    return answer(event) if task is None else go_on(task, context)
