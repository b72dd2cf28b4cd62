"""Commands: submit a job; cancel, retry or delete one."""

from typing import Any

from asyncjobs import log
from asyncjobs.api import commands_api
from asyncjobs.catalogue import Catalogue
from asyncjobs.clock import utc_now
from asyncjobs.objects import S3Objects
from asyncjobs.queue import SqsQueue
from asyncjobs.service import Commands
from asyncjobs.settings import Settings
from asyncjobs.store import DynamoStore

settings = Settings.from_environment()
log.configure(settings.application)
commands = Commands(
    store=DynamoStore(settings.table_name),
    queue=SqsQueue(settings.queue_url),
    objects=S3Objects(settings.bucket_name),
    catalogue=Catalogue.read(),
    clock=utc_now,
    max_retention=settings.max_retention,
)
api = commands_api(commands, clock=utc_now, max_retention=settings.max_retention)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer an HTTP API event."""
    return api.handle(event)
