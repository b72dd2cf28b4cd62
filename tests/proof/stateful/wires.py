"""The clients that the product's adapters get: each call goes through the scheduler."""

from __future__ import annotations

import functools
from typing import Any

from tests.proof.stateful.scheduler import Scheduler

_PARTLY: dict[str, dict[str, Any]] = {
    "dynamodb.query": {"behind": 3},
    "sqs.send_message_batch": {"refused": 1},
    "s3.delete_objects": {"refused": 1},
}
"""What AWS may do by halves, by the engines' own parameters for it."""


class Wire:
    """A boto3 client with the scheduler in between."""

    def __init__(self, client: Any, service: str, scheduler: Scheduler) -> None:
        self._client = client
        self._service = service
        self._scheduler = scheduler

    def __getattr__(self, operation: str) -> Any:
        call, name = getattr(self._client, operation), f"{self._service}.{operation}"

        def send(**parameters: Any) -> Any:
            return self._scheduler.call(name, functools.partial(call, **parameters), _PARTLY.get(name))

        return send
