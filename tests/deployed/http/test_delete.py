"""DELETE /jobs/{asyncJobId}: a finished job is deleted with its input and its result."""

from __future__ import annotations

import httpx
import pytest

from local.stack import LocalStack
from tests.deployed.http.operations import every_call_about
from tests.support.deployed import Api, Caller, Job


@pytest.fixture
def finished(alice: Caller) -> Job:
    """Finish a job with an input and a result in the bucket."""
    body = {"jobType": "contract.searches", "input": {"subject": "x" * 5_000, "size": 20_000}}
    job: Job = alice.post("/jobs", json=body).json()
    assert job["status"] == "COMPLETED"
    return job


def delete(caller: Caller, job: Job) -> httpx.Response:
    return caller.delete(f"/jobs/{job['asyncJobId']}")


def test_delete_is_204_without_a_body(alice: Caller, finished: Job) -> None:
    """RFC 9110 15.3.5."""
    answer = delete(alice, finished)
    assert (answer.status_code, answer.content) == (httpx.codes.NO_CONTENT, b"")


def test_deleted_job_is_404_for_every_request(alice: Caller, finished: Job) -> None:
    delete(alice, finished)
    answers = every_call_about(finished, alice)
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(httpx.codes.NOT_FOUND, "JOB_NOT_FOUND")}


def test_deleted_job_is_not_listed(api: Api) -> None:
    ivan = api.caller("ivan")
    job = ivan.post("/jobs", json={"jobType": "sample.is_quick"}).json()
    assert ivan.get("/jobs").json()["jobs"] == [job]
    delete(ivan, job)
    assert ivan.get("/jobs").json() == {"jobs": [], "nextCursor": None}


def test_delete_removes_the_input_and_the_result(alice: Caller, finished: Job, stack: LocalStack) -> None:
    s3 = stack.session.client("s3", endpoint_url=stack.endpoint_url)

    def objects() -> list[str]:
        areas = (f"inputs/{alice.owner}/{finished['asyncJobId']}/", f"results/{finished['asyncJobId']}/")
        found = [s3.list_objects_v2(Bucket=stack.outputs.bucket_name, Prefix=area).get("Contents", []) for area in areas]
        return [each["Key"] for area in found for each in area]

    assert len(objects()) == 2
    delete(alice, finished)
    assert objects() == []


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_every_finished_job_can_be_deleted(alice: Caller, state: str) -> None:
    body: dict[str, object] = {"jobType": "sample.is_quick", "input": {"turn": "gives up"}}
    job = alice.post("/jobs", json={**body, "delaySeconds": 600} if state == "cancelled" else body).json()
    if state == "cancelled":
        alice.post(f"/jobs/{job['asyncJobId']}/cancel")
    assert delete(alice, job).status_code == httpx.codes.NO_CONTENT


def test_delete_of_an_unfinished_job_is_409_and_changes_nothing(alice: Caller, unfinished: Job) -> None:
    answer = delete(alice, unfinished)
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.CONFLICT, "JOB_NOT_FINISHED")
    assert alice.job(unfinished)["status"] == unfinished["status"]
