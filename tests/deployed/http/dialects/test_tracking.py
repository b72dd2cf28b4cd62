"""The examples of seed 4, as its document has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.samples import pdfs
from tests.deployed.http.dialects.examples import MILLISECONDS, UUID, Client, assert_documented, client_of
from tests.support.deployed import Api

CREATE = """
const response = await fetch('/api/jobs', {
  method: 'POST',
  headers: { 'Content-Type': 'application/json' },
  body: JSON.stringify({
    jobType: 'file_processing',
    message: 'Upload queued',
    metadata: {
      fileName: 'contract.pdf',
      fileSize: 1024000,
    },
  }),
});

const { jobId } = await response.json();
"""
GET = """
{
const response = await fetch(`/api/jobs/${jobId}`);
const jobState = await response.json();

console.error(`Status: ${jobState.status} - ${jobState.message}`);
console.error(`Progress: ${jobState.progress}%`);
tell(jobState);
}
"""
SERVER = """
const createJob = job => sendSync('POST', '/api/jobs', job);
const updateJobWithNotification = (jobId, update) => sendSync('PATCH', `/api/jobs/${jobId}`, update);
const completeJob = (jobId, documentId, message) =>
  updateJobWithNotification(jobId, { status: 'completed', documentId, message });
const failJob = (jobId, message) => updateJobWithNotification(jobId, { status: 'error', message });
"""
"""The functions that the document's server-side examples import, by requests of the job's owner."""
MANAGED = """
// Create a job
const job = createJob({
  jobType: 'document_analysis',
  message: 'Starting analysis...',
  metadata: { documentId: 'doc_123' },
});

// Update progress
updateJobWithNotification(job.jobId, {
  status: 'processing',
  progress: 50,
  message: 'Analyzing document structure...',
});
const processing = await (await fetch(`/api/jobs/${job.jobId}`)).json();
"""
COMPLETE = "completeJob(job.jobId, 'doc_123', 'Analysis completed');"
FAIL = "failJob(job.jobId, 'Failed to parse document');"
DESCRIBED = """
const job = createJob({
  jobType: 'file_processing',
  metadata: {
    fileName: file.name,
    fileSize: file.size,
    documentType: 'contract',
    userId: user.id,
  },
});
const { jobId } = job;
"""
UPDATES = """
// ✅ Good - Meaningful progress updates
updateJobWithNotification(jobId, {
  progress: 25,
  message: 'Uploading file to storage...',
});
updateJobWithNotification(jobId, {
  progress: 50,
  message: 'Extracting document data...',
});
"""
GRACEFUL = """
try {
  // ... processing ...
  if (fails) throw new Error('No text');
  completeJob(jobId, documentId);
} catch (error) {
  failJob(jobId, error instanceof Error ? error.message : 'Unknown error');
}
"""
SHOWN = "tell([processing, await (await fetch(`/api/jobs/${job.jobId}`)).json()]);"
OLD = """
const formData = new FormData();
formData.append('file', file);
formData.append('documentType', 'contract');
formData.append('parentId', contractId);

const response = await fetch('/api/jobs', {
  method: 'POST',
  body: formData, // FormData
});

const { jobId } = await response.json();
"""


@pytest.fixture(scope="module")
def tracking(api: Api) -> Client:
    return client_of(api, "tracking")


def test_example_of_a_new_job_and_its_status(tracking: Client, tmp_path: Path) -> None:
    assert_documented(
        {"status": "queued", "message": "Upload queued", "progress": 0, "timestamp": "TIME"},
        tracking.javascript(tmp_path, CREATE + GET),
        times=MILLISECONDS,
    )


def test_answer_to_a_new_job_has_the_documented_members(tracking: Client) -> None:
    answer = tracking.request("POST", "/api/jobs", json={"jobType": "file_processing", "message": "Upload queued"})
    assert answer.status_code == 202
    assert_documented({"jobId": "ID", "status": "queued", "timestamp": "TIME"}, answer.json(), times=MILLISECONDS)


PROCESSING = {"status": "processing", "message": "Analyzing document structure...", "progress": 50, "timestamp": "TIME"}


@pytest.mark.parametrize(
    ("end", "documented"),
    [
        (
            COMPLETE,
            {
                "status": "completed",
                "message": "Analysis completed",
                "progress": 100,
                "documentId": "doc_123",
                "timestamp": "TIME",
            },
        ),
        (
            FAIL,
            {
                "status": "error",
                "message": "Failed to parse document",
                "progress": 50,
                "error": "Failed to parse document",
                "timestamp": "TIME",
            },
        ),
    ],
    ids=["complete", "fail"],
)
def test_example_of_server_side_management(tracking: Client, tmp_path: Path, end: str, documented: dict[str, object]) -> None:
    processing, ended = tracking.javascript(tmp_path, SERVER + MANAGED + end + SHOWN)
    assert_documented(PROCESSING, processing, times=MILLISECONDS)
    assert_documented(documented, ended, times=MILLISECONDS)


@pytest.mark.parametrize(
    ("fails", "status", "message", "progress"),
    [("false", "completed", "Extracting document data...", 100), ("true", "error", "No text", 50)],
    ids=["completed", "failed"],
)
def test_examples_of_best_practices(
    tracking: Client, tmp_path: Path, fails: str, status: str, message: str, progress: int
) -> None:
    values = f"""
