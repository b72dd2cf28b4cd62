"""GET /jobs/{asyncJobId}/result: the result, wherever it lies, or why there is none."""

from __future__ import annotations

import httpx
import pytest

from tests.support.deployed import Caller, Job


def test_a_small_result_is_answered_as_it_is(alice: Caller) -> None:
    job = alice.post("/jobs", json={"jobType": "contract.searches", "input": {"subject": "ü"}}).json()
    answer = alice.get(f"/jobs/{job['asyncJobId']}/result")
    assert (answer.status_code, answer.headers["content-type"]) == (httpx.codes.OK, "application/json")
    assert answer.json() == job["result"]
    assert answer.json()["asked"]["subject"] == "ü"


def test_a_result_may_be_null_and_is_there_all_the_same(alice: Caller) -> None:
    job = alice.post("/jobs", json={"jobType": "contract.kept_from_creation"}).json()
    assert (job["resultType"], job["result"]) == ("INLINE", None)
    answer = alice.get(f"/jobs/{job['asyncJobId']}/result")
    assert (answer.status_code, answer.text) == (httpx.codes.OK, "null")


def test_a_large_result_is_303_to_a_link_that_the_body_names_too(alice: Caller, large: Job) -> None:
    """RFC 9110 15.4.4."""
    answer = alice.get(f"/jobs/{large['asyncJobId']}/result")
    assert answer.status_code == httpx.codes.SEE_OTHER
    assert answer.json() == {"location": answer.headers["location"]}


def test_the_link_gives_the_result_without_any_token(alice: Caller, large: Job) -> None:
    link = alice.get(f"/jobs/{large['asyncJobId']}/result").headers["location"]
    answer = httpx.get(link, trust_env=False)
    assert (answer.status_code, answer.headers["content-type"]) == (httpx.codes.OK, "application/json")
    assert len(answer.json()["text"]) == 20_000


def test_a_result_lies_in_the_job_up_to_8_kb_and_elsewhere_from_there_on(alice: Caller) -> None:
    def kind(size: int) -> str:
        body = {"jobType": "contract.searches", "input": {"subject": "x", "size": size}}
        found: str = alice.post("/jobs", json=body).json()["resultType"]
        return found

    assert [kind(7_900), kind(8_192)] == ["INLINE", "S3"]


def test_the_result_of_an_unfinished_job_is_409_with_when_to_ask_again(alice: Caller, unfinished: Job) -> None:
    answer = alice.get(f"/jobs/{unfinished['asyncJobId']}/result")
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.CONFLICT, "JOB_NOT_COMPLETED")
    assert answer.json()["asyncJobId"] == unfinished["asyncJobId"]
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(("state", "code"), [("failed", "JOB_FAILED"), ("cancelled", "JOB_CANCELLED")])
def test_the_result_of_a_job_that_ended_without_one_is_409_with_its_error(
    alice: Caller, request: pytest.FixtureRequest, state: str, code: str
) -> None:
    job = request.getfixturevalue(state)
    answer = alice.get(f"/jobs/{job['asyncJobId']}/result")
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.CONFLICT, code)
    assert (answer.json()["asyncJobId"], answer.json()["error"]) == (job["asyncJobId"], job["error"])
    assert "retry-after" not in answer.headers
