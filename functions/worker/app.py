"""Runs the jobs that queue messages name."""

from datetime import timedelta
from typing import Any, Protocol

from asyncjobs import log
from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.aws.s3 import S3Objects
from asyncjobs.aws.sqs import SqsQueue
from asyncjobs.core.clock import utc_now
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.limits.locks import Locks
from asyncjobs.settings import Settings
from asyncjobs.worker.executor import Executor
from asyncjobs.worker.sqs_batch import BatchWorker

settings = Settings.from_environment()
log.configure(settings.application)
queue = SqsQueue(settings.queue_urls)
store, objects = DynamoStore(settings.table_name), S3Objects(settings.bucket_name)
locks = Locks(store=store, queue=queue, clock=utc_now)
executor = Executor(store=store, objects=objects, catalog=Catalog.read(), locks=locks, clock=utc_now)
worker = BatchWorker(executor, queue)


class LambdaContext(Protocol):
    """What Lambda tells about the invocation."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int: ...


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run an SQS batch."""

    def remaining() -> timedelta:
        return timedelta(milliseconds=context.get_remaining_time_in_millis())

    return worker.handle(event, request_id=context.aws_request_id, remaining=remaining)
