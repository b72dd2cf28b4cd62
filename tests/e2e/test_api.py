"""The HTTP contract as a client meets it, with the gateway and its authorizer in front."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx
import pytest

from local.stack import LocalStack, Outputs
from tests.e2e.conftest import Caller

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def id_token(stack: LocalStack, outputs: Outputs) -> str:
    """What identifies a user to a web page, and is not meant for an API."""
    pool = stack.session.client("cognito-idp", endpoint_url=outputs.endpoint_url)
    assert outputs.user_pool_id is not None
    assert outputs.user_pool_client_id is not None
    pool.admin_create_user(UserPoolId=outputs.user_pool_id, Username="carol", MessageAction="SUPPRESS")
    pool.admin_set_user_password(UserPoolId=outputs.user_pool_id, Username="carol", Password="A1b!cdefghijk", Permanent=True)
    answer = pool.initiate_auth(
        ClientId=outputs.user_pool_client_id,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": "carol", "PASSWORD": "A1b!cdefghijk"},
    )
    return answer["AuthenticationResult"]["IdToken"]


# ── Who may call ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer x", "Bearer a.b.c", "Basic YTpi"])
@pytest.mark.parametrize(("method", "path"), [("POST", "/jobs"), ("GET", f"/jobs/{UNKNOWN}"), ("GET", "/job-types")])
def test_without_a_good_token_nothing_is_to_be_had(outputs: Outputs, authorization: str | None, method: str, path: str) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    answer = httpx.request(method, f"{outputs.api_url}/api/v1{path}", headers=headers, trust_env=False)
    assert answer.status_code == httpx.codes.UNAUTHORIZED


def test_an_id_token_is_no_access_token(stack: LocalStack, outputs: Outputs) -> None:
    headers = {"authorization": f"Bearer {id_token(stack, outputs)}"}
    answer = httpx.get(f"{outputs.api_url}/api/v1/jobs", headers=headers, trust_env=False)
    assert answer.status_code == httpx.codes.FORBIDDEN


def test_health_needs_no_token(outputs: Outputs) -> None:
    answer = httpx.get(f"{outputs.api_url}/api/v1/health", trust_env=False)
    assert (answer.status_code, answer.json()) == (httpx.codes.OK, {"status": "ok"})


def test_the_openapi_document_needs_no_token_and_names_every_job_type(outputs: Outputs) -> None:
    answer = httpx.get(f"{outputs.api_url}/api/v1/openapi.json", trust_env=False)
    assert (answer.status_code, answer.headers["content-type"]) == (httpx.codes.OK, "application/json")
    assert {"text.search.input", "zoo.returns.input"} <= answer.json()["components"]["schemas"].keys()


def test_a_browser_of_an_allowed_origin_may_ask_and_another_may_not(outputs: Outputs) -> None:
    def preflight(origin: str) -> httpx.Response:
        headers = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        return httpx.options(f"{outputs.api_url}/api/v1/jobs", headers=headers, trust_env=False)

    assert preflight("http://localhost:3000").headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "access-control-allow-origin" not in preflight("https://evil.example").headers


# ── Submit ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_submit_answers_202_with_where_and_when_to_look(alice: Caller) -> None:
    answer = alice.post("/jobs", json={"jobType": "zoo.returns", "message": "Upload queued", "metadata": {"tags": ["a"]}})
    job = answer.json()
    assert answer.status_code == httpx.codes.ACCEPTED
    assert answer.headers["location"] == f"/api/v1/jobs/{job['asyncJobId']}"
    assert answer.headers["retry-after"] == "2"
    assert (job["status"], job["progress"], job["message"], job["metadata"]) == ("PENDING", 0, "Upload queued", {"tags": ["a"]})
    assert uuid.UUID(job["asyncJobId"]).version == 4
    assert alice.wait_for(job)["status"] == "COMPLETED"


def test_the_same_request_again_is_the_same_job(alice: Caller, key: str) -> None:
    body = {"jobType": "zoo.returns", "input": {}}
    first = alice.post("/jobs", json=body, headers={"idempotency-key": key})
    again = alice.post("/jobs", json=body, headers={"idempotency-key": f'"{key}"'})
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["asyncJobId"] == first.json()["asyncJobId"]
    done = alice.wait_for(first.json())
    finished = alice.post("/jobs", json=body, headers={"idempotency-key": key})
    assert (finished.status_code, finished.json()) == (httpx.codes.OK, done)
    assert done["attempt"] == 1


def test_the_same_key_for_another_request_is_refused(alice: Caller, key: str) -> None:
    alice.post("/jobs", json={"jobType": "zoo.returns"}, headers={"idempotency-key": key})
    other = alice.post("/jobs", json={"jobType": "zoo.returns", "message": "other"}, headers={"idempotency-key": key})
    assert (other.status_code, other.json()["code"]) == (httpx.codes.UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED")


def test_the_same_key_of_another_owner_is_another_job(alice: Caller, bob: Caller, key: str) -> None:
    ids = {caller.submit("zoo.returns", **{"idempotency-key": key})["asyncJobId"] for caller in (alice, bob)}
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"jobType": "zoo.halves", "input": {"number": "4"}}, "/input/number"),
        ({"jobType": "zoo.halves", "input": {}}, "/input/number"),
        ({"jobType": "zoo.halves", "input": {"number": 4, "x/y": 1}}, "/input/x~1y"),
        ({"jobType": "zoo.returns", "status": "COMPLETED"}, "/status"),
        ({"jobType": "zoo.returns", "delaySeconds": True}, "/delaySeconds"),
        ({"jobType": "zoo.returns", "metadata": {"x": "y" * 2000}}, "/metadata"),
        ({"jobType": 7}, "/jobType"),
    ],
)
def test_what_is_wrong_with_a_request_is_named(alice: Caller, body: dict[str, Any], pointer: str) -> None:
    answer = alice.post("/jobs", json=body)
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_an_unknown_job_type_is_refused(alice: Caller) -> None:
    answer = alice.post("/jobs", json={"jobType": "zoo.unicorn"})
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.BAD_REQUEST, "UNKNOWN_JOB_TYPE")


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"jobType":"zoo.returns","jobType":"zoo.halves"}', "application/json", 400),
        (b'{"jobType":"zoo.returns","input":{"x":NaN}}', "application/json", 400),
        (b"[" * 5000, "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"jobType=zoo.returns", "application/x-www-form-urlencoded", 415),
        (json.dumps({"jobType": "zoo.returns", "input": "x" * 300_000}).encode(), "application/json", 413),
    ],
    ids=["cut off", "name twice", "NaN", "deep", "not UTF-8", "a form", "too large"],
)
def test_a_body_that_is_no_sound_json_is_refused(alice: Caller, content: bytes, content_type: str, status: int) -> None:
    answer = alice.post("/jobs", content=content, headers={"content-type": content_type})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


# ── Look ───────────────────────────────────────────────────────────────────────────────────────────


def test_somebody_elses_job_an_unknown_one_and_no_id_at_all_are_the_same_404(alice: Caller, bob: Caller) -> None:
    job = alice.submit("zoo.returns")
    answers = []
    for async_job_id in (job["asyncJobId"], UNKNOWN, "nonsense"):
        answers += [bob.get(f"/jobs/{async_job_id}"), bob.get(f"/jobs/{async_job_id}/result")]
        answers += [bob.post(f"/jobs/{async_job_id}/{what}") for what in ("cancel", "retry")]
        answers.append(bob.delete(f"/jobs/{async_job_id}"))
    assert {answer.status_code for answer in answers} == {httpx.codes.NOT_FOUND}
    assert len({json.dumps({**answer.json(), "requestId": None}) for answer in answers}) == 1
    assert alice.wait_for(job)["status"] == "COMPLETED"


def test_the_result_of_an_unfinished_job_is_not_to_be_had_yet(alice: Caller) -> None:
    answer = alice.post("/jobs", json={"jobType": "zoo.returns", "delaySeconds": 60})
    early = alice.get(f"/jobs/{answer.json()['asyncJobId']}/result")
    assert (early.status_code, early.json()["code"]) == (httpx.codes.CONFLICT, "JOB_NOT_COMPLETED")
    assert 50 <= int(early.headers["retry-after"]) <= 60


def test_a_list_is_the_callers_own_newest_first_page_by_page(caller: Any) -> None:
    dave = caller("dave")
    submitted = [dave.submit("zoo.returns")["asyncJobId"] for _ in range(5)]
    seen, parameters = [], {"limit": "2"}
    while True:
        page = dave.get("/jobs", params=parameters).json()
        seen += [job["asyncJobId"] for job in page["jobs"]]
        if page["nextCursor"] is None:
            break
        parameters["cursor"] = page["nextCursor"]
    assert seen == submitted[::-1]
    stolen = caller("erin").get("/jobs", params=parameters)
    assert (stolen.status_code, stolen.json()["code"]) == (httpx.codes.BAD_REQUEST, "INVALID_CURSOR")


def test_a_list_can_be_narrowed(caller: Any) -> None:
    frank = caller("frank")
    done = frank.wait_for(frank.submit("zoo.gives_up"))
    frank.submit("zoo.returns")
    found = frank.get("/jobs", params={"status": "FAILED"}).json()["jobs"]
    assert found == [done]


def test_the_job_types_tell_what_a_client_must_know(alice: Caller) -> None:
    types = {entry["jobType"]: entry for entry in alice.get("/job-types").json()["jobTypes"]}
    assert {"document.extract", "text.search"} <= types.keys()
    assert types["document.extract"]["inputSchema"]["properties"].keys() == {"pdf", "key"}
    assert types["document.extract"]["description"]
