"""The HTTP contract: routes, what goes over the wire, and one table from our errors to answers."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from asyncjobs import schemas
from asyncjobs.catalogue import openapi_text
from asyncjobs.clock import Clock, epoch_milliseconds, from_epoch_milliseconds, rfc3339, to_milliseconds
from asyncjobs.errors import (
    AnotherIsRunning,
    AsyncJobsError,
    Busy,
    IdempotencyKeyReused,
    InputProblem,
    InvalidCursor,
    InvalidInput,
    InvalidReport,
    InvalidWorkerToken,
    JobAlreadyFinished,
    JobHasEnded,
    JobNotFinished,
    JobNotFound,
    JobNotRetryable,
    JobNotTracked,
    NotAdmitted,
    ResultTooLarge,
    SubmitRateExceeded,
    TooManyLiveJobs,
    Unavailable,
    UnknownJobType,
)
from asyncjobs.http import (
    Preference,
    Problem,
    Request,
    answer,
    entity_tag,
    invalid_request,
    no_content,
    not_modified,
    problem_answer,
)
from asyncjobs.lifecycle import MAX_MESSAGE_LENGTH, AsyncJob, JobKey, Priority, RetentionFrom, Status
from asyncjobs.objects import MAX_UPLOAD
from asyncjobs.polling import Outlook, forecast
from asyncjobs.registry import GENERIC, JobType
from asyncjobs.routes import input_of
from asyncjobs.service import Commands, JobsQuery, Queries, SubmitRequest, canonical_json
from asyncjobs.store import ListPosition
from asyncjobs.waiting import MAX_WAIT

if TYPE_CHECKING:
    from asyncjobs.rate import Quota
    from asyncjobs.reports import Report
    from asyncjobs.worker_token import WorkerToken

BASE_PATH = "/api/v1"
MAX_METADATA = 1024
"""Bytes. Metadata lies in the record, which is paid for by size with each write."""

Answer = dict[str, Any]
Route = Callable[[Request], Answer]
Outlooks = Callable[[str], Outlook | None]
"""What past jobs of a type tell; None when nothing."""

_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_RFC3339 = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$")
_WAIT = re.compile(r"1?[0-9]|20")
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


def commands_api(commands: Commands, *, clock: Clock, max_retention: timedelta, job_types: Iterable[JobType] = ()) -> Api:
    """The routes that change something, those of the job types among them."""
    schema = body_schema(max_retention)

    def submit(request: Request) -> Answer:
        asked = _submit_request(request.json(), schema, clock() + max_retention)
        return _submission_answer(commands, clock, request, asked)

    def cancel(request: Request) -> Answer:
        return _job_answer(200, commands.cancel(request.owner, _job_id(request)), clock())

    def retry(request: Request) -> Answer:
        return _job_answer(202, commands.retry(request.owner, _job_id(request)), clock())

    def delete(request: Request) -> Answer:
        commands.delete(request.owner, _job_id(request))
        return no_content()

    def upload(request: Request) -> Answer:
        owner, asked = request.owner, _checked("POST /uploads", UPLOAD_SCHEMA, request.json())
        content_type, size = asked.get("contentType", "application/octet-stream"), int(asked["contentLength"])
        made = commands.upload(owner, content_type=content_type, size=size)
        body = {
            "key": made.key,
            "url": made.url,
            "method": "PUT",
            "headers": {"content-type": content_type, "content-length": str(size)},
            "expiresAt": rfc3339(made.expires_at),
        }
        return answer(201, body)

    def update(request: Request) -> Answer:
        key = JobKey(request.owner, _job_id(request))
        return answer(200, _job_body(commands.reports.by_owner(key, _report(request.json()))))

    def report(request: Request) -> Answer:
        token, async_job_id = _worker_token(request), request.path.get("asyncJobId", "")
        return answer(200, _job_body(commands.reports.by_worker(async_job_id, token, _report(request.json()))))

    return Api(
        {
            **_own_routes(commands, clock, job_types),
            f"POST {BASE_PATH}/jobs": submit,
            f"POST {BASE_PATH}/uploads": upload,
            f"POST {BASE_PATH}/jobs/{{asyncJobId}}/cancel": cancel,
            f"POST {BASE_PATH}/jobs/{{asyncJobId}}/retry": retry,
            f"DELETE {BASE_PATH}/jobs/{{asyncJobId}}": delete,
            f"PATCH {BASE_PATH}/jobs/{{asyncJobId}}": update,
            f"PATCH {BASE_PATH}/jobs/{{asyncJobId}}/report": report,
        }
    )


def _own_routes(commands: Commands, clock: Clock, job_types: Iterable[JobType]) -> dict[str, Route]:
    """The routes that job types declare: as `POST /jobs`, or for callers that wait for the bare result."""

    def answered(answer_to: Callable[[Commands, Clock, Request, SubmitRequest], Answer], job_type: JobType) -> Route:
        def handle(request: Request) -> Answer:
            asked = SubmitRequest(job_type=job_type.name, input=input_of(request, job_type.input_schema))
            try:
                return answer_to(commands, clock, request, asked)
            except InvalidInput as error:
                # The fields are the input itself: there is no `/input` before them.
                raise invalid_request(*error.problems) from error

        return handle

    routes: dict[str, Route] = {}
    for job_type in job_types:
        routes |= {route_key(route): answered(_submission_answer, job_type) for route in job_type.routes}
        routes |= {route_key(route): answered(_result_answer, job_type) for route in job_type.synchronous_routes}
    return routes


def _submission_answer(commands: Commands, clock: Clock, request: Request, asked: SubmitRequest) -> Answer:
    preference, began = request.preference, clock()
    wait = min(timedelta(seconds=preference.wait_seconds or 0), MAX_WAIT)
    submission = commands.submit(
        request.owner,
        asked,
        idempotency_key=request.idempotency_key,
        in_background=preference.respond_async and not wait,
    )
    job = commands.wait(submission.job, began + wait - clock()) if wait else submission.job
    headers = {
        "location": f"{BASE_PATH}/jobs/{job.async_job_id}",
        "vary": "Prefer",
        **_applied(preference, wait),
        **_rate_headers(submission.quota),
    }
    if submission.replayed:
        headers["idempotency-replayed"] = "true"
    if job.status is Status.FAILED and (wait or not submission.replayed):
        raise _failed_while_waited_for(job, headers)
    token = submission.worker_token
    secret = {} if token is None else {"workerToken": token.text}
    return _job_answer(200 if job.is_finished else 202, job, clock(), headers, besides=secret)


def _result_answer(commands: Commands, clock: Clock, request: Request, asked: SubmitRequest) -> Answer:
    began = clock()
    submission = commands.submit(request.owner, asked, idempotency_key=request.idempotency_key)
    job = commands.wait(submission.job, began + MAX_WAIT - clock())
    headers = {"location": f"{BASE_PATH}/jobs/{job.async_job_id}", **_rate_headers(submission.quota)}
    if job.status is not Status.COMPLETED:
        raise _no_result_in_time(job, clock(), headers)
    if job.result is None or job.result.text is None:
        headers["location"] += "/result"
        return answer(303, {"location": headers["location"]}, headers=headers)
    return answer(200, text=job.result.text, headers=headers)


def queries_api(queries: Queries, *, clock: Clock, outlook: Outlooks = lambda _: None) -> Api:
    """The routes that only look. `outlook` is asked about the types of jobs that have not ended."""

    def job(request: Request) -> Answer:
        return _news_answer(queries, clock, request, outlook)

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

    def openapi(_request: Request) -> Answer:
        return answer(200, text=openapi_text(), headers={"cache-control": "public, max-age=300"})

    return Api(
        {
            f"GET {BASE_PATH}/jobs/{{asyncJobId}}": job,
            f"GET {BASE_PATH}/jobs/{{asyncJobId}}/result": result,
            f"GET {BASE_PATH}/jobs": jobs,
            f"GET {BASE_PATH}/job-types": job_types,
            f"GET {BASE_PATH}/health": health,
            f"GET {BASE_PATH}/openapi.json": openapi,
        }
    )


def _news_answer(queries: Queries, clock: Clock, request: Request, outlook: Outlooks) -> Answer:
    """The job as it stands, or, for who waits, as soon as there is something about it that the caller does not know."""
    owner, async_job_id, wait = request.owner, _job_id(request), _wait(request.query)
    known = request.known_tags

    def is_news(job: AsyncJob) -> bool:
        nonlocal known
        tag = entity_tag(_job_body(job))
        # Who does not say what it knows, is told of what changes from now on.
        known = known or frozenset({tag})
        return job.is_finished or tag not in known

    job = queries.job_once(owner, async_job_id, is_news, wait) if wait else queries.job(owner, async_job_id)
    tag = entity_tag(_job_body(job))
    # Weak while what moves with each look may be told besides: an estimate of its end, how many wait.
    etag = tag if job.is_finished else f"W/{tag}"
    if request.known_tags & {tag, "*"}:
        return not_modified({"etag": etag, **_polling(job, clock(), outlook)})
    # Who has waited does not wait for the queue's answer besides; it would not fit into the function's time, either.
    depth = None if wait else queries.queue_depth(job)
    moving = {} if depth is None else {"queueDepth": depth}
    return _job_answer(200, job, clock(), {"etag": etag}, outlook=outlook, besides=moving)


# ── From the wire ──────────────────────────────────────────────────────────────────────────────────


def body_schema(max_retention: timedelta) -> Mapping[str, Any]:
    """What the body of a submit must look like, whatever the job type."""
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "jobType": {"type": "string", "minLength": 1, "maxLength": 50},
            "input": {},
            "metadata": {"type": "object"},
            "message": {"type": "string", "maxLength": MAX_MESSAGE_LENGTH},
            "priority": {"enum": [each.value for each in Priority]},
            "delaySeconds": {"type": "integer", "minimum": 0, "maximum": int(max_retention.total_seconds())},
            "notBefore": {"type": "string", "pattern": _RFC3339.pattern},
            "retentionFrom": {"enum": [each.value for each in RetentionFrom]},
            "retentionSeconds": {"type": "integer", "minimum": 60, "maximum": int(max_retention.total_seconds())},
        },
    }


UPLOAD_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["contentLength"],
    "properties": {
        "contentType": {
            "type": "string",
            "maxLength": 100,
            # RFC 9110 8.3, and nothing that could end a header.
            "pattern": "^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(; ?[A-Za-z0-9-]+=[A-Za-z0-9._-]+)?$",
        },
        "contentLength": {"type": "integer", "minimum": 1, "maximum": MAX_UPLOAD},
    },
}


def _checked(what: str, schema: Mapping[str, Any], body: Any) -> Any:
    """The body, if it fits. Raises a `Problem` (400) that names each place where it does not."""
    try:
        schemas.check(what, schema, body)
    except InvalidInput as error:
        raise invalid_request(*error.problems) from error
    return body


def _submit_request(body: Any, schema: Mapping[str, Any], latest: datetime) -> SubmitRequest:
    _checked("POST /jobs", schema, body)
    if len(canonical_json(body.get("metadata"))) > MAX_METADATA:
        raise invalid_request(InputProblem("/metadata", f"is larger than {MAX_METADATA} bytes; put large data into the input"))
    not_before = _not_before(body, latest)
    retention = body.get("retentionSeconds")
    return SubmitRequest(
        job_type=body.get("jobType", GENERIC),
        input=body.get("input", {}),
        metadata=body.get("metadata"),
        message=body.get("message"),
        priority=Priority(body["priority"]) if "priority" in body else None,
        delay=timedelta(seconds=int(body.get("delaySeconds", 0))),
        not_before=not_before,
        retention=None if retention is None else timedelta(seconds=int(retention)),
        retention_from=RetentionFrom(body["retentionFrom"]) if "retentionFrom" in body else None,
    )


def route_key(route: str) -> str:
    """A job type's route as the gateway names it."""
    method, _, path = route.partition(" ")
    return f"{method} {BASE_PATH}{path}"


