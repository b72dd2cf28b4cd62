"""Request bodies: checked against their schemas, and read into what the service accepts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from asyncjobs.core.canonical_json import canonical_json
from asyncjobs.core.clock import instant_of, rfc3339
from asyncjobs.core.errors import InputProblem, InvalidInput
from asyncjobs.core.job import MAX_DEADLINE, MAX_MESSAGE_LENGTH, UUID, Priority, RetentionFrom
from asyncjobs.http.problems import invalid_request
from asyncjobs.http.schemas import Json, Schema
from asyncjobs.jobtypes import json_schema
from asyncjobs.jobtypes.decorator import GENERIC
from asyncjobs.service.submit import SubmitRequest

MAX_METADATA = 1024
"""Bytes. Metadata is stored in the record, and each write costs by the record's size."""


def submit_fields(max_retention: timedelta) -> Json:
    """Return the schema of a submit's fields, whatever the job type. Each may be left out."""
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
            "notBefore": {"type": "string"},
            "estimatedSeconds": {"type": "number", "minimum": 0, "maximum": int(MAX_DEADLINE.total_seconds())},
            "retentionFrom": {"enum": [each.value for each in RetentionFrom]},
            "retentionSeconds": {"type": "integer", "minimum": 60, "maximum": int(max_retention.total_seconds())},
            "webhook": {"type": "string", "pattern": f"^{UUID}$"},
        },
    }


def submit_schema(max_retention: timedelta) -> Schema:
    """Return the schema of a submit's body, whatever the job type."""
    return Schema("submit", json_schema.nulls_left_out(submit_fields(max_retention)))


def submit_request(body: Any, schema: Schema, latest: datetime) -> SubmitRequest:
    """Return the request in a body that the `submit_schema` allows. The job must not start later than `latest`."""
    fields = checked(schema, body)
    if len(canonical_json(fields.get("metadata"))) > MAX_METADATA:
        raise invalid_request(InputProblem("/metadata", f"is larger than {MAX_METADATA} bytes; put large data into the input"))
    not_before = _not_before(fields, latest)
    retention = fields.get("retentionSeconds")
    return SubmitRequest(
        job_type=fields.get("jobType", GENERIC),
        # Null may be an input of the type, which is not known here.
        input=body.get("input", {}),
        metadata=fields.get("metadata"),
        message=fields.get("message"),
        priority=Priority(fields["priority"]) if "priority" in fields else None,
        delay=timedelta(seconds=int(fields.get("delaySeconds", 0))),
        not_before=not_before,
        retention=None if retention is None else timedelta(seconds=int(retention)),
        retention_from=RetentionFrom(fields["retentionFrom"]) if "retentionFrom" in fields else None,
        webhook=fields.get("webhook"),
        estimate=timedelta(seconds=float(fields["estimatedSeconds"])) if "estimatedSeconds" in fields else None,
    )


def checked(schema: Schema, body: Any) -> dict[str, Any]:
    """Return the fields of the body that are not null. Raise a `Problem` (400) that names each place where it does not fit."""
    try:
        json_schema.check(schema.json, body)
    except InvalidInput as error:
        raise invalid_request(*error.problems) from error
    return json_schema.without_nulls(body)


def _not_before(fields: Mapping[str, Any], latest: datetime) -> datetime | None:
    if "notBefore" not in fields:
        return None
    if "delaySeconds" in fields:
        raise invalid_request(InputProblem("/notBefore", "cannot be combined with `delaySeconds`"))
    try:
        not_before = instant_of(fields["notBefore"])
    except (ValueError, OverflowError) as error:
        raise invalid_request(
            InputProblem("/notBefore", "is not a date-time of RFC 3339, such as 2026-02-03T10:00:00Z")
        ) from error
    if not_before > latest:
        raise invalid_request(InputProblem("/notBefore", f"is later than {rfc3339(latest)}, the latest possible start"))
    return not_before
