"""The API described as an OpenAPI 3.1 document: the table of operations below, and the schemas of the job types there are.

No function imports this. `asyncjobs.codegen` writes the document while the layer is built; the status function hands out the file.
A new operation is an entry in `OPERATIONS`, and a new problem a line in `CODES`; tests compare both with what the API does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import jsonschema_rs

from asyncjobs.core.job import MAX_ATTEMPTS_LIMIT, Priority, ResultType, Status
from asyncjobs.core.placement import INLINE_RESULT_LIMIT
from asyncjobs.http.job_routes import BASE_PATH, route_key
from asyncjobs.http.parse import MAX_METADATA, UPLOAD_SCHEMA, body_schema
from asyncjobs.http.request import IDEMPOTENCY_KEY, MAX_BODY, MAX_DEPTH, MAX_DIGITS
from asyncjobs.jobtypes.decorator import GENERIC, MAX_RETENTION, JobType
from asyncjobs.service.queries import JobsQuery
from asyncjobs.tracking.reports import SCHEMA as REPORT_SCHEMA

Json = dict[str, Any]

VERSION = "1"
"""Of the contract, which is what stands in the path. Additions leave it as it is; a breaking change would be a 2."""


def document(job_types: Iterable[JobType]) -> Json:
    """The document for an API that has these job types."""
    types = list(job_types)
    paths: dict[str, Json] = {}
    for operation in (*OPERATIONS, *_own_operations(types)):
        method, path = operation.route.split()
        paths.setdefault(path.removeprefix(BASE_PATH), {})[method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "asyncjobs", "version": VERSION, "description": _DESCRIPTION, "license": _LICENSE},
        "servers": [{"url": BASE_PATH}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "workerToken": {"type": "http", "scheme": "bearer", "bearerFormat": "ajw_…, for one tracked job"},
            },
            "parameters": {**_PARAMETERS, **_own_parameters(types)},
            "headers": _HEADERS,
            "schemas": {**_SCHEMAS, **_schemas_of(types)},
        },
    }


def to_json(document: Mapping[str, Any]) -> str:
    """The document as its file holds it: the same text for the same document."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


_DESCRIPTION = (
    "Asynchronous jobs: submit one, get 202 and its id at once, ask for it until it has ended, take its result.\n\n"
    "A job belongs to the `sub` of the token it was submitted with, and does not exist for others. Further members may be "
    "added to any answer, and further codes to problems: ignore those you do not know."
)
_LICENSE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}


# ── Problems: the errors that are ours, and the gateway's ──────────────────────────────────────────


@dataclass(frozen=True)
class ProblemCode:
    """A `code` that a problem may have."""

    status: int
    meaning: str
    headers: tuple[str, ...] = ()
    """What comes with it."""


CODES: Mapping[str, ProblemCode] = {
    "INVALID_JSON": ProblemCode(400, "The body is not sound JSON; `errors` says where."),
    "INVALID_REQUEST": ProblemCode(400, "Something does not fit; `errors` names each place."),
    "UNKNOWN_JOB_TYPE": ProblemCode(400, "There is no such job type."),
    "INVALID_CURSOR": ProblemCode(400, "The cursor was damaged, or made for another list."),
    "INVALID_WORKER_TOKEN": ProblemCode(401, "The token is not this job's.", headers=("WWW-Authenticate",)),
    "OWNER_MISSING": ProblemCode(403, "The token has no usable `sub`."),
    "JOB_NOT_FOUND": ProblemCode(404, "The job does not exist, is not yours, or has expired."),
    "NOT_ACCEPTABLE": ProblemCode(406, "Only JSON is to be had."),
    "JOB_ALREADY_FINISHED": ProblemCode(409, "The job has already finished."),
    "JOB_NOT_FINISHED": ProblemCode(409, "The job has not finished: cancel it first."),
    "JOB_NOT_RETRYABLE": ProblemCode(409, "The job neither failed nor was cancelled, or does not run here."),
    "JOB_CREATION_FAILED": ProblemCode(
        409,
        "Another operation is already running; `asyncJobId` names it if it is the caller's own.",
        headers=("Retry-After",),
    ),
    "JOB_NOT_TRACKED": ProblemCode(409, "The job runs here, and its own attempt reports of it."),
    "JOB_NOT_COMPLETED": ProblemCode(409, "There is no result yet.", headers=("Retry-After",)),
    "JOB_FAILED": ProblemCode(409, "The job failed; `error` says why."),
    "JOB_CANCELLED": ProblemCode(409, "The job was cancelled."),
    "REQUEST_TOO_LARGE": ProblemCode(413, f"The body has more than {MAX_BODY} bytes."),
    "RESULT_TOO_LARGE": ProblemCode(413, f"The result has more than {INLINE_RESULT_LIMIT} bytes; send its `resultLocation`."),
    "UNSUPPORTED_MEDIA_TYPE": ProblemCode(415, "The body is not said to be JSON."),
    "IDEMPOTENCY_KEY_REUSED": ProblemCode(422, "The key was used for another request."),
    "SUBMIT_RATE_EXCEEDED": ProblemCode(
        429, "You submit more often than you may.", headers=("Retry-After", "RateLimit", "RateLimit-Policy")
    ),
    "TOO_MANY_LIVE_JOBS": ProblemCode(429, "Too many of your jobs are unfinished.", headers=("Retry-After",)),
    "BUSY": ProblemCode(503, "Too many jobs wait; the job was not accepted.", headers=("Retry-After",)),
    "UNAVAILABLE": ProblemCode(
        503, "Not available at the moment; nothing was changed that you cannot repeat.", headers=("Retry-After",)
    ),
}