def _not_before(body: Mapping[str, Any], latest: datetime) -> datetime | None:
    """When the job may start, from `notBefore`; not later than the longest delay ends."""
    if "notBefore" not in body:
        return None
    if "delaySeconds" in body:
        raise invalid_request(InputProblem("/notBefore", "goes without `delaySeconds`: give one of the two"))
    try:
        not_before = to_milliseconds(datetime.fromisoformat(body["notBefore"]).astimezone(UTC))
    except (ValueError, OverflowError) as error:
        raise invalid_request(InputProblem("/notBefore", "is no instant of the calendar")) from error
    if not_before > latest:
        raise invalid_request(InputProblem("/notBefore", f"is later than {rfc3339(latest)}, the latest a job may start"))
    return not_before


def _report(body: Any) -> Report:
    from asyncjobs.reports import Report  # noqa: PLC0415 - only a report pays for it

    return Report.of(body)


def _worker_token(request: Request) -> WorkerToken:
    from asyncjobs.worker_token import WorkerToken  # noqa: PLC0415 - only a report pays for it

    token = WorkerToken.parse(request.bearer or "")
    if token is None:
        raise InvalidWorkerToken
    return token


def _job_id(request: Request) -> str:
    async_job_id = request.path.get("asyncJobId", "")
    if not _UUID4.fullmatch(async_job_id):
        raise JobNotFound
    return async_job_id


