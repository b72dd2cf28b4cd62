"""The dialect `daemon`: long operations, one at a time, in snake case, with a progress from 0.0 to 1.0."""

from __future__ import annotations

from asyncjobs.core.job import Status
from asyncjobs.http.dialects.dialect import Dialect, Route

DIALECT = Dialect(
    statuses={
        Status.PENDING: "pending",
        Status.IN_PROGRESS: "running",
        Status.COMPLETED: "completed",
        Status.FAILED: "failed",
        Status.CANCELLED: "failed",
    },
    routes=(
        Route(
            theirs="GET /api/v1/jobs/{asyncJobId}",
            ours="GET /jobs/{asyncJobId}",
            answer={
                "job": {
                    "id": "asyncJobId",
                    "job_type": "jobType",
                    "status": "status",
                    "progress": "progress",
                    "message": "message",
                    "result": "result",
                    "error": "error.message",
                    "created_at": "createdAt",
                    "updated_at": "updatedAt",
                }
            },
        ),
        Route(
            theirs="GET /api/v1/jobs/{asyncJobId}/result",
            ours="GET /jobs/{asyncJobId}/result",
            answer={"job_id": "asyncJobId", "status": "status", "result": "result", "error": "error.message"},
        ),
    ),
    job_type_routes="/api/v1",
    started={"job_id": "asyncJobId", "status": "status", "message": "started", "timestamp": "now"},
    error={"error": "code", "message": "message", "timestamp": "now"},
    most_progress=1,
    whole_seconds=True,
    messages={
        "": "Job started",
        "refreshcache": "Cache refresh job started",
        "refreshref": "Refresh ref job started",
        "uploadall": "Upload all job started",
        "search": "Search job started",
        "subjectdata": "Get subject data job started",
    },
    error_messages={
        "JOB_CREATION_FAILED": "Another operation is already running",
        "JOB_NOT_FOUND": "Job with ID {id} not found",
        "JOB_NOT_COMPLETED": "Job {id} is not yet completed",
    },
)
