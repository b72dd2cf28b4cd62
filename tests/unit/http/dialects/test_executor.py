"""The dialect `executor`, and the documented answers of the API that it speaks for."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from tests.support.factories import JOB_ID, NOW, OWNER
from tests.unit.http.dialects.in_memory_dialects import InMemoryDialects, cancelled, done, failed, working

IMPORT = "POST /api/v1/import/mysql"
ID = f"mysql-import-{int(NOW.timestamp())}-{uuid.UUID(JOB_ID).hex}"
JOB = f"GET /api/v1/jobs/{ID}"


def test_background_job_has_the_documented_answer(dialects: InMemoryDialects) -> None:
    answer = dialects.call("executor", IMPORT, body={"host": "remote.db", "database": "huge_db", "ssh": {}})
    job_id = answer.body["data"]["jobId"]
    assert answer.status == 202
    assert answer.body == {
        "data": {
            "jobId": job_id,
            "status": "PENDING",
            "message": "Import started in background. Poll /api/v1/jobs/{jobId} for status.",
        }
    }
    assert re.fullmatch(r"mysql-import-[0-9]{10}-[0-9a-f]{32}", job_id)
    assert dialects.call("executor", f"GET /api/v1/jobs/{job_id}").body["data"]["jobId"] == job_id
    assert answer.headers["location"].endswith(f"api/v1/jobs/{job_id}")


def test_job_that_has_run_answers_with_its_data(dialects: InMemoryDialects) -> None:
    sent: Any = {"body": {"host": "localhost", "database": "small_db"}, "idempotency_key": "k"}
    first = dialects.call("executor", IMPORT, **sent)
    uuid_of_it = str(uuid.UUID(first.body["data"]["jobId"][-32:]))
    pending = dialects.job_of(uuid_of_it)
    ended = done("mysql.import", '{"warnings": []}')
    dialects.has(
        pending.claimed(by="w", now=NOW, lease_until=NOW).completed(now=NOW, result=ended.result)  # type: ignore[arg-type]  # it has one
    )
    again = dialects.call("executor", IMPORT, **sent)
    assert (again.status, again.body) == (200, {"data": {"warnings": []}})
    assert again.headers["idempotency-replayed"] == "true"


def test_repeated_request_of_a_failed_job_shows_the_failure(dialects: InMemoryDialects) -> None:
    sent: Any = {"body": {}, "idempotency_key": "k"}
    first = dialects.call("executor", IMPORT, **sent)
    pending = dialects.job_of(str(uuid.UUID(first.body["data"]["jobId"][-32:])))
    error = failed("mysql.import").error
    assert error is not None
    dialects.has(pending.claimed(by="w", now=NOW, lease_until=NOW).failed(now=NOW, error=error))
    again = dialects.call("executor", IMPORT, **sent).body["data"]
    assert (again["status"], again["error"], again["data"]) == ("FAILED", "Connection timeout", None)


def test_status_words(dialects: InMemoryDialects) -> None:
    dialects.has(working("mysql.import", progress=30))
    job = dialects.call("executor", JOB).body["data"]
    assert (job["status"], job["progress"], job["data"], job["error"]) == ("RUNNING", 30, None, None)
    dialects.has(cancelled("mysql.import"))
    job = dialects.call("executor", JOB).body["data"]
    assert (job["status"], job["error"]) == ("FAILED", "The job was cancelled.")


@pytest.mark.parametrize(
    "other",
    [
        ID.replace("mysql", "mongo"),
        ID.replace("-1", "-2", 1),
        ID[:-1],
        JOB_ID,
        "mysql-import-1234567890-abc123",
        "x" * 3000,
        "-0-" + "0" * 32,
    ],
    ids=lambda text: text[:20],
)
def test_id_that_is_not_exactly_the_jobs_is_unknown(dialects: InMemoryDialects, other: str) -> None:
    dialects.has(done("mysql.import"))
    assert dialects.call("executor", JOB).status == 200
    answer = dialects.call("executor", f"GET /api/v1/jobs/{other}")
    assert answer.status == 404
    assert set(answer.body) == {"error"}


def test_id_of_another_owner_is_unknown(dialects: InMemoryDialects) -> None:
    dialects.has(done("mysql.import"))
    assert dialects.call("executor", JOB, owner="bob").status == 404
    assert dialects.call("executor", JOB, owner=OWNER).status == 200
