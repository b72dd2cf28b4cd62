"""Commands: submit a job; cancel, retry or delete one. Quick jobs run here at once."""

from typing import TYPE_CHECKING, Any

from asyncjobs import log
from asyncjobs.api import commands_api
from asyncjobs.catalogue import Catalogue
from asyncjobs.clock import utc_now
from asyncjobs.immediate import AT_MOST, FirstWorker
from asyncjobs.objects import S3Objects
from asyncjobs.queue import SqsQueue
from asyncjobs.service import Commands
from asyncjobs.settings import Settings
from asyncjobs.store import DynamoStore

if TYPE_CHECKING:
    from asyncjobs.executor import Executor

settings = Settings.from_environment()
log.configure(settings.application)
parts: Any = {
    "store": DynamoStore(settings.table_name),
    "objects": S3Objects(settings.bucket_name),
    "catalogue": Catalogue.read(),
    "clock": utc_now,
}


def make_executor() -> "Executor":
    """Import what runs jobs only when there is one to run: most calls need none."""
    from asyncjobs.executor import Executor  # noqa: PLC0415

    return Executor(at_most=AT_MOST, **parts)


first_worker = FirstWorker(threshold=settings.immediate_threshold, clock=utc_now, make_executor=make_executor)
commands = Commands(
    queue=SqsQueue(settings.queue_url), max_retention=settings.max_retention, first_worker=first_worker, **parts
)
api = commands_api(commands, clock=utc_now, max_retention=settings.max_retention)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer an HTTP API event."""
    return api.handle(event)
