"""The operations that read: one job, its input and result, a list of jobs, the job types, and the API itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from asyncjobs.core.clock import Clock
from asyncjobs.core.job import AsyncJob, Status
from asyncjobs.http.answers import Answer, answer, entity_tag, not_modified
from asyncjobs.http.api import Handlers
from asyncjobs.http.compression import compressed
from asyncjobs.http.cursor import to_cursor
from asyncjobs.http.job_answers import PastDurations, job_answer, no_result, none_known, polling_headers, wait_applied
from asyncjobs.http.operations import Operation, Success, handlers_by_route, operations_of
from asyncjobs.http.parameters import jobs_query, wait_of
from asyncjobs.http.problems import Problem
from asyncjobs.http.render import job_body, job_tag, job_type_body
from asyncjobs.http.request import Request
from asyncjobs.http.schemas import ANY_OBJECT, NOT_EMPTY, STRING, URI, Schema, answer_object, described, header, query, ref
from asyncjobs.jobtypes.catalog import ASYNCAPI, OPENAPI, document_text
from asyncjobs.jobtypes.json_schema import nullable
from asyncjobs.service.queries import Queries

JOBS_PAGE = Schema(
    "JobsPage",
    answer_object(
        "A page of a list of jobs.",
        {
            "jobs": {"type": "array", "items": ref("AsyncJob")},
            "nextCursor": described("The cursor of the next page; null at the end of the list.", nullable(STRING)),
        },
    ),
)
INPUT = Schema("Input", {"description": "The input of a job: any JSON value that its type allowed when it was submitted."})
RESULT_LINK = Schema("ResultLink", answer_object("The URL in `Location`.", {"location": URI}))
JOB_TYPES = Schema("JobTypes", answer_object("All job types.", {"jobTypes": {"type": "array", "items": ref("JobType")}}))
HEALTH = Schema("Health", answer_object("The API answers.", {"status": {"const": "ok"}}))
OPEN_API = Schema(
    "OpenApi",
    answer_object(
        "An OpenAPI 3.1 document.",
        {
            "openapi": STRING,
            "info": ANY_OBJECT,
            "servers": {"type": "array", "items": ANY_OBJECT},
            "security": {"type": "array", "items": ANY_OBJECT},
            "paths": ANY_OBJECT,
            "webhooks": ANY_OBJECT,
            "components": ANY_OBJECT,
        },
        optional=("servers", "security", "webhooks", "components"),
    ),
)
ASYNC_API = Schema(
    "AsyncApi",
    answer_object(
        "An AsyncAPI 3.0 document.",
        {
            "asyncapi": STRING,
            "info": ANY_OBJECT,
            "defaultContentType": STRING,
            "servers": ANY_OBJECT,
            "channels": ANY_OBJECT,
            "operations": ANY_OBJECT,
            "components": ANY_OBJECT,
        },
    ),
)


_VARY = described(
    "The answer depends on the `Accept-Encoding` header.", {"schema": {"const": "Accept-Encoding"}, "required": True}
)
_COPY = header("If-None-Match", "The `ETag` of your copy. The answer is 304 if it is current.", STRING)
_DOCUMENT_HEADERS: Any = {
    "always": ("Cache-Control", "ETag"),
    "headers": {
        "Vary": _VARY,
        "Content-Encoding": described("The coding of the body, if it is compressed.", {"schema": {"const": "gzip"}}),
    },
}
_NOT_CHANGED = Success("The document has not changed.", always=("Cache-Control", "ETag"), headers={"Vary": _VARY})


def query_handlers(queries: Queries, *, clock: Clock, durations_of: PastDurations = none_known) -> Handlers:
    """Return the handlers of the operations that read. Past durations estimate the end of a job that has not finished."""
    return handlers_by_route(QueryRoutes(queries, clock, durations_of), QUERIES)


class QueryRoutes:
    """The operations that read."""

    def __init__(self, queries: Queries, clock: Clock, durations_of: PastDurations) -> None:
        self._queries = queries
        self._clock = clock
        self._durations_of = durations_of

    @Operation(
        "GET /jobs",
        parameters=(
            query("status", "List only jobs with this status.", ref("Status")),
            query(
                "jobType",
                "List only jobs of this type. Deliveries of webhooks (`webhook.deliver`) are listed by their type only.",
                NOT_EMPTY,
            ),
            query("limit", "The maximum number of jobs.", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
            query("cursor", "The `nextCursor` of the previous page. Send it with the same filters.", STRING),
        ),
        answers={200: Success("A page of the list.", JOBS_PAGE)},
        errors=("INVALID_REQUEST", "INVALID_CURSOR", "UNAVAILABLE"),
    )
    def list_jobs(self, request: Request) -> Answer:
        """List your jobs, newest first.

        A page may be short, or even empty, before the end of the list: continue until `nextCursor` is null.
        """
        owner = request.owner
        wanted = jobs_query(owner, request.query)
        page = self._queries.jobs(owner, wanted)
        cursor = None if page.next is None else to_cursor(owner, wanted, page.next)
        return answer(200, {"jobs": [job_body(job, request.base) for job in page.jobs], "nextCursor": cursor})

    @Operation(
        "GET /jobs/{asyncJobId}",
        parameters=(
            query(
                "wait",
                "How many seconds to wait for a change of the job's `seq`. `Preference-Applied` shows how long the request could "
                "wait: the deployment may allow less, or too many of your requests wait already.",
                {"type": "integer", "minimum": 0, "maximum": 20, "default": 0},
            ),
            header(
                "If-None-Match",
                "The `ETag` of your copy of the job. The answer is 304 if the job has not changed, and a `wait` lasts until it "
                "does.",
                STRING,
            ),
        ),
        answers={
            200: Success(
                "The job. Until it has finished, `Retry-After` says when to poll again.",
                "AsyncJob",
                always=("ETag",),
                sometimes=("Retry-After", "Preference-Applied"),
                links=("getJobResult", "cancelJob"),
            ),
            304: Success("The job has not changed.", always=("ETag",), sometimes=("Retry-After", "Preference-Applied")),
        },
        errors=("INVALID_REQUEST", "UNAVAILABLE"),
    )
    def get_job(self, request: Request) -> Answer:
        """Get a job.

        With `wait`, the answer comes as soon as the job differs from the `ETag` in `If-None-Match`; without that header, as
        soon as the job changes.
        """
        key, wait = request.job_key, wait_of(request.query)
        known, applied = request.known_tags, dict[str, str]()

        if wait:
            job, at_most = self._queries.wait_for_job(key.owner, key.async_job_id, _differs_from(known), wait)
            applied = wait_applied(at_most)
        else:
            job = self._queries.job(key.owner, key.async_job_id)
        tag = job_tag(job)
        # Weak: the answer may have members that change without the job, such as an estimate of its end.
        etag = f"W/{tag}"
        if known & {tag, "*"}:
            return not_modified({"etag": etag, **polling_headers(job, self._clock(), self._durations_of), **applied})
        # Not after a long poll: waiting for the queue's answer as well could exceed the function's timeout.
        depth = None if applied else self._queries.queue_depth(job)
        extra = {} if depth is None else {"queueDepth": depth}
        headers = {"etag": etag, **applied}
        return job_answer(
            200, job, job_body(job, request.base), self._clock(), headers, durations_of=self._durations_of, extra=extra
        )

    @Operation(
        "GET /jobs/{asyncJobId}/result",
        answers={
            200: Success("The result.", "Result"),
            303: Success(
                "The result is at a link that works for 5 minutes. Follow it without the `Authorization` header.",
                RESULT_LINK,
                always=("Location",),
            ),
        },
        errors=("NOT_ACCEPTABLE", "JOB_NOT_COMPLETED", "JOB_FAILED", "JOB_CANCELLED", "UNAVAILABLE"),
    )
    def get_job_result(self, request: Request) -> Answer:
        """Get a job's result."""
        key = request.job_key
        job = self._queries.job(key.owner, key.async_job_id)
        if job.status is not Status.COMPLETED:
            raise no_result(job, self._clock(), self._durations_of)
        link = self._queries.link(job)
        if link is not None:
            # The object has a type of its own, and S3 says which.
            return answer(303, {"location": link}, headers={"location": link})
        if not request.accepts_json:
            raise Problem("NOT_ACCEPTABLE")
        return answer(200, text=job.result.text if job.result else None)

    @Operation(
        "GET /jobs/{asyncJobId}/input",
        answers={200: Success("The input.", INPUT)},
        errors=("INPUT_NOT_FOUND", "UNAVAILABLE"),
    )
    def get_job_input(self, request: Request) -> Answer:
        """Get a job's input.

        It is the JSON that was validated and stored: what the request had, with its names sorted and whole numbers in one form.
        Defaults of the job type are not filled in, and an upload is its key. It can be sent as the `input` of another job.
        """
        key = request.job_key
        return answer(200, text=self._queries.input_of(self._queries.job(key.owner, key.async_job_id)))

    @Operation("GET /job-types", answers={200: Success("All job types.", JOB_TYPES)})
    def list_job_types(self, request: Request) -> Answer:
        """List the job types, with the schemas of their input and output."""
        _ = request.owner
        return answer(200, {"jobTypes": [job_type_body(job_type) for job_type in self._queries.job_types()]})

    @Operation("GET /health", answers={200: Success("The API answers.", HEALTH)}, security=None)
    def get_health(self, _request: Request) -> Answer:
        """Check whether the API answers."""
        return answer(200, {"status": "ok"})

    @Operation(
        "GET /openapi.json",
        parameters=(_COPY,),
        answers={200: Success("This document.", OPEN_API, **_DOCUMENT_HEADERS), 304: _NOT_CHANGED},
        security=None,
    )
    def get_open_api(self, request: Request) -> Answer:
        """Get this document."""
        return _document_answer(OPENAPI, request)

    @Operation(
        "GET /asyncapi.json",
        parameters=(_COPY,),
        answers={200: Success("The document of the WebSocket API.", ASYNC_API, **_DOCUMENT_HEADERS), 304: _NOT_CHANGED},
        security=None,
    )
    def get_async_api(self, request: Request) -> Answer:
        """Get the document of the WebSocket API, by which clients watch jobs."""
        return _document_answer(ASYNCAPI, request)


