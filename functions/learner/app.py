"""Add up how long jobs take, from the table's stream."""

from typing import Any

from asyncjobs.aws.dynamodb_history import DynamoHistory
from asyncjobs.aws.log_lines import failures_without_text, lambda_logger
from asyncjobs.core.clock import utc_now
from asyncjobs.estimates.aggregator import DurationAggregator
from asyncjobs.settings import Settings

settings = Settings()
logger = lambda_logger(settings.application, settings.log_level)
aggregator = DurationAggregator(DynamoHistory(settings.table_name), clock=utc_now)


@logger.inject_lambda_context
@failures_without_text
def handler(event: dict[str, Any], _context: object) -> None:
    """Add a batch of the stream."""
    aggregator.add(event)
