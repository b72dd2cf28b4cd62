"""Jobs from end to end, over HTTP, on the deployed stack."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.samples import pdfs, raw_pdf
from local.stack import LocalStack, Outputs
from tests.support.deployed import TLS, Caller, Job, log_events, wait_until
from tests.support.pace import SLOWNESS

SAMPLES = Path(__file__).parents[3] / "local/samples"


def encoded(file: str) -> str:
    return base64.b64encode((SAMPLES / file).read_bytes()).decode()


# ── Jobs of the project ──────────────────────────────────────────────────────────────────────────────


def test_small_pdf_is_extracted_with_an_inline_or_linked_result(alice: Caller) -> None:
    job = alice.wait_for(alice.submit("document.extract", {"pdf": encoded("report.pdf")}))
    assert (job["status"], job["progress"], job["attempt"]) == ("COMPLETED", 100, 1)
    result = fetch_result(alice, job)
    assert result["pageCount"] == pdfs.REPORT_PAGES == len(result["pages"])
    assert result["metadata"]["title"] == pdfs.REPORT_TITLE
    assert result["wordCount"] == sum(page["wordCount"] for page in result["pages"]) > 500


def test_pdf_of_several_hundred_pages_is_read_from_the_inputs_area_with_its_result_in_s3(
    alice: Caller, stack: LocalStack, outputs: Outputs
) -> None:
    s3 = stack.session.client("s3", endpoint_url=outputs.endpoint_url)
    s3.put_object(Bucket=outputs.bucket_name, Key=f"inputs/{alice.owner}/uploads/report.pdf", Body=raw_pdf.long_report(900))
    submitted = alice.submit("document.extract", {"key": "uploads/report.pdf"})
    running = alice.wait_for(submitted, lambda found: 0 < found["progress"] < 100)
    assert " of 900" in running["message"]
    job = alice.wait_for(submitted)
    assert (job["resultType"], job["result"]) == ("S3", None)
    assert job["resultLocation"] == f"../jobs/{job['asyncJobId']}/result"
    answer = alice.get(f"/jobs/{job['asyncJobId']}/result")
    assert answer.status_code == httpx.codes.SEE_OTHER
    assert fetch_result(alice, job)["pageCount"] == 900


def test_upload_of_another_owner_is_missing(alice: Caller, bob: Caller, stack: LocalStack, outputs: Outputs) -> None:
    s3 = stack.session.client("s3", endpoint_url=outputs.endpoint_url)
    s3.put_object(Bucket=outputs.bucket_name, Key=f"inputs/{alice.owner}/mine.pdf", Body=(SAMPLES / "report.pdf").read_bytes())
    for key in ("mine.pdf", f"../{alice.owner}/mine.pdf"):
        job = bob.wait_for(bob.submit("document.extract", {"key": key}))
        assert (job["status"], job["error"]["code"]) == ("FAILED", "INPUT_MISSING")


@pytest.mark.parametrize(("file", "code"), [("broken.pdf", "BROKEN_PDF"), ("encrypted.pdf", "ENCRYPTED_PDF")])
def test_unreadable_pdf_fails_with_advice(alice: Caller, file: str, code: str) -> None:
    job = alice.wait_for(alice.submit("document.extract", {"pdf": encoded(file)}))
    assert (job["status"], job["attempt"], job["error"]["code"], job["error"]["retryable"]) == ("FAILED", 1, code, False)
    assert "Traceback" not in job["error"]["message"]
    answer = alice.get(f"/jobs/{job['asyncJobId']}/result")
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.CONFLICT, "JOB_FAILED")
    assert answer.json()["error"] == job["error"]


def test_handbook_is_searched_by_a_coroutine(alice: Caller) -> None:
    job = alice.wait_for(alice.submit("text.search", {"query": "lease"}, prefer="respond-async"))
    assert job["status"] == "COMPLETED"
    assert job["resultType"] == "INLINE"
    assert job["result"] == alice.get(f"/jobs/{job['asyncJobId']}/result").json()
    assert "lease" in json.dumps(job["result"]).lower()


# ── Outcomes ─────────────────────────────────────────────────────────────────────────────────────────


def test_job_that_raises_retry_succeeds_in_its_last_attempt(alice: Caller, stack: LocalStack) -> None:
    job = alice.wait_for(alice.submit("sample.succeeds_at_last"))
    assert (job["status"], job["result"], job["attempt"], job["error"]) == ("COMPLETED", 3, 3, None)
    names = [line["message"] for line in log_events(stack, job, until="JOB_COMPLETED")]
    assert names.count("JOB_STARTED") == 3
    assert names.count("JOB_RETRIED") == 2
    assert names.count("JOB_COMPLETED") == 1


def test_job_that_always_raises_fails_after_its_attempts_without_details(alice: Caller, stack: LocalStack) -> None:
    job = alice.wait_for(alice.submit("sample.raises"))
    assert (job["status"], job["attempt"], job["error"]["code"]) == ("FAILED", 3, "JOB_RAISED")
    assert "canary" not in json.dumps(job)
    lines = log_events(stack, job, until="JOB_FAILED")
    texts = [line.pop("exceptionText") for line in lines if line["message"] in {"JOB_RETRIED", "JOB_FAILED"}]
    assert texts == ["canary-secret"] * 3
    assert "canary" not in json.dumps(lines)


def test_job_that_needs_too_much_memory_fails_by_itself(alice: Caller) -> None:
    job = alice.wait_for(alice.submit("sample.holds_memory", {"size": 3_000_000_000}))
    assert (job["status"], job["error"]["code"], job["error"]["type"]) == ("FAILED", "OUT_OF_MEMORY", "MemoryError")
    assert job["attempt"] == job["maxAttempts"] == 1


def test_job_that_exceeds_its_timeout_fails_and_runs_finally(alice: Caller, stack: LocalStack) -> None:
    job = alice.wait_for(alice.submit("sample.sleeps", {"seconds": 30}))
    assert (job["status"], job["error"]["code"]) == ("FAILED", "TIME_LIMIT_EXCEEDED")
    assert "cleaned up" in [line["message"] for line in log_events(stack, job, until="cleaned up")]


def test_running_job_is_cancelled_immediately_and_stops(alice: Caller, stack: LocalStack) -> None:
    job = alice.submit("sample.works", {"seconds": 60})
    alice.wait_for(job, lambda found: found["progress"] > 0)
    answer = alice.post(f"/jobs/{job['asyncJobId']}/cancel")
    stopped_within(stack, job, seconds=10 * SLOWNESS)
    assert alice.job(job) == answer.json()


def stopped_within(stack: LocalStack, job: Job, *, seconds: float) -> None:
    """Return whether the running attempt ended in time; without the cancel it would run for a minute."""

    def is_fenced() -> bool:
        lines = log_events(stack, job, until="JOB_FENCED")
        return any(line["message"] == "JOB_FENCED" and line["reason"] == "JobCancelled" for line in lines)

    wait_until(is_fenced, seconds=seconds)


def test_large_input_and_large_result_go_through_the_bucket(alice: Caller, stack: LocalStack, outputs: Outputs) -> None:
    job = alice.wait_for(alice.submit("sample.streams", {"size": 9_000_000, "note": "x" * 5000}))
    assert job["resultType"] == "S3"
    assert len(fetch_result(alice, job)) == 9_000_000
    s3 = stack.session.client("s3", endpoint_url=outputs.endpoint_url)
    found = s3.list_objects_v2(Bucket=outputs.bucket_name, Prefix=f"inputs/{alice.owner}/{job['asyncJobId']}/")
    assert found["KeyCount"] == 1


# ── Helpers ────────────────────────────────────────────────────────────────────────────────────────


def fetch_result(caller: Caller, job: Job) -> Any:
    answer = caller.get(f"/jobs/{job['asyncJobId']}/result")
    if answer.status_code == httpx.codes.SEE_OTHER:
        answer = httpx.get(answer.headers["location"], trust_env=False, verify=TLS)
    assert answer.status_code == httpx.codes.OK, answer.text[:300]
    assert answer.headers["content-type"].startswith("application/json")
    return answer.json()
