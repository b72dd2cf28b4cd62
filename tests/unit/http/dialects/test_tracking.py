"""The dialect `tracking`, and the documented answers of the API that it speaks for."""

from __future__ import annotations

import base64
import json

import pytest

from asyncjobs.core.clock import rfc3339
from asyncjobs.core.job import AsyncJob
from tests.support.factories import JOB_ID, NOW, OWNER
from tests.support.http_events import Answer
from tests.unit.http.dialects.in_memory_dialects import InMemoryDialects, cancelled, done

CREATE = "POST /api/jobs"
FORM = (
    b'--x\r\nContent-Disposition: form-data; name="documentType"\r\n\r\ncontract\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="contract.pdf"\r\nContent-Type: application/pdf\r\n\r\n'
    b"%PDF-1.7\r\n\xff\r\n--x--\r\n"
)


@pytest.fixture
def created(dialects: InMemoryDialects) -> str:
    body = {"jobType": "file_processing", "message": "Upload queued", "metadata": {"fileName": "contract.pdf"}}
    job_id: str = dialects.call("tracking", CREATE, body=body).body["jobId"]
    return job_id


def report(dialects: InMemoryDialects, job_id: str, **members: object) -> Answer:
    return dialects.call("tracking", f"PATCH /api/jobs/{job_id}", body=members)


def test_created_job_is_queued(dialects: InMemoryDialects) -> None:
    answer = dialects.call("tracking", CREATE, body={"jobType": "file_processing"})
    assert answer.status == 202
    assert answer.body == {"jobId": answer.body["jobId"], "status": "queued", "timestamp": rfc3339(NOW)}


def test_every_member_of_a_new_job_is_optional(dialects: InMemoryDialects) -> None:
    job = dialects.call("tracking", CREATE).body
    assert dialects.job_of(job["jobId"]).job_type == "generic"
    assert dialects.call("tracking", f"GET /api/jobs/{job['jobId']}").body == {
        "status": "queued",
        "message": "",
        "progress": 0,
        "timestamp": rfc3339(NOW),
    }


def test_each_state_has_its_documented_members(dialects: InMemoryDialects, created: str) -> None:
    states = [dialects.call("tracking", f"GET /api/jobs/{created}").body]
    states.append(report(dialects, created, status="processing", progress=45, message="Extracting document data...").body)
    states.append(
        report(dialects, created, status="completed", documentId="doc_123abc", message="Document processed successfully").body
    )
    assert [{name: value for name, value in state.items() if name != "timestamp"} for state in states] == [
        {"status": "queued", "message": "Upload queued", "progress": 0},
        {"status": "processing", "message": "Extracting document data...", "progress": 45},
        {
            "status": "completed",
            "message": "Document processed successfully",
            "progress": 100,
            "documentId": "doc_123abc",
        },
    ]


def test_failed_job_has_message_and_error(dialects: InMemoryDialects, created: str) -> None:
    state = report(dialects, created, status="error", message="Processing failed", error="Invalid file format").body
    assert (state["status"], state["message"], state["error"]) == ("error", "Processing failed", "Invalid file format")


def test_message_alone_is_the_reason_of_a_failure(dialects: InMemoryDialects, created: str) -> None:
    state = report(dialects, created, status="error", message="Failed to parse document").body
    assert (state["message"], state["error"]) == ("Failed to parse document", "Failed to parse document")


def test_update_without_a_status_is_progress(dialects: InMemoryDialects, created: str) -> None:
    state = report(dialects, created, progress=25, message="Uploading file to storage...").body
    assert (state["status"], state["progress"]) == ("processing", 25)


@pytest.mark.parametrize(
    "members", [{"status": "queued"}, {"status": 5}, {"progress": "x"}, {"error": "x"}, {"status": "error"}]
)
def test_invalid_update_is_rejected(dialects: InMemoryDialects, created: str, members: dict[str, object]) -> None:
    answer = report(dialects, created, **members)
    assert (answer.status, list(answer.body)) == (400, ["error"])


def test_update_after_the_end_is_a_conflict(dialects: InMemoryDialects, created: str) -> None:
    report(dialects, created, status="completed")
    assert report(dialects, created, progress=50).status == 409


def test_form_with_a_file_is_a_job_here(dialects: InMemoryDialects) -> None:
    answer = form(dialects)
    assert (answer.status, answer.body["status"]) == (202, "queued")
    job = dialects.job_of(answer.body["jobId"])
    key = json.loads(job.input or "")["key"]
    assert dialects.api.objects.open_upload(OWNER, key).read() == b"%PDF-1.7\r\n\xff"
    assert json.loads(job.metadata or "") == {
        "documentType": "contract",
        "fileName": "contract.pdf",
        "fileSize": 11,
        "documentId": key.removeprefix("uploads/"),
    }


def test_form_with_an_idempotency_key_can_be_repeated(dialects: InMemoryDialects) -> None:
    first, again = form(dialects, idempotency_key="k"), form(dialects, idempotency_key="k")
    assert first.body["jobId"] == again.body["jobId"]
    assert len(dialects.api.objects.stored) == 1


def form(dialects: InMemoryDialects, **headers: str) -> Answer:
    content = {"content-type": "multipart/form-data; boundary=x", **headers}
    return dialects.send("tracking", CREATE, headers=content, body=base64.b64encode(FORM).decode(), isBase64Encoded=True)


@pytest.mark.parametrize(
    ("job", "document_id"),
    [
        (done("document.extract", '{"documentId": "d1"}', metadata='{"documentId": "d2"}'), "d1"),
        (done("document.extract", "[]", metadata='{"documentId": "d2"}'), "d2"),
        (done("document.extract", '"d1"'), None),
    ],
)
def test_document_is_that_of_the_result_or_of_the_metadata(
    dialects: InMemoryDialects, job: AsyncJob, document_id: str | None
) -> None:
    dialects.has(job)
    assert dialects.call("tracking", f"GET /api/jobs/{JOB_ID}").body.get("documentId") == document_id


def test_cancelled_job_is_an_error_that_says_so(dialects: InMemoryDialects) -> None:
    dialects.has(cancelled("document.extract"))
    state = dialects.call("tracking", f"GET /api/jobs/{JOB_ID}").body
    assert (state["status"], state["error"]) == ("error", "The job was cancelled.")
