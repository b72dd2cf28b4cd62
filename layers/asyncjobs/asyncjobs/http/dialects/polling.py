"""The dialect `polling`: tasks whose status shows their input, with `SUCCESS` and `FAILURE`, in snake case."""

from __future__ import annotations

from asyncjobs.core.job import Status
from asyncjobs.http.dialects.dialect import Dialect, Route

DIALECT = Dialect(
    statuses={
        Status.PENDING: "PENDING",
        Status.IN_PROGRESS: "PROCESSING",
        Status.COMPLETED: "SUCCESS",
        Status.FAILED: "FAILURE",
        Status.CANCELLED: "CANCELLED",
    },
    routes=(
        Route(theirs="POST /api/v1/jobs", ours="POST /jobs", fields={"task_type": "jobType", "input_data": "input"}),
        Route(
            theirs="GET /api/v1/jobs/{asyncJobId}",
            ours="GET /jobs/{asyncJobId}",
            answer={
                "id": "asyncJobId",
                "status": "status",
                "task_type": "jobType",
                "progress": "progress",
                "input_data": "input",
                "result": "result",
                "error_message": "error.message",
                "created_at": "createdAt",
                "started_at": "startedAt",
                "completed_at": "endedAt",
            },
        ),
    ),
    job_type_routes="/api/v1",
    started={"job_id": "asyncJobId", "status": "status", "message": "started"},
    error={"detail": "message"},
    whole_seconds=True,
    messages={"": "Job started", "gemini_analysis": "Analysis started", "document.analyze": "Analysis started"},
    error_messages={"JOB_NOT_FOUND": "Job not found"},
)
