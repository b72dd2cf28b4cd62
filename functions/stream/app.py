"""Hand the changes of jobs, from the table's stream, to whatever follows them."""

from typing import Any

from asyncjobs.aws.dynamodb_history import DynamoHistory
from asyncjobs.aws.log_lines import failures_without_text, lambda_logger
from asyncjobs.aws.stream_records import jobs_of
from asyncjobs.core.clock import utc_now
from asyncjobs.push.consumer import Consumers
from asyncjobs.push.durations import DurationAggregator
from asyncjobs.settings import Settings

settings = Settings()
logger = lambda_logger(settings.application, settings.log_level)
consumers = Consumers(
    {"durations": DurationAggregator(DynamoHistory(settings.table_name), clock=utc_now)},
    jobs_of,
    clock=utc_now,
)


@logger.inject_lambda_context
@failures_without_text
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Hand over a batch of the stream."""
    return consumers.handle(event)
