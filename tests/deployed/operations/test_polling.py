"""Retry-After follows the durations of earlier jobs: with the real stream and table."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

import httpx
import pytest

from asyncjobs.core.durations import Durations
from asyncjobs.estimates.history import FRESH
from asyncjobs.estimates.poll_schedule import fixed_pause
from local.stack import LocalStack, Outputs
from tests.support.deployed import FINISHED, Api, Caller, Job, wait_until
from tests.support.pace import SLOWNESS
from tests.support.prefetch import prefetch

JOB_TYPE = "sample.returns_async"  # no other test uses it
SECONDS = 5
ENOUGH = 30
"""Jobs in the history from which an end is estimated."""
ROUND = 4
"""Jobs that each owner submits before the history is read again. Not every job counts: of one owner, no more than of all others
in the same write."""


@pytest.fixture
def erin(caller: Callable[[str], Caller]) -> Caller:
    return caller("erin")


@prefetch
def first_poll(api: Api) -> tuple[Job, float]:
    """Poll the first job of its type; return it, and when that was: the status function caches the empty history for a while."""
    erin = api.caller("erin")
    pause, running = poll_while_running(erin, erin.submit(JOB_TYPE, {"seconds": SECONDS}))
    age = time.time() - datetime.fromisoformat(running["createdAt"]).timestamp()
    assert pause == fixed_pause(age), age
    return running, time.monotonic()


def test_durations_of_earlier_jobs_set_retry_after_and_the_estimated_end(
    erin: Caller, caller: Callable[[str], Caller], stack: LocalStack, outputs: Outputs
) -> None:
    running, polled_at = first_poll.result()
    assert running["estimatedEndAt"] is None

    durations = fill_history(stack, outputs, [erin, caller("frank"), caller("grace")])
    assert durations.quantile(0.5) == pytest.approx(SECONDS, abs=SLOWNESS)

    time.sleep(max(0.0, FRESH + 1 - (time.monotonic() - polled_at)))
    last = erin.submit(JOB_TYPE, {"seconds": SECONDS})
    pause, running = poll_while_running(erin, last)
    assert SECONDS - 2 <= pause <= SECONDS + 2 * SLOWNESS
    ended = erin.wait_for(last)
    assert ended["estimatedEndAt"] is None
    assert abs(seconds_between(running["estimatedEndAt"], ended["endedAt"])) < 2 * SLOWNESS


def poll_while_running(caller: Caller, job: Job) -> tuple[int, Job]:
    """Return the `Retry-After` of a job that has started, and the job."""
    caller.wait_for(job, lambda found: found["status"] == "IN_PROGRESS")
    answer = caller.get(f"/jobs/{job['asyncJobId']}")
    assert answer.json()["status"] == "IN_PROGRESS"
    return int(answer.headers["retry-after"]), answer.json()


def fill_history(stack: LocalStack, outputs: Outputs, owners: list[Caller]) -> Durations:
    """Run jobs of all owners until enough are in the history. The function writes at some changes, so none may come last."""
    deadline = time.monotonic() + 600
    while (durations := history(stack, outputs)).total < ENOUGH:
        assert time.monotonic() < deadline, f"only {durations.total} are in the history"
        for owner in owners * ROUND:
            owner.submit(JOB_TYPE, {"seconds": SECONDS})
        for owner in owners:
            wait_until_all_have_ended(owner)
    return durations


def wait_until_all_have_ended(caller: Caller) -> None:
    """Wait by lists, which read no history."""

    def have_ended() -> bool:
        answer = caller.get("/jobs", params={"limit": "100"})
        assert answer.status_code == httpx.codes.OK
        return all(job["status"] in FINISHED for job in answer.json()["jobs"])

    wait_until(have_ended, seconds=300)


def history(stack: LocalStack, outputs: Outputs) -> Durations:
    """Return the durations that the table has, which the status function caches and this does not."""
    dynamodb = stack.session.client("dynamodb", endpoint_url=outputs.endpoint_url)
    answer = dynamodb.get_item(TableName=outputs.table_name, Key={"pk": {"S": f"D#{JOB_TYPE}"}})
    return Durations.from_json(answer["Item"]["durations"]["S"]) if "Item" in answer else Durations()


def seconds_between(one: str, other: str) -> float:
    return (datetime.fromisoformat(other) - datetime.fromisoformat(one)).total_seconds()