QUERIES = operations_of(QueryRoutes)


class _Document(NamedTuple):
    """A document in the forms in which it is sent."""

    text: str
    gzip: str
    """Compressed, in base64, as the gateway takes it."""
    tag: str


def _document_answer(file: str, request: Request) -> Answer:
    document = _document(file)
    # Weak, since it is the same for both forms.
    headers = {"etag": f"W/{document.tag}", "cache-control": "public, max-age=300", "vary": "Accept-Encoding"}
    if request.known_tags & {document.tag, "*"}:
        return not_modified(headers)
    if request.accepts_gzip:
        headers["content-encoding"] = "gzip"
        return {**answer(200, text=document.gzip, headers=headers), "isBase64Encoded": True}
    return answer(200, text=document.text, headers=headers)


@cache
def _document(file: str) -> _Document:
    """Read the document. Everybody may get it, so each byte counts, and it is compressed once for each process."""
    text = json.dumps(json.loads(document_text(file)), ensure_ascii=False, separators=(",", ":"))
    return _Document(text, compressed(text), entity_tag(text))


def _differs_from(known: frozenset[str]) -> Callable[[AsyncJob], bool]:
    """Return whether a job is news to a client that has these entity tags.

    A client that sent none, or `*`, has the first state that is read here.
    """
    known = known - {"*"}

    def is_news(job: AsyncJob) -> bool:
        nonlocal known
        tag = job_tag(job)
        known = known or frozenset({tag})
        return job.is_finished or tag not in known

    return is_news
