"""Errors of every operation: RFC 9457 problems with a code, and the gateway's own answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from local.stack import Outputs
from tests.deployed.http.operations import Call, calls
from tests.support.deployed import TLS, UNKNOWN, Api, Caller, Job

WITH_A_BODY = calls(lambda call: call.has_body)
JSON = {"content-type": "application/json"}


Send = Callable[..., httpx.Response]


@pytest.fixture
def send(api: Api, alice: Caller, tracked: Job) -> Send:
    """Return a function that calls an operation with a valid token: the worker's where the gateway requires none."""

    def send(call: Call, **options: Any) -> httpx.Response:
        client = api.client_with_token(tracked["workerToken"]) if call.is_open else alice.http
        return client.request(call.method, call.path(tracked["asyncJobId"]), **options)

    return send


def test_problem_has_the_members_of_rfc_9457_a_code_and_the_request_id(alice: Caller) -> None:
    """RFC 9457 3."""
    answer = alice.get(f"/jobs/{UNKNOWN}")
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem.pop("requestId")
    assert problem == {
        "type": "urn:asyncjobs:problem:JOB_NOT_FOUND",
        "title": "Job not found",
        "status": answer.status_code,
        "code": "JOB_NOT_FOUND",
        "detail": "Check the id. The job does not exist, belongs to another owner, or has expired.",
    }


def test_each_request_has_its_own_id(alice: Caller) -> None:
    assert len({alice.get(f"/jobs/{UNKNOWN}").json()["requestId"] for _ in range(3)}) == 3


def test_invalid_input_is_named_by_pointer_and_in_words(alice: Caller) -> None:
    """RFC 6901."""
    answer = alice.post("/jobs", json={"jobType": "sample.halves", "input": {"number": 4, "a/b": 1}})
    (error,) = answer.json()["errors"]
    assert (error["pointer"], bool(error["detail"])) == ("/input/a~1b", True)


# Without its ticket, a ticket's route answers that first.
@pytest.mark.parametrize("call", calls(lambda call: call.method != "DELETE" and "/tickets/" not in call.template), ids=str)
def test_accept_without_json_is_406(alice: Caller, completed: Job, call: Call) -> None:
    """RFC 9110 15.5.7."""
    path, query = call.path(completed["asyncJobId"]), {"query": "lease"} if call.template == "/search" else {}
    answer = alice.http.request(call.method, path, params=query, headers={"accept": "text/html"})
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.NOT_ACCEPTABLE, "NOT_ACCEPTABLE")


def test_accept_is_ignored_where_there_is_nothing_to_choose(alice: Caller, large: Job, tracked: Job) -> None:
    """RFC 9110 12.5.1."""
    accept = {"accept": "text/csv"}
    assert alice.get(f"/jobs/{large['asyncJobId']}/result", headers=accept).status_code == httpx.codes.SEE_OTHER
    alice.post(f"/jobs/{tracked['asyncJobId']}/cancel")
    assert alice.delete(f"/jobs/{tracked['asyncJobId']}", headers=accept).status_code == httpx.codes.NO_CONTENT


@pytest.mark.parametrize("call", WITH_A_BODY, ids=str)
def test_body_in_another_coding_is_415(send: Send, call: Call) -> None:
    """RFC 7694 3."""
    answer = send(call, content=b"{}", headers={**JSON, "content-encoding": "br"})
    assert (answer.status_code, answer.json()["code"]) == (
        httpx.codes.UNSUPPORTED_MEDIA_TYPE,
        "UNSUPPORTED_CONTENT_ENCODING",
    )
    assert answer.headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    "accept", ["", "*/*", "application/*", "application/json", "text/html, application/json;q=0.5", "application/problem+json"]
)
def test_accept_with_json_among_others_is_answered(alice: Caller, accept: str) -> None:
    """RFC 9110 12.5.1."""
    assert alice.get("/jobs", headers={"accept": accept}).status_code == httpx.codes.OK


