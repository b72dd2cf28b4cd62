"""POST /jobs: accepted requests, their answers, and rejected requests."""

from __future__ import annotations

import gzip
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.deployed import TLS, Api, Caller, followed


def test_accepted_submit_is_202_with_location_and_retry_after(alice: Caller) -> None:
    """RFC 9110 15.3.3, 10.2.2, 10.2.3."""
    answer = alice.post("/jobs", json={"jobType": "sample.returns"})
    assert answer.status_code == httpx.codes.ACCEPTED
    assert answer.headers["location"] == f"jobs/{answer.json()['asyncJobId']}"
    assert answer.headers["retry-after"] == "2"


def test_submit_of_nulls_is_as_one_without_the_fields(alice: Caller) -> None:
    fields = ("metadata", "message", "priority", "delaySeconds", "notBefore", "retentionSeconds", "retentionFrom")
    answer = alice.post("/jobs", json={"jobType": "sample.returns", "input": None, **dict.fromkeys(fields)})
    assert answer.status_code == httpx.codes.ACCEPTED


def test_compressed_body_is_read(alice: Caller) -> None:
    """RFC 9110 8.4.1.3."""
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = alice.post("/jobs", content=gzip.compress(b'{"jobType": "sample.returns"}'), headers=headers)
    assert (answer.status_code, answer.json()["jobType"]) == (httpx.codes.ACCEPTED, "sample.returns")


def test_new_job_is_pending_without_an_attempt(alice: Caller) -> None:
    job = alice.post("/jobs", json={"jobType": "sample.returns", "delaySeconds": 600}).json()
    assert (job["jobType"], job["status"], job["progress"], job["attempt"], job["maxAttempts"]) == (
        "sample.returns",
        "PENDING",
        0,
        0,
        3,
    )
    nothing_yet = ("startedAt", "endedAt", "resultType", "result", "resultLocation", "error", "message", "metadata")
    assert [job[name] for name in nothing_yet] == [None] * len(nothing_yet)


def test_accepted_job_is_immediately_at_its_location(alice: Caller) -> None:
    answer = alice.post("/jobs", json={"jobType": "sample.returns", "delaySeconds": 600})
    found = alice.get(followed(answer))
    assert (found.status_code, found.json()) == (httpx.codes.OK, answer.json())


@pytest.mark.parametrize("headers", [{}, {"idempotency-key": "the order 7"}], ids=["random", "from a key"])
def test_id_is_a_version_4_uuid(alice: Caller, headers: dict[str, str]) -> None:
    """RFC 9562 5.4."""
    headers = {name: f'"{value} {uuid.uuid4()}"' for name, value in headers.items()}
    answer = alice.post("/jobs", json={}, headers=headers)
    parsed = uuid.UUID(answer.json()["asyncJobId"])
    assert (parsed.version, parsed.variant) == (4, uuid.RFC_4122)


def test_message_and_metadata_are_returned(alice: Caller) -> None:
    metadata = {"fileName": "contract.pdf", "tags": ["ü", {"a/b": None}], "price": 1.5}
    job = alice.post("/jobs", json={"message": "Upload queued", "metadata": metadata}).json()
    assert (alice.job(job)["message"], alice.job(job)["metadata"]) == ("Upload queued", metadata)


def test_input_is_not_returned(alice: Caller) -> None:
    body = {"jobType": "sample.is_quick", "input": {"turn": "returns"}, "delaySeconds": 600}
    job = alice.post("/jobs", json=body).json()
    assert ["input" in shown for shown in (job, alice.job(job))] == [False, False]


def test_submit_without_a_job_type_creates_a_generic_tracked_job(alice: Caller) -> None:
    job = alice.post("/jobs", json={}).json()
    assert (job["jobType"], job["maxAttempts"]) == ("generic", 0)


def test_input_defaults_to_an_empty_object(alice: Caller) -> None:
    answer = alice.post("/jobs", json={"jobType": "sample.is_quick"})
    assert (answer.status_code, answer.json()["status"]) == (httpx.codes.OK, "COMPLETED")


def test_whole_number_may_be_written_in_any_form(alice: Caller) -> None:
    """RFC 8785 3.2.2.3."""
    body = b'{"jobType": "contract.searches", "input": {"subject": "x", "limit": 44.0}}'
    answer = alice.post("/jobs", content=body, headers={"content-type": "application/json"})
    assert repr(answer.json()["result"]["asked"]["limit"]) == "44"


