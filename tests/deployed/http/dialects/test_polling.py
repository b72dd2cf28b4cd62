"""The examples of seed 3, as its document has them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.deployed.http.dialects.examples import Client, assert_documented, client_of
from tests.support.deployed import Api

FRONTEND = """
async function analyzeWithPolling(input) {
    // Start job
    const response = await fetch('/api/v1/analyze/', {
        method: 'POST',
        headers: {
            'Content-Type': 'application/json',
            'Authorization': `Bearer ${token}`,
        },
        body: JSON.stringify(input),
    });
    const { job_id } = await response.json();

    // Poll until complete
    while (true) {
        const job = await fetch(`/api/v1/jobs/${job_id}`, {
            headers: { 'Authorization': `Bearer ${token}` },
        }).then(r => r.json());

        if (job.status === 'SUCCESS') {
            return job.result;
        } else if (job.status === 'FAILURE') {
            throw new Error(job.error_message);
        }

        // Update progress bar if available
        if (job.progress > 0) {
            updateProgressBar(job.progress);
        }

        // Wait 2 seconds before next poll
        await new Promise(resolve => setTimeout(resolve, 2000));
    }
}
"""

CREATE = """
@router.post("/analyze/", status_code=202)
async def analyze_bid(
    input: AnalysisInput,
    db: DbSession,
    current_user: CurrentUser,
):
    # Create job immediately
    job = await JobService.create_job(
        db,
        user_id=current_user.id,
        job_data=JobCreate(task_type="gemini_analysis", input_data=input.model_dump())
    )

    # Trigger background processing (Vercel Cron, separate function, etc.)
    # await trigger_analysis_task(job.id)  # Implementation depends on architecture

    return {"job_id": job.id, "status": "PENDING", "message": "Analysis started"}
"""
STATUS = """
@router.get("/jobs/{job_id}")
async def get_job_status(job_id: str, ...):
    job = await JobService.get_job(db, job_id, current_user.id)
    return job
"""
WORKER = """
async def process_analysis(job_id: str, db: AsyncSession):
    # Mark as processing
    await JobService.mark_processing(db, job_id)

    try:
        # Do the actual work
        result = await gemini_analyze(...)

        # Mark success
        await JobService.mark_success(db, job_id, result)
    except Exception as e:
        # Mark failure
        await JobService.mark_failure(db, job_id, str(e))
"""


class JobService:
    """The service that the document's Python calls, by requests: `db` is the client."""

    @staticmethod
    async def create_job(db: Client, *, user_id: str, job_data: SimpleNamespace) -> SimpleNamespace:
        assert user_id == db.caller.owner
        answer = db.request("POST", "/api/v1/jobs", json=vars(job_data))
        return SimpleNamespace(id=answer.json()["job_id"])

    @staticmethod
    async def get_job(db: Client, job_id: str, user_id: str) -> Any:
        assert user_id == db.caller.owner
        return db.request("GET", f"/api/v1/jobs/{job_id}").json()

    @staticmethod
    async def mark_processing(db: Client, job_id: str) -> None:
        _report(db, job_id, {"status": "IN_PROGRESS"})

    @staticmethod
    async def mark_success(db: Client, job_id: str, result: Any) -> None:
        _report(db, job_id, {"status": "COMPLETED", "result": result})

    @staticmethod
    async def mark_failure(db: Client, job_id: str, message: str) -> None:
        _report(db, job_id, {"status": "FAILED", "error": {"message": message}})


def _as_it_is(*_: object, **__: object) -> Callable[[Any], Any]:
    return lambda function: function


ROUTER = SimpleNamespace(get=_as_it_is, post=_as_it_is)


def _report(db: Client, job_id: str, report: dict[str, Any]) -> None:
    assert db.caller.patch(f"/jobs/{job_id}", json=report).status_code == 200


def defined(code: str, name: str, **names: Any) -> Any:
    """Return the function that a document's Python defines, with these names beside it."""
    types = dict.fromkeys(("AnalysisInput", "DbSession", "CurrentUser", "AsyncSession"), Any)
    namespace: dict[str, Any] = {**types, "JobService": JobService, "JobCreate": SimpleNamespace, **names}
    exec(code, namespace)
    return namespace[name]


