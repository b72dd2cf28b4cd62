"""Queries: one job, its result, a list of jobs, the job types."""

from typing import Any

from asyncjobs import aws, log
from asyncjobs.api import queries_api
from asyncjobs.catalogue import Catalogue
from asyncjobs.clock import utc_now
from asyncjobs.history import CachedHistory, DynamoHistory
from asyncjobs.objects import S3Objects
from asyncjobs.polling import Outlook
from asyncjobs.queue import SqsQueue
from asyncjobs.service import Queries
from asyncjobs.settings import Settings
from asyncjobs.store import DynamoStore

settings = Settings.from_environment()
log.configure(settings.application)
# Two clients would take longer to make than to use.
dynamodb = aws.dynamodb()
queries = Queries(
    store=DynamoStore(settings.table_name, dynamodb),
    objects=S3Objects(settings.bucket_name),
    catalogue=Catalogue.read(),
    clock=utc_now,
    queue=(lambda: SqsQueue(settings.queue_urls)) if settings.tells_queue_depth else None,
)
history = CachedHistory(DynamoHistory(settings.table_name, dynamodb), Outlook)
api = queries_api(queries, clock=utc_now, outlook=history.of)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer an HTTP API event."""
    return api.handle(event)