def test_input_of_nearly_256_kb_reaches_the_job(alice: Caller) -> None:
    subject = "ü" * 130_000
    answer = alice.post("/jobs", json={"jobType": "contract.searches", "input": {"subject": subject}})
    link = alice.get(f"/jobs/{answer.json()['asyncJobId']}/result").headers["location"]
    assert httpx.get(link, trust_env=False, verify=TLS).json()["asked"]["subject"] == subject


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON", "application/json; charset=utf-8", 'application/json;charset="UTF-8"'],
)
def test_json_content_types_are_accepted(alice: Caller, content_type: str) -> None:
    """RFC 9110 8.3.1."""
    answer = alice.post("/jobs", content=b"{}", headers={"content-type": content_type})
    assert answer.status_code == httpx.codes.ACCEPTED


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


@pytest.mark.parametrize(
    "body",
    [
        {"message": "ü" * 256},
        {"metadata": {}},
        {"metadata": {"text": "ü" * 506}},
        {"delaySeconds": 0},
        {"delaySeconds": 30 * 24 * 3600},
        {"notBefore": in_days(29.9)},
        {"notBefore": "2020-01-01T00:00:00Z"},
        {"retentionSeconds": 60},
        {"retentionSeconds": 30 * 24 * 3600, "retentionFrom": "CREATION"},
    ],
    ids=lambda body: ", ".join(f"{name} {str(value)[:20]}" for name, value in body.items()),
)
def test_body_at_the_limits_is_accepted(alice: Caller, body: dict[str, Any]) -> None:
    assert alice.post("/jobs", json=body).status_code == httpx.codes.ACCEPTED


HALVES = {"jobType": "sample.halves", "input": {"number": 4}}


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ([], [""]),
        ({"jobType": 7}, ["/jobType"]),
        ({"jobType": ""}, ["/jobType"]),
        ({**HALVES, "input": {"number": "4"}}, ["/input/number"]),
        ({**HALVES, "input": {}}, ["/input/number"]),
        ({**HALVES, "input": None}, ["/input/number"]),
        ({"jobType": "sample.halves"}, ["/input/number"]),
        ({**HALVES, "input": {"number": 4, "x/y": 1, "~": 1}}, ["/input/x~1y", "/input/~0"]),
        ({**HALVES, "input": {"number": None, "limit": 1}}, ["/input/limit", "/input/number"]),
        ({"input": {"number": 4}}, ["/input"]),
        ({**HALVES, "message": "x" * 257}, ["/message"]),
        ({**HALVES, "metadata": []}, ["/metadata"]),
        ({**HALVES, "metadata": {"text": "ü" * 507}}, ["/metadata"]),
        ({**HALVES, "delaySeconds": -1}, ["/delaySeconds"]),
        ({**HALVES, "delaySeconds": True}, ["/delaySeconds"]),
        ({**HALVES, "delaySeconds": 0.5}, ["/delaySeconds"]),
        ({**HALVES, "delaySeconds": 30 * 24 * 3600 + 1}, ["/delaySeconds"]),
        ({**HALVES, "retentionSeconds": 59}, ["/retentionSeconds"]),
        ({**HALVES, "retentionSeconds": 30 * 24 * 3600 + 1}, ["/retentionSeconds"]),
        ({**HALVES, "retentionFrom": "NOW"}, ["/retentionFrom"]),
        ({"delaySeconds": -1, "colour": "red"}, ["/colour", "/delaySeconds"]),
    ],
    ids=lambda part: str(part)[:60],
)
def test_invalid_body_is_400_with_each_problem(alice: Caller, body: Any, pointers: list[str]) -> None:
    """By JSON pointers (RFC 6901)."""
    answer = alice.post("/jobs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.BAD_REQUEST, "INVALID_REQUEST")
    assert sorted(error["pointer"] for error in answer.json()["errors"]) == pointers


@pytest.mark.parametrize(
    "name",
    ["status", "progress", "attempt", "maxAttempts", "asyncJobId", "owner", "recordExpiresAt", "resultLocation", "error"],
)
def test_field_of_the_service_is_rejected(alice: Caller, name: str) -> None:
    answer = alice.post("/jobs", json={"jobType": "sample.returns", name: 1})
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{name}"]


@pytest.mark.parametrize("job_type", ["sample.unicorn", "zoo", "../../etc/passwd", "ZOO.RETURNS"])
def test_unknown_job_type_is_400(alice: Caller, job_type: str) -> None:
    answer = alice.post("/jobs", json={"jobType": job_type})
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.BAD_REQUEST, "UNKNOWN_JOB_TYPE")


def test_rejected_submit_stores_nothing(api: Api) -> None:
    heidi = api.caller("heidi")
    for body in ({"jobType": "sample.unicorn"}, {"jobType": "sample.halves"}, {"delaySeconds": -1}):
        assert heidi.post("/jobs", json=body).status_code == httpx.codes.BAD_REQUEST
    assert heidi.get("/jobs").json() == {"jobs": [], "nextCursor": None}
