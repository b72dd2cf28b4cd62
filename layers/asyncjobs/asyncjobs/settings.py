"""The only reader of the environment: what the template tells the functions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Settings:
    """Where this stack's things are. What a function has no business with is empty there."""

    application: str
    table_name: str
    queue_urls: Mapping[str, str]
    """By priority."""
    bucket_name: str
    max_retention: timedelta
    immediate_threshold: timedelta
    submit_rate_per_minute: int
    submit_burst: int
    max_live: int
    max_backlog: int
    tells_queue_depth: bool

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read them. `KeyError` names a variable that every function needs and the template did not give."""
        return cls(
            application=environment["APPLICATION"],
            table_name=environment["TABLE_NAME"],
            queue_urls={
                "high": environment.get("HIGH_QUEUE_URL", ""),
                "standard": environment.get("QUEUE_URL", ""),
                "low": environment.get("LOW_QUEUE_URL", ""),
            },
            bucket_name=environment.get("BUCKET_NAME", ""),
            max_retention=timedelta(days=int(environment.get("MAX_RETENTION_DAYS", "30"))),
            immediate_threshold=timedelta(milliseconds=int(environment.get("IMMEDIATE_MILLISECONDS", "-1"))),
            # The limits on submits. 0 is no limit.
            submit_rate_per_minute=int(environment.get("SUBMIT_RATE_PER_MINUTE", "0")),
            submit_burst=int(environment.get("SUBMIT_BURST", "1")),
            max_live=int(environment.get("MAX_LIVE_JOBS_PER_OWNER", "0")),
            max_backlog=int(environment.get("MAX_BACKLOG", "0")),
            tells_queue_depth=environment.get("TELL_QUEUE_DEPTH") == "true",
        )
