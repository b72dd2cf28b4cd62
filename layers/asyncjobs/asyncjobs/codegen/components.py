"""Components of the OpenAPI document that several operations use: parameters, headers and schemas, by name."""

from __future__ import annotations

from collections.abc import Mapping

from asyncjobs.core.events import EventType
from asyncjobs.core.job import MAX_ATTEMPTS_LIMIT, Priority, ResultType, RetentionFrom, Status
from asyncjobs.http.bodies import MAX_METADATA
from asyncjobs.http.request import IDEMPOTENCY_KEY
from asyncjobs.http.schemas import (
    ANY_OBJECT,
    BOOLEAN,
    SECONDS,
    STRING,
    TIME,
    URI,
    URI_REFERENCE,
    UUID,
    Json,
    answer_object,
    described,
    header,
    ref,
)
from asyncjobs.jobtypes.json_schema import nullable
from asyncjobs.tracking.reports import SCHEMA as REPORT_SCHEMA


def _enum(description: str, values: type[Status | Priority | RetentionFrom | ResultType]) -> Json:
    return {"type": "string", "enum": [each.value for each in values], "description": description}


EVENT: Mapping[str, Json] = {
    "seq": described("The job's `seq` after the change. A later change has a higher one.", {"type": "integer", "minimum": 0}),
    # Not an enum: a client that was generated today must be able to read a type of tomorrow.
    "type": described(
        f"What happened: {', '.join(f'`{each}`' for each in EventType)}. A `snapshot` is the job as it is, in place of "
        "changes that are not known one by one. Further types may be added.",
        STRING,
    ),
    "at": TIME,
    "status": ref("Status"),
    "progress": {"type": "integer", "minimum": 0, "maximum": 100},
    "message": nullable(STRING),
    "attempt": {"type": "integer", "minimum": 0},
    "code": described("The code of the error of the job or of its last attempt.", nullable(STRING)),
    "name": described("What the job's code calls the event. Only of the type `custom`.", STRING),
    "data": described("What the job's code sends with the event. Only of the type `custom`.", ANY_OBJECT),
}
"""The members of an event, as every client receives it."""
CUSTOM = ("name", "data")
"""Those that only a custom event has."""

_MAX_ATTEMPTS: Json = {"type": "integer", "minimum": 0, "maximum": MAX_ATTEMPTS_LIMIT}

PARAMETERS: Mapping[str, Json] = {
    "asyncJobId": {"name": "asyncJobId", "in": "path", "required": True, "description": "The job's id.", "schema": UUID},
    "jobType": {"name": "jobType", "in": "path", "required": True, "description": "The job type.", "schema": STRING},
    "key": {
        "name": "key",
        "in": "path",
        "required": True,
        "description": "The part of the upload's `key` after `uploads/`.",
        "schema": UUID,
    },
    "priority": {
        "name": "priority",
        "in": "path",
        "required": True,
        "description": "The priority.",
        "schema": {"enum": [each.value for each in Priority]},
    },
    "webhookId": {"name": "webhookId", "in": "path", "required": True, "description": "The webhook's id.", "schema": UUID},
    "IdempotencyKey": header(
        "Idempotency-Key",
        "Identifies the request: repeated with the same key, it returns the same job. 1 to 255 visible ASCII characters; a "
        "quoted string (RFC 9651) and a bare token with the same text are the same key. A key with a comma needs the quotes.",
        {"type": "string", "pattern": IDEMPOTENCY_KEY},
    ),
    "Prefer": header(
        "Prefer",
        "`respond-async`: answer without waiting. `wait=N`: wait up to N seconds (at most 20) for the finished job. "
        "Unknown preferences are ignored (RFC 7240).",
        STRING,
    ),
}

