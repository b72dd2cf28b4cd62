"""Tracked jobs: an outside worker reports, with the owner's token or with the worker's."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.support.deployed import Api, Caller, Job

METADATA = {"fileName": "contract.pdf", "fileSize": 1_024_000}


@pytest.fixture
def worker(api: Api, tracked: Job) -> httpx.Client:
    """Return a client with only the worker's token."""
    return api.client_with_token(tracked["workerToken"])


def send_report(worker: httpx.Client, job: Job, **report: Any) -> httpx.Response:
    return worker.patch(f"/jobs/{job['asyncJobId']}/report", json=report)


def update(caller: Caller, job: Job, **report: Any) -> httpx.Response:
    return caller.patch(f"/jobs/{job['asyncJobId']}", json=report)


# ── Creation ─────────────────────────────────────────────────────────────────────────────────────────


def test_new_tracked_job_is_202_and_pending(alice: Caller) -> None:
    answer = alice.post("/jobs", json={"jobType": "file_processing", "message": "Upload queued", "metadata": METADATA})
    job = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (httpx.codes.ACCEPTED, f"jobs/{job['asyncJobId']}")
    assert (job["jobType"], job["status"], job["progress"], job["maxAttempts"]) == ("file_processing", "PENDING", 0, 0)
    assert (job["message"], job["metadata"]) == ("Upload queued", METADATA)


def test_worker_token_is_only_in_the_answer_that_creates_the_job(alice: Caller, key: str) -> None:
    first, again = (alice.post("/jobs", json={}, headers={"idempotency-key": key}) for _ in range(2))
    token = first.json()["workerToken"]
    assert token.startswith("ajw_")
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == {name: value for name, value in first.json().items() if name != "workerToken"}
    for answer in (again, alice.get(f"/jobs/{first.json()['asyncJobId']}"), alice.get("/jobs")):
        assert token not in answer.text
        assert "workerToken" not in answer.text


def test_job_that_is_not_tracked_has_no_worker_token(alice: Caller) -> None:
    assert "workerToken" not in alice.post("/jobs", json={"jobType": "sample.returns", "delaySeconds": 600}).json()


def test_tracked_job_accepts_no_input(alice: Caller) -> None:
    answer = alice.post("/jobs", json={"input": {"x": 1}})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (httpx.codes.BAD_REQUEST, "/input")


# ── Reports ────────────────────────────────────────────────────────────────────────────────────────


def test_report_with_the_worker_token_returns_the_job(alice: Caller, worker: httpx.Client, tracked: Job) -> None:
    answer = send_report(worker, tracked, progress=45, message="Extracting document data...")
    assert answer.status_code == httpx.codes.OK
    assert answer.json() == alice.job(tracked) | {"estimatedEndAt": None}
    assert (answer.json()["status"], answer.json()["progress"], answer.json()["message"]) == (
        "IN_PROGRESS",
        45,
        "Extracting document data...",
    )


def test_owner_reports_with_its_own_token(alice: Caller, tracked: Job) -> None:
    answer = update(alice, tracked, progress=50)
    assert (answer.status_code, answer.json()["status"], answer.json()["progress"]) == (httpx.codes.OK, "IN_PROGRESS", 50)


def test_first_report_starts_the_job(alice: Caller, tracked: Job) -> None:
    assert tracked["startedAt"] is None
    assert update(alice, tracked, message="Hello").json()["startedAt"] >= tracked["createdAt"]


def test_report_keeps_omitted_fields(alice: Caller, tracked: Job) -> None:
    update(alice, tracked, progress=45, message="Reading")
    assert update(alice, tracked, progress=50).json()["message"] == "Reading"
    assert update(alice, tracked, message="Writing").json()["progress"] == 50


def test_progress_never_decreases(alice: Caller, tracked: Job) -> None:
    update(alice, tracked, progress=45)
    late = update(alice, tracked, progress=20)
    assert (late.status_code, late.json()["progress"]) == (httpx.codes.OK, 45)


def test_reported_result_is_shown(alice: Caller, worker: httpx.Client, tracked: Job) -> None:
    done = send_report(worker, tracked, status="COMPLETED", message="Processed", result={"documentId": "doc_123abc"}).json()
    assert (done["status"], done["progress"], done["message"], done["resultType"]) == ("COMPLETED", 100, "Processed", "INLINE")
    assert alice.job(tracked) == done
    assert alice.get(f"/jobs/{tracked['asyncJobId']}/result").json() == {"documentId": "doc_123abc"}


def test_reported_result_location_is_303_to_it(alice: Caller, worker: httpx.Client, tracked: Job) -> None:
    """RFC 9110 15.4.4."""
    url = "https://files.example/report.pdf"
    done = send_report(worker, tracked, status="COMPLETED", resultLocation=url).json()
    assert (done["resultType"], done["result"]) == ("URL", None)
    assert done["resultLocation"] == f"../../jobs/{tracked['asyncJobId']}/result"
    answer = alice.get(f"/jobs/{tracked['asyncJobId']}/result")
    assert (answer.status_code, answer.headers["location"], answer.json()) == (httpx.codes.SEE_OTHER, url, {"location": url})


