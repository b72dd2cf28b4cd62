"""GET /jobs/{asyncJobId}/input: the input as it was stored, from the record or the bucket, or the reason why there is none."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from local.stack import LocalStack, Outputs
from tests.support.deployed import Caller, Job


def input_of(caller: Caller, job: Job, **options: Any) -> httpx.Response:
    return caller.get(f"/jobs/{job['asyncJobId']}/input", **options)


def test_input_is_what_the_request_had_without_defaults(alice: Caller) -> None:
    job = alice.post("/jobs", json={"jobType": "contract.searches", "input": {"subject": "ü", "limit": 3}}).json()
    answer = input_of(alice, job)
    assert (answer.status_code, answer.headers["content-type"]) == (httpx.codes.OK, "application/json")
    assert answer.json() == {"subject": "ü", "limit": 3}


def test_input_of_a_jobs_own_route_has_its_path_query_and_body(alice: Caller) -> None:
    job = alice.post("/jobs/search/subject/leases", params={"limit": "3"}, json={"exact": True}).json()
    assert input_of(alice, job).json() == {"subject": "leases", "limit": 3, "exact": True}


@pytest.mark.parametrize("state", ["waiting", "running", "completed", "failed", "cancelled"])
def test_input_is_readable_in_each_state(alice: Caller, request: pytest.FixtureRequest, state: str) -> None:
    answer = input_of(alice, request.getfixturevalue(state))
    assert (answer.status_code, type(answer.json())) == (httpx.codes.OK, dict)


def test_input_left_out_is_an_empty_object(alice: Caller, tracked: Job) -> None:
    job = alice.post("/jobs", json={"jobType": "contract.kept_from_creation"}).json()
    assert [input_of(alice, each).json() for each in (job, tracked)] == [{}, {}]


def test_large_input_is_in_the_answer_and_can_be_submitted_again(alice: Caller) -> None:
    given = {"jobType": "contract.searches", "input": {"subject": "x" * 200_000, "turn": "returns"}}
    first = alice.post("/jobs", json=given, headers={"prefer": "respond-async"}).json()
    answer = input_of(alice, first)
    assert (answer.status_code, answer.json()) == (httpx.codes.OK, given["input"])
    second = alice.post("/jobs", json={**given, "input": answer.json()}, headers={"prefer": "respond-async"}).json()
    assert input_of(alice, second).content == answer.content


def test_upload_in_an_input_is_its_key(alice: Caller) -> None:
    key = alice.upload(b"text")
    job = alice.post("/jobs", json={"jobType": "contract.searches", "input": {"subject": key}}).json()
    assert input_of(alice, job).json() == {"subject": key}


def test_input_whose_object_was_deleted_is_404(alice: Caller, stack: LocalStack, outputs: Outputs) -> None:
    job = alice.post("/jobs", json={"jobType": "contract.searches", "input": {"subject": "x" * 5000}}).json()
    bucket = stack.session.resource("s3", endpoint_url=stack.endpoint_url).Bucket(outputs.bucket_name)
    (found,) = [each for each in bucket.objects.filter(Prefix="inputs/") if job["asyncJobId"] in each.key]
    found.delete()
    answer = input_of(alice, job)
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.NOT_FOUND, "INPUT_NOT_FOUND")


def test_input_is_json_only(alice: Caller, completed: Job) -> None:
    """RFC 9110 15.5.7."""
    answer = input_of(alice, completed, headers={"accept": "application/pdf"})
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.NOT_ACCEPTABLE, "NOT_ACCEPTABLE")


def test_head_of_an_input_has_no_body(alice: Caller, completed: Job) -> None:
    """RFC 9110 9.3.2."""
    answer = alice.http.head(f"/jobs/{completed['asyncJobId']}/input")
    assert (answer.status_code, answer.content) == (httpx.codes.OK, b"")
