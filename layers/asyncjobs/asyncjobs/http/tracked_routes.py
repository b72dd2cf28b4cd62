"""The operations on tracked jobs: reports by the job's owner or its worker, and new tokens for the worker."""

from __future__ import annotations

from asyncjobs.core.errors import InvalidWorkerToken, JobNotFound
from asyncjobs.http.answers import Answer, answer
from asyncjobs.http.api import Handlers
from asyncjobs.http.operations import Operation, Success, handlers_by_route, operations_of
from asyncjobs.http.render import job_body
from asyncjobs.http.request import Request
from asyncjobs.tracking.reports import Report, Reports
from asyncjobs.tracking.worker_token import WorkerToken

_REPORT = {"progress": 40, "message": "Reading page 2 of 5"}
_REPORT_ERRORS = ("JOB_ALREADY_FINISHED", "JOB_CANCELLED", "RESULT_TOO_LARGE", "UNAVAILABLE")


def tracked_handlers(reports: Reports) -> Handlers:
    """Return the handlers of the operations on tracked jobs."""
    return handlers_by_route(TrackedRoutes(reports), TRACKED)


class TrackedRoutes:
    """The operations on tracked jobs."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports

    @Operation(
        "PATCH /jobs/{asyncJobId}",
        body="Report",
        example=_REPORT,
        answers={200: Success("The job after the report.", "AsyncJob", links=("getJob",))},
        errors=("JOB_NOT_TRACKED", *_REPORT_ERRORS),
    )
    def update_job(self, request: Request) -> Answer:
        """Report on one of your tracked jobs."""
        key = request.job_key
        job = self._reports.by_owner(key, Report.of(request.json()))
        return answer(200, job_body(job, request.base))

    @Operation(
        "PATCH /jobs/{asyncJobId}/report",
        body="Report",
        example=_REPORT,
        answers={200: Success("The job after the report.", "AsyncJob")},
        errors=("INVALID_WORKER_TOKEN", *_REPORT_ERRORS),
        security="workerToken",
    )
    def report_job(self, request: Request) -> Answer:
        """Report on a tracked job as its worker.

        Send the latest `workerToken` of the job, as `Authorization: Bearer`.
        """
        token = WorkerToken.parse(request.bearer or "")
        try:
            async_job_id = request.job_id
        except JobNotFound as error:
            # The same answer as for a token that belongs to another job.
            raise InvalidWorkerToken from error
        if token is None:
            raise InvalidWorkerToken
        job = self._reports.by_worker(async_job_id, token, Report.of(request.json()))
        return answer(200, job_body(job, request.base))

    @Operation(
        "POST /jobs/{asyncJobId}/worker-token",
        answers={200: Success("The job, with the new `workerToken`.", "AsyncJob", links=("getJob",))},
        errors=("JOB_NOT_TRACKED", "JOB_ALREADY_FINISHED", "UNAVAILABLE"),
    )
    def issue_worker_token(self, request: Request) -> Answer:
        """Issue a new token for the worker of a tracked job.

        Use it when a token is lost or stolen: no earlier token is valid any more.
        """
        job, token = self._reports.issue_token(request.job_key)
        return answer(200, {**job_body(job, request.base), "workerToken": token.text})


TRACKED = operations_of(TrackedRoutes)
