"""What the API returns that is not a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class JobType:
    """A job type. `raw` also has what this version of the client does not know."""

    name: str
    description: str
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any]
    tracked: bool
    expected_seconds: float | None
    raw: Mapping[str, Any]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> JobType:
        """Return the type that the API describes so."""
        return cls(
            name=body["jobType"],
            description=body.get("description", ""),
            input_schema=body.get("inputSchema", {}),
            output_schema=body.get("outputSchema", {}),
            tracked=body.get("tracked", False),
            expected_seconds=body.get("expectedSeconds"),
            raw=body,
        )


@dataclass(frozen=True)
class Endpoint:
    """A webhook's receiver. `raw` also has what this version of the client does not know."""

    raw: Mapping[str, Any] = field(repr=False)  # it may have the secret
    id: str
    url: str
    events: tuple[str, ...] = ()
    disabled_reason: str | None = None

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Endpoint:
        """Return the receiver that the API describes so."""
        return cls(body, body["webhookId"], body.get("url", ""), tuple(body.get("events", ())), body.get("disabledReason"))

    @property
    def secret(self) -> str | None:
        """The secret for `verify_webhook`. Only the answers that create or rotate it have it: store it."""
        return self.raw.get("secret")


@dataclass(frozen=True)
class Ticket:
    """A secret for a browser: it opens some jobs, read-only, for some minutes."""

    text: str = field(repr=False)
    raw: Mapping[str, Any] = field(repr=False)
    expires_at: str | None = None