HEADERS: Mapping[str, Json] = {
    "Location": described(
        "The URL of the job or of its result; it may be relative to the request's URL.", {"schema": URI_REFERENCE}
    ),
    "Retry-After": described(
        "The number of seconds to wait before the next request.", {"schema": {"type": "integer", "minimum": 0}}
    ),
    "Idempotency-Replayed": described("An earlier request with this key created the job.", {"schema": {"const": "true"}}),
    "Vary": described("The answer depends on the `Prefer` header.", {"schema": {"const": "Prefer"}}),
    "Preference-Applied": described("The preferences that the answer met.", {"schema": STRING}),
    "ETag": described("Identifies this state of the job or this version of the document.", {"schema": STRING}),
    "RateLimit": described("The rest of your submit rate, if there is a limit.", {"schema": STRING}),
    "RateLimit-Policy": described("Your submit rate limit, if there is one.", {"schema": STRING}),
    "WWW-Authenticate": described(
        "The kind of token that is required. API Gateway may rename it to `x-amzn-remapped-www-authenticate`, "
        "so rely on the status and the problem's `code`.",
        {"schema": {"const": "Bearer"}},
    ),
    "Cache-Control": described("How long a copy may be used.", {"schema": STRING}),
    "Accept-Encoding": described("The codings in which a body may be compressed.", {"schema": {"const": "gzip"}}),
}

