"""Headers of every answer, and CORS."""

from __future__ import annotations

import httpx
import pytest

from local.stack import Outputs
from tests.deployed.http.operations import ALL, Call, calls
from tests.support.deployed import TLS, Caller, Job
from tests.template.source import resource

EVERY_ANSWER = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "strict-transport-security": "max-age=63072000",
    "referrer-policy": "no-referrer",
}
LISTED = "http://localhost:3000"


@pytest.mark.parametrize("accept", ["application/json", "text/html"], ids=["success", "problem"])
@pytest.mark.parametrize("call", ALL, ids=str)
def test_every_answer_has_the_security_headers(alice: Caller, call: Call, accept: str) -> None:
    """RFC 9111 5.2.2.5, RFC 6797 6.1."""
    answer = alice.http.request(call.method, call.path(), headers={"accept": accept})
    assert EVERY_ANSWER.items() <= answer.headers.items()
    is_the_document = call.template in ("/openapi.json", "/asyncapi.json") and answer.is_success
    assert answer.headers["cache-control"] == ("public, max-age=300" if is_the_document else "no-store")


@pytest.mark.parametrize("call", calls(lambda call: call.method == "GET" and not call.template.startswith("/jobs/")), ids=str)
def test_head_has_the_headers_of_get_and_no_body(alice: Caller, completed: Job, call: Call) -> None:
    """RFC 9110 9.3.2."""
    path = call.path(completed["asyncJobId"])
    get, head = (alice.http.request(method, path) for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (get.status_code, b"")
    varies = {"date", "content-length", "location", "apigw-requestid"}
    assert {name: value for name, value in head.headers.items() if name not in varies} == {
        name: value for name, value in get.headers.items() if name not in varies
    }


def preflight(outputs: Outputs, origin: str, method: str = "POST") -> httpx.Response:
    call = {"origin": origin, "access-control-request-method": method, "access-control-request-headers": "authorization"}
    return httpx.options(f"{outputs.api_url}/api/v1/jobs", headers=call, trust_env=False, verify=TLS)


def listed(value: str) -> set[str]:
    return {each.strip().lower() for each in value.split(",")}


def test_listed_origin_may_send_every_method_and_header(outputs: Outputs) -> None:
    """The Fetch standard, 3.2: CORS."""
    answer = preflight(outputs, LISTED)
    assert answer.is_success
    assert answer.headers["access-control-allow-origin"] == LISTED
    assert listed(answer.headers["access-control-allow-methods"]) >= {call.method.lower() for call in ALL}
    assert listed(answer.headers["access-control-allow-headers"]) >= {
        "authorization",
        "content-type",
        "idempotency-key",
        "if-none-match",
        "prefer",
    }


def test_listed_origin_may_read_the_response_headers(outputs: Outputs) -> None:
    answer = httpx.get(f"{outputs.api_url}/api/v1/health", headers={"origin": LISTED}, trust_env=False, verify=TLS)
    assert answer.headers["access-control-allow-origin"] == LISTED
    cors = resource("Api")["Properties"]["CorsConfiguration"]["Fn::If"][1]
    assert listed(answer.headers["access-control-expose-headers"]) >= set(cors["ExposeHeaders"])


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:3000.evil.example", "http://localhost:30000"]
)
def test_s19_other_origin_gets_no_cors_headers(alice: Caller, outputs: Outputs, origin: str) -> None:
    answers = [preflight(outputs, origin), alice.get("/jobs", headers={"origin": origin})]
    assert not [answer for answer in answers if "access-control-allow-origin" in answer.headers]
