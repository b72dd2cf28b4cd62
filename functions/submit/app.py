"""Commands: submit a job; cancel, retry or delete one. Quick jobs run here at once."""

from typing import Any

from asyncjobs import log
from asyncjobs.aws import clients
from asyncjobs.aws.dynamodb_history import DynamoHistory
from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.aws.s3 import S3Objects
from asyncjobs.aws.sqs import SqsQueue
from asyncjobs.core.clock import utc_now
from asyncjobs.http.api import Handlers
from asyncjobs.http.command_routes import commands_api
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.service.commands import Commands
from asyncjobs.settings import Settings
from asyncjobs.worker.inline import InlineExecutor

settings = Settings.from_environment()
log.configure(settings.application)
dynamodb = clients.dynamodb()
store, queue, admission = DynamoStore(settings.table_name, dynamodb), SqsQueue(settings.queue_urls), None
if settings.submit_rate_per_minute or settings.max_live or settings.max_backlog:
    # Not imported where nothing is limited: a cold start pays for each module.
    from asyncjobs.limits.admission import Admission

    admission = Admission.of(settings, store=store, queue=queue, clock=utc_now)
parts: Any = {
    "store": store,
    "objects": S3Objects(settings.bucket_name),
    "catalog": Catalog.read(),
    "clock": utc_now,
}
history = DynamoHistory(settings.table_name, dynamodb)
inline_executor = InlineExecutor(threshold=settings.immediate_threshold, history=history, **parts)
commands = Commands(
    queue=queue, max_retention=settings.max_retention, inline_executor=inline_executor, admission=admission, **parts
)


def tracked() -> Handlers:
    """Return the handlers of tracked jobs' reports. They are imported by the first report: few cold starts have one."""
    from asyncjobs.http.tracked_routes import tracked_handlers
    from asyncjobs.tracking.reports import Reports

    return tracked_handlers(Reports(store=store, clock=utc_now))


api = commands_api(commands, clock=utc_now, max_retention=settings.max_retention, job_types=parts["catalog"], more=tracked)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer an HTTP API event."""
    return api.handle(event)