WHILE_WAITED_FOR = {"JOB_FAILED": 500, "JOB_NOT_COMPLETED": 504}
"""Codes that have another status where the caller waited for the job."""

_OF_A_SUBMIT = (
    "JOB_CREATION_FAILED",
    "IDEMPOTENCY_KEY_REUSED",
    "SUBMIT_RATE_EXCEEDED",
    "TOO_MANY_LIVE_JOBS",
    "BUSY",
    "UNAVAILABLE",
)
_OF_ANY = ("NOT_ACCEPTABLE",)
_OF_AN_OWNER = ("OWNER_MISSING",)
_OF_A_BODY = ("INVALID_JSON", "INVALID_REQUEST", "REQUEST_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE")

_GATEWAY = {
    401: "The token is missing or not good.",
    403: "The token lacks the scope.",
    404: "No such route, such as for an id with a slash.",
    413: "The body is larger than the gateway takes.",
    429: "Too many requests.",
    500: "A mistake of the server's.",
    503: "The server is not available.",
}
"""What the gateway answers by itself, as `GatewayError`."""


# ── Operations ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Success:
    """An answer that is no problem."""

    description: str
    schema: str | None
    """Its name in the components; None for an answer without a body."""
    always: tuple[str, ...] = ()
    """Headers it has each time."""
    sometimes: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    """What can be asked next, by their names in `_LINKS`."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A route of the API, described. What follows from having a body, an id in the path or an owner is added to it."""

    route: str
    """As API Gateway writes it: the method and the whole path."""
    name: str
    """Its operationId: what generated clients call it."""
    summary: str
    description: str = ""
    parameters: tuple[str, ...] = ()
    """Of the query and the header, by their names in `_PARAMETERS`; those of the path are seen from the route."""
    body: str | None = None
    """The request body's schema, by its name in the components."""
    answers: Mapping[int, Success]
    problems: tuple[str, ...] = ()
    """Codes besides those that every such operation has."""
    waits_for: tuple[str, ...] = ()
    """Codes of a job that did not end well while its caller waited."""
    own_parameters: tuple[str, ...] | None = None
    """Of a job type's own route: those of its path and query."""
    body_is_optional: bool = False
    is_open: bool = False
    """Whether the gateway lets it pass without a token."""
    by_worker: bool = False
    """Whether it asks for a worker's token then."""

    @property
    def path_parameters(self) -> tuple[str, ...]:
        return tuple(part[1:-1] for part in self.route.split("/") if part.startswith("{"))

    def codes(self) -> list[tuple[int, str]]:
        """Every code that its problems may have, with the status, in order."""
        codes = [*_OF_ANY, *(() if self.is_open else _OF_AN_OWNER), *(_OF_A_BODY if self.body else ()), *self.problems]
        if "asyncJobId" in self.path_parameters and not self.is_open:
            codes.append("JOB_NOT_FOUND")
        found = [
            *((CODES[code].status, code) for code in codes),
            *((WHILE_WAITED_FOR.get(code, CODES[code].status), code) for code in self.waits_for),
        ]
        return sorted(found, key=lambda each: (each[0], list(CODES).index(each[1])))

    def gateway_statuses(self) -> set[int]:
        """What the gateway may answer in its place."""
        inapplicable = {
            401: self.is_open,
            403: self.is_open,
            404: not self.path_parameters and self.own_parameters is None,
            413: self.body is None,
        }
        return {status for status in _GATEWAY if not inapplicable.get(status)}


