"""GET /jobs/{asyncJobId}: the job, Retry-After, and conditional requests."""

from __future__ import annotations

import re
import time

import httpx
import pytest

from tests.support.deployed import Caller, Job

TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z")


def test_id_may_be_written_in_upper_case(alice: Caller, completed: Job) -> None:
    """RFC 9562 4."""
    answer = alice.get(f"/jobs/{completed['asyncJobId'].upper()}")
    assert (answer.status_code, answer.json()["asyncJobId"]) == (httpx.codes.OK, completed["asyncJobId"])


def test_waiting_job_has_not_started(alice: Caller, waiting: Job) -> None:
    job = alice.job(waiting)
    assert (job["status"], job["progress"], job["attempt"], job["startedAt"], job["endedAt"]) == ("PENDING", 0, 0, None, None)


def test_running_job_shows_its_progress_and_message(alice: Caller, running: Job) -> None:
    job = alice.job(running)
    assert (job["status"], job["attempt"], job["endedAt"], job["result"]) == ("IN_PROGRESS", 1, None, None)
    assert running["progress"] <= job["progress"] < 100
    assert job["message"].startswith("pid ")
    assert job["startedAt"] >= job["createdAt"]


def test_completed_job_shows_its_result(alice: Caller, completed: Job) -> None:
    job = alice.job(completed)
    assert (job["status"], job["progress"], job["error"]) == ("COMPLETED", 100, None)
    assert (job["resultType"], job["result"], job["resultLocation"]) == ("INLINE", 1, None)


def test_completed_job_with_a_large_result_shows_its_location(alice: Caller, large: Job) -> None:
    job = alice.job(large)
    assert (job["status"], job["resultType"], job["result"]) == ("COMPLETED", "S3", None)
    assert job["resultLocation"] == f"../jobs/{job['asyncJobId']}/result"
    own_type = {"jobType": job["jobType"], "limit": 100}
    for answer in (alice.get(f"/jobs/{job['asyncJobId']}"), alice.get("/jobs", params=own_type)):
        (found,) = (each for each in answer.json().get("jobs", [answer.json()]) if each["asyncJobId"] == job["asyncJobId"])
        assert alice.get(answer.url.join(found["resultLocation"])).status_code == httpx.codes.SEE_OTHER


def test_failed_job_shows_its_error(alice: Caller, failed: Job) -> None:
    job = alice.job(failed)
    assert (job["status"], job["resultType"], job["result"]) == ("FAILED", None, None)
    assert job["error"] == {
        "code": "HOPELESS",
        "message": "This will never work: change the input.",
        "type": "Fatal",
        "retryable": False,
    }


def test_cancelled_job_has_ended_without_a_result(alice: Caller, cancelled: Job) -> None:
    job = alice.job(cancelled)
    assert (job["status"], job["resultType"], job["result"], job["startedAt"]) == ("CANCELLED", None, None, None)
    assert job["endedAt"] >= job["createdAt"]


def test_message_and_metadata_of_the_submit_are_shown_until_the_job_reports(alice: Caller, completed: Job) -> None:
    job = alice.job(completed)
    assert (job["message"], job["metadata"]) == ("Queued", {"order": 7})


def test_times_are_in_utc_with_milliseconds_and_in_order(alice: Caller, completed: Job) -> None:
    """RFC 3339 5.6."""
    job = alice.job(completed)
    instants = [job[name] for name in ("createdAt", "startedAt", "endedAt", "updatedAt")]
    assert all(TIMESTAMP.fullmatch(instant) for instant in instants)
    assert instants == sorted(instants)


def test_expiry_is_in_whole_seconds_since_1970(alice: Caller, completed: Job) -> None:
    assert isinstance(alice.job(completed)["recordExpiresAt"], int)
    assert alice.job(completed)["recordExpiresAt"] > time.time()


def test_unfinished_job_has_retry_after(alice: Caller, unfinished: Job) -> None:
    """RFC 9110 10.2.3."""
    answer = alice.get(f"/jobs/{unfinished['asyncJobId']}")
    assert re.fullmatch("[1-9][0-9]*", answer.headers["retry-after"])


def test_retry_after_of_a_delayed_job_is_at_least_its_delay(alice: Caller, waiting: Job) -> None:
    assert int(alice.get(f"/jobs/{waiting['asyncJobId']}").headers["retry-after"]) > 30


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_finished_job_has_no_retry_after(alice: Caller, request: pytest.FixtureRequest, state: str) -> None:
    answer = alice.get(f"/jobs/{request.getfixturevalue(state)['asyncJobId']}")
    assert (answer.status_code, "retry-after" in answer.headers) == (httpx.codes.OK, False)
    assert answer.json()["estimatedEndAt"] is None


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_finished_job_never_changes(alice: Caller, request: pytest.FixtureRequest, state: str) -> None:
    job = request.getfixturevalue(state)
    alice.post(f"/jobs/{job['asyncJobId']}/cancel")
    alice.patch(f"/jobs/{job['asyncJobId']}", json={"progress": 1})
    assert alice.job(job) == job


# ── Conditional requests ─────────────────────────────────────────────────────────────────────────────


def test_tag_of_a_job_is_weak_and_has_its_number(alice: Caller, completed: Job, unfinished: Job) -> None:
    """RFC 9110 8.8.1: an estimate of its end may differ."""
    for job in (completed, unfinished):
        shown = alice.get(f"/jobs/{job['asyncJobId']}")
        assert re.fullmatch(f'W/"[0-9a-f]+[.]{shown.json()["seq"]}[.]{shown.json()["status"]}"', shown.headers["etag"])


@pytest.mark.parametrize("form", ["{}", "W/{}", '"another", {}', '"another",W/{}', "*"])
def test_unchanged_job_is_304_without_a_body(alice: Caller, completed: Job, form: str) -> None:
    """RFC 9110 13.1.2, 15.4.5."""
    path = f"/jobs/{completed['asyncJobId']}"
    tag = alice.get(path).headers["etag"]
    answer = alice.get(path, headers={"if-none-match": form.format(tag.removeprefix("W/"))})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (httpx.codes.NOT_MODIFIED, b"", tag)


def test_weak_tag_matches_by_weak_comparison_and_its_304_has_retry_after(alice: Caller, waiting: Job) -> None:
    """RFC 9110 13.1.2, 8.8.3.2."""
    path = f"/jobs/{waiting['asyncJobId']}"
    tag = alice.get(path).headers["etag"]
    for form in (tag, tag.removeprefix("W/")):
        answer = alice.get(path, headers={"if-none-match": form})
        assert (answer.status_code, answer.headers["etag"]) == (httpx.codes.NOT_MODIFIED, tag)
        assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("tag", ['"another"', 'W/"another"', "", "no tag"])
def test_other_tag_is_200(alice: Caller, completed: Job, tag: str) -> None:
    answer = alice.get(f"/jobs/{completed['asyncJobId']}", headers={"if-none-match": tag})
    assert (answer.status_code, answer.json()) == (httpx.codes.OK, completed)


def test_changed_job_has_another_tag(alice: Caller, tracked: Job) -> None:
    path = f"/jobs/{tracked['asyncJobId']}"
    tag = alice.get(path).headers["etag"]
    alice.patch(path, json={"progress": 1})
    changed = alice.get(path, headers={"if-none-match": tag})
    assert (changed.status_code, changed.headers["etag"] != tag) == (httpx.codes.OK, True)