def _wait(parameters: Mapping[str, str]) -> timedelta:
    problems = [InputProblem(f"/{name}", "is not a parameter of this call") for name in parameters if name != "wait"]
    seconds = parameters.get("wait", "0")
    if not _WAIT.fullmatch(seconds):
        problems.append(InputProblem("/wait", "must be a whole number of seconds from 0 to 20"))
    if problems:
        raise invalid_request(*problems)
    return timedelta(seconds=int(seconds))


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
    besides: Mapping[str, Any] | None = None,
) -> Answer:
    """`besides` is what this answer tells of the job that is no part of its entity."""
    polling, body = dict[str, str](), _job_body(job)
    if not job.is_finished:
        expected = forecast(job, now, outlook(job.job_type))
        polling = {"retry-after": str(expected.retry_after)}
        body["estimatedEndAt"] = expected.estimated_end and rfc3339(expected.estimated_end)
    return answer(status, {**body, **(besides or {})}, headers={**polling, **(headers or {})})


def _polling(job: AsyncJob, now: datetime, outlook: Outlooks = lambda _: None) -> dict[str, str]:
    return {} if job.is_finished else {"retry-after": str(forecast(job, now, outlook(job.job_type)).retry_after)}


def _applied(preference: Preference, wait: timedelta) -> dict[str, str]:
    """What was made of the client's preference (RFC 7240 3): the wait, perhaps shortened, or the promise not to wait."""
    if wait:
        return {"preference-applied": f"wait={wait // timedelta(seconds=1)}"}
    return {"preference-applied": "respond-async"} if preference.respond_async else {}


