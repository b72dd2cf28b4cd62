"""The dialect `tracking`: jobs that are tracked here and done elsewhere; and the file upload from before, which is a job here."""

from __future__ import annotations

from typing import Any

from asyncjobs.core.job import Status
from asyncjobs.http.dialects.dialect import Dialect, Form, Route, Shape, Words

_STATUSES = {
    Status.PENDING: "queued",
    Status.IN_PROGRESS: "processing",
    Status.COMPLETED: "completed",
    Status.FAILED: "error",
    Status.CANCELLED: "error",
}
_OURS = {"processing": Status.IN_PROGRESS, "completed": Status.COMPLETED, "error": Status.FAILED}


def _document_id(word: Words) -> Any:
    if word("resultType") is None:
        return None  # the job has not completed
    return (word("result.documentId") if word("resultType") == "INLINE" else None) or word("metadata.documentId")


def _report(body: dict[str, Any]) -> dict[str, Any]:
    """Return our report for a worker's update."""
    report = dict(body)
    status = report.get("status")
    if isinstance(status, str):
        report["status"] = status = _OURS.get(status, status)
    if "documentId" in report:
        report["result"] = {"documentId": report.pop("documentId")}
    if status == Status.FAILED:
        # With only a message, that is the reason.
        report["error"] = {"message": report.get("error") or report.get("message")}
    return report


def _submit(form: Form) -> dict[str, Any]:
    """Return the submit for a file that comes with it: its text is extracted here."""
    _, _, upload_id = form.key.partition("/")
    return {
        "jobType": "document.extract",
        "input": {"key": form.key},
        "message": "Upload queued",
        "metadata": {**form.fields, "fileName": form.file_name, "fileSize": form.size, "documentId": upload_id},
    }


_JOB: Shape = {
    "status": "status",
    "message": lambda word: word("message") or "",
    "progress": "progress",
    "documentId?": _document_id,
    "error?": "error.message",
    "timestamp": "updatedAt",
}

DIALECT = Dialect(
    statuses=_STATUSES,
    routes=(
        Route(theirs="POST /api/jobs", ours="POST /jobs", rewrite=dict, form=_submit),
        Route(theirs="GET /api/jobs/{asyncJobId}", ours="GET /jobs/{asyncJobId}", answer=_JOB),
        Route(theirs="PATCH /api/jobs/{asyncJobId}", ours="PATCH /jobs/{asyncJobId}", answer=_JOB, rewrite=_report),
    ),
    started={"jobId": "asyncJobId", "status": "status", "timestamp": "createdAt"},
    error={"error": "message"},
    error_messages={"JOB_NOT_FOUND": "Job not found"},
)
