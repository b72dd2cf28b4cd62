"""The HTTP contract: what is called by which route, and what it is answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from asyncjobs.core.clock import Clock, rfc3339
from asyncjobs.core.durations import Durations
from asyncjobs.core.errors import AsyncJobsError, InvalidInput
from asyncjobs.core.job import AsyncJob, JobKey, Status
from asyncjobs.estimates.poll_schedule import estimated_end, retry_after
from asyncjobs.http.job_routes import BASE_PATH, input_of, route_key
from asyncjobs.http.parse import (
    body_schema,
    cursor_of,
    job_id_of,
    jobs_query,
    report_of,
    submit_request,
    upload_request,
    wait_of,
    worker_token_of,
)
from asyncjobs.http.problems import to_problem
from asyncjobs.http.render import error_body, job_body, job_type_body, rate_headers
from asyncjobs.http.request import (
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
from asyncjobs.jobtypes.catalog import openapi_text
from asyncjobs.jobtypes.decorator import JobType
from asyncjobs.service.commands import Commands, SubmitRequest
from asyncjobs.service.long_poll import MAX_WAIT
from asyncjobs.service.queries import Queries

Answer = dict[str, Any]
Route = Callable[[Request], Answer]
Estimates = Callable[[str], Durations | None]
"""The durations of past jobs of a type; None when they are unavailable."""


class Api:
    """Answers requests by a table of routes. Each of our errors becomes a problem."""

    def __init__(self, routes: Mapping[str, Route]) -> None:
        self._routes = routes

    def handle(self, event: Mapping[str, Any]) -> Answer:
        """The answer to an HTTP API event (payload format 2.0). What it does not know as an error, it lets through."""
        request = Request.of(event)
        try:
            request.check_accept()
            return self._routes[request.route](request)
        except AsyncJobsError as error:
            return problem_answer(to_problem(error), request.request_id)


def commands_api(commands: Commands, *, clock: Clock, max_retention: timedelta, job_types: Iterable[JobType] = ()) -> Api:
    """The routes that change something, those of the job types among them."""
    schema = body_schema(max_retention)

    def submit(request: Request) -> Answer:
        asked = submit_request(request.json(), schema, clock() + max_retention)
        return _submission_answer(commands, clock, request, asked)

    def cancel(request: Request) -> Answer:
        return _job_answer(200, commands.cancel(request.owner, job_id_of(request)), clock())

    def retry(request: Request) -> Answer:
        return _job_answer(202, commands.retry(request.owner, job_id_of(request)), clock())

    def delete(request: Request) -> Answer:
        commands.delete(request.owner, job_id_of(request))
        return no_content()

    def upload(request: Request) -> Answer:
        owner, (content_type, size) = request.owner, upload_request(request.json())
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
        key = JobKey(request.owner, job_id_of(request))
        return answer(200, job_body(commands.reports.by_owner(key, report_of(request.json()))))

    def report(request: Request) -> Answer:
        token, async_job_id = worker_token_of(request), request.path.get("asyncJobId", "")
        return answer(200, job_body(commands.reports.by_worker(async_job_id, token, report_of(request.json()))))

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
        **rate_headers(submission.quota),
    }
    if submission.replayed:
        headers["idempotency-replayed"] = "true"
    if job.status is Status.FAILED and (wait or not submission.replayed):
        raise _failed_while_waited_for(job, headers)
    token = submission.worker_token
    secret = {} if token is None else {"workerToken": token.text}
    return _job_answer(200 if job.is_finished else 202, job, clock(), headers, extra=secret)


def _result_answer(commands: Commands, clock: Clock, request: Request, asked: SubmitRequest) -> Answer:
    began = clock()
    submission = commands.submit(request.owner, asked, idempotency_key=request.idempotency_key)
    job = commands.wait(submission.job, began + MAX_WAIT - clock())
    headers = {"location": f"{BASE_PATH}/jobs/{job.async_job_id}", **rate_headers(submission.quota)}
    if job.status is not Status.COMPLETED:
        raise _no_result_in_time(job, clock(), headers)
    if job.result is None or job.result.text is None:
        headers["location"] += "/result"
        return answer(303, {"location": headers["location"]}, headers=headers)
    return answer(200, text=job.result.text, headers=headers)


def queries_api(queries: Queries, *, clock: Clock, estimate: Estimates = lambda _: None) -> Api:
    """The routes that only look. `outlook` is asked about the types of jobs that have not ended."""

    def job(request: Request) -> Answer:
        return _news_answer(queries, clock, request, estimate)

    def result(request: Request) -> Answer:
        job = queries.job(request.owner, job_id_of(request))
        if job.status is not Status.COMPLETED:
            raise _no_result(job, clock(), estimate)
        link = queries.link(job)
        if link is not None:
            return answer(303, {"location": link}, headers={"location": link})
        return answer(200, text=job.result.text if job.result else None)

    def jobs(request: Request) -> Answer:
        owner = request.owner
        query = jobs_query(owner, request.query)
        page = queries.jobs(owner, query)
        cursor = None if page.next is None else cursor_of(owner, query, page.next)
        return answer(200, {"jobs": [job_body(job) for job in page.jobs], "nextCursor": cursor})

    def job_types(request: Request) -> Answer:
        _ = request.owner
        return answer(200, {"jobTypes": [job_type_body(job_type) for job_type in queries.job_types()]})

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


def _news_answer(queries: Queries, clock: Clock, request: Request, estimate: Estimates) -> Answer:
    """The job as it stands, or, for who waits, as soon as there is something about it that the caller does not know."""
    owner, async_job_id, wait = request.owner, job_id_of(request), wait_of(request.query)
    known = request.known_tags

    def is_news(job: AsyncJob) -> bool:
        nonlocal known
        tag = entity_tag(job_body(job))
        # Who does not say what it knows, is told of what changes from now on.
        known = known or frozenset({tag})
        return job.is_finished or tag not in known

    job = queries.wait_for_job(owner, async_job_id, is_news, wait) if wait else queries.job(owner, async_job_id)
    tag = entity_tag(job_body(job))
    # Weak while what moves with each look may be told besides: an estimate of its end, how many wait.
    etag = tag if job.is_finished else f"W/{tag}"
    if request.known_tags & {tag, "*"}:
        return not_modified({"etag": etag, **_polling(job, clock(), estimate)})
    # Who has waited does not wait for the queue's answer besides; it would not fit into the function's time, either.
    depth = None if wait else queries.queue_depth(job)
    moving = {} if depth is None else {"queueDepth": depth}
    return _job_answer(200, job, clock(), {"etag": etag}, estimate=estimate, extra=moving)


def _job_answer(
    status: int,
    job: AsyncJob,
    now: datetime,
    headers: Mapping[str, str] | None = None,
    *,
    estimate: Estimates = lambda _: None,
    extra: Mapping[str, Any] | None = None,
) -> Answer:
    """`besides` is what this answer tells of the job that is no part of its entity."""
    polling, body = dict[str, str](), job_body(job)
    if not job.is_finished:
        past = estimate(job.job_type)
        polling = {"retry-after": str(retry_after(job, now, past))}
        body["estimatedEndAt"] = (end := estimated_end(job, now, past)) and rfc3339(end)
    return answer(status, {**body, **(extra or {})}, headers={**polling, **(headers or {})})


def _polling(job: AsyncJob, now: datetime, estimate: Estimates = lambda _: None) -> dict[str, str]:
    return {} if job.is_finished else {"retry-after": str(retry_after(job, now, estimate(job.job_type)))}


def _applied(preference: Preference, wait: timedelta) -> dict[str, str]:
    """What was made of the client's preference (RFC 7240 3): the wait, perhaps shortened, or the promise not to wait."""
    if wait:
        return {"preference-applied": f"wait={wait // timedelta(seconds=1)}"}
    return {"preference-applied": "respond-async"} if preference.respond_async else {}


