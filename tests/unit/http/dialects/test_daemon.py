"""The dialect `daemon`, and the documented answers of the API that it speaks for."""

from __future__ import annotations

from tests.support.factories import JOB_ID, NOW
from tests.unit.http.dialects.in_memory_dialects import InMemoryDialects, cancelled, done, failed, working

START = "POST /api/v1/jobs/cache/refresh"
JOB = f"GET /api/v1/jobs/{JOB_ID}"
NOW_TEXT = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"


def test_started_job_is_pending_with_a_message(dialects: InMemoryDialects) -> None:
    answer = dialects.call("daemon", START)
    assert answer.status == 202
    assert answer.body == {
        "job_id": answer.body["job_id"],
        "status": "pending",
        "message": "Cache refresh job started",
        "timestamp": NOW_TEXT,
    }
    assert dialects.job_of(answer.body["job_id"]).job_type == "refreshcache"


def test_status_is_wrapped_and_its_progress_ends_at_one(dialects: InMemoryDialects) -> None:
    dialects.has(working("refreshcache", progress=50, message="Starting cache refresh"))
    assert dialects.call("daemon", JOB).body == {
        "job": {
            "id": JOB_ID,
            "job_type": "refreshcache",
            "status": "running",
            "progress": 0.5,
            "message": "Starting cache refresh",
            "result": None,
            "error": None,
            "created_at": NOW_TEXT,
            "updated_at": NOW_TEXT,
        }
    }


def test_result_names_its_job(dialects: InMemoryDialects) -> None:
    dialects.has(done("refreshcache", '{"status": "success"}'))
    assert dialects.call("daemon", f"{JOB}/result").body == {
        "job_id": JOB_ID,
        "status": "completed",
        "result": {"status": "success"},
        "error": None,
    }
    assert dialects.call("daemon", JOB).body["job"]["progress"] == 1


def test_synchronous_route_that_takes_too_long_names_no_result(dialects: InMemoryDialects) -> None:
    answer = dialects.call("daemon", "GET /api/v1/search/subject/tides")  # nothing runs it in memory
    assert (answer.status, answer.body["error"]) == (504, "JOB_NOT_COMPLETED")


def test_conflict_has_the_documented_body(dialects: InMemoryDialects) -> None:
    dialects.call("daemon", START)
    answer = dialects.call("daemon", START)
    assert answer.status == 409
    assert answer.body == {
        "error": "JOB_CREATION_FAILED",
        "message": "Another operation is already running",
        "timestamp": NOW_TEXT,
    }
    assert int(answer.headers["retry-after"]) > 0


def test_unknown_job_has_the_documented_body(dialects: InMemoryDialects) -> None:
    answer = dialects.call("daemon", "GET /api/v1/jobs/abc123")
    assert answer.status == 404
    assert answer.body == {"error": "JOB_NOT_FOUND", "message": "Job with ID abc123 not found", "timestamp": NOW_TEXT}


def test_early_result_has_the_documented_body(dialects: InMemoryDialects) -> None:
    dialects.has(working("refreshcache"))
    answer = dialects.call("daemon", f"{JOB}/result")
    assert answer.status == 409
    assert answer.body == {
        "error": "JOB_NOT_COMPLETED",
        "message": f"Job {JOB_ID} is not yet completed",
        "timestamp": NOW_TEXT,
    }


def test_failed_job_shows_its_reason(dialects: InMemoryDialects) -> None:
    dialects.has(failed("refreshcache"))
    job = dialects.call("daemon", JOB).body["job"]
    assert (job["status"], job["error"], job["result"]) == ("failed", "Connection timeout", None)
    answer = dialects.call("daemon", f"{JOB}/result")
    assert (answer.status, answer.body["error"], answer.body["message"]) == (409, "JOB_FAILED", "Connection timeout")


def test_cancelled_job_is_a_failed_one_that_says_so(dialects: InMemoryDialects) -> None:
    dialects.has(cancelled("refreshcache"))
    job = dialects.call("daemon", JOB).body["job"]
    assert (job["status"], job["error"]) == ("failed", "The job was cancelled.")