def test_reported_failure_is_shown_with_its_error(alice: Caller, worker: httpx.Client, tracked: Job) -> None:
    error = {"code": "BROKEN_PDF", "message": "Invalid file format"}
    failed = send_report(worker, tracked, status="FAILED", message="Processing failed", error=error).json()
    assert (failed["status"], failed["message"]) == ("FAILED", "Processing failed")
    assert error.items() <= failed["error"].items()
    answer = alice.get(f"/jobs/{tracked['asyncJobId']}/result")
    assert (answer.status_code, answer.json()["code"], answer.json()["error"]) == (409, "JOB_FAILED", failed["error"])


def test_tracked_job_is_kept_for_five_minutes_after_its_end(alice: Caller, tracked: Job) -> None:
    done = update(alice, tracked, status="COMPLETED").json()
    assert 300 <= done["recordExpiresAt"] - datetime.fromisoformat(done["endedAt"]).timestamp() < 301


def test_repeated_end_is_200_and_changes_nothing(worker: httpx.Client, tracked: Job) -> None:
    end = {"status": "COMPLETED", "result": {"documentId": "doc_123abc"}}
    first, again = (send_report(worker, tracked, **end) for _ in range(2))
    assert (again.status_code, again.json()) == (httpx.codes.OK, first.json())


@pytest.mark.parametrize(
    "late", [{"progress": 50}, {"status": "FAILED", "error": {"message": "x"}}, {"status": "COMPLETED", "result": 2}]
)
def test_other_report_after_the_end_is_409_with_the_status(
    alice: Caller, worker: httpx.Client, tracked: Job, late: dict[str, Any]
) -> None:
    done = send_report(worker, tracked, status="COMPLETED", result=1).json()
    for answer in (send_report(worker, tracked, **late), update(alice, tracked, **late)):
        assert (answer.status_code, answer.json()["code"]) == (httpx.codes.CONFLICT, "JOB_ALREADY_FINISHED")
        assert answer.json()["jobStatus"] == "COMPLETED"
    assert alice.job(tracked) == done


def test_report_of_a_cancelled_job_is_409(alice: Caller, worker: httpx.Client, tracked: Job) -> None:
    alice.post(f"/jobs/{tracked['asyncJobId']}/cancel")
    for answer in (send_report(worker, tracked, progress=50), update(alice, tracked, progress=50)):
        assert (answer.status_code, answer.json()["code"]) == (httpx.codes.CONFLICT, "JOB_CANCELLED")
        assert answer.json()["jobStatus"] == "CANCELLED"


@pytest.mark.parametrize(
    ("report", "pointers"),
    [
        ({}, [""]),
        ({"status": "PENDING"}, ["/status"]),
        ({"status": "CANCELLED"}, ["/status"]),
        ({"progress": 101}, ["/progress"]),
        ({"progress": -1}, ["/progress"]),
        ({"message": "x" * 257}, ["/message"]),
        ({"status": "COMPLETED", "resultLocation": "http://files.example/x"}, ["/resultLocation"]),
        ({"status": "COMPLETED", "resultLocation": "https://me@files.example/x"}, ["/resultLocation"]),
        ({"status": "COMPLETED", "resultLocation": "s3://bucket/key"}, ["/resultLocation"]),
        ({"status": "FAILED"}, ["/error"]),
        ({"owner": "bob", "gen": "x"}, ["/gen", "/owner"]),
    ],
    ids=str,
)
def test_invalid_report_is_400_with_each_problem(
    alice: Caller, worker: httpx.Client, tracked: Job, report: dict[str, Any], pointers: list[str]
) -> None:
    for answer in (send_report(worker, tracked, **report), update(alice, tracked, **report)):
        assert (answer.status_code, answer.json()["code"]) == (httpx.codes.BAD_REQUEST, "INVALID_REQUEST")
        assert sorted({error["pointer"] for error in answer.json()["errors"]}) == pointers
    assert alice.job(tracked)["status"] == "PENDING"


def test_result_of_more_than_8_kb_is_413(alice: Caller, worker: httpx.Client, tracked: Job) -> None:
    """RFC 9110 15.5.14."""
    for answer in (
        send_report(worker, tracked, status="COMPLETED", result="x" * 8191),
        update(alice, tracked, status="COMPLETED", result="x" * 8191),
    ):
        assert (answer.status_code, answer.json()["code"]) == (httpx.codes.REQUEST_ENTITY_TOO_LARGE, "RESULT_TOO_LARGE")
    assert send_report(worker, tracked, status="COMPLETED", result="x" * 8190).status_code == httpx.codes.OK


def test_report_of_a_job_that_is_not_tracked_is_409(alice: Caller, waiting: Job) -> None:
    answer = update(alice, waiting, progress=50)
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.CONFLICT, "JOB_NOT_TRACKED")


# ── The worker's token ─────────────────────────────────────────────────────────────────────────────


