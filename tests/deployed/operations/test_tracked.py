"""Tracked jobs without reports, their log, and reports without HTTP. (tests/deployed/http has the answers.)"""

from __future__ import annotations

import json

from asyncjobs.core.clock import epoch_milliseconds, utc_now
from asyncjobs.core.job import JobKey
from asyncjobs.tracked import TrackedJobs
from local.stack import LocalStack, Outputs
from tests.support.deployed import Api, Caller, Job, log_events
from tests.support.pace import SLOWNESS
from tests.support.prefetch import prefetch


def create(caller: Caller) -> Job:
    job: Job = caller.post("/jobs", json={}).json()
    return job


def test_log_has_the_events_of_a_tracked_job_and_not_its_token(alice: Caller, stack: LocalStack) -> None:
    job = create(alice)
    for report in ({"progress": 45}, {"progress": 60}, {"status": "COMPLETED"}):
        assert alice.patch(f"/jobs/{job['asyncJobId']}", json=report).is_success
    lines = log_events(stack, job, until="JOB_COMPLETED")
    assert [line["message"] for line in lines] == ["JOB_ACCEPTED", "JOB_STARTED", "JOB_COMPLETED"]
    assert job["workerToken"] not in json.dumps(lines)


@prefetch
def silent(api: Api) -> list[Job]:
    """Create two jobs past their deadline: one without a report, and one whose worker stopped reporting."""
    alice = api.caller("alice")
    # They are read when all other tests of the suite have run.
    jobs: list[Job] = [alice.post("/jobs", json={"retentionSeconds": 3600}).json() for _ in range(2)]
    alice.patch(f"/jobs/{jobs[1]['asyncJobId']}", json={"progress": 45})
    dynamodb = api.stack.session.client("dynamodb", endpoint_url=api.outputs.endpoint_url)
    past = {"N": str(epoch_milliseconds(utc_now()))}
    for job in jobs:
        dynamodb.update_item(
            TableName=api.outputs.table_name,
            Key={"pk": {"S": f"J#{alice.owner}#{job['asyncJobId']}"}},
            UpdateExpression="SET deadlineAt = :past, dueAt = :past",
            ExpressionAttributeValues={":past": past},
        )
    return jobs


def test_deadline_ends_a_tracked_job_without_reports(alice: Caller) -> None:
    for job in silent.result():
        ended = alice.wait_for(job, seconds=90 * SLOWNESS)
        assert (ended["status"], ended["error"]["code"], ended["attempt"]) == ("FAILED", "DEADLINE_EXCEEDED", 0)
        late = alice.patch(f"/jobs/{job['asyncJobId']}", json={"status": "COMPLETED"})
        assert late.json()["code"] == "JOB_ALREADY_FINISHED"


def test_server_side_code_creates_and_reports_without_http(alice: Caller, stack: LocalStack, outputs: Outputs) -> None:
    client = stack.session.client("dynamodb", endpoint_url=outputs.endpoint_url)
    tracked_jobs = TrackedJobs(outputs.table_name, client)
    created = tracked_jobs.create_job(alice.owner, "document_analysis", message="Starting analysis...")
    job = {"asyncJobId": created.job.async_job_id}
    assert alice.job(job)["message"] == "Starting analysis..."
    assert job["asyncJobId"] in [listed["asyncJobId"] for listed in alice.get("/jobs").json()["jobs"]]
    tracked_jobs.update_job(created.job.key, progress=50, message="Analyzing document structure...")
    assert alice.patch(f"/jobs/{job['asyncJobId']}", json={"progress": 60}).json()["progress"] == 60
    tracked_jobs.complete_job(JobKey(alice.owner, job["asyncJobId"]), {"documentId": "doc_123"})
    assert alice.job(job)["result"] == {"documentId": "doc_123"}
