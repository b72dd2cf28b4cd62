"""Run the jobs that queue messages name."""

from __future__ import annotations

import gc

gc.disable()  # Nothing that loads here is garbage. To look for some would take a sixth of the time.

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.aws.log_lines import failures_without_text, lambda_logger
from asyncjobs.aws.s3 import S3Objects
from asyncjobs.aws.sqs import SqsQueue
from asyncjobs.core.clock import utc_now
from asyncjobs.core.job import DELIVERY
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.limits.locks import Locks
from asyncjobs.settings import Settings
from asyncjobs.worker.executor import Executor
from asyncjobs.worker.memory import limit_memory
from asyncjobs.worker.sqs_batch import BatchWorker

if TYPE_CHECKING:
    from asyncjobs.jobtypes.decorator import JobDefinition

settings = Settings()
logger = lambda_logger(settings.application, settings.log_level, with_exception_text=settings.log_exception_text)
memory = settings.memory
queue = SqsQueue(settings.queue_urls)
table = settings.table_name
store, objects = DynamoStore(table), S3Objects(settings.bucket_name)
locks = Locks(store=store, queue=queue, clock=utc_now)
to_loopback = settings.delivers_to_loopback


@cache
def deliver() -> JobDefinition:
    """Return the delivery of webhooks. It is imported by the first delivery."""
    from asyncjobs.aws.dynamodb_webhooks import DynamoWebhooks
    from asyncjobs.push.delivery import Deliverer
    from asyncjobs.push.outbound import Outbound

    return Deliverer(DynamoWebhooks(table), Outbound(to_loopback=to_loopback).post, utc_now).definition


executor = Executor(
    store=store,
    objects=objects,
    catalog=Catalog.read(),
    locks=locks,
    clock=utc_now,
    built_in={DELIVERY: deliver},
    max_result=settings.max_result,
)
worker = BatchWorker(executor, queue)

# Collections leave out what has loaded, since it stays.
gc.freeze()
gc.enable()


@logger.inject_lambda_context
@failures_without_text
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run an SQS batch."""
    limit_memory(memory)
    return worker.handle(
        event,
        request_id=context.aws_request_id,
        remaining=lambda: timedelta(milliseconds=context.get_remaining_time_in_millis()),
    )