def _job_body(job: AsyncJob) -> dict[str, Any]:
    result = job.result
    return {
        "asyncJobId": job.async_job_id,
        "jobType": job.job_type,
        "status": job.status.value,
        "priority": job.priority.value,
        "progress": job.progress,
        "message": job.message,
        "metadata": None if job.metadata is None else json.loads(job.metadata),
        "attempt": job.attempt,
        "maxAttempts": job.max_attempts,
        "createdAt": rfc3339(job.created_at),
        "updatedAt": rfc3339(job.updated_at),
        "startedAt": job.started_at and rfc3339(job.started_at),
        "endedAt": job.ended_at and rfc3339(job.ended_at),
        "estimatedEndAt": None,
        "recordExpiresAt": epoch_milliseconds(job.record_expires_at) // 1000,
        "resultType": job.result_type and job.result_type.value,
        "result": json.loads(result.text) if result and result.text is not None else None,
        "resultLocation": f"{BASE_PATH}/jobs/{job.async_job_id}/result" if result and result.text is None else None,
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
        "priority": job_type.priority.value,
        "tracked": job_type.tracked,
        "retentionSeconds": job_type.retention.total_seconds(),
    }


def _rate_headers(quota: Quota | None) -> dict[str, str]:
    """`RateLimit` and its policy (draft-ietf-httpapi-ratelimit-headers-10): `r` more at once, and another one in `t` seconds."""
    if quota is None:
        return {}
    return {
        "ratelimit-policy": f'"submit";q={quota.burst};w={_whole_seconds(quota.window)}',
        "ratelimit": f'"submit";r={quota.remaining};t={_whole_seconds(quota.next_token)}',
    }


