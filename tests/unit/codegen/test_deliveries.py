"""The `webhooks` section of the document describes the requests that are made."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest

from asyncjobs.codegen.deliveries import webhooks
from asyncjobs.codegen.openapi import document
from asyncjobs.core.webhook import EVENTS, TEST
from asyncjobs.push.signature import signed_headers
from tests.support.factories import JOB_ID, NOW, job_type, new_webhook


def faults(name: str, value: Any) -> list[str]:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document([job_type("a.b")])["components"]}
    return [str(fault) for fault in jsonschema_rs.validator_for(schema, offline=True).iter_errors(value)]


def test_each_event_and_the_test_are_described() -> None:
    assert webhooks().keys() == {*EVENTS, TEST}


def test_signed_headers_are_those_of_the_document() -> None:
    headers = signed_headers(JOB_ID, "{}", [new_webhook().secret], NOW)
    for request in webhooks().values():
        assert {each["name"] for each in request["post"]["parameters"]} == headers.keys()


@pytest.mark.parametrize("changes", [{}, {"result": {"pages": 3}}, {"errorCode": "HOPELESS", "message": "No", "metadata": {}}])
def test_event_fits_its_schema(changes: dict[str, Any]) -> None:
    data = {
        "asyncJobId": JOB_ID,
        "jobType": "a.b",
        "seq": 3,
        "status": "COMPLETED",
        "progress": 100,
        "message": None,
        "attempt": 1,
        "errorCode": None,
        "metadata": None,
        "location": f"jobs/{JOB_ID}",
    }
    event = {"type": "job.completed", "timestamp": "2026-11-21T12:00:00.000Z", "data": {**data, **changes}}
    assert faults("WebhookEvent", json.loads(json.dumps(event))) == []
    assert faults("WebhookEvent", {**event, "type": "job.progress"})
