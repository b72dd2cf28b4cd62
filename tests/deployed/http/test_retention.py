"""Retention: how long a job and its result are available."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx
import pytest

from local.stack import LocalStack
from tests.deployed.http.operations import every_call_about
from tests.support.deployed import Caller, Job

DAY = 24 * 3600


def kept_for(caller: Caller, since: str, **body: Any) -> int:
    """Return the seconds from this time of a finished job until it expires."""
    job = caller.post("/jobs", json={"jobType": "sample.is_quick", **body}).json()
    assert job["status"] == "COMPLETED"
    return int(job["recordExpiresAt"] - datetime.fromisoformat(job[since]).timestamp())


def test_default_retention_is_seven_days_from_the_end(alice: Caller) -> None:
    assert kept_for(alice, "endedAt") == 7 * DAY


def test_submit_sets_the_retention(alice: Caller) -> None:
    assert kept_for(alice, "endedAt", retentionSeconds=300) == 300


def test_submit_sets_the_retention_from_creation(alice: Caller) -> None:
    assert kept_for(alice, "createdAt", retentionSeconds=300, retentionFrom="CREATION") == 300


def test_submit_overrides_the_types_retention_from(alice: Caller) -> None:
    assert kept_for(alice, "createdAt", jobType="contract.kept_from_creation") == 3600
    assert kept_for(alice, "endedAt", jobType="contract.kept_from_creation", retentionFrom="END") == 3600


def test_job_is_kept_for_at_least_a_minute_after_its_end(alice: Caller) -> None:
    job = alice.post("/jobs", json={"retentionSeconds": 60, "retentionFrom": "CREATION"}).json()
    ended = alice.patch(f"/jobs/{job['asyncJobId']}", json={"status": "COMPLETED"}).json()
    kept = ended["recordExpiresAt"] - datetime.fromisoformat(ended["endedAt"]).timestamp()
    assert 60 <= kept < 61
    assert ended["endedAt"] > ended["createdAt"]


def test_unfinished_job_is_kept_until_after_its_deadline(alice: Caller, waiting: Job) -> None:
    job = alice.job(waiting)
    created = datetime.fromisoformat(job["createdAt"]).timestamp()
    assert job["recordExpiresAt"] >= created + DAY


@pytest.fixture
def expired(alice: Caller, stack: LocalStack, key: str) -> Job:
    """Return an expired job whose record TTL has not deleted yet."""
    job: Job = alice.post("/jobs", json={"jobType": "sample.is_quick"}, headers={"idempotency-key": key}).json()
    stack.session.client("dynamodb", endpoint_url=stack.endpoint_url).update_item(
        TableName=stack.outputs.table_name,
        Key={"pk": {"S": f"J#{alice.owner}#{job['asyncJobId']}"}},
        ConditionExpression="attribute_exists(pk)",
        UpdateExpression="SET recordExpiresAt = :past",
        ExpressionAttributeValues={":past": {"N": str(int(datetime.fromisoformat(job["endedAt"]).timestamp()))}},
    )
    return job


def test_expired_job_is_404_for_every_request_before_ttl_deletes_it(alice: Caller, expired: Job) -> None:
    answers = every_call_about(expired, alice)
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(httpx.codes.NOT_FOUND, "JOB_NOT_FOUND")}


@pytest.mark.usefixtures("expired")
def test_key_of_an_expired_job_is_free_again(alice: Caller, key: str) -> None:
    body = {"jobType": "sample.is_quick", "message": "another"}
    answer = alice.post("/jobs", json=body, headers={"idempotency-key": key})
    assert (answer.status_code, "idempotency-replayed" in answer.headers) == (httpx.codes.OK, False)
    assert alice.job(answer.json())["message"] == "another"


def test_expired_job_is_not_listed(alice: Caller, expired: Job) -> None:
    newer = alice.post("/jobs", json={"jobType": "sample.is_quick"}).json()
    page = alice.get("/jobs", params={"limit": 5, "jobType": "sample.is_quick"}).json()
    listed = [job["asyncJobId"] for job in page["jobs"]]
    assert newer["asyncJobId"] == listed[0]
    assert expired["asyncJobId"] not in listed