def _whole_seconds(duration: timedelta) -> int:
    """Rounded up: who comes back then does not come too early."""
    return math.ceil(duration.total_seconds())


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
    JobNotFinished: (409, "JOB_NOT_FINISHED", "The job has not finished", "Cancel it first; then it can be deleted."),
    JobNotRetryable: (
        409,
        "JOB_NOT_RETRYABLE",
        "The job can not be retried",
        "Only a job that runs here, and failed or was cancelled, can be; submit another one instead.",
    ),
    JobAlreadyFinished: (409, "JOB_ALREADY_FINISHED", "The job has already finished", "A finished job cannot be cancelled."),
    AnotherIsRunning: (
        409,
        "JOB_CREATION_FAILED",
        "Another operation is already running",
        "The job was not accepted. Send it again when the running one has ended.",
    ),
    JobNotTracked: (409, "JOB_NOT_TRACKED", "The job is not tracked", "It runs here, and its own attempt reports of it."),
    InvalidWorkerToken: (
        401,
        "INVALID_WORKER_TOKEN",
        "The worker's token is not valid",
        "Send the `workerToken` of the answer that created this very job as `Authorization: Bearer`.",
    ),
    IdempotencyKeyReused: (
        422,
        "IDEMPOTENCY_KEY_REUSED",
        "The idempotency key was used for another request",
        "Use a new key for a new request; repeat a request with exactly the same body.",
    ),
    SubmitRateExceeded: (
        429,
        "SUBMIT_RATE_EXCEEDED",
        "You submit more often than you may",
        "The job was not accepted. Send it again: Retry-After says when.",
    ),
    TooManyLiveJobs: (
        429,
        "TOO_MANY_LIVE_JOBS",
        "Too many of your jobs are unfinished",
        "The job was not accepted. Send it again when one of yours has ended or was cancelled.",
    ),
    Busy: (503, "BUSY", "Too many jobs wait", "The job was not accepted. Send it again: Retry-After says when."),
    Unavailable: (503, "UNAVAILABLE", "Not available at the moment", "Nothing was changed that you cannot repeat: try again."),
}


_PROBLEM_HEADERS: Mapping[type[AsyncJobsError], Mapping[str, str]] = {
    Unavailable: {"retry-after": "2"},
    InvalidWorkerToken: {"www-authenticate": "Bearer"},
}


def _to_problem(error: AsyncJobsError) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, InvalidReport):
        return invalid_request(*error.problems)
    if isinstance(error, InvalidInput):
        problems = [InputProblem(f"/input{problem.pointer}", problem.detail) for problem in error.problems]
        return invalid_request(*problems)
    if isinstance(error, JobHasEnded):
        code = "JOB_CANCELLED" if error.status == Status.CANCELLED else "JOB_ALREADY_FINISHED"
        return Problem(
            409, code, "The job has ended", "Stop working on it: nothing changes it any more.", jobStatus=error.status
        )
    if isinstance(error, ResultTooLarge):
        detail = f"{error} Put it where its reader can fetch it, and report its https URL as `resultLocation`."
        return Problem(413, "RESULT_TOO_LARGE", "The result is too large", detail)
    if type(error) not in _PROBLEMS:
        raise error
    status, code, title, detail = _PROBLEMS[type(error)]
    headers = _PROBLEM_HEADERS.get(type(error), {})
    if isinstance(error, NotAdmitted):
        headers = {"retry-after": str(_whole_seconds(error.retry_after)), **_rate_headers(error.quota)}
    running = {"asyncJobId": error.async_job_id} if isinstance(error, AnotherIsRunning) and error.async_job_id else {}
    return Problem(status, code, title, detail, headers=headers, **running)


def _no_result_in_time(job: AsyncJob, now: datetime, headers: Mapping[str, str]) -> Problem:
    """For who waited for a bare result: why there is none, and where the job is that goes on."""
    if job.status is Status.FAILED:
        return _failed_while_waited_for(job, headers)
    code, title, detail = _ENDED_WITHOUT_RESULT.get(job.status, _NOT_COMPLETED)
    status = 409 if job.is_finished else 504
    return Problem(status, code, title, detail, headers={**headers, **_polling(job, now)}, asyncJobId=job.async_job_id)


def _failed_while_waited_for(job: AsyncJob, headers: Mapping[str, str]) -> Problem:
    code, title, detail = _ENDED_WITHOUT_RESULT[Status.FAILED]
    return Problem(500, code, title, detail, headers=headers, asyncJobId=job.async_job_id, error=_error_body(job))


_NOT_COMPLETED = ("JOB_NOT_COMPLETED", "The job is not completed yet", "Ask again later: Retry-After says when.")
_ENDED_WITHOUT_RESULT = {
    Status.FAILED: ("JOB_FAILED", "The job failed", "There is no result; `error` says why."),
    Status.CANCELLED: ("JOB_CANCELLED", "The job was cancelled", "There is no result."),
}


def _no_result(job: AsyncJob, now: datetime, outlook: Outlooks) -> Problem:
    code, title, detail = _ENDED_WITHOUT_RESULT.get(job.status, _NOT_COMPLETED)
    headers = _polling(job, now, outlook)
    return Problem(409, code, title, detail, headers=headers, asyncJobId=job.async_job_id, error=_error_body(job))
