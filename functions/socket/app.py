"""Connections of the WebSocket API: open, close, watch, unwatch, ping."""

from __future__ import annotations

import gc

gc.disable()  # Nothing that loads here is garbage. To look for some would take a sixth of the time.

from typing import Any

from asyncjobs.aws import clients
from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.aws.dynamodb_tickets import DynamoTickets
from asyncjobs.aws.dynamodb_watchers import DynamoWatchers
from asyncjobs.aws.log_lines import lambda_logger
from asyncjobs.core.clock import utc_now
from asyncjobs.http.socket_api import SocketApi
from asyncjobs.push.subscriptions import Subscriptions
from asyncjobs.settings import Settings

settings = Settings()
logger = lambda_logger(settings.application, settings.log_level)
table_name, dynamodb = settings.table_name, clients.dynamodb()
subscriptions = Subscriptions(
    store=DynamoStore(table_name, dynamodb),
    tickets=DynamoTickets(table_name, dynamodb),
    watchers=DynamoWatchers(table_name, dynamodb),
    clock=utc_now,
)
api = SocketApi(subscriptions if settings.has_socket else None)

# Collections leave out what has loaded, since it stays.
gc.freeze()
gc.enable()


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer an event of the WebSocket API."""
    logger.set_correlation_id(event["requestContext"]["requestId"])
    return api.handle(event)