const file = {{ name: 'contract.pdf', size: 1024000 }}, user = {{ id: 'u-7' }}, documentId = 'doc_123abc', fails = {fails};
const look = async () => (await fetch(`/api/jobs/${{jobId}}`)).json();
"""
    code = f"{SERVER}{values}{DESCRIBED}{UPDATES}const updated = await look();{GRACEFUL}tell([jobId, updated, await look()]);"
    job_id, updated, ended = tracking.javascript(tmp_path, code)
    assert_documented(
        {"status": "processing", "message": "Extracting document data...", "progress": 50, "timestamp": "TIME"},
        updated,
        times=MILLISECONDS,
    )
    last = {"documentId": "doc_123abc"} if status == "completed" else {"error": message}
    assert_documented(
        {"status": status, "message": message, "progress": progress, **last, "timestamp": "TIME"}, ended, times=MILLISECONDS
    )
    metadata = tracking.caller.get(f"/jobs/{job_id}").json()["metadata"]
    assert metadata == {"fileName": "contract.pdf", "fileSize": 1024000, "documentType": "contract", "userId": "u-7"}


def test_example_of_each_state(tracking: Client) -> None:
    def update(**members: object) -> object:
        return tracking.request("PATCH", f"/api/jobs/{job_id}", json=members).json()

    job_id = tracking.request("POST", "/api/jobs", json={"message": "Upload queued"}).json()["jobId"]
    assert_documented(
        {"status": "processing", "message": "Extracting document data...", "progress": 45, "timestamp": "TIME"},
        update(status="processing", progress=45, message="Extracting document data..."),
        times=MILLISECONDS,
    )
    assert_documented(
        {
            "status": "completed",
            "message": "Document processed successfully",
            "progress": 100,
            "documentId": "doc_123abc",
            "timestamp": "TIME",
        },
        update(status="completed", documentId="doc_123abc", message="Document processed successfully"),
        times=MILLISECONDS,
    )
    job_id = tracking.request("POST", "/api/jobs", json={}).json()["jobId"]
    failed = update(status="error", message="Processing failed", error="Invalid file format")
    assert isinstance(failed, dict)
    assert (failed["status"], failed["message"], failed["error"]) == ("error", "Processing failed", "Invalid file format")


def test_example_of_the_upload_from_before(tracking: Client, tmp_path: Path) -> None:
    (tmp_path / "contract.pdf").write_bytes(pdfs.report())
    file = f"""
import {{ readFileSync }} from 'node:fs';
const file = new File([readFileSync('{tmp_path}/contract.pdf')], 'contract.pdf', {{ type: 'application/pdf' }});
const contractId = 'c-7';
"""
    job_id = tracking.javascript(tmp_path, file + OLD + "tell(jobId);")
    state = tracking.poll(f"/api/jobs/{job_id}", lambda found: found["status"] in {"completed", "error"})
    assert_documented(
        {
            "status": "completed",
            "message": state["message"],
            "progress": 100,
            "documentId": "ID",
            "timestamp": "TIME",
        },
        state,
        ids=UUID,
        times=MILLISECONDS,
    )
    job = tracking.caller.get(f"/jobs/{job_id}").json()
    assert job["metadata"]["parentId"] == "c-7"
    assert job["metadata"]["documentType"] == "contract"
    assert job["jobType"] == "document.extract"