_ABOUT_A_JOB = ("job", "result", "cancel")

_SUBMITTED: Mapping[int, Success] = {
    200: Success(
        description="The job has finished: at once, while its caller waited, or since an earlier request made it.",
        schema="AsyncJob",
        always=("Location", "Vary"),
        sometimes=("Idempotency-Replayed", "Preference-Applied", "RateLimit", "RateLimit-Policy"),
        links=_ABOUT_A_JOB,
    ),
    202: Success(
        description="The accepted job.",
        schema="AsyncJob",
        always=("Location", "Retry-After", "Vary"),
        sometimes=("Idempotency-Replayed", "Preference-Applied", "RateLimit", "RateLimit-Policy"),
        links=_ABOUT_A_JOB,
    ),
}
_RESULT: Mapping[int, Success] = {
    200: Success(
        description="The bare result.", schema="Result", always=("Location",), sometimes=("RateLimit", "RateLimit-Policy")
    ),
    303: Success(
        description="The result is too large for an answer, and lies here.",
        schema="ResultPlace",
        always=("Location",),
        sometimes=("RateLimit", "RateLimit-Policy"),
    ),
}

OPERATIONS = (
    Operation(
        route=f"POST {BASE_PATH}/jobs",
        name="submitJob",
        summary="Submit a job",
        description="Once it is accepted it will run, at least once. Send an `Idempotency-Key` and you may repeat the request safely.",
        parameters=("IdempotencyKey", "Prefer"),
        body="SubmitRequest",
        answers=_SUBMITTED,
        problems=("UNKNOWN_JOB_TYPE", *_OF_A_SUBMIT),
        waits_for=("JOB_FAILED",),
    ),
    Operation(
        route=f"GET {BASE_PATH}/jobs",
        name="listJobs",
        summary="List your jobs, newest first",
        description="A page may be short, even empty, with more behind it: go on until `nextCursor` is null.",
        parameters=("Status", "JobType", "Limit", "Cursor"),
        answers={200: Success(description="A page.", schema="JobsPage")},
        problems=("INVALID_REQUEST", "INVALID_CURSOR", "UNAVAILABLE"),
    ),
    Operation(
        route=f"GET {BASE_PATH}/jobs/{{asyncJobId}}",
        name="getJob",
        summary="Look at a job",
        parameters=("Wait", "IfNoneMatch"),
        answers={
            200: Success(
                description="The job. While it has not finished, `Retry-After` says when it is worth asking again.",
                schema="AsyncJob",
                always=("ETag",),
                sometimes=("Retry-After",),
                links=("result", "cancel"),
            ),
            304: Success(description="The job is as you know it.", schema=None, always=("ETag",), sometimes=("Retry-After",)),
        },
        problems=("INVALID_REQUEST", "UNAVAILABLE"),
    ),
    Operation(
        route=f"GET {BASE_PATH}/jobs/{{asyncJobId}}/result",
        name="getJobResult",
        summary="Take a job's result",
        answers={
            200: Success(description="The result as it is.", schema="Result"),
            303: Success(
                description="The result lies at a link that works for 5 minutes. Follow it without the `Authorization` header.",
                schema="ResultLink",
                always=("Location",),
            ),
        },
        problems=("JOB_NOT_COMPLETED", "JOB_FAILED", "JOB_CANCELLED", "UNAVAILABLE"),
    ),
    Operation(
        route=f"POST {BASE_PATH}/jobs/{{asyncJobId}}/cancel",
        name="cancelJob",
        summary="Cancel a job",
        description="It is over at once; code that still runs is told, and records nothing any more. Cancelling again does nothing.",
        answers={200: Success(description="The cancelled job.", schema="AsyncJob", links=("job",))},
        problems=("JOB_ALREADY_FINISHED", "UNAVAILABLE"),
    ),
    Operation(
        route=f"POST {BASE_PATH}/jobs/{{asyncJobId}}/retry",
        name="retryJob",
        summary="Retry a job that failed or was cancelled",
        description="It begins anew, under its old name, with all its attempts and its whole deadline before it.",
        answers={
            202: Success(description="The job, pending again.", schema="AsyncJob", always=("Retry-After",), links=("job",))
        },
        problems=(
            "JOB_NOT_RETRYABLE",
            "UNKNOWN_JOB_TYPE",
            "SUBMIT_RATE_EXCEEDED",
            "TOO_MANY_LIVE_JOBS",
            "BUSY",
            "UNAVAILABLE",
        ),
    ),
    Operation(
        route=f"DELETE {BASE_PATH}/jobs/{{asyncJobId}}",
        name="deleteJob",
        summary="Delete a finished job, with its input and its result",
        description="It is gone for everybody, and its idempotency key is free again.",
        answers={204: Success(description="It is gone.", schema=None)},
        problems=("JOB_NOT_FINISHED", "UNAVAILABLE"),
    ),
    Operation(
        route=f"PATCH {BASE_PATH}/jobs/{{asyncJobId}}",
        name="updateJob",
        summary="Report of a tracked job of yours",
        body="Report",
        answers={200: Success(description="The job after the report.", schema="AsyncJob", links=("job",))},
        problems=("JOB_NOT_TRACKED", "JOB_ALREADY_FINISHED", "JOB_CANCELLED", "RESULT_TOO_LARGE", "UNAVAILABLE"),
    ),
    Operation(
        route=f"PATCH {BASE_PATH}/jobs/{{asyncJobId}}/report",
        name="reportJob",
        summary="Report of a tracked job, as its worker",
        description="With the `workerToken` of the answer that created the job, as `Authorization: Bearer`.",
        body="Report",
        answers={200: Success(description="The job after the report.", schema="AsyncJob")},
        problems=("INVALID_WORKER_TOKEN", "JOB_ALREADY_FINISHED", "JOB_CANCELLED", "RESULT_TOO_LARGE", "UNAVAILABLE"),
        is_open=True,
        by_worker=True,
    ),
    Operation(
        route=f"POST {BASE_PATH}/uploads",
        name="createUpload",
        summary="Prepare an upload, for a job to open by its key",
        description="PUT the bytes to `url` within 15 minutes, with just these headers, and name the `key` in a job's input.",
        body="UploadRequest",
        answers={201: Success(description="Where to put it.", schema="Upload")},
    ),
    Operation(
        route=f"GET {BASE_PATH}/job-types",
        name="listJobTypes",
        summary="List the job types, with the schemas of their input and output",
        answers={200: Success(description="All of them.", schema="JobTypes")},
    ),
    Operation(
        route=f"GET {BASE_PATH}/health",
        name="getHealth",
        summary="See whether the API answers",
        answers={200: Success(description="It does.", schema="Health")},
        is_open=True,
    ),
    Operation(
        route=f"GET {BASE_PATH}/openapi.json",
        name="getOpenApi",
        summary="This document",
        answers={200: Success(description="This document.", schema="OpenApi", always=("Cache-Control",))},
        is_open=True,
    ),
)

