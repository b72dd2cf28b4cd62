"""GET /jobs/{asyncJobId}/result: the result from the record or the bucket, or the reason why there is none."""

from __future__ import annotations

import httpx
import pytest

from tests.support.deployed import TLS, Caller, Job


def test_small_result_is_returned_unchanged(alice: Caller) -> None:
    job = alice.post("/jobs", json={"jobType": "contract.searches", "input": {"subject": "ü"}}).json()
    answer = alice.get(f"/jobs/{job['asyncJobId']}/result")
    assert (answer.status_code, answer.headers["content-type"]) == (httpx.codes.OK, "application/json")
    assert answer.json() == job["result"]
    assert answer.json()["asked"]["subject"] == "ü"


def test_null_result_is_200(alice: Caller) -> None:
    job = alice.post("/jobs", json={"jobType": "contract.kept_from_creation"}).json()
    assert (job["resultType"], job["result"]) == ("INLINE", None)
    answer = alice.get(f"/jobs/{job['asyncJobId']}/result")
    assert (answer.status_code, answer.text) == (httpx.codes.OK, "null")


def test_large_result_is_303_with_the_link_in_header_and_body(alice: Caller, large: Job) -> None:
    """RFC 9110 15.4.4."""
    answer = alice.get(f"/jobs/{large['asyncJobId']}/result")
    assert answer.status_code == httpx.codes.SEE_OTHER
    assert answer.json() == {"location": answer.headers["location"]}


def test_link_needs_no_token(alice: Caller, large: Job) -> None:
    link = alice.get(f"/jobs/{large['asyncJobId']}/result").headers["location"]
    answer = httpx.get(link, trust_env=False, verify=TLS)
    assert (answer.status_code, answer.headers["content-type"]) == (httpx.codes.OK, "application/json")
    assert len(answer.json()["text"]) == 20_000


def test_result_is_inline_up_to_8_kb(alice: Caller) -> None:
    def kind(size: int) -> str:
        body = {"jobType": "contract.searches", "input": {"subject": "x", "size": size}}
        found: str = alice.post("/jobs", json=body).json()["resultType"]
        return found

    assert [kind(7_900), kind(8_192)] == ["INLINE", "S3"]


def test_result_of_an_unfinished_job_is_409_with_retry_after(alice: Caller, unfinished: Job) -> None:
    answer = alice.get(f"/jobs/{unfinished['asyncJobId']}/result")
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.CONFLICT, "JOB_NOT_COMPLETED")
    assert answer.json()["asyncJobId"] == unfinished["asyncJobId"]
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(("state", "code"), [("failed", "JOB_FAILED"), ("cancelled", "JOB_CANCELLED")])
def test_result_of_a_failed_or_cancelled_job_is_409_with_its_error(
    alice: Caller, request: pytest.FixtureRequest, state: str, code: str
) -> None:
    job = request.getfixturevalue(state)
    answer = alice.get(f"/jobs/{job['asyncJobId']}/result")
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.CONFLICT, code)
    assert (answer.json()["asyncJobId"], answer.json()["error"]) == (job["asyncJobId"], job["error"])
    assert "retry-after" not in answer.headers
