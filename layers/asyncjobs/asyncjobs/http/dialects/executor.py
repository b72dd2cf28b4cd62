"""The dialect `executor`: jobs that run now or in the background, with everything in `data`, and ids that begin with a name."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

from asyncjobs.core.clock import from_rfc3339
from asyncjobs.core.job import Status
from asyncjobs.http.dialects.dialect import Dialect, Ids, Route

_ID = re.compile(r"[a-z0-9-]+-[0-9]+-([0-9a-f]{32})", re.IGNORECASE)
_POLL = "Poll /api/v1/jobs/{jobId} for status."


def _name_epoch_random(job: Mapping[str, Any]) -> str:
    name = re.sub(r"[._]", "-", job["jobType"])
    return f"{name}-{int(from_rfc3339(job['createdAt']).timestamp())}-{uuid.UUID(job['asyncJobId']).hex}"


def _uuid_in(text: str) -> str:
    found = _ID.fullmatch(text)
    return str(uuid.UUID(found[1])) if found else text


DIALECT = Dialect(
    statuses={
        Status.PENDING: "PENDING",
        Status.IN_PROGRESS: "RUNNING",
        Status.COMPLETED: "COMPLETED",
        Status.FAILED: "FAILED",
        Status.CANCELLED: "FAILED",
    },
    routes=(
        Route(
            theirs="GET /api/v1/jobs/{asyncJobId}",
            ours="GET /jobs/{asyncJobId}",
            answer={
                "data": {
                    "jobId": "asyncJobId",
                    "status": "status",
                    "progress": "progress",
                    "message": "message",
                    "data": "result",
                    "error": "error.message",
                    "createdAt": "createdAt",
                    "startedAt": "startedAt",
                    "completedAt": "endedAt",
                }
            },
        ),
    ),
    job_type_routes="/api/v1",
    started={"data": {"jobId": "asyncJobId", "status": "status", "message": "started"}},
    ran={"data": "result"},
    bare={"data": "result"},
    error={"error": "message"},
    in_background=False,
    ids=Ids(_name_epoch_random, _uuid_in),
    messages={"": f"Job started. {_POLL}", "mysql.import": f"Import started in background. {_POLL}"},
)