_ID = {"asyncJobId": "$response.body#/asyncJobId"}
_LINKS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "job": ("getJob", _ID),
    "result": ("getJobResult", _ID),
    "cancel": ("cancelJob", _ID),
}


# ── Parameters, headers and schemas ────────────────────────────────────────────────────────────────


def _described(description: str, schema: Mapping[str, Any]) -> Json:
    return {**schema, "description": description}


def _nullable(schema: Mapping[str, Any]) -> Json:
    return {**schema, "type": [schema["type"], "null"]}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(description: str, properties: Mapping[str, Json], *, optional: tuple[str, ...] = ()) -> Json:
    """Of an answer, which may get further members without notice, so it is left open."""
    return {
        "type": "object",
        "description": description,
        "required": [name for name in properties if name not in optional],
        "properties": properties,
    }


def _query(name: str, description: str, schema: Json) -> Json:
    return {"name": name, "in": "query", "description": description, "schema": schema}


_STRING: Json = {"type": "string"}
_INTEGER: Json = {"type": "integer"}
_MAX_ATTEMPTS: Json = {"type": "integer", "minimum": 0, "maximum": MAX_ATTEMPTS_LIMIT}
_UUID: Json = {"type": "string", "format": "uuid"}
_TIME: Json = {"type": "string", "format": "date-time"}
_LINK: Json = {"type": "string", "format": "uri"}

_PARAMETERS: Mapping[str, Json] = {
    "asyncJobId": {"name": "asyncJobId", "in": "path", "required": True, "description": "The job's id.", "schema": _UUID},
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Names this request: the same key and the same request are the same job. 1 to 255 visible characters; "
        "in quotes (RFC 9651) or without, it is the same key.",
        "schema": {"type": "string", "pattern": IDEMPOTENCY_KEY},
    },
    "Prefer": {
        "name": "Prefer",
        "in": "header",
        "description": "`respond-async`: do not make me wait. `wait=N`: wait up to N seconds (20 at the most) for the finished job. "
        "RFC 7240; what is not understood is passed over.",
        "schema": _STRING,
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The `ETag` of the job as you know it: 304 when it has not changed, and a `wait` lasts until it does.",
        "schema": _STRING,
    },
    "Wait": _query(
        "wait",
        "Seconds to wait for news: a change of the job's status or progress.",
        {"type": "integer", "minimum": 0, "maximum": 20, "default": 0},
    ),
    "Status": _query("status", "Only jobs that stand so.", _ref("Status")),
    "JobType": _query("jobType", "Only jobs of this type.", _STRING),
    "Limit": _query(
        "limit", "The most jobs to show.", {"type": "integer", "minimum": 1, "maximum": 100, "default": JobsQuery().limit}
    ),
    "Cursor": _query("cursor", "The `nextCursor` of the page before. Send it with the same filters.", _STRING),
}

