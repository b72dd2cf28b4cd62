"""The check of answers that the other tests rely on: an undocumented answer fails."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from asyncjobs.codegen.openapi import document
from tests.deployed.openapi.contract import Contract

CONTRACT = Contract(document([]))
JSON, PROBLEM = {"content-type": "application/json"}, {"content-type": "application/problem+json"}
HEALTH, JOB, RESULT = "GET /api/v1/health", "GET /api/v1/jobs/{asyncJobId}", "GET /api/v1/jobs/{asyncJobId}/result"
REPORT = "PATCH /api/v1/jobs/{asyncJobId}/report"
LINK = "https://bucket.example/result"


def problem(status: int, code: str, **more: Any) -> dict[str, Any]:
    return {
        "type": f"urn:asyncjobs:problem:{code}",
        "title": "t",
        "status": status,
        "code": code,
        "detail": "d",
        "requestId": "r",
        **more,
    }


@pytest.mark.parametrize(
    ("route", "status", "headers", "body"),
    [
        (HEALTH, 200, JSON, {"status": "ok"}),
        (HEALTH, 429, JSON, {"message": "Too Many Requests"}),
        (JOB, 404, PROBLEM, problem(404, "JOB_NOT_FOUND")),
        (JOB, 503, {**PROBLEM, "retry-after": "2"}, problem(503, "UNAVAILABLE")),
        (RESULT, 303, {**JSON, "location": LINK}, {"location": LINK}),
        # The gateway may rename the challenge, so the header is optional.
        (REPORT, 401, {**PROBLEM, "www-authenticate": "Bearer"}, problem(401, "INVALID_WORKER_TOKEN")),
        (REPORT, 401, PROBLEM, problem(401, "INVALID_WORKER_TOKEN")),
    ],
)
def test_documented_answer_passes(route: str, status: int, headers: Mapping[str, str], body: Any) -> None:
    CONTRACT.check(route, status, headers, json.dumps(body))


@pytest.mark.parametrize(
    ("route", "status", "headers", "body", "message"),
    [
        (HEALTH, 201, JSON, {"status": "ok"}, "201 is not documented"),
        (HEALTH, 401, JSON, {"message": "Unauthorized"}, "401 is not documented"),
        (HEALTH, 200, {"content-type": "text/html"}, {"status": "ok"}, "text/html is not documented"),
        (HEALTH, 200, {**JSON, "x-debug": "1"}, {"status": "ok"}, "undocumented headers"),
        (HEALTH, 200, JSON, {"status": "ok", "secret": 1}, "secret"),
        (HEALTH, 200, JSON, {}, "status"),
        (RESULT, 303, JSON, {"location": LINK}, "lacks"),
        (JOB, 404, PROBLEM, problem(404, "JOB_FAILED"), "JOB_FAILED"),
        (JOB, 404, PROBLEM, problem(409, "JOB_NOT_FOUND"), "404 was expected"),
        (JOB, 404, PROBLEM, problem(404, "JOB_NOT_FOUND", owner="bob"), "owner"),
    ],
)
def test_undocumented_answer_fails(route: str, status: int, headers: Mapping[str, str], body: Any, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        CONTRACT.check(route, status, headers, json.dumps(body))


def test_answer_documented_without_a_body_must_have_none() -> None:
    built = document([])
    built["paths"]["/health"]["get"]["responses"]["304"] = {"description": "As it was."}
    contract = Contract(built)
    contract.check(HEALTH, 304, {}, "")
    with pytest.raises(AssertionError, match="has a body"):
        contract.check(HEALTH, 304, JSON, "{}")
