"""Queries: one job, its result, a list of jobs, the job types."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from asyncjobs.aws import clients
from asyncjobs.aws.dynamodb_history import DynamoHistory
from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.aws.log_lines import lambda_logger
from asyncjobs.aws.s3 import S3Objects
from asyncjobs.aws.sqs import SqsQueue
from asyncjobs.core.clock import utc_now
from asyncjobs.estimates.history import CachedHistory
from asyncjobs.http.query_routes import queries_api
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.service.queries import Queries
from asyncjobs.settings import Settings

if TYPE_CHECKING:
    from asyncjobs.limits.backlog import Backlog

settings = Settings()
logger = lambda_logger(settings.application, settings.log_level)
queue_urls = settings.queue_urls
# Two clients would take longer to make than to use.
dynamodb = clients.dynamodb()


@cache
def backlog() -> Backlog:
    """Return how long the queues are. Imported, with its client, for the first job that waits: most polls are of others."""
    from asyncjobs.limits.backlog import Backlog

    return Backlog(SqsQueue(queue_urls), utc_now)


queries = Queries(
    store=DynamoStore(settings.table_name, dynamodb),
    objects=S3Objects(settings.bucket_name),
    catalog=Catalog.read(),
    clock=utc_now,
    backlog=backlog if settings.shows_queue_depth else None,
)
history = CachedHistory(DynamoHistory(settings.table_name, dynamodb))
api = queries_api(queries, clock=utc_now, estimate=history.of)


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer an HTTP API event."""
    logger.set_correlation_id(event["requestContext"]["requestId"])
    return api.handle(event)
