"""Hand the changes of jobs, from the table's stream, to whatever follows them."""

import gc

gc.disable()  # Nothing that loads here is garbage. To look for some would take a sixth of the time.

from typing import Any

from asyncjobs.aws import clients
from asyncjobs.aws.dynamodb_events import DynamoEventLog
from asyncjobs.aws.dynamodb_history import DynamoHistory
from asyncjobs.aws.log_lines import failures_without_text, lambda_logger
from asyncjobs.aws.stream_records import jobs_of
from asyncjobs.core.clock import utc_now
from asyncjobs.push.consumer import Consumer, Consumers
from asyncjobs.push.durations import DurationAggregator
from asyncjobs.push.event_log import EventLogWriter
from asyncjobs.settings import Settings

settings = Settings()
logger = lambda_logger(settings.application, settings.log_level)
table, queue_urls, dynamodb = settings.table_name, settings.queue_urls, clients.dynamodb()
# In the order of their promises: an event is logged before it is pushed, a push may be lost, and durations are estimates.
followers: dict[str, Consumer] = {}
if settings.has_event_log:
    followers["events"] = EventLogWriter(DynamoEventLog(table, dynamodb))
if settings.webhooks:
    from asyncjobs.aws.dynamodb_jobs import DynamoStore
    from asyncjobs.aws.dynamodb_webhooks import DynamoWebhooks
    from asyncjobs.aws.sqs import SqsQueue
    from asyncjobs.push.webhooks import WebhookConsumer

    followers["webhooks"] = WebhookConsumer(
        webhooks=DynamoWebhooks(table, dynamodb),
        store=DynamoStore(table, dynamodb),
        queue=SqsQueue(queue_urls),
        clock=utc_now,
    )
if settings.socket_url:
    from asyncjobs.aws.dynamodb_watchers import DynamoWatchers
    from asyncjobs.aws.websocket import WebSocketConnections
    from asyncjobs.push.watchers import WatcherPushes

    followers["watchers"] = WatcherPushes(
        DynamoWatchers(table, dynamodb),
        WebSocketConnections(settings.socket_url),
        clock=utc_now,
        threads=clients.PUSH_THREADS,
    )
if settings.event_bus_name:
    from asyncjobs.aws.eventbridge import EventBridgeBus
    from asyncjobs.push.eventbridge import EventBridgePublisher

    bus = EventBridgeBus(settings.event_bus_name)
    followers["eventbridge"] = EventBridgePublisher(bus, application=settings.application)
followers["durations"] = DurationAggregator(DynamoHistory(table, dynamodb), clock=utc_now, pause=settings.history_pause)
consumers = Consumers(followers, jobs_of, clock=utc_now)

# Collections leave out what has loaded, since it stays.
gc.freeze()
gc.enable()


@logger.inject_lambda_context
@failures_without_text
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Hand over a batch of the stream."""
    return consumers.handle(event)
