"""Adds up how long jobs take, from the table's stream."""

from typing import Any

from asyncjobs import log
from asyncjobs.aws.dynamodb_history import DynamoHistory
from asyncjobs.core.clock import utc_now
from asyncjobs.estimates.aggregator import DurationAggregator
from asyncjobs.settings import Settings

settings = Settings.from_environment()
log.configure(settings.application)
aggregator = DurationAggregator(DynamoHistory(settings.table_name), clock=utc_now)


def handler(event: dict[str, Any], _context: object) -> None:
    """Add a batch of the stream."""
    aggregator.add(event)
