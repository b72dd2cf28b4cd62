"""Request bodies: checked against their schemas, and read into what the service accepts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncjobs.core.canonical_json import canonical_json
from asyncjobs.core.clock import rfc3339, to_milliseconds
from asyncjobs.core.errors import InputProblem, InvalidInput
from asyncjobs.core.job import MAX_MESSAGE_LENGTH, Priority, RetentionFrom
from asyncjobs.http.problems import invalid_request
from asyncjobs.http.schemas import Schema
from asyncjobs.jobtypes import json_schema
from asyncjobs.jobtypes.decorator import GENERIC
from asyncjobs.service.submit import SubmitRequest

MAX_METADATA = 1024
"""Bytes. Metadata is stored in the record, and each write costs by the record's size."""

_RFC3339 = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$"


def submit_schema(max_retention: timedelta) -> Schema:
    """Return the schema of a submit's body, whatever the job type."""
    return Schema(
        "submit",
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "jobType": {"type": "string", "minLength": 1, "maxLength": 50},
                "input": {},
                "metadata": {"type": "object"},
                "message": {"type": "string", "maxLength": MAX_MESSAGE_LENGTH},
                "priority": {"enum": [each.value for each in Priority]},
                "delaySeconds": {"type": "integer", "minimum": 0, "maximum": int(max_retention.total_seconds())},
                "notBefore": {"type": "string", "pattern": _RFC3339},
                "retentionFrom": {"enum": [each.value for each in RetentionFrom]},
                "retentionSeconds": {"type": "integer", "minimum": 60, "maximum": int(max_retention.total_seconds())},
            },
        },
    )


def submit_request(body: Any, schema: Schema, latest: datetime) -> SubmitRequest:
    """Return the request in a body that the `submit_schema` allows. The job may start at `latest` at the latest."""
    checked(schema, body)
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


def checked(schema: Schema, body: Any) -> Any:
    """Return the body. Raise a `Problem` (400) that names each place where it does not fit."""
    try:
        json_schema.check(schema.json, body)
    except InvalidInput as error:
        raise invalid_request(*error.problems) from error
    return body


def _not_before(body: Mapping[str, Any], latest: datetime) -> datetime | None:
    if "notBefore" not in body:
        return None
    if "delaySeconds" in body:
        raise invalid_request(InputProblem("/notBefore", "cannot be combined with `delaySeconds`"))
    try:
        not_before = to_milliseconds(datetime.fromisoformat(body["notBefore"]).astimezone(UTC))
    except (ValueError, OverflowError) as error:
        raise invalid_request(InputProblem("/notBefore", "is not a valid date-time")) from error
    if not_before > latest:
        raise invalid_request(InputProblem("/notBefore", f"is later than {rfc3339(latest)}, the latest possible start"))
    return not_before
