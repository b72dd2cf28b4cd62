"""When to poll a job again, and why it has no result."""

from __future__ import annotations

from datetime import timedelta

import pytest

from asyncjobs.core.clock import from_rfc3339
from asyncjobs.core.durations import Durations
from asyncjobs.core.job import AsyncJob, Result
from tests.support.factories import JOB_ID, NOW, new_job, running_job
from tests.support.http_events import JOB, RESULT
from tests.unit.http.in_memory_api import FAILURE, InMemoryApi


@pytest.mark.parametrize(
    ("age", "pause"), [(0, "2"), (29, "2"), (30, "5"), (119, "5"), (120, "10"), (600, "30"), (80_000, "30")]
)
def test_retry_after_grows_with_the_age_of_the_job(api: InMemoryApi, age: float, pause: str) -> None:
    api.add_jobs(new_job())
    api.clock.advance(seconds=age)
    assert api.call(JOB, async_job_id=JOB_ID).headers["retry-after"] == pause


def test_estimate_sets_estimated_end_and_retry_after(api: InMemoryApi) -> None:
    api.durations["sample.returns"] = Durations.of([20.0] * 100)
    api.add_jobs(running_job())
    api.clock.advance(seconds=4)
    answer = api.call(JOB, async_job_id=JOB_ID)
    early = api.call(RESULT, async_job_id=JOB_ID)
    assert 15 <= int(answer.headers["retry-after"]) <= 18
    assert early.headers["retry-after"] == answer.headers["retry-after"]
    assert abs(from_rfc3339(answer.body["estimatedEndAt"]) - (NOW + timedelta(seconds=20))) < timedelta(seconds=1)


def test_finished_job_needs_no_estimate(api: InMemoryApi) -> None:
    api.add_jobs(running_job().completed(now=NOW, result=Result(text="1")))
    answer = api.call(JOB, async_job_id=JOB_ID)
    api.call(RESULT, async_job_id=JOB_ID)
    assert answer.body["estimatedEndAt"] is None
    assert api.durations_read == []


@pytest.mark.parametrize("job", [new_job(), running_job()], ids=["waiting", "running"])
def test_result_of_an_unfinished_job_is_409_with_retry_after(api: InMemoryApi, job: AsyncJob) -> None:
    api.add_jobs(job)
    answer = api.call(RESULT, async_job_id=JOB_ID)
    assert (answer.status, answer.body["code"], answer.headers["retry-after"]) == (409, "JOB_NOT_COMPLETED", "2")


@pytest.mark.parametrize(
    ("job", "code", "error_code"),
    [
        (running_job().failed(now=NOW, error=FAILURE), "JOB_FAILED", "HOPELESS"),
        (running_job().cancelled(now=NOW), "JOB_CANCELLED", None),
    ],
    ids=["failed", "cancelled"],
)
def test_result_of_a_failed_or_cancelled_job_is_409_with_its_error(
    api: InMemoryApi, job: AsyncJob, code: str, error_code: str | None
) -> None:
    api.add_jobs(job)
    answer = api.call(RESULT, async_job_id=JOB_ID)
    assert (answer.status, answer.body["code"], answer.body["asyncJobId"]) == (409, code, JOB_ID)
    assert (answer.body["error"] or {}).get("code") == error_code
    assert "retry-after" not in answer.headers