@pytest.mark.parametrize("call", WITH_A_BODY, ids=str)
def test_body_of_another_content_type_is_415(send: Send, call: Call) -> None:
    """RFC 9110 15.5.16."""
    answer = send(call, content=b"{}", headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize("call", WITH_A_BODY, ids=str)
def test_truncated_body_is_400(send: Send, call: Call) -> None:
    answer = send(call, content=b"{", headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.BAD_REQUEST, "INVALID_JSON")


@pytest.mark.parametrize("call", WITH_A_BODY, ids=str)
def test_body_of_more_than_256_kb_is_413(send: Send, call: Call) -> None:
    """RFC 9110 15.5.14."""
    body = json.dumps("x" * (256 * 1024 - 1)).encode()
    answer = send(call, content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.REQUEST_ENTITY_TOO_LARGE, "REQUEST_TOO_LARGE")


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        (b'{"jobType":"generic","jobType":"generic"}', ""),
        (b'{"input":NaN}', ""),
        (b'{"input":-Infinity}', ""),
        (b'{"input":1e999}', ""),
        (b'{"input":' + b"1" * 39 + b"}", ""),
        (b'{"input":' + b"[" * 32 + b"]" * 32 + b"}", "/input" + "/0" * 31),
        (b"[" * 5000, ""),
        (b"\xff\xfe", ""),
        (b'{"message":"M\xfcller"}', ""),
        ('{"message":"x"}'.encode("utf-16"), ""),
        (b'\xef\xbb\xbf{"message":"x"}', ""),
        (rb'{"message":"\u0000"}', "/message"),
        (rb'{"message":"\ud800"}', "/message"),
        (b"", ""),
    ],
    ids=[
        "a name twice",
        "NaN",
        "an infinity",
        "a number too large",
        "39 digits",
        "33 levels",
        "5000 levels",
        "not UTF-8",
        "Latin-1",
        "UTF-16",
        "a byte order mark",
        "NUL",
        "a lone surrogate",
        "nothing",
    ],
)
def test_ambiguous_json_is_400_with_its_place(alice: Caller, content: bytes, pointer: str) -> None:
    """RFC 8259 4, 6, 8.1; RFC 7493 2."""
    answer = alice.post("/jobs", content=content, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.BAD_REQUEST, "INVALID_JSON")
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_32_levels_and_38_digits_are_accepted(alice: Caller) -> None:
    deep: Any = 0
    for _ in range(30):
        deep = [deep]
    number = int("9" * 38)
    answer = alice.post("/jobs", json={"metadata": {"deep": deep, "long": number}})
    assert (answer.status_code, answer.json()["metadata"]) == (httpx.codes.ACCEPTED, {"deep": deep, "long": number})


@pytest.mark.parametrize(
    "body",
    [
        {"jobType": "canary"},
        {"message": ["canary"]},
        {"jobType": "sample.halves", "input": {"number": "canary"}},
        {"jobType": "sample.halves", "input": "canary"},
        {"metadata": "canary"},
        {"retentionFrom": "canary"},
        {"notBefore": "canary"},
    ],
    ids=str,
)
def test_problem_does_not_quote_the_request(alice: Caller, body: dict[str, Any]) -> None:
    answer = alice.post("/jobs", json=body)
    assert (answer.status_code, "canary" in answer.text) == (httpx.codes.BAD_REQUEST, False)


# ── The gateway's own ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", f"/api/v1/jobs/{UNKNOWN}"),
        ("PUT", "/api/v1/jobs"),
        ("PATCH", "/api/v1/jobs"),
        ("POST", "/api/v1/health"),
        ("POST", "/api/v1/job-types"),
        ("GET", f"/api/v1/jobs/{UNKNOWN}/cancel"),
        ("GET", "/"),
        ("GET", "/api/v2/jobs"),
        ("GET", "/api/v1"),
        ("GET", "/api/v1/jobs/a/b/c"),
        ("GET", "/api/v1/admin"),
        ("GET", "/.env"),
    ],
)
def test_s18_unknown_route_is_the_gateways_404(alice: Caller, outputs: Outputs, method: str, path: str) -> None:
    # HTTP APIs answer 404 also for a wrong method. No function runs, and nothing is billed.
    answer = alice.http.request(method, f"{outputs.api_url}{path}")
    assert (answer.status_code, answer.json()) == (httpx.codes.NOT_FOUND, {"message": "Not Found"})


@pytest.mark.parametrize("async_job_id", ["..", "..%2Fjob-types", "%2e%2e", f"%2F{UNKNOWN}", f"{UNKNOWN}%2Fresult", "%00", "*"])
def test_s18_id_cannot_leave_its_route(alice: Caller, outputs: Outputs, async_job_id: str) -> None:
    url = httpx.URL(f"{outputs.api_url}/api/v1/jobs/x").copy_with(
        raw_path=f"{httpx.URL(outputs.api_url).path}/api/v1/jobs/{async_job_id}".encode()
    )
    assert httpx.get(url, headers=alice.http.headers, trust_env=False, verify=TLS).status_code == httpx.codes.NOT_FOUND
