"""Each minute: sends what is due, takes over what is lost, ends what is past its deadline."""

from datetime import timedelta
from typing import Any, Protocol

from asyncjobs import log
from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.aws.sqs import SqsQueue
from asyncjobs.core.clock import utc_now
from asyncjobs.limits.locks import Locks
from asyncjobs.settings import Settings
from asyncjobs.worker.sweeper import Sweeper

settings = Settings.from_environment()
log.configure(settings.application)
store, queue = DynamoStore(settings.table_name), SqsQueue(settings.queue_urls)
sweeper = Sweeper(store=store, queue=queue, locks=Locks(store=store, queue=queue, clock=utc_now), clock=utc_now)


class LambdaContext(Protocol):
    """What Lambda tells about the invocation."""

    def get_remaining_time_in_millis(self) -> int: ...


def handler(_event: dict[str, Any], context: LambdaContext) -> None:
    """Sweep once."""
    sweeper.sweep(lambda: timedelta(milliseconds=context.get_remaining_time_in_millis()))
