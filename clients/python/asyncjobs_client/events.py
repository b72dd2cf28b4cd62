"""The numbered events of a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_SHOWN = ("status", "progress", "message", "attempt")


@dataclass(frozen=True)
class Event:
    """A change of a job. `raw` also has what this version of the client does not know."""

    seq: int
    type: str
    raw: Mapping[str, Any]

    @property
    def status(self) -> str | None:
        """The job's status after the change."""
        return self.raw.get("status")

    @property
    def progress(self) -> int | None:
        """The job's progress after the change."""
        return self.raw.get("progress")

    @property
    def message(self) -> str | None:
        """The job's message after the change."""
        return self.raw.get("message")

    @property
    def at(self) -> str | None:
        """When the change was written."""
        return self.raw.get("at")

    @property
    def name(self) -> str | None:
        """What the job's code calls a `custom` event; None for any other."""
        return self.raw.get("name")

    @property
    def data(self) -> Mapping[str, Any] | None:
        """What the job's code sends with a `custom` event; None for any other."""
        return self.raw.get("data")

    def applied_to(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return the record with what the event shows."""
        return {**record, **{name: self.raw[name] for name in _SHOWN if name in self.raw}, "seq": self.seq}


@dataclass(frozen=True)
class Page:
    """An answer of the events' route."""

    events: tuple[Event, ...]
    is_held: bool
    """Whether the server could wait for news. If not, the next request is a poll."""

    @classmethod
    def of(cls, body: Mapping[str, Any], after: int, preference: str) -> Page:
        """Return the events of an answer that are new to a reader of all events up to `after`."""
        found = (Event(event["seq"], str(event.get("type")), event) for event in body.get("events", ()))
        return cls(tuple(event for event in found if event.seq > after), preference not in {"", "wait=0"})
