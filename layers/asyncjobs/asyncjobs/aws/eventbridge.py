"""A bus of EventBridge, which starts whatever the account's own rules say."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from botocore.exceptions import ClientError

from asyncjobs.aws import clients
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.ports import BusEvent

SOURCE = "asyncjobs"
"""The `source` of all events, by which rules distinguish them from those of other applications."""
_BATCH = 10
"""The most events of one request. Ours have a few KB, far below its limit of 256 KB for all of them."""
_TRIES = 3
_PAUSE = 0.2  # s, at random up to this, and up to twice as long before the third try


class EventsClient(Protocol):
    """The one call of botocore's client that is used."""

    def put_events(self, *, Entries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]: ...  # noqa: N803 - botocore's name


class EventBridgeBus:
    """An `EventBus` by its name."""

    def __init__(self, name: str, client: EventsClient | None = None, *, pause: Callable[[float], object] = time.sleep) -> None:
        self._name = name
        self._client = client or clients.events()
        self._pause = pause

    def publish(self, events: Sequence[BusEvent]) -> Sequence[BusEvent]:
        """See `EventBus`. An answer with status 200 may refuse single events: these alone are sent again."""
        refused: list[BusEvent] = []
        for start in range(0, len(events), _BATCH):
            rest = self._publish_batch(events[start : start + _BATCH])
            for tries in range(1, _TRIES):
                if not rest:
                    break
                self._pause(random.uniform(0, _PAUSE * tries))
                rest = self._publish_batch(rest)
            refused += rest
        return refused

    def _publish_batch(self, events: Sequence[BusEvent]) -> Sequence[BusEvent]:
        """Send the events; return those that the bus refused."""
        try:
            with clients.translated("The event bus"):
                answer = self._client.put_events(
                    Entries=[
                        {
                            "EventBusName": self._name,
                            "Source": SOURCE,
                            "DetailType": event.type,
                            "Detail": event.detail,
                            "Time": event.at,
                        }
                        for event in events
                    ]
                )
        except ClientError as error:
            # A permission or a bus that is missing. It must not keep the batch from the stream's other consumers' next one.
            raise Unavailable(f"The event bus refuses requests: {clients.error_code(error)}") from error
        if not answer["FailedEntryCount"]:
            return []
        return [event for event, entry in zip(events, answer["Entries"], strict=True) if "ErrorCode" in entry]
