"""Problems that say how a job ended: what they mean for the caller."""

from __future__ import annotations

from asyncjobs_client.errors import ApiError, JobCancelled, JobError, JobFailed
from asyncjobs_client.snapshot import Snapshot


def ended_of(error: ApiError, job_id: str | None) -> JobError | None:
    """Return the end of the job that a problem reports, if it reports one.

    A submit that waited, a result and a worker's report have it as a problem instead of a record.
    """
    found = error.job_id or job_id
    if found is None:
        return None
    record = {"asyncJobId": found, "error": error.problem.get("error")}
    match error.code:
        case "JOB_CANCELLED":
            return JobCancelled(Snapshot({**record, "status": "CANCELLED"}))
        case "JOB_FAILED" | "INVALID_INPUT" if record["error"]:
            return JobFailed(Snapshot({**record, "status": "FAILED"}))
    return None
