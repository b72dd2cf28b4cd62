"""The dialect `polling`, and the documented answers of the API that it speaks for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from asyncjobs.core.job import AsyncJob
from tests.support.factories import JOB_ID, NOW, new_job
from tests.unit.http.dialects.in_memory_dialects import InMemoryDialects, cancelled, done, failed, working

JOB = f"GET /api/v1/jobs/{JOB_ID}"
NOW_TEXT = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"


def test_started_analysis_is_pending(dialects: InMemoryDialects) -> None:
    answer = dialects.call("polling", "POST /api/v1/analyze/", body={"bid_id": 123})
    assert answer.status == 202
    assert answer.body == {"job_id": answer.body["job_id"], "status": "PENDING", "message": "Analysis started"}
    assert answer.headers["location"] == f"../../../api/v1/jobs/{answer.body['job_id']}"


def test_status_shows_the_input(dialects: InMemoryDialects) -> None:
    dialects.has(working("gemini_analysis", progress=45).with_input(text='{"bid_id": 123}'))
    assert dialects.call("polling", JOB).body == {
        "id": JOB_ID,
        "status": "PROCESSING",
        "task_type": "gemini_analysis",
        "progress": 45,
        "input_data": {"bid_id": 123},
        "result": None,
        "error_message": None,
        "created_at": NOW_TEXT,
        "started_at": NOW_TEXT,
        "completed_at": None,
    }


def test_large_input_is_read_from_the_bucket(dialects: InMemoryDialects) -> None:
    job = dialects.call("polling", "POST /api/v1/analyze", body={"text": "x" * 5000}).body
    assert dialects.job_of(job["job_id"]).input is None
    assert dialects.call("polling", f"GET /api/v1/jobs/{job['job_id']}").body["input_data"] == {"text": "x" * 5000}


def test_job_is_created_by_task_type_and_input_data(dialects: InMemoryDialects) -> None:
    body = {"task_type": "gemini_analysis", "input_data": {"bid_id": 7}}
    job = dialects.call("polling", "POST /api/v1/jobs", body=body).body
    assert dialects.call("polling", f"GET /api/v1/jobs/{job['job_id']}").body["input_data"] == {"bid_id": 7}


def test_rejected_member_is_named_as_its_client_wrote_it(dialects: InMemoryDialects) -> None:
    answer = dialects.call("polling", "POST /api/v1/jobs", body={"task_type": 7})
    assert (answer.status, answer.body["detail"].split()[0]) == (400, "/task_type")
    answer = dialects.call("polling", "POST /api/v1/jobs", body={"task_type": "document.extract", "input_data": {}})
    assert answer.body["detail"].startswith("/input_data/key")


@pytest.mark.parametrize(
    ("job", "status", "error"),
    [
        (new_job(), "PENDING", None),
        (done("gemini_analysis"), "SUCCESS", None),
        (failed("gemini_analysis", "Invalid format"), "FAILURE", "Invalid format"),
        (cancelled("gemini_analysis"), "CANCELLED", "The job was cancelled."),
    ],
)
def test_states(dialects: InMemoryDialects, job: AsyncJob, status: str, error: str | None) -> None:
    dialects.has(job)
    found = dialects.call("polling", JOB).body
    assert (found["status"], found["error_message"]) == (status, error)


def test_error_of_an_attempt_before_the_last_is_not_shown(dialects: InMemoryDialects) -> None:
    error = failed("gemini_analysis").error
    assert error is not None
    dialects.has(working("gemini_analysis").released(now=NOW, error=error, after=timedelta(seconds=1)))
    found = dialects.call("polling", JOB).body
    assert (found["status"], found["error_message"]) == ("PENDING", None)


def test_job_of_another_owner_is_not_found(dialects: InMemoryDialects) -> None:
    dialects.has(done("gemini_analysis"))
    answer = dialects.call("polling", JOB, owner="bob")
    assert (answer.status, answer.body) == (404, {"detail": "Job not found"})