def _no_result_in_time(job: AsyncJob, now: datetime, headers: Mapping[str, str]) -> Problem:
    """For who waited for a bare result: why there is none, and where the job is that goes on."""
    if job.status is Status.FAILED:
        return _failed_while_waited_for(job, headers)
    code, title, detail = _ENDED_WITHOUT_RESULT.get(job.status, _NOT_COMPLETED)
    status = 409 if job.is_finished else 504
    return Problem(status, code, title, detail, headers={**headers, **_polling(job, now)}, asyncJobId=job.async_job_id)


def _failed_while_waited_for(job: AsyncJob, headers: Mapping[str, str]) -> Problem:
    code, title, detail = _ENDED_WITHOUT_RESULT[Status.FAILED]
    return Problem(500, code, title, detail, headers=headers, asyncJobId=job.async_job_id, error=error_body(job))


_NOT_COMPLETED = ("JOB_NOT_COMPLETED", "The job is not completed yet", "Ask again later: Retry-After says when.")
_ENDED_WITHOUT_RESULT = {
    Status.FAILED: ("JOB_FAILED", "The job failed", "There is no result; `error` says why."),
    Status.CANCELLED: ("JOB_CANCELLED", "The job was cancelled", "There is no result."),
}


def _no_result(job: AsyncJob, now: datetime, estimate: Estimates) -> Problem:
    code, title, detail = _ENDED_WITHOUT_RESULT.get(job.status, _NOT_COMPLETED)
    headers = _polling(job, now, estimate)
    return Problem(409, code, title, detail, headers=headers, asyncJobId=job.async_job_id, error=error_body(job))
