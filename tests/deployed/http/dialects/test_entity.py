"""The example of seed 0, as its document has it, over a data access object that calls the API."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deployed.http.dialects.examples import MILLISECONDS, UUID, Client, assert_documented, client_of
from tests.support.deployed import TLS, Api

DATA_ACCESS = """
const record = fields => ({
  getId: () => fields.asyncJobId,
  getStatus: () => fields.status,
  getResultType: () => fields.resultType,
  getResultLocation: () => fields.resultLocation,
  getResult: () => fields.result,
  getError: () => fields.error,
  fields,
});
const dataAccess = {
  AsyncJob: {
    create: async fields => record(sendSync('POST', '/api/v1/jobs', fields)),
    findById: async id => record(await (await fetch(`/api/v1/jobs/${id}`)).json()),
  },
};
"""
SUBMIT = """
const { AsyncJob } = dataAccess;

// 1. Submit a new async job
const job = await AsyncJob.create({
  status: 'IN_PROGRESS',
  metadata: { submittedBy: 'user123', jobType: 'export', tags: ['export'] },
});
"""
POLL = """
// 2. Poll for job status
const polledJob = await AsyncJob.findById(job.getId());
if (polledJob.getStatus() === 'COMPLETED') {
  // 3. Retrieve result
  if (polledJob.getResultType() === 'S3') {
    // Download from S3
    const s3Url = polledJob.getResultLocation();
    // ...
    tell(s3Url);
  } else if (polledJob.getResultType() === 'INLINE') {
    const result = polledJob.getResult();
    // ...
    tell(result);
  }
} else if (polledJob.getStatus() === 'FAILED') {
  const error = polledJob.getError();
  // Handle error
  tell(error);
}
"""


@pytest.fixture(scope="module")
def entity(api: Api) -> Client:
    return client_of(api, "entity")


def test_example_of_a_submit(entity: Client, tmp_path: Path) -> None:
    job = entity.javascript(tmp_path, DATA_ACCESS + SUBMIT + "tell(job.fields);")
    expires = job["recordExpiresAt"]
    assert_documented(
        {
            "asyncJobId": "ID",
            "status": "IN_PROGRESS",
            "createdAt": "TIME",
            "updatedAt": "TIME",
            "startedAt": "TIME",
            "endedAt": None,
            "recordExpiresAt": expires,
            "resultLocation": "",
            "resultType": None,
            "result": None,
            "error": None,
            "metadata": {"submittedBy": "user123", "jobType": "export", "tags": ["export"]},
        },
        job,
        ids=UUID,
        times=MILLISECONDS,
    )
    assert re.fullmatch(r"\d{10}", str(expires))


@pytest.mark.parametrize(
    ("report", "shown"),
    [
        ({"status": "COMPLETED", "result": {"rows": 7}}, {"rows": 7}),
        (
            {"status": "FAILED", "error": {"code": "NO_DATA", "message": "Nothing to export."}},
            {"code": "NO_DATA", "message": "Nothing to export.", "type": "ReportedFailure", "retryable": False},
        ),
    ],
    ids=["completed", "failed"],
)
def test_example_of_a_poll(entity: Client, tmp_path: Path, report: dict[str, Any], shown: Any) -> None:
    job_id = entity.javascript(tmp_path, DATA_ACCESS + SUBMIT + "tell(job.getId());")
    assert entity.caller.patch(f"/jobs/{job_id}", json=report).status_code == 200
    job = f"const {{ AsyncJob }} = dataAccess; const job = {{ getId: () => '{job_id}' }};"
    assert entity.javascript(tmp_path, DATA_ACCESS + job + POLL) == shown


def test_location_of_a_large_result_leads_to_it(entity: Client) -> None:
    submitted = entity.request(
        "POST", "/api/v1/jobs", json={"jobType": "contract.searches", "input": {"subject": "x", "size": 20_000}}
    )
    assert submitted.status_code == 202
    path = f"/api/v1/jobs/{submitted.json()['asyncJobId']}"
    job = entity.poll(path, lambda found: found["status"] != "IN_PROGRESS")
    assert (job["status"], job["resultType"], job["result"]) == ("COMPLETED", "S3", None)
    found = entity.request("GET", path)
    link = entity.request("GET", str(found.url.join(job["resultLocation"])).removeprefix(entity.base))
    assert link.status_code == 303
    assert httpx.get(link.headers["location"], trust_env=False, verify=TLS).json()["text"] == "x" * 20_000
