"""Schemas of administrators' operations: what a body may have."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from asyncjobs.http.admin_schemas import BULK_REQUEST, REDRIVE_REQUEST
from asyncjobs.http.schemas import Schema


@pytest.mark.parametrize(
    ("schema", "body", "is_valid"),
    [
        (BULK_REQUEST, {"action": "retry", "jobs": []}, True),
        (BULK_REQUEST, {"action": "retry", "trial": None}, True),
        (BULK_REQUEST, {"action": "pause"}, False),
        (BULK_REQUEST, {"action": "retry", "failed": {"jobType": "a"}}, False),
        (BULK_REQUEST, {"action": "retry", "jobs": [{"asyncJobId": "x", "owner": "alice"}]}, False),
        (REDRIVE_REQUEST, {}, True),
        (REDRIVE_REQUEST, {"discardMalformed": True}, True),
        (REDRIVE_REQUEST, {"discardMalformed": "yes"}, False),
        (REDRIVE_REQUEST, {"queue": "low"}, False),
    ],
)
def test_body_has_the_members_of_its_schema_and_no_other(schema: Schema, body: dict[str, Any], is_valid: bool) -> None:
    assert jsonschema_rs.validator_for(schema.json, offline=True).is_valid(body) is is_valid
