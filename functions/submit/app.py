"""Commands: submit a job, cancel one."""

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
store, queue = DynamoStore(settings.table_name), SqsQueue(settings.queue_url)
admission = None
if settings.submit_rate_per_minute or settings.max_live or settings.max_backlog:
    # Not imported where nothing is limited: a cold start pays for each module.
    from asyncjobs.admission import Admission
    from asyncjobs.rate import SubmitRate

    rate = SubmitRate(settings.submit_rate_per_minute, settings.submit_burst) if settings.submit_rate_per_minute else None
    admission = Admission(
        store=store, queue=queue, clock=utc_now, rate=rate, max_live=settings.max_live, max_backlog=settings.max_backlog
    )
commands = Commands(
    store=store,
    queue=queue,
    objects=S3Objects(settings.bucket_name),
    catalogue=Catalogue.read(),
    clock=utc_now,
    max_retention=settings.max_retention,
    admission=admission,
)
api = commands_api(commands, clock=utc_now, max_retention=settings.max_retention)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer an HTTP API event."""
    return api.handle(event)
