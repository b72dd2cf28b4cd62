"""What the API returns that is not a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