def test_each_wrong_token_is_the_same_401(
    api: Api, alice: Caller, bob: Caller, tracked: Job, waiting: Job, anyone: httpx.Client
) -> None:
    """RFC 9110 15.5.2, 11.6.1; RFC 6750 3."""
    token = tracked["workerToken"]
    others, bobs = alice.post("/jobs", json={}).json(), bob.post("/jobs", json={}).json()
    answers = [
        *(
            send_report(api.client_with_token(wrong), tracked, progress=1)
            for wrong in ("x", "a.b.c", token[:-1], others["workerToken"], bobs["workerToken"])
        ),
        *(
            send_report(api.client_with_token(token), job, progress=1)
            for job in (others, bobs, waiting, {"asyncJobId": "no-id"})
        ),
        send_report(alice.http, tracked, progress=1),
        send_report(anyone, tracked, progress=1),
        send_report(api.client(authorization=f"Basic {token}"), tracked, progress=1),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(401, "INVALID_WORKER_TOKEN")}
    assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}
    assert len({answer.json()["detail"] for answer in answers}) == 1
    assert [alice.job(tracked)["status"], alice.job(others)["status"], bob.job(bobs)["status"]] == ["PENDING"] * 3


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/result"),
        ("POST", "/cancel"),
        ("POST", "/retry"),
        ("POST", "/worker-token"),
        ("PATCH", ""),
        ("DELETE", ""),
    ],
)
def test_worker_token_allows_nothing_else(worker: httpx.Client, tracked: Job, method: str, path: str) -> None:
    answer = worker.request(method, f"/jobs/{tracked['asyncJobId']}{path}")
    assert answer.status_code == httpx.codes.UNAUTHORIZED


def test_new_worker_token_replaces_the_earlier_one(api: Api, alice: Caller, worker: httpx.Client, tracked: Job) -> None:
    send_report(worker, tracked, progress=45)
    answer = alice.post(f"/jobs/{tracked['asyncJobId']}/worker-token")
    issued = answer.json()
    assert answer.status_code == httpx.codes.OK
    assert issued == alice.job(tracked) | {"estimatedEndAt": None, "workerToken": issued["workerToken"]}
    assert send_report(worker, tracked, progress=50).json()["code"] == "INVALID_WORKER_TOKEN"
    done = send_report(api.client_with_token(issued["workerToken"]), tracked, status="COMPLETED")
    assert (done.status_code, done.json()["status"]) == (httpx.codes.OK, "COMPLETED")


def test_each_new_worker_token_replaces_the_one_before(api: Api, alice: Caller, tracked: Job) -> None:
    first, second = (alice.post(f"/jobs/{tracked['asyncJobId']}/worker-token").json()["workerToken"] for _ in range(2))
    assert send_report(api.client_with_token(first), tracked, progress=50).status_code == httpx.codes.UNAUTHORIZED
    assert send_report(api.client_with_token(second), tracked, progress=50).status_code == httpx.codes.OK


def test_no_worker_token_is_issued_for_an_ended_or_other_job(alice: Caller, tracked: Job, waiting: Job) -> None:
    alice.post(f"/jobs/{tracked['asyncJobId']}/cancel")
    answers = [alice.post(f"/jobs/{job['asyncJobId']}/worker-token") for job in (tracked, waiting)]
    assert [answer.status_code for answer in answers] == [httpx.codes.CONFLICT] * 2
    assert [answer.json()["code"] for answer in answers] == ["JOB_ALREADY_FINISHED", "JOB_NOT_TRACKED"]


def test_other_users_new_worker_token_is_404(alice: Caller, bob: Caller, worker: httpx.Client, tracked: Job) -> None:
    answer = bob.post(f"/jobs/{tracked['asyncJobId']}/worker-token")
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.NOT_FOUND, "JOB_NOT_FOUND")
    assert send_report(worker, tracked, progress=50).status_code == httpx.codes.OK
    assert alice.job(tracked)["progress"] == 50


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_retried_tracked_job_is_202_with_a_new_worker_token(
    api: Api, alice: Caller, worker: httpx.Client, tracked: Job, end: str
) -> None:
    if end == "failed":
        send_report(worker, tracked, status="FAILED", error={"message": "Invalid file format"})
    else:
        alice.post(f"/jobs/{tracked['asyncJobId']}/cancel")
    answer = alice.post(f"/jobs/{tracked['asyncJobId']}/retry")
    job = answer.json()
    assert (answer.status_code, job["status"], job["progress"], job["error"]) == (httpx.codes.ACCEPTED, "PENDING", 0, None)
    assert send_report(worker, tracked, progress=50).json()["code"] == "INVALID_WORKER_TOKEN"
    done = send_report(api.client_with_token(job["workerToken"]), tracked, status="COMPLETED", result=1)
    assert (done.status_code, alice.job(tracked)["status"]) == (httpx.codes.OK, "COMPLETED")
    again = alice.post(f"/jobs/{tracked['asyncJobId']}/retry")
    assert (again.status_code, again.json()["code"]) == (httpx.codes.CONFLICT, "JOB_NOT_RETRYABLE")


def test_other_users_report_is_404(alice: Caller, bob: Caller, tracked: Job) -> None:
    answer = update(bob, tracked, progress=1)
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.NOT_FOUND, "JOB_NOT_FOUND")
    assert alice.job(tracked)["progress"] == 0
