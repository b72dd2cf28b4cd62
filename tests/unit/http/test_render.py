"""Jobs, job types and rate limits as the client sees them."""

from __future__ import annotations

from asyncjobs.core.clock import rfc3339
from asyncjobs.core.job import Result
from asyncjobs.core.rate import SubmitRate
from tests.support.factories import JOB_ID, NOW, running_job
from tests.support.http_events import JOB, JOB_TYPES, JOBS, RESULT
from tests.unit.http.in_memory_api import BODY, FAILURE, READS, InMemoryApi

# ── Rate limit ───────────────────────────────────────────────────────────────────────────────────────


def test_rate_limit_headers_show_the_remaining_submits() -> None:
    api = InMemoryApi(limits={"rate": SubmitRate(per_minute=6, burst=2)})
    answers = [api.submit(BODY, key="k") for _ in range(3)]
    assert [answer.headers["ratelimit"] for answer in answers] == [
        '"submit";r=1;t=10',
        '"submit";r=0;t=10',
        '"submit";r=0;t=10',
    ]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"submit";q=2;w=20'}
    assert [answer.headers.get("idempotency-replayed") for answer in answers] == [None, "true", "true"]
    assert answers[0].headers["retry-after"] == "2", "the time of the next poll"


def test_rate_limit_headers_are_absent_without_a_rate(api: InMemoryApi) -> None:
    answer = api.submit(BODY)
    assert answer.status == 202
    assert not [name for name in answer.headers if name.startswith("ratelimit")]


# ── Job ──────────────────────────────────────────────────────────────────────────────────────────────


def test_running_job_shows_its_progress(api: InMemoryApi) -> None:
    api.add_jobs(running_job(progress=45, message="Reading page 9 of 20"))
    answer = api.call(JOB, async_job_id=JOB_ID)
    assert answer.status == 200
    assert {name: answer.body[name] for name in ("status", "progress", "message", "attempt", "startedAt", "endedAt")} == {
        "status": "IN_PROGRESS",
        "progress": 45,
        "message": "Reading page 9 of 20",
        "attempt": 1,
        "startedAt": rfc3339(NOW),
        "endedAt": None,
    }


def test_completed_job_shows_its_result(api: InMemoryApi) -> None:
    api.add_jobs(running_job().completed(now=NOW, result=Result(text='{"text":"ü","pages":[1]}')))
    answer = api.call(JOB, async_job_id=JOB_ID)
    assert "retry-after" not in answer.headers
    assert {name: answer.body[name] for name in ("status", "progress", "resultType", "result", "resultLocation")} == {
        "status": "COMPLETED",
        "progress": 100,
        "resultType": "INLINE",
        "result": {"text": "ü", "pages": [1]},
        "resultLocation": None,
    }


def test_large_result_is_named_by_the_result_route(api: InMemoryApi) -> None:
    api.add_jobs(running_job().completed(now=NOW, result=Result(location="results/x/y/1")))
    answer = api.call(JOB, async_job_id=JOB_ID)
    assert (answer.body["resultType"], answer.body["result"]) == ("S3", None)
    assert answer.body["resultLocation"] == f"../jobs/{JOB_ID}/result"
    assert "results/x" not in answer.text


def test_failed_job_shows_its_error(api: InMemoryApi) -> None:
    api.add_jobs(running_job().failed(now=NOW, error=FAILURE))
    assert api.call(JOB, async_job_id=JOB_ID).body["error"] == {
        "code": "HOPELESS",
        "message": "The document is encrypted: remove its password.",
        "type": "Fatal",
        "retryable": False,
    }


def test_internal_fields_are_not_shown(api: InMemoryApi) -> None:
    api.add_jobs(running_job(by="canary", generation="canary", request_hash=b"canary", input="canary", input_location="canary"))
    for route in (JOB, RESULT):
        assert "canary" not in api.call(route, async_job_id=JOB_ID).text
    assert "canary" not in api.call(JOBS).text


# ── Job types ────────────────────────────────────────────────────────────────────────────────────────


def test_job_types_show_their_public_fields(api: InMemoryApi) -> None:
    answer = api.call(JOB_TYPES)
    assert answer.status == 200
    assert [found["jobType"] for found in answer.body["jobTypes"]] == [
        "api.reads",
        "api.searches",
        "api.takes_anything",
        "api.is_alone",
        "report",
        "generic",
    ]
    assert [found["tracked"] for found in answer.body["jobTypes"]] == [False, False, False, False, False, True]
    assert answer.body["jobTypes"][0] == {
        "jobType": "api.reads",
        "description": "Reads pages.",
        "inputSchema": READS.input_schema,
        "outputSchema": {"type": "integer"},
        "expectedSeconds": 10,
        "timeoutSeconds": 60,
        "maxAttempts": 3,
        "priority": "standard",
        "tracked": False,
        "retentionSeconds": 604800,
    }
