"""Queries: one job, its result, a list of jobs, the job types."""

from typing import Any

from asyncjobs import log
from asyncjobs.api import queries_api
from asyncjobs.catalogue import Catalogue
from asyncjobs.clock import utc_now
from asyncjobs.objects import S3Objects
from asyncjobs.service import Queries
from asyncjobs.settings import Settings
from asyncjobs.store import DynamoStore

settings = Settings.from_environment()
log.configure(settings.application)
queries = Queries(
    store=DynamoStore(settings.table_name),
    objects=S3Objects(settings.bucket_name),
    catalogue=Catalogue.read(),
    clock=utc_now,
)
api = queries_api(queries, clock=utc_now)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer an HTTP API event."""
    return api.handle(event)
