"""The `webhooks` section of the document describes the requests that are made."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest

from asyncjobs.codegen.deliveries import webhooks
from asyncjobs.codegen.openapi import document
from asyncjobs.core.events import EventType, event_of
from asyncjobs.core.job import AsyncJob, JobFailure, Result
from asyncjobs.core.webhook import EVENTS, TEST
from asyncjobs.push.signature import signed_headers
from asyncjobs.push.webhooks import body_of
from tests.support.factories import JOB_ID, NOW, job_type, new_job, new_webhook, running_job


def faults(name: str, value: Any) -> list[str]:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document([job_type("a.b")])["components"]}
    return [str(fault) for fault in jsonschema_rs.validator_for(schema, offline=True).iter_errors(value)]


def test_each_event_and_the_test_are_described() -> None:
    assert webhooks().keys() == {*EVENTS, TEST}


def test_signed_headers_are_those_of_the_document() -> None:
    headers = signed_headers(JOB_ID, "{}", [new_webhook().secret], NOW)
    for request in webhooks().values():
        assert {each["name"] for each in request["post"]["parameters"]} == headers.keys()


FAILURE = JobFailure(code="HOPELESS", message="Nobody reads this in an event.", type="Fatal", retryable=False)


@pytest.mark.parametrize(
    "job",
    [
        new_job(metadata='{"order": 7}'),
        running_job(message="Page 1").completed(now=NOW, result=Result(text='{"pages": 3}')),
        running_job().failed(now=NOW, error=FAILURE),
    ],
    ids=lambda job: job.status,
)
def test_delivered_event_fits_its_schema(job: AsyncJob) -> None:
    event = event_of(None, job)
    assert event is not None
    event = replace(event, type=EventType(job.status.lower().replace("pending", "created")))
    body = json.loads(body_of(event, job, new_webhook(with_result=True)))
    assert faults("WebhookEvent", body) == []
    assert faults("WebhookEvent", {**body, "type": "job.progress"})
    for name in body["data"].keys() - {"result"}:
        assert faults("WebhookEvent", {**body, "data": {each: value for each, value in body["data"].items() if each != name}})
