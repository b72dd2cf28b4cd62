"""Tracked jobs by server-side code: written directly to the table, and the same jobs as over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.core.errors import (
    InvalidJob,
    InvalidReport,
    InvalidWorkerToken,
    JobAlreadyFinished,
    JobHasEnded,
    JobNotFound,
    ResultTooLarge,
)
from asyncjobs.core.job import JobKey, Result, Status
from asyncjobs.tracked import TrackedJobs
from asyncjobs.tracking.reports import Report, Reports
from asyncjobs.tracking.worker_token import WorkerToken
from tests.adapters.conftest import create_table
from tests.support.factories import NOW, OWNER
from tests.support.fakes import FakeClock
from tests.support.owners import ALL, NOT_OWNERS, label
from tests.support.parts import all_due

pytestmark = pytest.mark.usefixtures("aws_account")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def table() -> Iterator[str]:
    client = boto3.client("dynamodb")
    name = create_table(client)
    yield name
    client.delete_table(TableName=name)


@pytest.fixture
def tracked_jobs(table: str, clock: FakeClock) -> TrackedJobs:
    return TrackedJobs(table, clock=clock)


def test_job_is_created_updated_and_completed(tracked_jobs: TrackedJobs, table: str, clock: FakeClock) -> None:
    created = tracked_jobs.create_job(OWNER, "document_analysis", message="Starting", metadata={"documentId": "doc_123"}).job
    assert DynamoStore(table).get(created.key) == created
    assert (created.status, created.is_tracked, created.metadata) == (Status.PENDING, True, '{"documentId":"doc_123"}')
    clock.advance(seconds=1)
    running = tracked_jobs.update_job(created.key, progress=50, message="Analyzing document structure...")
    assert (running.status, running.progress, running.started_at) == (Status.IN_PROGRESS, 50, clock.now)
    done = tracked_jobs.complete_job(created.key, {"documentId": "doc_123"}, message="Analysis completed")
    assert DynamoStore(table).get(created.key) == done
    assert (done.status, done.progress, done.result) == (Status.COMPLETED, 100, Result(text='{"documentId":"doc_123"}'))
    assert (done.record_expires_at - clock.now).total_seconds() == 300


def test_failed_job_has_an_error_for_its_owner(tracked_jobs: TrackedJobs) -> None:
    key = tracked_jobs.create_job(OWNER).job.key
    failed = tracked_jobs.fail_job(key, "Failed to parse document", code="BROKEN_PDF", message="Processing failed")
    assert failed.error is not None
    assert (failed.status, failed.error.code, failed.message) == (Status.FAILED, "BROKEN_PDF", "Processing failed")


def test_job_is_completed_with_a_result_location(tracked_jobs: TrackedJobs) -> None:
    key = tracked_jobs.create_job(OWNER).job.key
    done = tracked_jobs.complete_job(key, result_location="https://files.example/a")
    assert done.result == Result(url="https://files.example/a")


def test_worker_token_is_valid_over_http(tracked_jobs: TrackedJobs, table: str, clock: FakeClock) -> None:
    created = tracked_jobs.create_job(OWNER)
    token = WorkerToken.parse(created.worker_token)
    assert token is not None
    assert created.worker_token not in repr(created)
    job = Reports(store=DynamoStore(table), clock=clock).by_worker(created.job.async_job_id, token, Report(progress=7))
    assert job.progress == 7


def test_new_worker_token_replaces_the_earlier_one(tracked_jobs: TrackedJobs, table: str, clock: FakeClock) -> None:
    created = tracked_jobs.create_job(OWNER)
    first, second = map(WorkerToken.parse, (created.worker_token, tracked_jobs.issue_worker_token(created.job.key)))
    assert first is not None
    assert second is not None
    reports = Reports(store=DynamoStore(table), clock=clock)
    with pytest.raises(InvalidWorkerToken):
        reports.by_worker(created.job.async_job_id, first, Report(progress=7))
    assert reports.by_worker(created.job.async_job_id, second, Report(progress=7)).progress == 7


def test_no_worker_token_is_issued_for_an_ended_job(tracked_jobs: TrackedJobs) -> None:
    key = tracked_jobs.create_job(OWNER).job.key
    tracked_jobs.fail_job(key, "Broken")
    with pytest.raises(JobAlreadyFinished):
        tracked_jobs.issue_worker_token(key)


def test_job_may_take_30_days(tracked_jobs: TrackedJobs, table: str, clock: FakeClock) -> None:
    created = tracked_jobs.create_job(OWNER, deadline_seconds=30 * 24 * 3600).job
    assert created.deadline_at == created.due_at == NOW + timedelta(days=30)
    # TTL must not remove an unfinished job before its deadline has ended it.
    assert created.record_expires_at >= created.deadline_at + timedelta(days=7)
    clock.advance(seconds=30 * 24 * 3600 - 1)
    assert all_due(DynamoStore(table), clock.now) == []
    assert tracked_jobs.complete_job(created.key).status is Status.COMPLETED
    with pytest.raises(InvalidJob):
        tracked_jobs.create_job(OWNER, deadline_seconds=30 * 24 * 3600 + 1)


def test_report_of_an_ended_job_is_rejected(tracked_jobs: TrackedJobs) -> None:
    key = tracked_jobs.create_job(OWNER).job.key
    tracked_jobs.fail_job(key, "Broken")
    with pytest.raises(JobHasEnded):
        tracked_jobs.update_job(key, progress=50)
    assert tracked_jobs.fail_job(key, "Broken").status is Status.FAILED


def test_unknown_job_is_not_found(tracked_jobs: TrackedJobs) -> None:
    key = tracked_jobs.create_job(OWNER).job.key
    with pytest.raises(JobNotFound):
        tracked_jobs.update_job(JobKey("bob", key.async_job_id), progress=50)


@pytest.mark.parametrize("owner", ALL, ids=label)
def test_owner_may_be_any_subject_of_openid_connect(tracked_jobs: TrackedJobs, owner: str) -> None:
    key = tracked_jobs.create_job(owner).job.key
    assert key.owner == owner
    assert tracked_jobs.complete_job(key, {"pages": 2}).status is Status.COMPLETED


@pytest.mark.parametrize("owner", NOT_OWNERS, ids=label)
def test_invalid_owner_is_rejected(tracked_jobs: TrackedJobs, owner: str) -> None:
    with pytest.raises(ValueError, match="is not a valid owner"):
        tracked_jobs.create_job(owner)


@pytest.mark.parametrize(
    ("method", "arguments", "error"),
    [
        ("create_job", {"owner": OWNER, "job_type": "No Name"}, InvalidJob),
        ("create_job", {"owner": OWNER, "retention_seconds": 1}, InvalidJob),
        ("update_job", {"progress": 101}, InvalidReport),
        ("complete_job", {"result": 1, "result_location": "https://a.example"}, InvalidReport),
        ("complete_job", {"result_location": "http://a.example"}, InvalidReport),
        ("complete_job", {"result": "x" * 9000}, ResultTooLarge),
        ("fail_job", {"error": ""}, InvalidReport),
        ("fail_job", {"error": "m", "code": "no code"}, InvalidReport),
    ],
)
def test_values_that_http_rejects_are_rejected(
    tracked_jobs: TrackedJobs, method: str, arguments: dict[str, Any], error: type[Exception]
) -> None:
    key = tracked_jobs.create_job(OWNER).job.key
    with pytest.raises(error):
        getattr(tracked_jobs, method)(**({} if method == "create_job" else {"key": key}), **arguments)


def test_unknown_table_is_an_aws_error() -> None:
    with pytest.raises(ClientError):
        TrackedJobs("nowhere").create_job(OWNER)