_HEADERS: Mapping[str, Json] = {
    "Location": {"description": "Where to look.", "schema": {"type": "string", "format": "uri-reference"}},
    "Retry-After": {
        "description": "Seconds after which it is worth asking again.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "Idempotency-Replayed": {"description": "An earlier request with this key made the job.", "schema": {"const": "true"}},
    "Vary": {"description": "The answer depends on what was preferred.", "schema": {"const": "Prefer"}},
    "Preference-Applied": {"description": "What was made of `Prefer`.", "schema": _STRING},
    "ETag": {"description": "Names this state of the job.", "schema": _STRING},
    "RateLimit": {"description": "What is left of your rate, where there is a limit.", "schema": _STRING},
    "RateLimit-Policy": {"description": "The limit of your rate, where there is one.", "schema": _STRING},
    "WWW-Authenticate": {"description": "What kind of token is asked for.", "schema": {"const": "Bearer"}},
    "Cache-Control": {"description": "How long a copy may be used.", "schema": _STRING},
}

_SCHEMAS: Mapping[str, Json] = {
    "Status": {
        "type": "string",
        "enum": [status.value for status in Status],
        "description": "Where a job stands. COMPLETED, FAILED and CANCELLED never change.",
    },
    "Priority": {
        "type": "string",
        "enum": [priority.value for priority in Priority],
        "description": "Which queue a job waits in: behind jobs of its own priority, and no others.",
    },
    "JobError": _object(
        "Why a job failed.",
        {
            "code": _described("For programs.", _STRING),
            "message": _described("For people.", _STRING),
            "type": _described("The kind of error.", _STRING),
            "retryable": _described("Whether the same job, submitted again, may succeed.", {"type": "boolean"}),
        },
    ),
    "AsyncJob": _object(
        "A job.",
        {
            "asyncJobId": _UUID,
            "jobType": _STRING,
            "status": _ref("Status"),
            "priority": _ref("Priority"),
            "progress": _described("Percent.", {"type": "integer", "minimum": 0, "maximum": 100}),
            "message": _described("What the job, or who submitted it, said last.", _nullable(_STRING)),
            "metadata": _described("As it was submitted.", _nullable({"type": "object"})),
            "attempt": _described("Attempts begun.", {"type": "integer", "minimum": 0}),
            "maxAttempts": _described("0 for a tracked job.", _MAX_ATTEMPTS),
            "createdAt": _TIME,
            "updatedAt": _TIME,
            "startedAt": _described("When the first attempt began.", _nullable(_TIME)),
            "endedAt": _nullable(_TIME),
            "estimatedEndAt": _described("When it will probably end, where that can be told.", _nullable(_TIME)),
            "recordExpiresAt": _described("When the job and its result will be gone: seconds since 1970.", _INTEGER),
            "resultType": _described(
                "Where the result lies: in `result`, or at `resultLocation`. Null while there is none.",
                {"type": ["string", "null"], "enum": [*(kind.value for kind in ResultType), None]},
            ),
            "result": _described("The result, if it is small.", {"anyOf": [_ref("Result"), {"type": "null"}]}),
            "resultLocation": _described("Where to get a large one.", _nullable({"type": "string", "format": "uri-reference"})),
            "error": {"anyOf": [_ref("JobError"), {"type": "null"}]},
            "workerToken": _described("A secret for the worker of a tracked job; only in the answer that created it.", _STRING),
            "queueDepth": _described(
                "About how many messages, everybody's, wait in the queue that the job waits in. Told of a job that may begin, "
                "where the deployment tells it, and not in the answer to a `wait`.",
                {"type": "integer", "minimum": 0},
            ),
        },
        optional=("workerToken", "queueDepth"),
    ),
    "Report": _described("What a worker tells of a tracked job.", REPORT_SCHEMA),
    "UploadRequest": _described("What is to be uploaded.", UPLOAD_SCHEMA),
    "Upload": _object(
        "A place for one object of this type and size.",
        {
            "key": _described("Its name, for a job's input.", _STRING),
            "url": _described("A secret: whoever has it can upload.", _LINK),
            "method": {"const": "PUT"},
            "headers": {"type": "object", "additionalProperties": _STRING},
            "expiresAt": _TIME,
        },
    ),
    "ResultPlace": _object("The same place as in `Location`.", {"location": {"type": "string", "format": "uri-reference"}}),
    "JobsPage": _object(
        "Some jobs of a list.",
        {
            "jobs": {"type": "array", "items": _ref("AsyncJob")},
            "nextCursor": _described("Null at the end of the list.", _nullable(_STRING)),
        },
    ),
    "ResultLink": _object("The same link as in `Location`.", {"location": _LINK}),
    "JobType": _object(
        "What a client may know of a job type.",
        {
            "jobType": _STRING,
            "description": _STRING,
            "inputSchema": _described("A JSON Schema (2020-12).", {"type": "object"}),
            "outputSchema": _described("A JSON Schema (2020-12).", {"type": "object"}),
            "expectedSeconds": _described("How long it usually takes.", {"type": "number"}),
            "tracked": _described("Whether an outside worker does the work.", {"type": "boolean"}),
            "timeoutSeconds": _described("The longest one attempt may take.", {"type": "number"}),
            "maxAttempts": _described("0 for a tracked type.", _MAX_ATTEMPTS),
            "priority": _described("Of its jobs, unless asked otherwise.", _ref("Priority")),
            "retentionSeconds": _described("How long it is kept after its end, unless asked otherwise.", {"type": "number"}),
        },
    ),
    "JobTypes": _object("All job types.", {"jobTypes": {"type": "array", "items": _ref("JobType")}}),
    "Health": _object("The API answers.", {"status": {"const": "ok"}}),
    "OpenApi": {"type": "object", "description": "An OpenAPI 3.1 document.", "required": ["openapi", "info", "paths"]},
    "InputProblem": _object(
        "Something wrong with a request.",
        {"pointer": _described("Where: a JSON pointer into the body, or the name of a parameter.", _STRING), "detail": _STRING},
    ),
    "Problem": _object(
        "An error, as RFC 9457 has it.",
        {
            "type": _described("The code as a URI.", _LINK),
            "title": _STRING,
            "status": _described("The answer's own.", {"type": "integer", "minimum": 400, "maximum": 599}),
            "code": _described("For programs.", {"type": "string", "enum": list(CODES)}),
            "detail": _described("For people.", _STRING),
            "requestId": _described("Name it when you ask for help.", _STRING),
            "errors": {"type": "array", "items": _ref("InputProblem")},
            "asyncJobId": _UUID,
            "error": {"anyOf": [_ref("JobError"), {"type": "null"}]},
            "jobStatus": _described("How the job ended.", _ref("Status")),
        },
        optional=("errors", "asyncJobId", "error", "jobStatus"),
    ),
    "GatewayError": _object(
        "An error that API Gateway answers by itself.", {"message": _nullable(_STRING)}, optional=("message",)
    ),
}

_BODY_FIELDS = {
    "metadata": f"Anything of yours, up to {MAX_METADATA} bytes; it comes back with the job.",
    "message": "Shown until the job says something itself.",
    "priority": "Which queue it waits in; without it, the type's own.",
    "delaySeconds": "Not to be started sooner. A deployment may allow less than the maximum.",
    "notBefore": "The same as an instant (RFC 3339), instead of `delaySeconds`.",
    "retentionFrom": "What `retentionSeconds` counts from; a job is kept for a minute after its end in any case.",
    "retentionSeconds": "How long to keep the job and its result after the end. A deployment may allow less than the maximum.",
}


# ── Job types ──────────────────────────────────────────────────────────────────────────────────────


def _schemas_of(types: list[JobType]) -> dict[str, Json]:
    """Of each type, what a submit of it, its input and its output look like; and of all, what a submit and a result do.

    Names hold the type's own, dot and all, so that those of two types cannot be the same.
    """
    found: dict[str, Json] = {
        "SubmitRequest": {
            "oneOf": [_ref(f"{type_.name}.submit") for type_ in types] or [False],
            "discriminator": {
                "propertyName": "jobType",
                "mapping": {type_.name: _ref(f"{type_.name}.submit")["$ref"] for type_ in types},
            },
        },
        "Result": {"anyOf": [_ref(f"{type_.name}.output") for type_ in types] or [False]},
    }
    for type_ in types:
        found[f"{type_.name}.submit"] = _submit_schema(type_)
        found |= _components(f"{type_.name}.input", type_.input_schema)
        found |= _components(f"{type_.name}.output", type_.output_schema)
        for route in (*type_.routes, *type_.synchronous_routes):
            if _takes_body(route):
                found |= _components(_fields_name(type_, route), _fields_schema(type_, route))
    return found


# ── Routes of job types' own ───────────────────────────────────────────────────────────────────────


def _own_operations(types: Iterable[JobType]) -> Iterable[Operation]:
    for type_ in types:
        for route in type_.routes:
            yield _own_operation(
                type_, route, answers=_SUBMITTED, headers=("IdempotencyKey", "Prefer"), waits_for=("JOB_FAILED",)
            )
        for route in type_.synchronous_routes:
            yield replace(
                _own_operation(
                    type_,
                    route,
                    answers=_RESULT,
                    headers=("IdempotencyKey",),
                    waits_for=("JOB_FAILED", "JOB_CANCELLED", "JOB_NOT_COMPLETED"),
                ),
                description="Waits up to 20 s for the bare result. One that takes longer is at `Location`.",
            )


def _own_operation(
    job_type: JobType, route: str, *, answers: Mapping[int, Success], headers: tuple[str, ...], waits_for: tuple[str, ...]
) -> Operation:
    return Operation(
        route=route_key(route),
        name=_operation_name(route),
        summary=job_type.description,
        parameters=headers,
        own_parameters=tuple(_parameter_name(job_type, route, name) for name in _fields(job_type)),
        body=_fields_name(job_type, route) if _takes_body(route) else None,
        body_is_optional=True,
        answers=answers,
        problems=("INVALID_REQUEST", *_OF_A_SUBMIT),
        waits_for=waits_for,
    )


def _own_parameters(types: Iterable[JobType]) -> dict[str, Json]:
    return {
        _parameter_name(type_, route, name): _parameter(type_, route, name)
        for type_ in types
        for route in (*type_.routes, *type_.synchronous_routes)
        for name in _fields(type_)
    }


def _parameter(job_type: JobType, route: str, name: str) -> Json:
    in_path = f"{{{name}}}" in route
    place = f"#/components/schemas/{job_type.name}.input/properties/{name}"
    only_way = not in_path and route.startswith("GET ") and name in job_type.input_schema.get("required", ())
    return {
        "name": name,
        "in": "path" if in_path else "query",
        **({"required": True} if in_path or only_way else {}),
        "schema": {"$ref": place},
        # Several values are one text with commas, however the gateway got them.
        **({} if in_path else {"explode": False}),
    }


def _takes_body(route: str) -> bool:
    return not route.startswith("GET ")


def _fields(job_type: JobType) -> Iterable[str]:
    """What of the input may come as a parameter."""
    properties: Mapping[str, Any] = job_type.input_schema.get("properties", {})
    return properties


def _fields_schema(job_type: JobType, route: str) -> Json:
    """The input without what the path says, and with nothing that must be in the body: the query may have it."""
    fields = {name: field for name, field in job_type.input_schema.get("properties", {}).items() if f"{{{name}}}" not in route}
    rest = {key: value for key, value in job_type.input_schema.items() if key not in ("required", "properties")}
    return {**rest, "properties": fields}


def _fields_name(job_type: JobType, route: str) -> str:
    return f"{job_type.name}.{_operation_name(route)}"


def _parameter_name(job_type: JobType, route: str, name: str) -> str:
    return f"{_fields_name(job_type, route)}.{name}"


def _operation_name(route: str) -> str:
    """`POST /import/{name}` is postImportName."""
    method, *words = re.findall(r"[A-Za-z0-9]+", route)
    return "".join([method.lower(), *(word[0].upper() + word[1:] for word in words)])


def _submit_schema(job_type: JobType) -> Json:
    schema: Json = json.loads(json.dumps(body_schema(MAX_RETENTION)))
    for name, description in _BODY_FIELDS.items():
        schema["properties"][name]["description"] = description
    schema["properties"] |= {"jobType": {"const": job_type.name}, "input": _ref(f"{job_type.name}.input")}
    schema["required"] = [] if job_type.name == GENERIC else ["jobType"]
    # The input that a request leaves out is an empty object. (`schemas.check` knows a schema by its type's name, for ever.)
    if not jsonschema_rs.validator_for(dict(job_type.input_schema), offline=True).is_valid({}):
        schema["required"].append("input")
    return {"description": job_type.description, **schema}


def _components(name: str, schema: Mapping[str, Any]) -> dict[str, Json]:
    """A JSON Schema and its `$defs` as components of their own, referring to each other where they now lie."""
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    own = {key: value for key, value in schema.items() if key != "$defs"}
    parts = {name: own, **{f"{name}.{key}": value for key, value in definitions.items()}}
    return {key: _relocated(part, name) for key, part in parts.items()}


def _relocated(part: Any, name: str) -> Any:
    if isinstance(part, list):
        return [_relocated(item, name) for item in part]
    if not isinstance(part, dict):
        return part
    moved = {key: _relocated(value, name) for key, value in part.items()}
    if isinstance(part.get("$ref"), str):
        moved["$ref"] = _new_place(part["$ref"], name)
    mapping = part["discriminator"].get("mapping") if isinstance(part.get("discriminator"), dict) else None
    if isinstance(mapping, dict):
        moved["discriminator"]["mapping"] = {value: _new_place(place, name) for value, place in mapping.items()}
    return moved


def _new_place(reference: str, name: str) -> str:
    root = f"#/components/schemas/{name}"
    if reference.startswith("#/$defs/"):
        return f"{root}.{reference.removeprefix('#/$defs/')}"
    return root + reference.removeprefix("#") if reference.startswith("#") else reference


# ── Operations, written out ────────────────────────────────────────────────────────────────────────


def _operation(operation: Operation) -> Json:
    own = operation.own_parameters
    parameters = [*(operation.path_parameters if own is None else own), *operation.parameters]
    return {
        "operationId": operation.name,
        "summary": operation.summary,
        **({"description": operation.description} if operation.description else {}),
        **({"security": [{"workerToken": []}] if operation.by_worker else []} if operation.is_open else {}),
        **({"parameters": [{"$ref": f"#/components/parameters/{name}"} for name in parameters]} if parameters else {}),
        **({"requestBody": _request_body(operation)} if operation.body else {}),
        "responses": _responses(operation),
    }


def _request_body(operation: Operation) -> Json:
    rules = (
        f"JSON in UTF-8, {MAX_BODY} bytes at most, {MAX_DEPTH} levels deep, no number of more than {MAX_DIGITS} digits, "
        "no name twice in an object, no NUL."
    )
    content = {"application/json": {"schema": _ref(operation.body or "")}}
    return {"required": not operation.body_is_optional, "description": rules, "content": content}


def _responses(operation: Operation) -> dict[str, Json]:
    codes = {status: [code for _, code in of] for status, of in groupby(operation.codes(), key=lambda each: each[0])}
    gateway = operation.gateway_statuses()
    successes = {str(status): _success(answer) for status, answer in operation.answers.items()}
    failures = {
        str(status): _failure(status, codes.get(status, []), waits_for=operation.waits_for, with_gateway=status in gateway)
        for status in sorted({*codes, *gateway})
    }
    return {**successes, **failures}


def _success(answer: Success) -> Json:
    headers = {
        **{name: {**_HEADERS[name], "required": True} for name in answer.always},
        **{name: {"$ref": f"#/components/headers/{name}"} for name in answer.sometimes},
    }
    links = {name: {"operationId": _LINKS[name][0], "parameters": _LINKS[name][1]} for name in answer.links}
    return {
        "description": answer.description,
        **({"headers": headers} if headers else {}),
        **({"content": {"application/json": {"schema": _ref(answer.schema)}}} if answer.schema else {}),
        **({"links": links} if links else {}),
    }


def _headers_of(code: str, waits_for: tuple[str, ...]) -> tuple[str, ...]:
    if code in waits_for:
        return (
            *CODES[code].headers,
            "Location",
            "Vary",
            "Preference-Applied",
            "Idempotency-Replayed",
            "RateLimit",
            "RateLimit-Policy",
        )
    return CODES[code].headers


def _failure(status: int, codes: list[str], *, waits_for: tuple[str, ...], with_gateway: bool) -> Json:
    meanings = [f"`{code}`: {CODES[code].meaning}" for code in codes]
    content: Json = {}
    if codes:
        narrowed = {"properties": {"status": {"const": status}, "code": {"enum": codes}}}
        content["application/problem+json"] = {"schema": {"allOf": [_ref("Problem"), narrowed]}}
    if with_gateway:
        meanings.append(f"From the gateway: {_GATEWAY[status]}" if codes else _GATEWAY[status])
        content["application/json"] = {"schema": _ref("GatewayError")}
    headers = {name: {"$ref": f"#/components/headers/{name}"} for code in codes for name in _headers_of(code, waits_for)}
    return {
        "description": "\n\n".join(meanings),
        **({"headers": headers} if headers else {}),
        "content": content,
    }
