"""The examples of seed 1, as its document has them."""

from __future__ import annotations

import re

import pytest

from tests.deployed.http.dialects.examples import Client, assert_documented, client_of
from tests.support.deployed import Api

ID = re.compile(r"mysql-import-\d{10}-[0-9a-f]{32}")


@pytest.fixture(scope="module")
def executor(api: Api) -> Client:
    return client_of(api, "executor")


def test_examples_of_immediate_and_background_execution(executor: Client) -> None:
    fast = executor.request("POST", "/api/v1/import/mysql", json={"host": "localhost", "database": "small_db"})
    assert fast.status_code == 200
    # The document leaves out what is in the lists.
    assert_documented({"data": {"schema": {"nodes": [], "edges": []}, "warnings": [], "unsupportedFeatures": []}}, fast.json())

    slow = executor.request("POST", "/api/v1/import/mysql", json={"host": "remote.db", "database": "huge_db", "ssh": {}})
    assert slow.status_code == 202
    assert_documented(
        {
            "data": {
                "jobId": "ID",
                "status": "PENDING",
                "message": "Import started in background. Poll /api/v1/jobs/{jobId} for status.",
            }
        },
        slow.json(),
        ids=ID,
    )
    job_id = slow.json()["data"]["jobId"]
    ended = executor.poll(f"/api/v1/jobs/{job_id}", lambda found: found["data"]["status"] == "COMPLETED")
    assert ended["data"]["data"] == fast.json()["data"]


def test_documented_id_is_no_job(executor: Client) -> None:
    answer = executor.request("GET", "/api/v1/jobs/mysql-import-1234567890-abc123")
    assert (answer.status_code, list(answer.json())) == (404, ["error"])
