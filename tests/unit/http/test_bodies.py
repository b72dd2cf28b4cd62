"""Bodies are parsed, or rejected with the place of each problem."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.http_events import UPDATE
from tests.unit.http.in_memory_api import BODY, InMemoryApi


def test_input_defaults_to_an_empty_object(api: InMemoryApi) -> None:
    api.submit({"jobType": "api.takes_anything"})
    (job,) = api.store.jobs.values()
    assert job.input == "{}"


def test_input_may_be_null(api: InMemoryApi) -> None:
    api.submit({"jobType": "api.takes_anything", "input": None})
    (job,) = api.store.jobs.values()
    assert job.input == "null"


INVALID_BODIES = [
    ({"input": {"pages": 9}}, ["/input"]),
    ({"jobType": ""}, ["/jobType"]),
    ({"jobType": 7}, ["/jobType"]),
    ({"jobType": "generic", "owner": None}, ["/owner"]),
    ({"jobType": "x" * 51}, ["/jobType"]),
    ([], [""]),
    (None, [""]),
    ("api.reads", [""]),
    ({**BODY, "delaySeconds": -1}, ["/delaySeconds"]),
    ({**BODY, "delaySeconds": 30 * 24 * 3600 + 1}, ["/delaySeconds"]),
    ({**BODY, "retentionFrom": "NOW"}, ["/retentionFrom"]),
    *(({**BODY, "priority": value}, ["/priority"]) for value in ("urgent", "HIGH", "", 1, ["high"])),
    ({**BODY, "delaySeconds": 1, "notBefore": "2026-11-21T13:00:00Z"}, ["/notBefore"]),
    ({**BODY, "notBefore": "tomorrow"}, ["/notBefore"]),
    ({**BODY, "notBefore": "2026-11-21T13:00:00"}, ["/notBefore"]),
    ({**BODY, "notBefore": "2026-11-31T13:00:00Z"}, ["/notBefore"]),
    ({**BODY, "notBefore": "2026-11-21T13:00:00Z\n"}, ["/notBefore"]),
    ({**BODY, "notBefore": "0001-01-01T00:00:00+23:00"}, ["/notBefore"]),
    ({**BODY, "notBefore": "2026-12-21T12:00:01Z"}, ["/notBefore"]),
    ({**BODY, "notBefore": 5}, ["/notBefore"]),
    ({**BODY, "delaySeconds": 0.5}, ["/delaySeconds"]),
    ({**BODY, "delaySeconds": True}, ["/delaySeconds"]),
    ({**BODY, "delaySeconds": "10"}, ["/delaySeconds"]),
    ({**BODY, "delaySeconds": 10**37}, ["/delaySeconds"]),
    ({**BODY, "retentionSeconds": 59}, ["/retentionSeconds"]),
    ({**BODY, "retentionSeconds": 30 * 24 * 3600 + 1}, ["/retentionSeconds"]),
    ({**BODY, "retentionSeconds": True}, ["/retentionSeconds"]),
    *(({**BODY, "estimatedSeconds": value}, ["/estimatedSeconds"]) for value in (-0.1, 86_401, "1", True)),
    ({**BODY, "message": "x" * 257}, ["/message"]),
    ({**BODY, "message": 7}, ["/message"]),
    ({**BODY, "metadata": []}, ["/metadata"]),
    ({**BODY, "metadata": {"text": "x" * 1024}}, ["/metadata"]),
    ({**BODY, "metadata": {"text": "ü" * 507}}, ["/metadata"]),
    *(
        ({**BODY, name: 1}, [f"/{name}"])
        for name in (
            "status",
            "attempt",
            "owner",
            "asyncJobId",
            "recordExpiresAt",
            "resultLocation",
            "progress",
            "gen",
            "maxAttempts",
            "tenantId",
            "__proto__",
            "JobType",
        )
    ),
    ({"jobType": "api.reads"}, ["/input/pages"]),
    ({"jobType": "api.reads", "input": None}, ["/input/pages"]),
    ({"jobType": "api.reads", "input": {"pages": 0}}, ["/input/pages"]),
    ({"jobType": "api.reads", "input": {"pages": "9"}}, ["/input/pages"]),
    ({"jobType": "api.reads", "input": {"pages": 9, "a/b": 1}}, ["/input/a~1b"]),
    ({"jobType": "api.reads", "input": {"pages": None, "title": "x" * 11}}, ["/input/pages", "/input/title"]),
    ({"delaySeconds": -1, "owner": "bob"}, ["/delaySeconds", "/owner"]),
]


@pytest.mark.parametrize(("body", "pointers"), INVALID_BODIES, ids=[json.dumps(body)[:60] for body, _ in INVALID_BODIES])
def test_invalid_body_is_400_with_each_problem(api: InMemoryApi, body: Any, pointers: list[str]) -> None:
    answer = api.submit(body)
    assert (answer.status, answer.body["code"]) == (400, "INVALID_REQUEST")
    assert answer.pointers == pointers
    assert (api.store.writes, api.queue.sent, api.objects.stored) == (0, [], {})


@pytest.mark.parametrize(
    "changes",
    [
        {"delaySeconds": 900},
        {"delaySeconds": 30 * 24 * 3600},
        {"retentionFrom": "CREATION"},
        {"priority": "high"},
        {"priority": "standard"},
        {"priority": "low"},
        {"notBefore": "2026-11-21T14:00:00.123456+01:00"},
        {"notBefore": "2020-01-01T00:00:00Z"},
        {"notBefore": "2026-11-21T14:00:00.123456789Z"},
        {"notBefore": "2026-11-21t14:00:00z"},
        {"notBefore": "2016-12-31T23:59:60Z"},
        {"delaySeconds": 0},
        {"delaySeconds": 1.0},
        {"retentionSeconds": 60},
        {"retentionSeconds": 30 * 24 * 3600},
        {"estimatedSeconds": 0},
        {"estimatedSeconds": 86_400},
        {"estimatedSeconds": 0.123456789012345678},
        {"message": "ü" * 256},
        {"metadata": {}},
        {"metadata": {"text": "ü" * 506}},
    ],
    ids=lambda changes: json.dumps(changes)[:40],
)
def test_body_at_the_limits_is_accepted(api: InMemoryApi, changes: dict[str, Any]) -> None:
    assert api.submit({**BODY, **changes}).status == 202


OPTIONAL = [
    "metadata",
    "message",
    "priority",
    "delaySeconds",
    "notBefore",
    "retentionSeconds",
    "retentionFrom",
    "estimatedSeconds",
]


def test_null_is_as_good_as_a_field_that_is_left_out(api: InMemoryApi) -> None:
    without = api.submit(BODY, key="k")
    answer = api.submit({**BODY, **dict.fromkeys(OPTIONAL)}, key="k")
    assert (answer.body["asyncJobId"], answer.headers["idempotency-replayed"]) == (without.body["asyncJobId"], "true")
    assert api.submit({**BODY, "delaySeconds": 1, "notBefore": None}).status == 202


def test_estimate_does_not_make_another_request(api: InMemoryApi) -> None:
    first, again = (api.submit({**BODY, "estimatedSeconds": seconds}, key="k") for seconds in (1, 2))
    assert (again.status, again.headers["idempotency-replayed"]) == (202, "true")
    assert again.body["asyncJobId"] == first.body["asyncJobId"]


def test_submit_of_nulls_is_a_tracked_job(api: InMemoryApi) -> None:
    answer = api.submit(dict.fromkeys(["jobType", "input", *OPTIONAL]))
    (job,) = api.store.jobs.values()
    assert (answer.status, answer.body["jobType"], job.input) == (202, "generic", "{}")


def test_upload_without_a_type_is_of_bytes(api: InMemoryApi) -> None:
    # Browsers call a file of an unknown type "".
    for body in ({"contentLength": 0}, {"contentLength": 0, "contentType": None}, {"contentLength": 0, "contentType": ""}):
        answer = api.upload(body)
        assert answer.status == 201
        assert answer.body["headers"].items() >= {"content-type": "application/octet-stream", "content-length": "0"}.items()


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain;charset=utf-8",
        'text/html ; charset="utf-8"',
        "text/plain; charset=utf-8; format=flowed",
        'multipart/mixed; boundary="a b(c)"',
    ],
)
def test_upload_has_a_type_as_clients_write_it(api: InMemoryApi, content_type: str) -> None:
    answer = api.upload({"contentLength": 0, "contentType": content_type})
    assert (answer.status, answer.body["headers"]["content-type"]) == (201, content_type)


def test_problem_does_not_quote_the_body(api: InMemoryApi) -> None:
    for body in (
        {"jobType": "canary"},
        {**BODY, "message": ["canary"]},
        {**BODY, "input": {"pages": "canary"}},
        {**BODY, "input": "canary"},
        {**BODY, "metadata": "canary"},
    ):
        assert "canary" not in api.submit(body).text


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/contentLength"]),
        ({"contentLength": -1}, ["/contentLength"]),
        ({"contentLength": None}, ["/contentLength"]),
        ({"contentLength": 5 * 1024**3 + 1}, ["/contentLength"]),
        ({"contentLength": 1.5}, ["/contentLength"]),
        ({"contentLength": 1, "contentType": "pdf"}, ["/contentType"]),
        ({"contentLength": 1, "contentType": "a/b\r\nx: y"}, ["/contentType"]),
        ({"contentLength": 1, "contentType": "a/b\n"}, ["/contentType"]),
        ({"contentLength": 1, "contentType": 'a/b; c="d\r\ne"'}, ["/contentType"]),
        ({"contentLength": 1, "contentType": 'a/b; c="d'}, ["/contentType"]),
        ({"contentLength": 1, "contentType": "a/b;"}, ["/contentType"]),
        ({"contentLength": 1, "key": "mine"}, ["/key"]),
        ([], [""]),
    ],
)
def test_invalid_upload_is_400_with_each_problem(api: InMemoryApi, body: Any, pointers: list[str]) -> None:
    answer = api.upload(body)
    assert (answer.status, answer.pointers) == (400, pointers)


def test_job_type_may_have_the_name_of_a_bodys_schema(api: InMemoryApi) -> None:
    job = api.submit({}).body
    for _ in range(2):
        assert api.submit({"jobType": "report", "input": {"pages": 9}}).status == 202
        assert api.submit({"jobType": "report", "input": {"progress": 1}}).pointers == ["/input/pages"]
        assert api.call(UPDATE, async_job_id=job["asyncJobId"], body='{"progress": 1}').status == 200
