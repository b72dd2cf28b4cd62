"""The events of jobs on a bus of EventBridge, where rules of the account start whatever should follow them."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from asyncjobs.core.clock import rfc3339
from asyncjobs.core.events import Event, EventType
from asyncjobs.core.exact_json import write_json
from asyncjobs.core.job import AsyncJob
from asyncjobs.core.ports import BusEvent, EventBus
from asyncjobs.push.changes import Change, body_with_job

_LEFT_OUT = frozenset({EventType.PROGRESS})
"""Up to one a second and job, each paid for, and for those who watch the job."""
_IDS = uuid.UUID("6f0b8c52-6f0f-4a3c-9d7e-2f1a64d0b3aa")
"""The namespace of event ids (RFC 9562, version 5)."""


class EventBridgePublisher:
    """Publishes each change of a job's state. A consumer of the stream."""

    def __init__(self, bus: EventBus, *, application: str) -> None:
        self._bus = bus
        self._application = application

    def consume(self, changes: Sequence[Change]) -> Collection[Change]:
        """See `Consumer`. An event that is published again has the same id."""
        published = {
            BusEvent(
                type=f"asyncjobs.job.{change.event.type.value}",
                at=change.event.at,
                detail=write_json(self._detail(change.new, change.event)),
            ): change
            for change in changes
            if change.event is not None and change.event.type not in _LEFT_OUT
        }
        return [published[event] for event in self._bus.publish(list(published))] if published else ()

    def _detail(self, job: AsyncJob, event: Event) -> dict[str, Any]:
        """Return what rules can select by, and their targets read."""
        return {
            "id": event_id(job, event),
            "application": self._application,
            "owner": job.owner,
            "createdAt": rfc3339(job.created_at),
            **body_with_job(event, job),
        }


def event_id(job: AsyncJob, event: Event) -> str:
    """Return the id of an event: the same whenever the stream is delivered, and another one for a new job of the same id."""
    return str(uuid.uuid5(_IDS, f"{len(job.owner)}#{job.owner}#{job.async_job_id}#{job.generation}#{event.seq}"))
