"""Reports of tracked jobs: which are valid, and how they change the job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs.core.errors import (
    InvalidReport,
    InvalidWorkerToken,
    JobAlreadyFinished,
    JobHasEnded,
    JobNotFound,
    JobNotTracked,
    ResultTooLarge,
    Unavailable,
)
from asyncjobs.core.job import BULK_ACTION, AsyncJob, JobFailure, Result, Status
from asyncjobs.core.placement import INLINE_RESULT_LIMIT
from asyncjobs.core.ports import Lost
from asyncjobs.tracking.reports import Report, Reports
from asyncjobs.tracking.worker_token import WorkerToken
from tests.support.factories import JOB_ID, NOW, OWNER, new_job, new_tracked_job
from tests.support.fakes import FakeClock, FakeStore, RacingStore
from tests.unit.conftest import Lines

TOKEN = WorkerToken.new(OWNER)
JOB = new_tracked_job(token_hash=TOKEN.hash)
HALFWAY = Report(progress=50, message="Page 5")
DONE = Report.of({"status": "COMPLETED", "result": {"documentId": "doc_123abc"}})
BROKEN = Report.of({"status": "FAILED", "error": {"code": "BROKEN", "message": "Invalid file format"}})


class TrackedStore(RacingStore):
    """A store with one job."""

    @property
    def job(self) -> AsyncJob:
        return self.jobs[JOB.key]


@pytest.fixture
def store() -> TrackedStore:
    """Return a store with a waiting tracked job."""
    return TrackedStore(jobs={JOB.key: JOB})


@pytest.fixture
def reports(store: TrackedStore, clock: FakeClock) -> Reports:
    return Reports(store=store, clock=clock)


# ── Valid reports ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "report"),
    [
        ({"progress": 45}, Report(progress=45)),
        ({"progress": 45.0}, Report(progress=45)),
        ({"progress": 33.333}, Report(progress=33)),
        ({"progress": 0.5}, Report(progress=0)),
        ({"progress": 99.9}, Report(progress=100)),
        ({"progress": 1, **dict.fromkeys(["status", "message", "result", "resultLocation", "error"])}, Report(progress=1)),
        (
            {"status": "COMPLETED", "result": None, "resultLocation": "https://a.example"},
            Report(status=Status.COMPLETED, result=Result(url="https://a.example")),
        ),
        (
            {"status": "FAILED", "error": {"message": "m", "code": None}, "result": None},
            Report(
                status=Status.FAILED,
                error=JobFailure(code="JOB_ERROR", message="m", type="ReportedFailure", retryable=False),
            ),
        ),
        ({"status": "IN_PROGRESS", "message": ""}, Report(message="")),
        ({"status": "COMPLETED"}, Report(status=Status.COMPLETED, result=Result(text="null"))),
        ({"status": "COMPLETED", "result": ["ü"]}, Report(status=Status.COMPLETED, result=Result(text='["ü"]'))),
        (
            {"status": "COMPLETED", "resultLocation": "https://files.example:8443/a?b=c#d"},
            Report(status=Status.COMPLETED, result=Result(url="https://files.example:8443/a?b=c#d")),
        ),
        (
            {"status": "FAILED", "error": {"message": "Invalid file format"}},
            Report(
                status=Status.FAILED,
                error=JobFailure(code="JOB_ERROR", message="Invalid file format", type="ReportedFailure", retryable=False),
            ),
        ),
    ],
)
def test_report_is_read(fields: dict[str, Any], report: Report) -> None:
    assert repr(Report.of(fields)) == repr(report)


@pytest.mark.parametrize(
    ("fields", "pointers"),
    [
        ({}, [""]),
        ([], [""]),
        (None, [""]),
        ({"status": "PENDING"}, ["/status"]),
        ({"status": "CANCELLED"}, ["/status"]),
        ({"status": "completed"}, ["/status"]),
        ({"status": None, "progress": None}, [""]),
        ({"owner": None, "progress": 1}, ["/owner"]),
        ({"status": "FAILED", "error": {"message": None}}, ["/error/message"]),
        ({"status": "FAILED", "error": None}, ["/error"]),
        ({"progress": -1}, ["/progress"]),
        ({"progress": 101}, ["/progress"]),
        ({"progress": 100.1}, ["/progress"]),
        ({"progress": "50"}, ["/progress"]),
        ({"progress": True}, ["/progress"]),
        ({"message": "x" * 257}, ["/message"]),
        ({"owner": "bob"}, ["/owner"]),
        ({"resultType": "S3"}, ["/resultType"]),
        ({"progress": 1, "result": 1}, ["/result"]),
        ({"status": "FAILED", "error": {"message": "m"}, "result": 0}, ["/result"]),
        ({"status": "COMPLETED", "result": 1, "resultLocation": "https://a.example"}, ["/resultLocation"]),
        ({"status": "COMPLETED", "error": {"message": "m"}}, ["/error"]),
        ({"status": "FAILED"}, ["/error"]),
        ({"status": "FAILED", "error": "m"}, ["/error"]),
        ({"status": "FAILED", "error": {"code": "BROKEN"}}, ["/error/message"]),
        ({"status": "FAILED", "error": {"code": "not a code", "message": "m"}}, ["/error/code"]),
        ({"status": "FAILED", "error": {"code": "BROKEN\n", "message": "m"}}, ["/error/code"]),
        ({"status": "FAILED", "error": {"message": "x" * 1025}}, ["/error/message"]),
        ({"status": "FAILED", "error": {"message": "m", "retryable": True}}, ["/error/retryable"]),
    ],
)
def test_invalid_report_is_rejected_with_each_place(fields: Any, pointers: list[str]) -> None:
    with pytest.raises(InvalidReport) as refused:
        Report.of(fields)
    assert [problem.pointer for problem in refused.value.problems] == pointers


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://files.example/a",
        "HTTPS://files.example/a",
        "//files.example/a",
        "/api/v1/jobs",
        "s3://bucket/key",
        "javascript:alert(1)",
        "https://",
        "https:///a",
        "https://-a.example",
        "https://trusted.example@evil.example/",
        "https://user:@files.example/",
        "https://trusted.example\\@evil.example/",
        "https://files.example/a b",
        "https://files.example/\r\nset-cookie: x=1",
        "https://files.example/a\n",
        "https://files.example/ä",
        "https://files.example:port/",
        "https://[::1]/",
        "https://files.example/" + "a" * 2048,
    ],
)
def test_result_location_is_a_plain_https_url(url: str) -> None:
    with pytest.raises(InvalidReport):
        Report.of({"status": "COMPLETED", "resultLocation": url})


@pytest.mark.parametrize(
    "result",
    [{1: "int", "1": "str"}, {"a": float("nan")}, {1, 2}, b"x", object(), "\ud800"],
    ids=lambda value: type(value).__name__,
)
def test_result_without_json_of_its_own_is_rejected(result: Any) -> None:
    with pytest.raises(InvalidReport) as raised:
        Report.of({"status": "COMPLETED", "result": result})
    assert [problem.pointer for problem in raised.value.problems] == ["/result"]


def test_number_of_a_result_keeps_its_digits() -> None:
    report = Report.of({"status": "COMPLETED", "result": [Decimal("12345678901234567.89")]})
    assert report.result == Result(text="[12345678901234567.89]")


def test_oversized_result_is_rejected() -> None:
    Report.of({"status": "COMPLETED", "result": "x" * (INLINE_RESULT_LIMIT - 2)})
    with pytest.raises(ResultTooLarge, match="8193 bytes; 8192 are the most"):
        Report.of({"status": "COMPLETED", "result": "x" * (INLINE_RESULT_LIMIT - 1)})


# ── Transitions ───────────────────────────────────────────────────────────────────────────────────


def test_first_report_starts_the_job(reports: Reports, store: TrackedStore, clock: FakeClock, lines: Lines) -> None:
    clock.advance(seconds=3)
    job = reports.by_owner(JOB.key, HALFWAY)
    assert job == store.job
    assert (job.status, job.progress, job.message, job.started_at) == (Status.IN_PROGRESS, 50, "Page 5", clock.now)
    assert (job.attempt, job.due_at, job.lease_until) == (0, JOB.deadline_at, None)
    assert lines.names() == ["JOB_STARTED"]


def test_report_costs_a_read_and_a_write(reports: Reports, store: TrackedStore) -> None:
    reports.by_owner(JOB.key, HALFWAY)
    assert store.writes == 1


def test_later_report_changes_only_its_fields_and_is_not_logged(
    reports: Reports, store: TrackedStore, clock: FakeClock, lines: Lines
) -> None:
    reports.by_owner(JOB.key, HALFWAY)
    clock.advance(seconds=1)
    reports.by_owner(JOB.key, Report(progress=60))
    reports.by_owner(JOB.key, Report(message="Page 6"))
    assert (store.job.progress, store.job.message, store.job.started_at) == (60, "Page 6", NOW)
    assert lines.names() == ["JOB_STARTED"]


@given(st.lists(st.none() | st.integers(0, 100), min_size=1))
def test_progress_never_decreases(reported: list[int | None]) -> None:
    store = TrackedStore(jobs={JOB.key: JOB})
    reports = Reports(store=store, clock=FakeClock(NOW))
    seen = [reports.by_owner(JOB.key, Report(progress=progress, message="m")).progress for progress in reported]
    assert seen == sorted(seen)
    assert seen[-1] == max(progress or 0 for progress in reported)


def test_action_of_an_administrator_has_no_worker_but_the_function_itself(reports: Reports, store: TrackedStore) -> None:
    store.jobs[JOB.key] = replace(JOB, job_type=BULK_ACTION)
    with pytest.raises(JobNotTracked):
        reports.by_owner(JOB.key, HALFWAY)
    with pytest.raises(JobNotTracked):
        reports.issue_token(JOB.key)
    assert reports.by_bulk_action(JOB.key, HALFWAY).progress == 50


def test_completion_ends_the_job_and_starts_its_retention(
    reports: Reports, store: TrackedStore, clock: FakeClock, lines: Lines
) -> None:
    reports.by_owner(JOB.key, HALFWAY)
    clock.advance(seconds=1800)
    job = reports.by_owner(JOB.key, DONE)
    assert job == store.job
    assert (job.status, job.progress, job.result) == (Status.COMPLETED, 100, Result(text='{"documentId":"doc_123abc"}'))
    assert (job.due_at, job.ended_at, job.record_expires_at) == (None, clock.now, clock.now + timedelta(minutes=5))
    assert [(e["message"], e.get("durationMs")) for e in lines.events] == [("JOB_STARTED", None), ("JOB_COMPLETED", 1_800_000)]


def test_first_report_may_complete_the_job(reports: Reports, lines: Lines) -> None:
    job = reports.by_owner(JOB.key, DONE)
    assert (job.status, job.started_at, job.ended_at) == (Status.COMPLETED, NOW, NOW)
    assert lines.names() == ["JOB_STARTED", "JOB_COMPLETED"]


def test_failure_ends_the_job_and_its_text_is_not_logged(reports: Reports, lines: Lines) -> None:
    reports.by_owner(JOB.key, HALFWAY)
    job = reports.by_owner(JOB.key, BROKEN)
    assert (job.status, job.progress, job.error) == (Status.FAILED, 50, BROKEN.error)
    assert lines.names() == ["JOB_STARTED", "JOB_FAILED"]
    assert "Invalid" not in lines.text()
    assert "BROKEN" not in lines.text()


@pytest.mark.parametrize("report", [DONE, BROKEN], ids=["completed", "failed"])
def test_repeated_end_is_accepted(reports: Reports, store: TrackedStore, clock: FakeClock, report: Report) -> None:
    first = reports.by_owner(JOB.key, report)
    clock.advance(seconds=1)
    assert reports.by_owner(JOB.key, report) == first
    assert store.writes == 1


@pytest.mark.parametrize(
    "late",
    [
        HALFWAY,
        BROKEN,
        Report.of({"status": "COMPLETED", "result": "another"}),
        Report.of({"status": "COMPLETED", "result": {"documentId": "doc_123abc"}, "message": "another"}),
    ],
    ids=["progress", "failure", "another result", "another message"],
)
def test_other_report_of_an_ended_job_is_rejected(reports: Reports, store: TrackedStore, late: Report) -> None:
    ended = reports.by_owner(JOB.key, DONE)
    with pytest.raises(JobHasEnded) as refused:
        reports.by_owner(JOB.key, late)
    assert refused.value.status == "COMPLETED"
    assert store.job == ended


def test_report_of_a_cancelled_job_is_rejected(reports: Reports, store: TrackedStore) -> None:
    store.jobs[JOB.key] = JOB.cancelled(now=NOW)
    with pytest.raises(JobHasEnded) as refused:
        reports.by_worker(JOB_ID, TOKEN, DONE)
    assert refused.value.status == "CANCELLED"
    assert store.writes == 0


def test_report_after_the_deadline_ends_the_job_as_the_sweeper_does(
    reports: Reports, store: TrackedStore, clock: FakeClock, lines: Lines
) -> None:
    clock.now = JOB.deadline_at
    with pytest.raises(JobHasEnded) as refused:
        reports.by_worker(JOB_ID, TOKEN, DONE)
    assert refused.value.status == "FAILED"
    assert (store.job.status, store.job.error and store.job.error.code) == (Status.FAILED, "DEADLINE_EXCEEDED")
    assert lines.names() == ["JOB_FAILED"]


# ── Authorization ──────────────────────────────────────────────────────────────────────────────────


def test_worker_token_allows_the_same_reports_as_the_owner(reports: Reports, store: TrackedStore) -> None:
    assert reports.by_worker(JOB_ID, TOKEN, HALFWAY) == store.job
    assert store.job.progress == 50


@pytest.mark.parametrize("change", ["another secret", "another owner", "another id", "expired", "another issue", "not tracked"])
def test_each_wrong_token_is_rejected_in_the_same_way(
    reports: Reports, store: TrackedStore, clock: FakeClock, change: str
) -> None:
    token, async_job_id = TOKEN, JOB_ID
    match change:
        case "another secret":
            token = WorkerToken.new(OWNER)
        case "another owner":
            token = WorkerToken("bob", TOKEN.secret)
        case "another id":
            async_job_id = "00000000-0000-4000-8000-000000000000"
        case "expired":
            clock.now = JOB.record_expires_at
        case "another issue":
            store.jobs[JOB.key] = new_tracked_job(token_hash=WorkerToken.new(OWNER).hash)
        case "not tracked":
            store.jobs[JOB.key] = new_job(token_hash=TOKEN.hash)
    before = dict(store.jobs)
    with pytest.raises(InvalidWorkerToken) as refused:
        reports.by_worker(async_job_id, token, DONE)
    assert (refused.value.args, store.jobs, store.writes) == ((), before, 0)


def test_unknown_job_is_not_found(reports: Reports, clock: FakeClock) -> None:
    with pytest.raises(JobNotFound):
        reports.by_owner(new_job(owner="bob").key, HALFWAY)
    clock.now = JOB.record_expires_at
    with pytest.raises(JobNotFound):
        reports.by_owner(JOB.key, HALFWAY)


def test_report_of_a_job_that_is_not_tracked_is_rejected(reports: Reports, store: TrackedStore) -> None:
    store.jobs[JOB.key] = new_job()
    with pytest.raises(JobNotTracked):
        reports.by_owner(JOB.key, HALFWAY)
    assert store.writes == 0


# ── Races ──────────────────────────────────────────────────────────────────────────────────────────


def rival(store: TrackedStore, change: Callable[[AsyncJob], AsyncJob | None]) -> None:
    """Let another writer change the job right before the next swap; None deletes it."""

    def act(_: FakeStore) -> None:
        changed = change(store.jobs.pop(JOB.key))
        if changed is not None:
            store.jobs[JOB.key] = changed

    store.rivals.append(act)


def test_overtaken_report_does_not_undo_the_other(reports: Reports, store: TrackedStore) -> None:
    rival(store, lambda job: job.advanced(now=NOW, progress=80, message="Page 8"))
    job = reports.by_owner(JOB.key, HALFWAY)
    assert store.rivals == [], "the other report did not come first"
    assert (job.progress, store.job) == (80, job)


def test_report_that_loses_to_the_end_is_rejected(reports: Reports, store: TrackedStore) -> None:
    rival(store, lambda job: job.cancelled(now=NOW))
    with pytest.raises(JobHasEnded):
        reports.by_owner(JOB.key, DONE)
    assert store.rivals == [], "the cancel did not come first"
    assert store.job.status is Status.CANCELLED


@pytest.mark.parametrize("gone", [True, False], ids=["deleted", "created again"])
def test_report_of_an_earlier_generation_changes_nothing(reports: Reports, store: TrackedStore, gone: bool) -> None:
    again = new_tracked_job(token_hash=WorkerToken.new(OWNER).hash)
    rival(store, lambda _: None if gone else again)
    with pytest.raises(InvalidWorkerToken):
        reports.by_worker(JOB_ID, TOKEN, DONE)
    assert store.rivals == [], "the other writer did not come first"
    assert store.jobs == ({} if gone else {JOB.key: again})


def test_report_that_loses_to_a_new_token_is_checked_again(reports: Reports, store: TrackedStore) -> None:
    renewed = JOB.reissued(token_hash=WorkerToken.new(OWNER).hash)
    rival(store, lambda _: renewed)
    with pytest.raises(InvalidWorkerToken):
        reports.by_worker(JOB_ID, TOKEN, DONE)
    assert store.rivals == [], "the new token did not come first"
    assert store.job == renewed


def test_owners_report_continues_after_a_new_token(reports: Reports, store: TrackedStore) -> None:
    token_hash = WorkerToken.new(OWNER).hash
    rival(store, lambda job: job.reissued(token_hash=token_hash))
    reports.by_owner(JOB.key, HALFWAY)
    assert store.rivals == [], "the new token did not come first"
    assert (store.job.progress, store.job.token_hash) == (50, token_hash)


def test_concurrent_reports_do_not_block_a_request_forever(reports: Reports, store: TrackedStore) -> None:
    for _ in range(10):
        rival(store, lambda job: job.advanced(now=NOW, progress=job.progress + 1, message=None))
    with pytest.raises(Unavailable):
        reports.by_owner(JOB.key, HALFWAY)
    assert len(store.rivals) == 5


# ── New worker tokens ──────────────────────────────────────────────────────────────────────────────


def test_new_token_replaces_the_earlier_one(reports: Reports, store: TrackedStore, lines: Lines) -> None:
    job, token = reports.issue_token(JOB.key)
    assert (job, store.job) == (replace(JOB, token_hash=token.hash), job)
    assert store.writes == 1
    assert reports.by_worker(JOB_ID, token, HALFWAY).progress == 50
    with pytest.raises(InvalidWorkerToken):
        reports.by_worker(JOB_ID, TOKEN, DONE)
    assert lines.names() == ["WORKER_TOKEN_ISSUED", "JOB_STARTED"]
    assert token.text not in lines.text()


def test_new_token_replaces_one_of_an_earlier_release(reports: Reports, store: TrackedStore) -> None:
    store.jobs[JOB.key] = new_tracked_job(generation=TOKEN.hash.hex())
    assert reports.by_worker(JOB_ID, TOKEN, HALFWAY).progress == 50
    reports.issue_token(JOB.key)
    with pytest.raises(InvalidWorkerToken):
        reports.by_worker(JOB_ID, TOKEN, DONE)


def test_each_new_token_replaces_the_one_before(reports: Reports) -> None:
    _, first = reports.issue_token(JOB.key)
    job, second = reports.issue_token(JOB.key)
    assert (first.matches(job), second.matches(job)) == (False, True)


@pytest.mark.parametrize(
    ("job", "error"),
    [
        (None, JobNotFound),
        (new_tracked_job(record_expires_at=NOW), JobNotFound),
        (new_job(), JobNotTracked),
        (new_job().cancelled(now=NOW), JobNotTracked),
        (JOB.cancelled(now=NOW), JobAlreadyFinished),
        (DONE.applied_to(JOB, NOW), JobAlreadyFinished),
    ],
    ids=["missing", "expired", "not tracked", "not tracked, ended", "cancelled", "completed"],
)
def test_no_token_is_issued_for_another_job(
    reports: Reports, store: TrackedStore, job: AsyncJob | None, error: type[Exception]
) -> None:
    store.jobs.clear()
    if job is not None:
        store.jobs[JOB.key] = job
    with pytest.raises(error):
        reports.issue_token(JOB.key)
    assert (store.jobs, store.writes) == ({} if job is None else {JOB.key: job}, 0)


def test_new_token_does_not_undo_a_concurrent_report(reports: Reports, store: TrackedStore) -> None:
    running = store.jobs[JOB.key] = JOB.advanced(now=NOW, progress=10, message="Page 1")
    rival(store, lambda job: job.advanced(now=NOW, progress=80, message="Page 8"))
    _, token = reports.issue_token(running.key)
    assert store.rivals == [], "the report did not come first"
    assert (store.job.progress, store.job.message, store.job.token_hash) == (80, "Page 8", token.hash)
    assert store.writes == 1, "the report made the new token lose"


def test_new_token_that_loses_to_the_end_is_not_issued(reports: Reports, store: TrackedStore) -> None:
    rival(store, lambda job: job.cancelled(now=NOW))
    with pytest.raises(JobAlreadyFinished):
        reports.issue_token(JOB.key)
    assert store.rivals == [], "the cancel did not come first"
    assert store.job.token_hash == TOKEN.hash


def test_later_of_two_concurrent_new_tokens_is_valid(reports: Reports, store: TrackedStore) -> None:
    rival(store, lambda job: job.reissued(token_hash=WorkerToken.new(OWNER).hash))
    job, token = reports.issue_token(JOB.key)
    assert store.rivals == [], "the other token did not come first"
    assert (store.job, token.matches(job)) == (job, True)


def test_token_that_was_replaced_before_it_was_answered_is_never_stored_again(reports: Reports, store: TrackedStore) -> None:
    swap, stored = store.swap_if_unchanged, list[bytes | None]()

    def swap_then_replace(old: AsyncJob, new: AsyncJob, unchanged: Sequence[str]) -> AsyncJob | Lost:
        assert swap(old, new, unchanged) == new
        stored.append(new.token_hash)
        if len(stored) > 1:
            return new
        # The answer is lost, another request replaces the token, and then the SDK's second try loses.
        store.jobs[JOB.key] = new.reissued(token_hash=WorkerToken.new(OWNER).hash)
        return Lost(store.job)

    store.swap_if_unchanged = swap_then_replace  # type: ignore[method-assign, assignment]  # for this test
    job, token = reports.issue_token(JOB.key)
    assert (len(stored), len(set(stored))) == (2, 2)
    assert (token.matches(job), token.matches(store.job)) == (True, True)
