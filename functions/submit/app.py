"""Commands: submit a job; cancel, retry or delete one. Quick jobs run here at once."""

from typing import Any

from asyncjobs import aws, log
from asyncjobs.api import commands_api
from asyncjobs.catalogue import Catalogue
from asyncjobs.clock import utc_now
from asyncjobs.history import DynamoHistory
from asyncjobs.immediate import FirstWorker
from asyncjobs.objects import S3Objects
from asyncjobs.queue import SqsQueue
from asyncjobs.service import Commands
from asyncjobs.settings import Settings
from asyncjobs.store import DynamoStore

settings = Settings.from_environment()
log.configure(settings.application)
dynamodb = aws.dynamodb()
store, queue, admission = DynamoStore(settings.table_name, dynamodb), SqsQueue(settings.queue_urls), None
if settings.submit_rate_per_minute or settings.max_live or settings.max_backlog:
    # Not imported where nothing is limited: a cold start pays for each module.
    from asyncjobs.admission import Admission

    admission = Admission.of(settings, store=store, queue=queue, clock=utc_now)
parts: Any = {
    "store": store,
    "objects": S3Objects(settings.bucket_name),
    "catalogue": Catalogue.read(),
    "clock": utc_now,
}
history = DynamoHistory(settings.table_name, dynamodb)
first_worker = FirstWorker(threshold=settings.immediate_threshold, history=history, **parts)
commands = Commands(queue=queue, max_retention=settings.max_retention, first_worker=first_worker, admission=admission, **parts)
api = commands_api(commands, clock=utc_now, max_retention=settings.max_retention, job_types=parts["catalogue"])


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer an HTTP API event."""
    return api.handle(event)