@pytest.fixture(scope="module")
def polling(api: Api) -> Client:
    return client_of(api, "polling")


def test_example_of_a_start_and_a_status(polling: Client) -> None:
    answer = polling.request("POST", "/api/v1/analyze/", json={"bid_id": 123})
    assert answer.status_code == 202
    assert_documented({"job_id": "ID", "status": "PENDING", "message": "Analysis started"}, answer.json())
    path = f"/api/v1/jobs/{answer.json()['job_id']}"
    job = polling.poll(path, lambda found: found["progress"] > 0)
    assert_documented(
        {
            "id": "ID",
            "status": "PROCESSING",
            "task_type": "gemini_analysis",
            "progress": 45,
            "input_data": {"bid_id": 123},
            "result": None,
            "error_message": None,
            "created_at": "TIME",
            "started_at": "TIME",
            "completed_at": None,
        },
        job,
    )


def test_example_of_a_front_end_polls_to_the_result(polling: Client, tmp_path: Path) -> None:
    bid = random.randrange(10**9)
    run = f"const seen = []; const updateProgressBar = progress => seen.push(progress); {FRONTEND}"
    shown = f"tell({{ result: await analyzeWithPolling({{ bid_id: {bid}, seconds: 5 }}), seen: [...new Set(seen)] }});"
    assert polling.javascript(tmp_path, run + shown) == {"result": {"bid_id": bid, "score": 0.75}, "seen": [45]}


def test_example_of_a_front_end_throws_the_error_message(polling: Client, tmp_path: Path) -> None:
    bid = random.randrange(10**9)
    run = f"const updateProgressBar = () => {{}}; {FRONTEND}"
    call = f"analyzeWithPolling({{ bid_id: {bid}, seconds: 0, fails: true }})"
    shown = f"try {{ await {call}; }} catch (error) {{ tell(error.message); }}"
    assert polling.javascript(tmp_path, run + shown) == "The bid has no text: upload it again."


def test_example_of_a_service_that_creates_a_job(polling: Client) -> None:
    analyze_bid = defined(CREATE, "analyze_bid", router=ROUTER)
    bid = {"bid_id": random.randrange(10**9), "seconds": 0}
    user = SimpleNamespace(id=polling.caller.owner)
    answer = asyncio.run(analyze_bid(SimpleNamespace(model_dump=lambda: bid), polling, user))
    assert_documented({"job_id": "ID", "status": "PENDING", "message": "Analysis started"}, answer)
    get_job_status = defined(STATUS.replace("...", "db, current_user"), "get_job_status", router=ROUTER)
    job = asyncio.run(get_job_status(answer["job_id"], polling, user))
    assert (job["id"], job["task_type"], job["input_data"]) == (answer["job_id"], "gemini_analysis", bid)


@pytest.mark.parametrize(
    ("error", "status", "result", "message"),
    [(None, "SUCCESS", {"score": 0.75}, None), ("No text", "FAILURE", None, "No text")],
    ids=["success", "failure"],
)
def test_example_of_a_worker_that_updates_its_job(
    polling: Client, error: str | None, status: str, result: Any, message: str | None
) -> None:
    async def gemini_analyze(_: object) -> dict[str, float]:
        if error is not None:
            raise ValueError(error)
        return {"score": 0.75}

    job_id = polling.request("POST", "/api/v1/jobs", json={"task_type": "llm_agent"}).json()["job_id"]
    asyncio.run(defined(WORKER, "process_analysis", gemini_analyze=gemini_analyze)(job_id, polling))
    job = polling.request("GET", f"/api/v1/jobs/{job_id}").json()
    assert (job["status"], job["result"], job["error_message"]) == (status, result, message)


def test_same_input_is_the_same_job(polling: Client) -> None:
    body = {"bid_id": random.randrange(10**9), "seconds": 0}
    first, again = (polling.request("POST", "/api/v1/analyze/", json=body).json() for _ in range(2))
    assert first["job_id"] == again["job_id"]


def test_job_of_another_user_is_not_found(api: Api, polling: Client) -> None:
    job_id = polling.request("POST", "/api/v1/analyze/", json={"bid_id": 123}).json()["job_id"]
    answer = client_of(api, "polling", "bob").request("GET", f"/api/v1/jobs/{job_id}")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Job not found"})
