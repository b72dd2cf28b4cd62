"""The HTTP contract: routes, what goes over the wire, and one table from our errors to answers."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from asyncjobs import schemas
from asyncjobs.clock import Clock, epoch_milliseconds, from_epoch_milliseconds, rfc3339
from asyncjobs.errors import (
    AsyncJobsError,
    IdempotencyKeyReused,
    InputProblem,
    InvalidCursor,
    InvalidInput,
    JobAlreadyFinished,
    JobNotFound,
    Unavailable,
    UnknownJobType,
)
from asyncjobs.http import Problem, Request, answer, invalid_request, problem_answer
from asyncjobs.lifecycle import MAX_MESSAGE_LENGTH, AsyncJob, Status
from asyncjobs.polling import Outlook, forecast
from asyncjobs.queue import MAX_DELAY
from asyncjobs.registry import JobType
from asyncjobs.service import Commands, JobsQuery, Queries, SubmitRequest, canonical_json
from asyncjobs.store import ListPosition

BASE_PATH = "/api/v1"
MAX_METADATA = 1024
"""Bytes. Metadata lies in the record, which is paid for by size with each write."""

Answer = dict[str, Any]
Route = Callable[[Request], Answer]
Outlooks = Callable[[str], Outlook | None]
"""What past jobs of a type tell; None when nothing."""

_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_PAGE_SIZE = re.compile(r"[1-9][0-9]?|100")


class Api:
    """Answers requests by a table of routes. Each of our errors becomes the answer that `_PROBLEMS` gives it."""

    def __init__(self, routes: Mapping[str, Route]) -> None:
        self._routes = routes

    def handle(self, event: Mapping[str, Any]) -> Answer:
        """The answer to an HTTP API event (payload format 2.0). What it does not know as an error, it lets through."""
        request = Request.of(event)
        try:
            request.check_accept()
            return self._routes[request.route](request)
        except AsyncJobsError as error:
            return problem_answer(_to_problem(error), request.request_id)


def commands_api(commands: Commands, *, clock: Clock, max_retention: timedelta) -> Api:
    """The routes that change something."""
    body_schema = _body_schema(max_retention)

    def submit(request: Request) -> Answer:
        owner, idempotency_key, body = request.owner, request.idempotency_key, request.json()
        submission = commands.submit(owner, _submit_request(body, body_schema), idempotency_key=idempotency_key)
        job = submission.job
        headers = {"location": f"{BASE_PATH}/jobs/{job.async_job_id}"}
        if submission.replayed:
            headers["idempotency-replayed"] = "true"
        return _job_answer(200 if job.is_finished else 202, job, clock(), headers)

    def cancel(request: Request) -> Answer:
        return _job_answer(200, commands.cancel(request.owner, _job_id(request)), clock())

    return Api({f"POST {BASE_PATH}/jobs": submit, f"POST {BASE_PATH}/jobs/{{asyncJobId}}/cancel": cancel})


def queries_api(queries: Queries, *, clock: Clock, outlook: Outlooks = lambda _: None) -> Api:
    """The routes that only look. `outlook` is asked about the types of jobs that have not ended."""

    def job(request: Request) -> Answer:
        job = queries.job(request.owner, _job_id(request))
        return _job_answer(200, job, clock(), outlook=outlook)

    def result(request: Request) -> Answer:
        job = queries.job(request.owner, _job_id(request))
        if job.status is not Status.COMPLETED:
            raise _no_result(job, clock(), outlook)
        link = queries.link(job)
        if link is not None:
            return answer(303, {"location": link}, headers={"location": link})
        return answer(200, text=job.result.text if job.result else None)

    def jobs(request: Request) -> Answer:
        owner = request.owner
        query = _jobs_query(owner, request.query)
        page = queries.jobs(owner, query)
        cursor = None if page.next is None else _cursor(owner, query, page.next)
        return answer(200, {"jobs": [_job_body(job) for job in page.jobs], "nextCursor": cursor})

    def job_types(request: Request) -> Answer:
        _ = request.owner
        return answer(200, {"jobTypes": [_job_type_body(job_type) for job_type in queries.job_types()]})

    def health(_request: Request) -> Answer:
        return answer(200, {"status": "ok"})

    return Api(
        {
            f"GET {BASE_PATH}/jobs/{{asyncJobId}}": job,
            f"GET {BASE_PATH}/jobs/{{asyncJobId}}/result": result,
            f"GET {BASE_PATH}/jobs": jobs,
            f"GET {BASE_PATH}/job-types": job_types,
            f"GET {BASE_PATH}/health": health,
        }
    )


# ── From the wire ──────────────────────────────────────────────────────────────────────────────────


def _body_schema(max_retention: timedelta) -> Mapping[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["jobType"],
        "properties": {
            "jobType": {"type": "string", "minLength": 1, "maxLength": 50},
            "input": {},
            "metadata": {"type": "object"},
            "message": {"type": "string", "maxLength": MAX_MESSAGE_LENGTH},
            "delaySeconds": {"type": "integer", "minimum": 0, "maximum": int(MAX_DELAY.total_seconds())},
            "retentionSeconds": {"type": "integer", "minimum": 60, "maximum": int(max_retention.total_seconds())},
        },
    }


def _submit_request(body: Any, schema: Mapping[str, Any]) -> SubmitRequest:
    try:
        schemas.check("POST /jobs", schema, body)
    except InvalidInput as error:
        raise invalid_request(*error.problems) from error
    if len(canonical_json(body.get("metadata"))) > MAX_METADATA:
        raise invalid_request(InputProblem("/metadata", f"is larger than {MAX_METADATA} bytes; put large data into the input"))
    retention = body.get("retentionSeconds")
    return SubmitRequest(
        job_type=body["jobType"],
        input=body.get("input", {}),
        metadata=body.get("metadata"),
        message=body.get("message"),
        delay=timedelta(seconds=int(body.get("delaySeconds", 0))),
        retention=None if retention is None else timedelta(seconds=int(retention)),
    )


def _job_id(request: Request) -> str:
    async_job_id = request.path.get("asyncJobId", "")
    if not _UUID4.fullmatch(async_job_id):
        raise JobNotFound
    return async_job_id


def _jobs_query(owner: str, parameters: Mapping[str, str]) -> JobsQuery:
    problems = [
        InputProblem(f"/{name}", "is not a parameter of this call")
        for name in parameters
        if name not in {"status", "jobType", "limit", "cursor"}
    ]
    status = parameters.get("status")
    if status is not None and status not in Status.__members__:
        problems.append(InputProblem("/status", f"must be one of {', '.join(Status)}"))
    limit = parameters.get("limit", "20")
    if not _PAGE_SIZE.fullmatch(limit):
        problems.append(InputProblem("/limit", "must be a whole number from 1 to 100"))
    if problems:
        raise invalid_request(*problems)
    query = JobsQuery(status=None if status is None else Status(status), job_type=parameters.get("jobType"), limit=int(limit))
    if "cursor" not in parameters:
        return query
    after = _read_cursor(owner, query, parameters["cursor"])
    return JobsQuery(status=query.status, job_type=query.job_type, limit=query.limit, after=after)


def _cursor(owner: str, query: JobsQuery, position: ListPosition) -> str:
    """A place in a list, opaque to the client.

    It needs no secret: it holds no owner, so whatever is in it can only lead to a place in the caller's own list. The
    checksum is there to tell a cursor that was damaged, or made for another list, from a good one.
    """
    place = [epoch_milliseconds(position.created_at), position.async_job_id]
    return base64.urlsafe_b64encode(json.dumps([*place, _checksum(owner, query, place)]).encode()).decode().rstrip("=")


def _read_cursor(owner: str, query: JobsQuery, cursor: str) -> ListPosition:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        milliseconds, async_job_id, _checksum_there = json.loads(text)
        position = ListPosition(from_epoch_milliseconds(milliseconds), async_job_id)
        is_genuine = _UUID4.fullmatch(async_job_id) and _cursor(owner, query, position) == cursor
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidCursor from error
    if not is_genuine:
        raise InvalidCursor
    return position


def _checksum(owner: str, query: JobsQuery, place: list[Any]) -> str:
    return hashlib.sha256(canonical_json([owner, query.status, query.job_type, place])).hexdigest()[:16]


# ── To the wire ────────────────────────────────────────────────────────────────────────────────────


def _job_answer(
    status: int,
    job: AsyncJob,
    now: datetime,
    headers: Mapping[str, str] | None = None,
    *,
    outlook: Outlooks = lambda _: None,
) -> Answer:
    if job.is_finished:
        return answer(status, _job_body(job), headers=headers)
    expected = forecast(job, now, outlook(job.job_type))
    body = _job_body(job, estimated_end=expected.estimated_end)
    return answer(status, body, headers={"retry-after": str(expected.retry_after), **(headers or {})})


def _job_body(job: AsyncJob, *, estimated_end: datetime | None = None) -> dict[str, Any]:
    result = job.result
    return {
        "asyncJobId": job.async_job_id,
        "jobType": job.job_type,
        "status": job.status.value,
        "progress": job.progress,
        "message": job.message,
        "metadata": None if job.metadata is None else json.loads(job.metadata),
        "attempt": job.attempt,
        "maxAttempts": job.max_attempts,
        "createdAt": rfc3339(job.created_at),
        "updatedAt": rfc3339(job.updated_at),
        "startedAt": job.started_at and rfc3339(job.started_at),
        "endedAt": job.ended_at and rfc3339(job.ended_at),
        "estimatedEndAt": estimated_end and rfc3339(estimated_end),
        "recordExpiresAt": epoch_milliseconds(job.record_expires_at) // 1000,
        "resultType": job.result_type and job.result_type.value,
        "result": json.loads(result.text) if result and result.text is not None else None,
        "resultLocation": f"{BASE_PATH}/jobs/{job.async_job_id}/result" if result and result.location else None,
        "error": _error_body(job),
    }


def _error_body(job: AsyncJob) -> dict[str, Any] | None:
    error = job.error
    if error is None:
        return None
    return {"code": error.code, "message": error.message, "type": error.type, "retryable": error.retryable}


def _job_type_body(job_type: JobType) -> dict[str, Any]:
    return {
        "jobType": job_type.name,
        "description": job_type.description,
        "inputSchema": job_type.input_schema,
        "outputSchema": job_type.output_schema,
        "expectedSeconds": job_type.expected.total_seconds(),
        "timeoutSeconds": job_type.time_limit.total_seconds(),
        "maxAttempts": job_type.max_attempts,
        "retentionSeconds": job_type.retention.total_seconds(),
    }


# ── Errors ─────────────────────────────────────────────────────────────────────────────────────────

_PROBLEMS: Mapping[type[AsyncJobsError], tuple[int, str, str, str]] = {
    UnknownJobType: (400, "UNKNOWN_JOB_TYPE", "There is no such job type", "GET /api/v1/job-types lists those there are."),
    InvalidCursor: (
        400,
        "INVALID_CURSOR",
        "The cursor is not valid",
        "Begin again without one; send it with the same filters.",
    ),
    JobNotFound: (404, "JOB_NOT_FOUND", "There is no such job", "It does not exist, is not yours, or has expired."),
    JobAlreadyFinished: (409, "JOB_ALREADY_FINISHED", "The job has already finished", "A finished job cannot be cancelled."),
    IdempotencyKeyReused: (
        422,
        "IDEMPOTENCY_KEY_REUSED",
        "The idempotency key was used for another request",
        "Use a new key for a new request; repeat a request with exactly the same body.",
    ),
    Unavailable: (503, "UNAVAILABLE", "Not available at the moment", "Nothing was changed that you cannot repeat: try again."),
}


def _to_problem(error: AsyncJobsError) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, InvalidInput):
        problems = [InputProblem(f"/input{problem.pointer}", problem.detail) for problem in error.problems]
        return invalid_request(*problems)
    if type(error) not in _PROBLEMS:
        raise error
    status, code, title, detail = _PROBLEMS[type(error)]
    headers = {"retry-after": "2"} if isinstance(error, Unavailable) else {}
    return Problem(status, code, title, detail, headers=headers)


_NOT_COMPLETED = ("JOB_NOT_COMPLETED", "The job is not completed yet", "Ask again later: Retry-After says when.")
_ENDED_WITHOUT_RESULT = {
    Status.FAILED: ("JOB_FAILED", "The job failed", "There is no result; `error` says why."),
    Status.CANCELLED: ("JOB_CANCELLED", "The job was cancelled", "There is no result."),
}


def _no_result(job: AsyncJob, now: datetime, outlook: Outlooks) -> Problem:
    code, title, detail = _ENDED_WITHOUT_RESULT.get(job.status, _NOT_COMPLETED)
    headers = {} if job.is_finished else {"retry-after": str(forecast(job, now, outlook(job.job_type)).retry_after)}
    return Problem(409, code, title, detail, headers=headers, asyncJobId=job.async_job_id, error=_error_body(job))
