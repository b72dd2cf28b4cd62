"""From the wire: what clients send, read into what the service takes. What cannot be read is a `Problem` that says where."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from asyncjobs.core.canonical_json import canonical_json
from asyncjobs.core.clock import epoch_milliseconds, from_epoch_milliseconds, rfc3339, to_milliseconds
from asyncjobs.core.errors import InputProblem, InvalidCursor, InvalidInput, InvalidWorkerToken, JobNotFound
from asyncjobs.core.job import MAX_MESSAGE_LENGTH, Priority, RetentionFrom, Status
from asyncjobs.core.placement import MAX_UPLOAD
from asyncjobs.core.ports import ListPosition
from asyncjobs.http.request import Request, invalid_request
from asyncjobs.jobtypes import json_schema
from asyncjobs.jobtypes.decorator import GENERIC
from asyncjobs.service.commands import SubmitRequest
from asyncjobs.service.queries import JobsQuery

if TYPE_CHECKING:
    from asyncjobs.tracking.reports import Report
    from asyncjobs.tracking.worker_token import WorkerToken

MAX_METADATA = 1024
"""Bytes. Metadata lies in the record, which is paid for by size with each write."""

_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_RFC3339 = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$")
_WAIT = re.compile(r"1?[0-9]|20")
_PAGE_SIZE = re.compile(r"[1-9][0-9]?|100")


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


def upload_request(body: Any) -> tuple[str, int]:
    """The content type and the size (bytes) of what is to be uploaded."""
    asked = _checked("POST /uploads", UPLOAD_SCHEMA, body)
    return asked.get("contentType", "application/octet-stream"), int(asked["contentLength"])


def _checked(what: str, schema: Mapping[str, Any], body: Any) -> Any:
    """The body, if it fits. Raises a `Problem` (400) that names each place where it does not."""
    try:
        json_schema.check(what, schema, body)
    except InvalidInput as error:
        raise invalid_request(*error.problems) from error
    return body


def submit_request(body: Any, schema: Mapping[str, Any], latest: datetime) -> SubmitRequest:
    """What the body asks for, by the `body_schema`; the job may start at the `latest` then."""
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


def report_of(body: Any) -> Report:
    """What an outside worker tells of its job."""
    from asyncjobs.tracking.reports import Report  # noqa: PLC0415 - only a report pays for it

    return Report.of(body)


def worker_token_of(request: Request) -> WorkerToken:
    """The outside worker's own; no user's. Raises `InvalidWorkerToken`."""
    from asyncjobs.tracking.worker_token import WorkerToken  # noqa: PLC0415 - only a report pays for it

    token = WorkerToken.parse(request.bearer or "")
    if token is None:
        raise InvalidWorkerToken
    return token


def job_id_of(request: Request) -> str:
    """The path's. Raises `JobNotFound` for what is no id, so that nobody learns what an id looks like."""
    async_job_id = request.path.get("asyncJobId", "")
    if not _UUID4.fullmatch(async_job_id):
        raise JobNotFound
    return async_job_id


def wait_of(parameters: Mapping[str, str]) -> timedelta:
    """How long the caller would wait for news."""
    problems = [InputProblem(f"/{name}", "is not a parameter of this call") for name in parameters if name != "wait"]
    seconds = parameters.get("wait", "0")
    if not _WAIT.fullmatch(seconds):
        problems.append(InputProblem("/wait", "must be a whole number of seconds from 0 to 20"))
    if problems:
        raise invalid_request(*problems)
    return timedelta(seconds=int(seconds))


def jobs_query(owner: str, parameters: Mapping[str, str]) -> JobsQuery:
    """Which jobs to list, and from where on. Raises `InvalidCursor` besides."""
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


def cursor_of(owner: str, query: JobsQuery, position: ListPosition) -> str:
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
        is_genuine = _UUID4.fullmatch(async_job_id) and cursor_of(owner, query, position) == cursor
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InvalidCursor from error
    if not is_genuine:
        raise InvalidCursor
    return position


def _checksum(owner: str, query: JobsQuery, place: list[Any]) -> str:
    return hashlib.sha256(canonical_json([owner, query.status, query.job_type, place])).hexdigest()[:16]
