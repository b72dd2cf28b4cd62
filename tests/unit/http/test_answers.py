"""Answers carry the headers that make them safe."""

from __future__ import annotations

import json

from asyncjobs.http.answers import answer, entity_tag, problem_answer
from asyncjobs.http.error_codes import ERRORS
from asyncjobs.http.problems import Problem


def test_answer_is_json_with_the_security_headers() -> None:
    assert answer(200, {"a": "ü"}, headers={"retry-after": "2"}) == {
        "statusCode": 200,
        "headers": {
            "cache-control": "no-store",
            "content-type": "application/json",
            "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
            "strict-transport-security": "max-age=63072000",
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
            "retry-after": "2",
        },
        "body": '{"a":"ü"}',
    }


def test_json_text_is_sent_unchanged() -> None:
    assert answer(200, text='{"a":1.10}')["body"] == '{"a":1.10}'


def test_problem_answer_follows_rfc_9457() -> None:
    found = problem_answer(Problem("JOB_FAILED", headers={"retry-after": "2"}, asyncJobId="x"), "request-1")
    assert found["statusCode"] == 409
    assert found["headers"]["content-type"] == "application/problem+json"
    assert found["headers"]["retry-after"] == "2"
    assert found["headers"]["cache-control"] == "no-store"
    assert json.loads(found["body"]) == {
        "type": "urn:asyncjobs:problem:JOB_FAILED",
        "title": "Job failed",
        "status": 409,
        "code": "JOB_FAILED",
        "detail": ERRORS["JOB_FAILED"].detail,
        "requestId": "request-1",
        "asyncJobId": "x",
    }


def test_entity_tag_depends_on_the_value_alone() -> None:
    assert entity_tag({"a": 1, "b": [2]}) == entity_tag({"a": 1, "b": [2]})
    assert entity_tag({"a": 1}) != entity_tag({"a": 2})
