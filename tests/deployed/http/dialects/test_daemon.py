"""The examples of seed 2, as its document has them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.deployed.http.dialects.examples import Client, assert_documented, client_of
from tests.support.deployed import Api

DOCUMENTED_ID = "550e8400-e29b-41d4-a716-446655440000"
START = """
curl -X POST "http://localhost:3000/api/v1/jobs/cache/refresh" \\
  -H "Authorization: Bearer YOUR_TOKEN"
"""
STATUS = """
curl "http://localhost:3000/api/v1/jobs/550e8400-e29b-41d4-a716-446655440000" \\
  -H "Authorization: Bearer YOUR_TOKEN"
"""
RESULT = """
curl "http://localhost:3000/api/v1/jobs/550e8400-e29b-41d4-a716-446655440000/result" \\
  -H "Authorization: Bearer YOUR_TOKEN"
"""
STARTED = {"job_id": "ID", "status": "pending", "message": "Cache refresh job started", "timestamp": "TIME"}
RUNNING = {
    "job": {
        "id": "ID",
        "job_type": "refreshcache",
        "status": "running",
        "progress": 0.5,
        "message": "Starting cache refresh",
        "result": None,
        "error": None,
        "created_at": "TIME",
        "updated_at": "TIME",
    }
}
COMPLETED = {
    "job_id": "ID",
    "status": "completed",
    "result": {"status": "success", "message": "Cache refreshed successfully", "timestamp": "TIME"},
    "error": None,
}


@pytest.fixture(scope="module")
def daemon(api: Api) -> Client:
    return client_of(api, "daemon")


@pytest.fixture(scope="module")
def refresh(daemon: Client) -> Iterator[str]:
    """Start the one operation that may run, by the first example."""
    started = daemon.curl(START)
    assert_documented(STARTED, started)
    yield started["job_id"]
    daemon.poll(f"/api/v1/jobs/{started['job_id']}", lambda found: found["job"]["status"] == "completed")


def test_examples_of_start_status_and_result(daemon: Client, refresh: str) -> None:
    path = f"/api/v1/jobs/{refresh}"
    daemon.poll(path, lambda found: found["job"]["status"] == "running" and found["job"]["progress"] > 0)
    assert_documented(RUNNING, daemon.curl(STATUS.replace(DOCUMENTED_ID, refresh)))

    conflict = daemon.request("POST", "/api/v1/jobs/cache/refresh")
    assert conflict.status_code == 409
    assert int(conflict.headers["retry-after"]) > 0
    assert_documented(
        {"error": "JOB_CREATION_FAILED", "message": "Another operation is already running", "timestamp": "TIME"},
        conflict.json(),
    )
    early = daemon.request("GET", f"{path}/result")
    assert early.status_code == 409
    assert_documented(
        {"error": "JOB_NOT_COMPLETED", "message": f"Job {refresh} is not yet completed", "timestamp": "TIME"}, early.json()
    )

    daemon.poll(path, lambda found: found["job"]["status"] == "completed")
    assert_documented(COMPLETED, daemon.curl(RESULT.replace(DOCUMENTED_ID, refresh)))


def test_example_of_an_unknown_job(daemon: Client) -> None:
    answer = daemon.request("GET", "/api/v1/jobs/abc123")
    assert answer.status_code == 404
    assert_documented({"error": "JOB_NOT_FOUND", "message": "Job with ID abc123 not found", "timestamp": "TIME"}, answer.json())


@pytest.mark.parametrize(
    ("path", "result"),
    [
        ("/api/v1/jobs/cache/refresh/3", 3),
        ("/api/v1/jobs/search?q=query&limit=10", {"q": "query", "limit": 10, "results": []}),
    ],
)
def test_each_operation_can_be_started(daemon: Client, path: str, result: object) -> None:
    answer = daemon.request("POST", path)
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    job = f"/api/v1/jobs/{answer.json()['job_id']}"
    daemon.poll(job, lambda found: found["job"]["status"] == "completed")
    assert daemon.request("GET", f"{job}/result").json()["result"] == result


@pytest.mark.usefixtures("refresh")
def test_legacy_endpoints_answer_with_the_result(daemon: Client, refresh: str) -> None:
    daemon.poll(f"/api/v1/jobs/{refresh}", lambda found: found["job"]["status"] == "completed")
    for method, path, message in (
        ("PUT", "/api/v1/cache", "Uploaded all"),
        ("POST", "/api/v1/cache/3", "Refreshed to depth 3"),
        ("POST", "/api/v1/cache", "Cache refreshed successfully"),
    ):
        answer = daemon.request(method, path)
        assert (answer.status_code, answer.json()["message"]) == (200, message)
    assert daemon.request("GET", "/api/v1/search/subject/tides").json() == {"subject": "tides"}
    assert daemon.request("GET", "/api/v1/search?query=backoff").json()["matchCount"] > 0


def test_upload_all_can_be_started(daemon: Client) -> None:
    end = time.monotonic() + 60
    while (answer := daemon.request("POST", "/api/v1/jobs/cache/upload")).status_code == 409:
        assert time.monotonic() < end
        time.sleep(0.5)
    assert (answer.status_code, answer.json()["message"]) == (202, "Upload all job started")


def test_unauthorized_request_is_refused_by_the_gateway(api: Api, daemon: Client) -> None:
    assert api.client().get(f"{daemon.base}/api/v1/jobs/abc123").status_code == 401
