"""The dialect `entity`, and the documented record of the API that it speaks for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asyncjobs.core.clock import rfc3339
from asyncjobs.core.job import AsyncJob, Result
from asyncjobs.core.placement import result_location
from tests.support.factories import JOB_ID, NOW, new_job
from tests.unit.http.dialects.in_memory_dialects import InMemoryDialects, cancelled, done, failed, working

JOB = f"GET /api/v1/jobs/{JOB_ID}"
METADATA = {"submittedBy": "user123", "jobType": "export", "tags": ["export"]}


def test_created_job_is_in_progress_and_has_no_result(dialects: InMemoryDialects) -> None:
    answer = dialects.call("entity", "POST /api/v1/jobs", body={"status": "IN_PROGRESS", "metadata": METADATA})
    assert answer.status == 202
    expires = answer.body["recordExpiresAt"]
    assert answer.body == {
        "asyncJobId": answer.body["asyncJobId"],
        "status": "IN_PROGRESS",
        "createdAt": rfc3339(NOW),
        "updatedAt": rfc3339(NOW),
        "startedAt": rfc3339(NOW),
        "endedAt": None,
        "recordExpiresAt": expires,
        "resultLocation": "",
        "resultType": None,
        "result": None,
        "error": None,
        "metadata": METADATA,
    }
    assert isinstance(expires, int)
    assert answer.headers["location"] == f"../../api/v1/jobs/{answer.body['asyncJobId']}"


def test_new_job_cannot_have_ended(dialects: InMemoryDialects) -> None:
    answer = dialects.call("entity", "POST /api/v1/jobs", body={"status": "COMPLETED"})
    assert (answer.status, answer.body["error"]["code"]) == (400, "INVALID_REQUEST")
    assert "/status" in answer.body["error"]["message"]


@pytest.mark.parametrize(
    ("job", "status"),
    [
        (new_job(), "IN_PROGRESS"),
        (working("generic"), "IN_PROGRESS"),
        (done("generic"), "COMPLETED"),
        (failed("generic"), "FAILED"),
        (cancelled("generic"), "CANCELLED"),
    ],
)
def test_statuses_are_four(dialects: InMemoryDialects, job: AsyncJob, status: str) -> None:
    dialects.has(job)
    assert dialects.call("entity", JOB).body["status"] == status


def test_inline_result_and_structured_error(dialects: InMemoryDialects) -> None:
    dialects.has(done("generic", '{"rows": 7}'))
    job = dialects.call("entity", JOB).body
    assert (job["resultType"], job["result"]) == ("INLINE", {"rows": 7})
    dialects.has(failed("generic"))
    assert dialects.call("entity", JOB).body["error"] == {
        "code": "LOST",
        "message": "Connection timeout",
        "type": "Fatal",
        "retryable": False,
    }


def test_location_of_a_large_result_leads_to_its_link(dialects: InMemoryDialects) -> None:
    job = working("generic")
    dialects.api.objects.stored[result_location(job, 1)] = b"1"
    dialects.has(replace(job.completed(now=NOW, result=Result(location=result_location(job, 1)))))
    found = dialects.call("entity", JOB).body
    assert (found["resultType"], found["result"]) == ("S3", None)
    assert found["resultLocation"] == f"../../../api/v1/jobs/{JOB_ID}/result"
    answer = dialects.call("entity", f"{JOB}/result")
    assert (answer.status, answer.headers["location"].startswith("https://bucket.example/results/")) == (303, True)
