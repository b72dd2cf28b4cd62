"""Send due jobs, take over lost ones, end those past their deadline; each minute."""

import gc

gc.disable()  # Nothing that loads here is garbage. To look for some would take a sixth of the time.

from datetime import timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.aws.log_lines import failures_without_text, lambda_logger
from asyncjobs.aws.sqs import SqsQueue
from asyncjobs.core.clock import utc_now
from asyncjobs.limits.locks import Locks
from asyncjobs.settings import Settings
from asyncjobs.worker.sweeper import THREADS, Sweeper

settings = Settings()
logger = lambda_logger(settings.application, settings.log_level)
store, queue = DynamoStore(settings.table_name), SqsQueue(settings.queue_urls)
locks = Locks(store=store, queue=queue, clock=utc_now)
sweeper = Sweeper(store=store, queue=queue, locks=locks, clock=utc_now, threads=THREADS)

# Collections leave out what has loaded, since it stays.
gc.freeze()
gc.enable()


@logger.inject_lambda_context
@failures_without_text
def handler(_event: dict[str, Any], context: LambdaContext) -> None:
    """Sweep once."""
    sweeper.sweep(lambda: timedelta(milliseconds=context.get_remaining_time_in_millis()))
