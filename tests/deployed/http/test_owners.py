"""Authentication and ownership: for every other user a job does not exist. Rows S1, S2, S4 and S5 of the protocol."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from local import users
from local.stack import LocalStack, Outputs
from tests.deployed.http.operations import ABOUT_A_JOB, Call, calls
from tests.support.deployed import UNKNOWN, Api, Caller, Job

GUARDED = calls(lambda call: not call.is_open)


@pytest.mark.parametrize("call", GUARDED, ids=str)
def test_request_without_a_token_is_401(anyone: httpx.Client, call: Call) -> None:
    """RFC 9110 15.5.2."""
    assert anyone.request(call.method, call.path()).status_code == httpx.codes.UNAUTHORIZED


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer x", "Bearer a.b.c", "Basic YTpi"])
def test_invalid_token_is_401(api: Api, authorization: str) -> None:
    """RFC 6750 2.1. tests/deployed/operations/test_tokens.py has the forged ones."""
    assert api.client(authorization=authorization).get("/jobs").status_code == httpx.codes.UNAUTHORIZED


def test_id_token_is_not_an_access_token(api: Api, stack: LocalStack, outputs: Outputs) -> None:
    tokens = users.sign_in(outputs, stack.session, "niaj")
    assert api.client_with_token(tokens["AccessToken"]).get("/jobs").status_code == httpx.codes.OK
    assert api.client_with_token(tokens["IdToken"]).get("/jobs").status_code == httpx.codes.FORBIDDEN


NO_IDS = [
    "nonsense",
    "7",
    UNKNOWN.replace("-", ""),
    "00000000-0000-1000-8000-000000000001",
    "x" * 200,
    "bob%23" + UNKNOWN,
    "%C3%BC",
]


@pytest.mark.parametrize("call", ABOUT_A_JOB, ids=str)
def test_jobs_of_others_unknown_and_malformed_ids_are_the_same_404(bob: Caller, waiting: Job, call: Call) -> None:
    body: dict[str, Any] = {"json": {"progress": 1}} if call.has_body else {}
    ids = [waiting["asyncJobId"], UNKNOWN, waiting["asyncJobId"].upper(), *NO_IDS]
    answers = [bob.http.request(call.method, call.path(async_job_id), **body) for async_job_id in ids]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(httpx.codes.NOT_FOUND, "JOB_NOT_FOUND")}
    assert len({json.dumps({**answer.json(), "requestId": None}) for answer in answers}) == 1


def test_requests_of_another_owner_change_nothing(alice: Caller, bob: Caller, waiting: Job) -> None:
    for call in ABOUT_A_JOB:
        bob.http.request(call.method, call.path(waiting["asyncJobId"]))
    assert alice.job(waiting) == waiting | {"estimatedEndAt": None}


def test_jobs_of_others_are_not_listed(bob: Caller, waiting: Job) -> None:
    own = bob.post("/jobs", json={}).json()
    listed = [job["asyncJobId"] for job in bob.get("/jobs", params={"limit": "100"}).json()["jobs"]]
    assert own["asyncJobId"] in listed
    assert waiting["asyncJobId"] not in listed


def test_owner_comes_from_the_token_alone(alice: Caller, bob: Caller) -> None:
    pretended = {"x-owner": bob.owner, "x-amzn-oidc-identity": bob.owner, "x-forwarded-user": bob.owner}
    job = alice.post("/jobs", json={}, headers=pretended, params={"owner": bob.owner, "sub": bob.owner}).json()
    assert alice.job(job)["status"] == "PENDING"
    assert bob.get(f"/jobs/{job['asyncJobId']}").status_code == httpx.codes.NOT_FOUND


def test_owner_in_a_body_is_400(alice: Caller, bob: Caller) -> None:
    answer = alice.post("/jobs", json={"owner": bob.owner})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (httpx.codes.BAD_REQUEST, "/owner")
