"""The clients of the product's adapters: each call goes through the scheduler."""

from __future__ import annotations

import functools
from typing import Any

from tests.proof.stateful.scheduler import Scheduler

BEHIND = 3
"""The number of writes by which an index may lag."""
_PARTLY: dict[str, dict[str, Any]] = {
    "dynamodb.query": {"behind": BEHIND},
    "sqs.send_message_batch": {"refused": 1},
    "s3.delete_objects": {"refused": 1},
}
"""Partial outcomes of AWS, as parameters of the engines in memory."""


class Wire:
    """A boto3 client whose calls go through the scheduler."""

    def __init__(self, client: Any, service: str, scheduler: Scheduler) -> None:
        self._client = client
        self._service = service
        self._scheduler = scheduler

    def __getattr__(self, operation: str) -> Any:
        call, name = getattr(self._client, operation), f"{self._service}.{operation}"

        def send(**parameters: Any) -> Any:
            return self._scheduler.call(name, functools.partial(call, **parameters), _PARTLY.get(name))

        return send
