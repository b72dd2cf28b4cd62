"""`delaySeconds`, `notBefore` and `priority`. (tests/deployed/operations/test_priority.py has the queues.)"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import httpx
import pytest

from tests.support.deployed import Api, Caller, Job
from tests.support.prefetch import prefetch

DELAY = 3
LATE = 55
"""Seconds. The sweeper would resend a lost message a minute after its start at the earliest."""


def in_seconds(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


@prefetch
def delayed(api: Api) -> Job:
    alice = api.caller("alice")
    return alice.wait_for(alice.post("/jobs", json={"jobType": "sample.returns", "delaySeconds": DELAY}).json())


def test_delayed_job_starts_after_its_delay() -> None:
    job = delayed.result()
    waited = datetime.fromisoformat(job["startedAt"]) - datetime.fromisoformat(job["createdAt"])
    assert job["status"] == "COMPLETED"
    assert DELAY <= waited.total_seconds() < DELAY + LATE


@prefetch
def not_before(api: Api) -> tuple[datetime, Job]:
    alice, at = api.caller("alice"), in_seconds(DELAY).astimezone(timezone(timedelta(hours=5, minutes=30)))
    return at, alice.wait_for(alice.post("/jobs", json={"jobType": "sample.returns", "notBefore": at.isoformat()}).json())


def test_job_starts_at_not_before_with_any_utc_offset() -> None:
    """RFC 3339 4.2."""
    at, job = not_before.result()
    waited = datetime.fromisoformat(job["startedAt"]) - at
    # Times are stored in milliseconds.
    assert -0.001 <= waited.total_seconds() < LATE


@pytest.mark.parametrize(
    "past",
    ["2020-01-01T00:00:00Z", "2020-01-01t00:00:00.123456789z", "2020-01-01 00:00:00.1234567-03:00", "2016-12-31T23:59:60Z"],
)
def test_not_before_in_the_past_delays_nothing(alice: Caller, past: str) -> None:
    """RFC 3339 5.6 and 5.7."""
    answer = alice.post("/jobs", json={"jobType": "sample.is_quick", "notBefore": past}, headers={"prefer": "wait=15"})
    assert (answer.status_code, answer.json()["status"]) == (httpx.codes.OK, "COMPLETED")


@pytest.mark.parametrize(
    "body", [{"delaySeconds": 30}, {"notBefore": in_seconds(3600).isoformat()}], ids=["delaySeconds", "notBefore"]
)
def test_retry_after_of_a_delayed_job_is_at_least_its_delay(alice: Caller, body: dict[str, Any]) -> None:
    """RFC 9110 10.2.3. A minute is the longest Retry-After."""
    answer = alice.post("/jobs", json={"jobType": "sample.returns", **body})
    assert 29 <= int(answer.headers["retry-after"]) <= 3600
    alice.post(f"/jobs/{answer.json()['asyncJobId']}/cancel")


@pytest.mark.parametrize(
    "body",
    [
        {"delaySeconds": 1, "notBefore": "2027-01-01T00:00:00Z"},
        {"notBefore": "tomorrow"},
        {"notBefore": "2026-11-21T13:00:00"},
        {"notBefore": "2026-11-31T13:00:00Z"},
        {"notBefore": in_seconds(31 * 24 * 3600).isoformat()},
        {"notBefore": 5},
    ],
    ids=["both", "not a time", "no offset", "not a date", "later than the longest retention", "a number"],
)
def test_invalid_not_before_is_400(alice: Caller, body: dict[str, Any]) -> None:
    """RFC 3339 5.6."""
    answer = alice.post("/jobs", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (httpx.codes.BAD_REQUEST, "/notBefore")


@pytest.mark.parametrize("priority", ["high", "standard", "low"])
def test_job_shows_its_priority(alice: Caller, priority: str) -> None:
    job = alice.post("/jobs", json={"priority": priority}).json()
    assert (job["priority"], alice.job(job)["priority"]) == (priority, priority)


def test_priority_is_part_of_the_request(alice: Caller, key: str) -> None:
    answers = [
        alice.post("/jobs", json={"priority": priority}, headers={"idempotency-key": key})
        for priority in ("low", "low", "high")
    ]
    assert [answer.status_code for answer in answers] == [202, 202, 422]