_COMMON: Mapping[str, Json] = {
    "Status": _enum("The state of a job. COMPLETED, FAILED and CANCELLED are final, except for a retry.", Status),
    "Priority": _enum("The queue in which a job waits. Jobs wait only for jobs with the same priority.", Priority),
    "RetentionFrom": _enum("The start of a job's retention. A job is kept for at least a minute after its end.", RetentionFrom),
    "ResultType": _enum("Where a job's result is: in `result` (INLINE), or at `resultLocation`.", ResultType),
    "Metadata": described(f"An object of your own, up to {MAX_METADATA} bytes. The job shows it unchanged.", ANY_OBJECT),
    "JobError": answer_object(
        "Why a job failed.",
        {
            "code": described("The reason, for programs.", STRING),
            "message": described("The reason, for people.", STRING),
            "type": described("The class of the error.", STRING),
            "retryable": described("Whether the same job may succeed if it is submitted again.", BOOLEAN),
        },
    ),
    "AsyncJob": answer_object(
        "A job.",
        {
            "asyncJobId": UUID,
            "jobType": STRING,
            "status": ref("Status"),
            "seq": described(
                "The number of changes of the job until now: each change of its status, attempt, progress, message, result or "
                "error raises it by one, so of two answers the one with the higher number is newer. 0 for a job of an earlier "
                "release.",
                {"type": "integer", "minimum": 0},
            ),
            "priority": ref("Priority"),
            "progress": described("Percent.", {"type": "integer", "minimum": 0, "maximum": 100}),
            "message": described("The latest message of the job, or of the request that submitted it.", nullable(STRING)),
            "metadata": described("The metadata of the request that submitted it.", nullable(ANY_OBJECT)),
            "attempt": described("The number of attempts that have started.", {"type": "integer", "minimum": 0}),
            "maxAttempts": described("0 for a tracked job.", _MAX_ATTEMPTS),
            "createdAt": TIME,
            "updatedAt": TIME,
            "startedAt": described("When the first attempt started.", nullable(TIME)),
            "endedAt": nullable(TIME),
            "estimatedEndAt": described("When the job will probably end, if there is an estimate.", nullable(TIME)),
            "recordExpiresAt": described(
                "When the job and its result are deleted, in seconds since 1970.", {"type": "integer"}
            ),
            "resultType": described("Null while there is no result.", nullable(ref("ResultType"))),
            "result": described("The result, if it is small.", nullable(ref("Result"))),
            "resultLocation": described("The URL of a large result, relative to the request's URL.", nullable(URI_REFERENCE)),
            "error": nullable(ref("JobError")),
            "workerToken": described(
                "The secret of the worker of a tracked job. Only answers that issue it have it: to a submit, a retry or a new token.",
                STRING,
            ),
            "queueDepth": described(
                "About how many messages of all owners are in the job's queue. Only for a job that can start, if the "
                "deployment shows it, and not after a `wait`.",
                {"type": "integer", "minimum": 0},
            ),
        },
        optional=("workerToken", "queueDepth"),
    ),
    "Event": answer_object("A change of a job, with what is visible of the job after it.", EVENT, optional=CUSTOM),
    "Report": described("A worker's report on a tracked job.", REPORT_SCHEMA),
    "JobType": answer_object(
        "What a client needs to use a job type.",
        {
            "jobType": STRING,
            "description": STRING,
            "inputSchema": described("A JSON Schema (2020-12).", ANY_OBJECT),
            "outputSchema": described("A JSON Schema (2020-12).", ANY_OBJECT),
            "expectedSeconds": described("How long a job usually takes.", SECONDS),
            "tracked": described("Whether the work is done by an outside worker.", BOOLEAN),
            "timeoutSeconds": described("How long an attempt may take.", SECONDS),
            "maxAttempts": described("0 for a tracked type.", _MAX_ATTEMPTS),
            "priority": described("The priority of a job that is submitted without one.", ref("Priority")),
            "retentionSeconds": described("How long a job is kept that is submitted without `retentionSeconds`.", SECONDS),
        },
    ),
    "InputProblem": answer_object(
        "An invalid place in a request.",
        {
            "pointer": described("A JSON pointer into the body, or `/` and the name of a parameter.", STRING),
            "detail": STRING,
        },
    ),
    "Problem": answer_object(
        "An error (RFC 9457).",
        {
            "type": described("The code as a URI.", URI),
            "title": STRING,
            "status": described("The status of the answer.", {"type": "integer", "minimum": 400, "maximum": 599}),
            # Not an enum: a client that was generated today must be able to read a code of tomorrow.
            "code": described("The error, for programs. Each answer lists its codes; further ones may be added.", STRING),
            "detail": described("The error, for people, and what to do next.", STRING),
            "requestId": described("Include it in support requests.", STRING),
            "errors": {"type": "array", "items": ref("InputProblem")},
            "asyncJobId": UUID,
            "error": described("Why the job failed.", nullable(ref("JobError"))),
            "jobStatus": described("How the job ended.", ref("Status")),
            "right": described("The right that an administrator's operation needs.", STRING),
        },
        optional=("errors", "asyncJobId", "error", "jobStatus", "right"),
    ),
    "GatewayError": answer_object("An error of API Gateway itself.", {"message": nullable(STRING)}, optional=("message",)),
}

_NOT_FOR_ADMINISTRATORS = ("workerToken", "queueDepth")
SCHEMAS: Mapping[str, Json] = {
    **_COMMON,
    "AdminJob": answer_object(
        "A job, as administrators read it.",
        {
            **{
                name: schema
                for name, schema in _COMMON["AsyncJob"]["properties"].items()
                if name not in _NOT_FOR_ADMINISTRATORS
            },
            "owner": described("The `sub` of the job's owner. Requests about the job name it as `owner`.", STRING),
            "dueAt": described("When the sweeper reads the job next; null once it has ended.", nullable(TIME)),
            "deadlineAt": TIME,
            "leaseUntil": described("Until when the worker of the present attempt is thought to live.", nullable(TIME)),
            "notBefore": described("The earliest start of the job, or of its next attempt.", nullable(TIME)),
            "exclusive": described("Whether the job runs under a lock.", BOOLEAN),
            "payloadsHidden": described(
                "Whether `result`, `resultLocation` and `metadata` are null because you lack the right `payloads`.", BOOLEAN
            ),
            "logsUrl": described(
                "The job's log lines in CloudWatch Logs Insights, for those who may sign in to the AWS account; null locally.",
                nullable(URI),
            ),
        },
    ),
}
