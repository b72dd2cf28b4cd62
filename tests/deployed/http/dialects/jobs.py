# ruff: noqa: ARG001 - a job has both arguments
"""The jobs that the documents' examples name, as small as their answers allow. They are copied into the deployed jobs layer."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from asyncjobs import Exclusive, Fatal, JobContext, job

OPERATION = Exclusive("operation")


class Nothing(BaseModel):
    """No members."""

    model_config = ConfigDict(extra="forbid")


class Database(BaseModel):
    """A database, reached directly or through a tunnel, which takes long."""

    model_config = ConfigDict(extra="forbid")

    host: str
    database: str
    ssh: dict[str, Any] | None = None


class Bid(BaseModel):
    """A bid to analyze."""

    model_config = ConfigDict(extra="forbid")

    bid_id: int
    seconds: float = Field(default=3, ge=0, le=60)
    fails: bool = False


class Search(BaseModel):
    """A search."""

    model_config = ConfigDict(extra="forbid")

    q: str
    limit: int = 10


class Depth(BaseModel):
    """How deep to refresh."""

    model_config = ConfigDict(extra="forbid")

    depth: int


class Subject(BaseModel):
    """A subject."""

    model_config = ConfigDict(extra="forbid")

    subject: str


@job("mysql.import", expected_seconds=0.2, timeout_seconds=60, route="POST /import/mysql")
def mysql_import(input: Database, context: JobContext) -> dict[str, Any]:
    """Return a schema."""
    if input.ssh is not None:
        _work(8, context)  # longer than a submit may run it
    return {"schema": {"nodes": [], "edges": []}, "warnings": [], "unsupportedFeatures": []}


@job(
    "refreshcache",
    timeout_seconds=60,
    exclusive=OPERATION,
    route="POST /jobs/cache/refresh",
    synchronous_route="POST /cache",
)
def refresh_cache(input: Nothing, context: JobContext) -> dict[str, str]:
    """Work for some seconds."""
    context.progress(50, "Starting cache refresh")
    _work(3, context)
    return _success("Cache refreshed successfully")


@job(
    "uploadall",
    expected_seconds=0.1,
    timeout_seconds=60,
    exclusive=OPERATION,
    route="POST /jobs/cache/upload",
    synchronous_route="PUT /cache",
)
def upload_all(input: Nothing, context: JobContext) -> dict[str, str]:
    """Return immediately."""
    return _success("Uploaded all")


@job("refreshref", expected_seconds=0.1, timeout_seconds=60, exclusive=OPERATION, synchronous_route="POST /cache/{depth}")
def refresh_ref(input: Depth, context: JobContext) -> dict[str, str]:
    """Return immediately."""
    return _success(f"Refreshed to depth {input.depth}")


@job("search", expected_seconds=0.1, timeout_seconds=60, route="POST /jobs/search")
def search(input: Search, context: JobContext) -> dict[str, Any]:
    """Return the input."""
    return {"q": input.q, "limit": input.limit, "results": []}


@job("subjectdata", expected_seconds=0.1, timeout_seconds=60, synchronous_route="GET /search/subject/{subject}")
def subject_data(input: Subject, context: JobContext) -> dict[str, str]:
    """Return the input."""
    return {"subject": input.subject}


@job("gemini_analysis", timeout_seconds=60, dedupe_seconds=600, route="POST /analyze")
def analysis(input: Bid, context: JobContext) -> dict[str, Any]:
    """Work for some seconds, at 45 percent."""
    context.progress(45, "Analyzing")
    _work(input.seconds, context)
    if input.fails:
        raise Fatal("The bid has no text: upload it again.", code="NO_TEXT")
    return {"bid_id": input.bid_id, "score": 0.75}


def _success(message: str) -> dict[str, str]:
    return {"status": "success", "message": message, "timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}


def _work(seconds: float, context: JobContext) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        context.check()
        time.sleep(0.1)
