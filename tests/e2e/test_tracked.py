"""Tracked jobs on the deployed stack: somebody outside does the work and reports, as owner or with the worker's token."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx

from asyncjobs.lifecycle import JobKey
from asyncjobs.tracking import TrackedJobs
from local.stack import LocalStack, Outputs
from tests.e2e.conftest import Caller, log_events


def create(caller: Caller, **body: Any) -> dict[str, Any]:
    answer = caller.post("/jobs", json=body)
    assert answer.status_code == httpx.codes.ACCEPTED, answer.text
    job: dict[str, Any] = answer.json()
    return job


def tell(outputs: Outputs, job: dict[str, Any], token: str | None = None, **report: Any) -> httpx.Response:
    """As a worker, who has nothing but the token."""
    return httpx.patch(
        f"{outputs.api_url}/api/v1/jobs/{job['asyncJobId']}/report",
        json=report,
        headers={"authorization": f"Bearer {token or job['workerToken']}"},
        trust_env=False,
    )


def update(caller: Caller, job: dict[str, Any], **report: Any) -> httpx.Response:
    return caller.http.patch(f"/jobs/{job['asyncJobId']}", json=report)


def test_a_worker_reports_with_its_token_until_the_job_is_completed(alice: Caller, outputs: Outputs, stack: LocalStack) -> None:
    metadata = {"fileName": "contract.pdf", "fileSize": 1_024_000}
    job = create(alice, jobType="file_processing", message="Upload queued", metadata=metadata)
    assert (job["status"], job["progress"], job["message"]) == ("PENDING", 0, "Upload queued")

    assert tell(outputs, job, progress=45, message="Extracting document data...").status_code == httpx.codes.OK
    running = alice.job(job)
    assert (running["status"], running["progress"], running["metadata"]) == ("IN_PROGRESS", 45, metadata)
    assert running["startedAt"]
    assert "workerToken" not in running

    assert tell(outputs, job, progress=20).json()["progress"] == 45
    end: dict[str, Any] = {"status": "COMPLETED", "message": "Processed", "result": {"documentId": "doc_123abc"}}
    assert tell(outputs, job, **end).status_code == httpx.codes.OK
    done = alice.job(job)
    assert (done["status"], done["progress"], done["message"]) == ("COMPLETED", 100, "Processed")
    assert alice.get(f"/jobs/{job['asyncJobId']}/result").json() == {"documentId": "doc_123abc"}
    assert 290 < done["recordExpiresAt"] - time.time() <= 301

    assert tell(outputs, job, **end).json() == done
    late = tell(outputs, job, progress=50)
    assert (late.status_code, late.json()["code"], late.json()["jobStatus"]) == (409, "JOB_ALREADY_FINISHED", "COMPLETED")
    assert alice.job(job) == done

    lines = log_events(stack, job, until="JOB_COMPLETED")
    assert [line["message"] for line in lines if line["message"] != "DELIVERY_IGNORED"] == [
        "JOB_ACCEPTED",
        "JOB_STARTED",
        "JOB_COMPLETED",
    ]
    assert job["workerToken"] not in json.dumps(lines)


def test_the_owner_reports_with_a_token_of_its_own(alice: Caller, bob: Caller) -> None:
    job = create(alice)
    assert job["jobType"] == "generic"
    assert update(bob, job, progress=1).status_code == httpx.codes.NOT_FOUND
    assert update(alice, job, progress=50).json()["progress"] == 50
    error = {"code": "BROKEN_PDF", "message": "Invalid file format"}
    failed = update(alice, job, status="FAILED", message="Processing failed", error=error).json()
    assert error.items() <= failed["error"].items()
    answer = alice.get(f"/jobs/{job['asyncJobId']}/result")
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.CONFLICT, "JOB_FAILED")


def test_a_result_elsewhere_is_where_its_worker_says(alice: Caller, outputs: Outputs) -> None:
    job = create(alice)
    url = "https://files.example/report.pdf"
    assert tell(outputs, job, status="COMPLETED", resultLocation=url).json()["resultType"] == "URL"
    answer = alice.get(f"/jobs/{job['asyncJobId']}/result")
    assert (answer.status_code, answer.headers["location"]) == (httpx.codes.SEE_OTHER, url)


def test_a_worker_learns_of_a_cancel(alice: Caller, outputs: Outputs) -> None:
    job = create(alice)
    alice.post(f"/jobs/{job['asyncJobId']}/cancel")
    late = tell(outputs, job, progress=50)
    assert (late.status_code, late.json()["code"]) == (httpx.codes.CONFLICT, "JOB_CANCELLED")


def test_a_token_is_for_its_own_job_and_for_nothing_else(alice: Caller, bob: Caller, outputs: Outputs) -> None:
    mine, other, bobs = create(alice), create(alice), create(bob)
    for job, token in ((mine, other["workerToken"]), (mine, bobs["workerToken"]), (bobs, mine["workerToken"]), (mine, "x")):
        answer = tell(outputs, job, token, status="COMPLETED")
        assert (answer.status_code, answer.json()["code"]) == (httpx.codes.UNAUTHORIZED, "INVALID_WORKER_TOKEN")
    owners_own = tell(outputs, mine, alice.http.headers["authorization"].removeprefix("Bearer "), status="COMPLETED")
    assert owners_own.status_code == httpx.codes.UNAUTHORIZED
    assert [alice.job(mine)["status"], bob.job(bobs)["status"]] == ["PENDING", "PENDING"]
    # To the gateway it is no token at all.
    job_url = f"{outputs.api_url}/api/v1/jobs/{mine['asyncJobId']}"
    headers = {"authorization": f"Bearer {mine['workerToken']}"}
    for method, url in (("GET", job_url), ("GET", f"{job_url}/result"), ("POST", f"{job_url}/cancel"), ("PATCH", job_url)):
        answer = httpx.request(method, url, headers=headers, trust_env=False)
        assert answer.status_code == httpx.codes.UNAUTHORIZED, (method, url)


def test_a_replay_finds_the_job_and_no_token(alice: Caller, key: str) -> None:
    first, again = (alice.post("/jobs", json={}, headers={"idempotency-key": key}) for _ in range(2))
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == {name: value for name, value in first.json().items() if name != "workerToken"}


def test_its_deadline_ends_a_job_whose_worker_is_silent(overdue: tuple[Caller, list[dict[str, Any]]], outputs: Outputs) -> None:
    caller, jobs = overdue
    for job in jobs:
        ended = caller.wait_for(job, seconds=90)
        assert (ended["status"], ended["error"]["code"], ended["attempt"]) == ("FAILED", "DEADLINE_EXCEEDED", 0)
        assert tell(outputs, job, status="COMPLETED").json()["code"] == "JOB_ALREADY_FINISHED"


def test_server_side_code_creates_and_reports_without_http(alice: Caller, stack: LocalStack, outputs: Outputs) -> None:
    client = stack.session.client("dynamodb", endpoint_url=outputs.endpoint_url)
    tracked_jobs = TrackedJobs(outputs.table_name, client)
    created = tracked_jobs.create_job(alice.owner, "document_analysis", message="Starting analysis...")
    job = {"asyncJobId": created.job.async_job_id, "workerToken": created.worker_token}
    assert alice.job(job)["message"] == "Starting analysis..."
    assert job["asyncJobId"] in [listed["asyncJobId"] for listed in alice.get("/jobs").json()["jobs"]]
    tracked_jobs.update_job(created.job.key, progress=50, message="Analyzing document structure...")
    assert tell(outputs, job, progress=60).json()["progress"] == 60
    tracked_jobs.complete_job(JobKey(alice.owner, job["asyncJobId"]), {"documentId": "doc_123"})
    assert alice.job(job)["result"] == {"documentId": "doc_123"}


def test_the_tracked_types_are_among_the_job_types(alice: Caller) -> None:
    types = {found["jobType"]: found for found in alice.get("/job-types").json()["jobTypes"]}
    tracked = {name for name, found in types.items() if found["tracked"]}
    assert {"generic", "file_processing", "document_analysis", "llm_agent"} <= tracked
    assert not types["text.search"]["tracked"]
