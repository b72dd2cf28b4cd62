"""The dialect `entity`: an `AsyncJob` record with four statuses, of which one is `IN_PROGRESS` from the start."""

from __future__ import annotations

from typing import Any

from asyncjobs.core.job import Status
from asyncjobs.http.dialects.dialect import Dialect, Route, Shape

_IN_PROGRESS = "IN_PROGRESS"


def _created(body: dict[str, Any]) -> dict[str, Any]:
    # A new job may say that it is in progress, and nothing else.
    return {name: value for name, value in body.items() if (name, value) != ("status", _IN_PROGRESS)}


_JOB: Shape = {
    "asyncJobId": "asyncJobId",
    "status": "status",
    "createdAt": "createdAt",
    "updatedAt": "updatedAt",
    # A job is in progress from its creation on.
    "startedAt": lambda word: word("startedAt") or word("createdAt"),
    "endedAt": "endedAt",
    "recordExpiresAt": "recordExpiresAt",
    "resultLocation": lambda word: word("resultLocation") or "",
    "resultType": "resultType",
    # A reader follows `resultType`: any other result is at `resultLocation`.
    "result": lambda word: word("result") if word("resultType") == "INLINE" else None,
    "error": "error",
    "metadata": "metadata",
}

DIALECT = Dialect(
    statuses={
        Status.PENDING: _IN_PROGRESS,
        Status.IN_PROGRESS: _IN_PROGRESS,
        Status.COMPLETED: "COMPLETED",
        Status.FAILED: "FAILED",
        Status.CANCELLED: "CANCELLED",
    },
    routes=(
        Route(theirs="POST /api/v1/jobs", ours="POST /jobs", rewrite=_created),
        Route(theirs="GET /api/v1/jobs/{asyncJobId}", ours="GET /jobs/{asyncJobId}", answer=_JOB),
        Route(theirs="GET /api/v1/jobs/{asyncJobId}/result", ours="GET /jobs/{asyncJobId}/result"),
    ),
    job_type_routes="/api/v1",
    started=_JOB,
    error={"error": {"code": "code", "message": "message"}},
)
