"""One attempt: what is claimed, what becomes of each way of ending, and what the message is to do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core.errors import Fatal, Retry, TimeLimitExceeded, Unavailable
from asyncjobs.core.job import AsyncJob, JobFailure, JobKey, Status, submitted
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import Lost
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.worker.executor import TRY_LATER, Executor
from tests.support.factories import NOW, new_job
from tests.support.fakes import FakeClock, FakeObjects, FakeStore
from tests.unit.conftest import Lines

QUARTER_HOUR = timedelta(minutes=15)
Submit = Callable[..., AsyncJob]
Run = Callable[[AsyncJob], timedelta | None]


@pytest.fixture
def submit(store: FakeStore, catalog: Catalog) -> Submit:
    """Puts a job of the zoo into the store."""

    def submit(name: str, value: Any = None, **changes: Any) -> AsyncJob:
        job_type = catalog[name]
        job = submitted(
            new_job().key,
            job_type=name,
            request_hash=b"h",
            max_attempts=job_type.max_attempts,
            timeout=job_type.timeout,
            deadline=job_type.deadline,
            retention=job_type.retention,
            now=NOW,
        ).with_input(text=json.dumps(value or {}))
        job = replace(job, **changes)
        store.add_if_absent(job, NOW)
        return job

    return submit


@pytest.fixture
def run(executor: Executor) -> Run:
    """Runs one attempt at the job."""

    def run(job: AsyncJob) -> timedelta | None:
        message = JobMessage.of(job)
        if executor.is_async(message.job_type):
            return asyncio.run(executor.run_async(message, claimant="w1", remaining=QUARTER_HOUR))
        return executor.run(message, claimant="w1", remaining=QUARTER_HOUR)

    return run


def stored(store: FakeStore, job: AsyncJob) -> AsyncJob:
    found = store.get(job.key)
    assert found is not None
    return found


def failure(store: FakeStore, job: AsyncJob) -> JobFailure:
    found = stored(store, job)
    assert found.error is not None
    return found.error


# ── Ways of ending ─────────────────────────────────────────────────────────────────────────────────


def test_what_a_job_returns_is_its_result(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.halves", {"number": 14})
    assert run(job) is None
    ended = stored(store, job)
    assert (ended.status, ended.result and ended.result.text) == (Status.COMPLETED, "7")


def test_a_coroutine_runs_too(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.returns_async", {"seconds": 0.001})
    assert run(job) is None
    assert stored(store, job).status is Status.COMPLETED


def test_a_short_job_costs_its_claim_and_its_end_and_not_a_write_more(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.returns")
    before = store.writes
    run(job)
    assert store.writes - before == 2


@pytest.mark.parametrize("name", ["sample.returns_much", "sample.streams"])
def test_a_large_result_lies_in_the_bucket_under_the_attempts_own_name(
    store: FakeStore, objects: FakeObjects, submit: Submit, run: Run, name: str
) -> None:
    job = submit(name, {"size": 10_000})
    run(job)
    result = stored(store, job).result
    assert result is not None
    assert result.location == f"results/{job.async_job_id}/{job.generation}/1"
    assert len(json.loads(objects.stored[result.location])) == 10_000


def test_a_small_streamed_result_lies_in_the_job(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.streams", {"size": 1000})
    run(job)
    result = stored(store, job).result
    assert result is not None
    assert result.text == f'"{"x" * 1000}"'


def test_an_unforeseen_exception_is_tried_again_after_a_backoff(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.raises")
    again_after = run(job)
    released = stored(store, job)
    assert again_after is not None
    assert released.status is Status.PENDING
    assert released.not_before == NOW + again_after
    assert timedelta(0) <= again_after <= timedelta(seconds=2)


def test_an_unforeseen_exceptions_words_are_neither_shown_nor_logged(
    store: FakeStore, submit: Submit, run: Run, lines: Lines
) -> None:
    job = submit("sample.raises")
    run(job)
    error = failure(store, job)
    assert (error.code, error.type, error.retryable) == ("JOB_RAISED", "ValueError", True)
    assert "canary" not in error.message
    assert "canary" not in lines.text()
    assert "sample_jobs.py" in lines.text()


def test_the_last_attempts_exception_fails_the_job(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.raises", attempt=2)
    assert run(job) is None
    assert (stored(store, job).status, stored(store, job).attempt) == (Status.FAILED, 3)


def test_fatal_fails_at_once_with_the_jobs_own_words(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.gives_up")
    assert run(job) is None
    assert stored(store, job).status is Status.FAILED
    assert failure(store, job) == JobFailure(
        code="HOPELESS", message="This will never work: change the input.", type="Fatal", retryable=False
    )


def test_a_message_that_no_utf_8_can_hold_is_mended_not_refused(
    store: FakeStore, submit: Submit, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(_attempt: object, _definition: object) -> None:
        raise Fatal("a\ud800b")

    monkeypatch.setattr("asyncjobs.worker.attempt.Attempt._input", raises)
    job = submit("sample.returns")
    run(job)
    assert failure(store, job).message == "a?b"


def test_a_job_may_say_when_to_be_tried_again(store: FakeStore, submit: Submit, run: Run, clock: FakeClock) -> None:
    job = submit("sample.succeeds_at_last")
    for _ in range(2):
        assert run(job) == timedelta(seconds=1)
        clock.advance(seconds=1)
    assert run(job) is None
    ended = stored(store, job)
    assert (ended.status, ended.result and ended.result.text) == (Status.COMPLETED, "3")


def test_sys_exit_is_a_failure_like_any_other(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.exits")
    run(job)
    assert failure(store, job).type == "SystemExit"


@pytest.mark.parametrize("name", ["sample.returns_unserialisable", "sample.returns_wrong_type", "sample.streams_no_json"])
def test_a_result_that_is_no_json_of_its_type_fails_for_good(store: FakeStore, submit: Submit, run: Run, name: str) -> None:
    job = submit(name)
    assert run(job) is None
    assert failure(store, job).code == "RESULT_NOT_SERIALIZABLE"


def test_an_input_that_only_the_model_can_refuse_fails_for_good(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.halves", {"number": 7})
    assert run(job) is None
    error = failure(store, job)
    assert error.code == "INVALID_INPUT"
    assert "must be even" in error.message


def test_an_input_that_is_gone_fails_for_good(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.returns", input=None, input_location="inputs/alice/gone.json")
    assert run(job) is None
    assert failure(store, job).code == "INPUT_MISSING"


def test_a_large_input_is_fetched_from_the_bucket(store: FakeStore, objects: FakeObjects, submit: Submit, run: Run) -> None:
    objects.stored["inputs/alice/x.json"] = b'{"number":4}'
    job = submit("sample.halves", input=None, input_location="inputs/alice/x.json")
    run(job)
    assert stored(store, job).status is Status.COMPLETED


def test_a_job_type_that_the_worker_does_not_know_yet_is_tried_again(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.returns", job_type="sample.of_tomorrow")
    assert run(job) is not None
    assert failure(store, job).code == "UNKNOWN_JOB_TYPE"


@pytest.mark.parametrize("name", ["sample.sleeps", "sample.sleeps_async"])
def test_the_time_limit_is_raised_in_the_job_and_its_finally_runs(
    store: FakeStore, submit: Submit, run: Run, lines: Lines, name: str
) -> None:
    job = submit(name, {"seconds": 5}, deadline_at=NOW + timedelta(seconds=0.05))
    run(job)
    assert failure(store, job).code == "TIME_LIMIT_EXCEEDED"
    assert "cleaned up" in lines.names()


def test_an_alarm_that_rings_just_as_the_job_ends_counts_as_the_time_limit(
    store: FakeStore, submit: Submit, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rings_late(function: Callable[[], object], _limit: timedelta) -> object:
        function()
        raise TimeLimitExceeded

    monkeypatch.setattr("asyncjobs.worker.executor.call_with_timeout", rings_late)
    job = submit("sample.returns")
    assert run(job) is not None
    assert failure(store, job).code == "TIME_LIMIT_EXCEEDED"


def test_a_bucket_that_is_down_when_the_result_is_kept_is_a_reason_to_try_again(
    store: FakeStore, objects: FakeObjects, submit: Submit, run: Run
) -> None:
    objects.is_down = True
    job = submit("sample.returns_much", {"size": 10_000})
    assert run(job) is not None
    assert stored(store, job).status is Status.PENDING


# ── Claims ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_second_delivery_of_a_running_job_does_nothing(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.returns")
    held = store.claim_if_claimable(
        job.key, generation=job.generation, by="other", now=NOW, lease_until=NOW + timedelta(seconds=75)
    )
    assert run(job) is None
    assert stored(store, job) == held


def test_a_message_that_was_too_early_only_for_its_claim_comes_back_at_once(
    store: FakeStore, clock: FakeClock, submit: Submit, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit("sample.halves", {"number": 14}, not_before=NOW + timedelta(milliseconds=2))
    claim = store.claim_if_claimable

    def slow_claim(key: JobKey, **terms: Any) -> AsyncJob | Lost:
        outcome = claim(key, **terms)
        clock.advance(seconds=0.005)
        return outcome

    monkeypatch.setattr(store, "claim_if_claimable", slow_claim)
    assert run(job) == timedelta(0)
    assert run(job) is None
    assert stored(store, job).status is Status.COMPLETED


def test_a_message_that_comes_too_early_waits(submit: Submit, run: Run) -> None:
    job = submit("sample.returns", not_before=NOW + timedelta(seconds=9))
    assert run(job) == timedelta(seconds=9)


@pytest.mark.parametrize("changes", [{"status": Status.CANCELLED, "due_at": None}, {"attempt": 3}, {"deadline_at": NOW}])
def test_a_message_whose_job_may_not_run_has_done_its_duty(submit: Submit, run: Run, changes: dict[str, Any]) -> None:
    assert run(submit("sample.returns", **changes)) is None


def test_a_message_of_a_job_that_is_gone_has_done_its_duty(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.returns")
    store.jobs.clear()
    assert run(job) is None


def test_a_message_of_an_earlier_record_does_not_run_the_present_one(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.returns")
    assert run(replace(job, generation="an earlier one")) is None
    assert stored(store, job) == job


def test_a_table_that_is_down_at_the_claim_brings_the_message_back(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.returns")
    store.failures += [Unavailable("throttled")] * 2
    assert run(job) == TRY_LATER
    assert stored(store, job) == job


class AnswerLostStore(FakeStore):
    """Makes the claim, but the answer to the first one never arrives."""

    claims = 0

    def claim_if_claimable(self, *args: Any, **options: Any) -> Any:
        claim = super().claim_if_claimable(*args, **options)
        self.claims += 1
        if self.claims == 1:
            raise Unavailable("no answer")
        return claim


def test_a_claim_whose_answer_never_came_is_asked_for_again_and_not_lost(
    objects: FakeObjects, catalog: Catalog, clock: FakeClock
) -> None:
    store = AnswerLostStore()
    job = replace(new_job(), job_type="sample.returns")
    store.add_if_absent(job, NOW)
    executor = Executor(store=store, objects=objects, catalog=catalog, clock=clock)
    assert executor.run(JobMessage.of(job), claimant="w1", remaining=QUARTER_HOUR) is None
    assert (stored(store, job).status, stored(store, job).attempt, store.claims) == (Status.COMPLETED, 1, 2)


def test_a_job_that_asks_for_a_retry_far_beyond_its_deadline_waits_until_its_deadline(
    store: FakeStore, submit: Submit, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(_attempt: object, _definition: object) -> None:
        raise Retry("Much later.", after=timedelta(days=3_000_000))

    monkeypatch.setattr("asyncjobs.worker.attempt.Attempt._input", raises)
    job = submit("sample.returns")
    assert run(job) == job.deadline_at - NOW
    assert stored(store, job).not_before == job.deadline_at


def test_with_too_little_time_left_nothing_is_begun(store: FakeStore, executor: Executor, submit: Submit) -> None:
    job = submit("sample.returns")
    assert executor.run(JobMessage.of(job), claimant="w", remaining=timedelta(seconds=9)) == timedelta(0)
    assert stored(store, job) == job


# ── Records ────────────────────────────────────────────────────────────────────────────────────────


class LateStore(FakeStore):
    """Something happens to the job between its claim and its end."""

    def __init__(self, meanwhile: Callable[[AsyncJob], AsyncJob]) -> None:
        super().__init__()
        self.meanwhile = meanwhile

    def claim_if_claimable(self, *args: Any, **options: Any) -> Any:
        claim = super().claim_if_claimable(*args, **options)
        assert isinstance(claim, AsyncJob)
        self.jobs[claim.key] = self.meanwhile(claim)
        return claim


@pytest.mark.parametrize(
    ("meanwhile", "reason"),
    [
        (lambda job: job.cancelled(now=NOW), "JobCancelled"),
        (lambda job: replace(job, attempt=2, claimed_by="w2"), "LeaseLost"),
    ],
    ids=["cancelled", "taken over"],
)
def test_a_job_that_was_taken_away_while_it_ran_stays_as_others_left_it(
    objects: FakeObjects, catalog: Catalog, clock: FakeClock, lines: Lines, meanwhile: Any, reason: str
) -> None:
    store = LateStore(meanwhile)
    job = replace(new_job(), job_type="sample.returns")
    store.add_if_absent(job, NOW)
    executor = Executor(store=store, objects=objects, catalog=catalog, clock=clock)
    assert executor.run(JobMessage.of(job), claimant="w1", remaining=QUARTER_HOUR) is None
    assert stored(store, job).result is None
    assert ("JOB_FENCED", reason) in [(line["message"], line.get("reason")) for line in lines.events]


class FlakyStore(FakeStore):
    """Refuses the first few swaps."""

    refusals = 0

    def swap_if_unchanged(self, *args: Any, **options: Any) -> Any:
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("throttled")
        return super().swap_if_unchanged(*args, **options)


@pytest.mark.parametrize(("refusals", "status"), [(4, Status.COMPLETED), (5, Status.IN_PROGRESS)])
def test_work_that_is_done_is_recorded_through_a_few_seconds_of_throttling(
    objects: FakeObjects, catalog: Catalog, clock: FakeClock, refusals: int, status: Status
) -> None:
    store = FlakyStore()
    job = replace(new_job(), job_type="sample.returns")
    store.add_if_absent(job, NOW)
    store.refusals = refusals
    executor = Executor(
        store=store, objects=objects, catalog=catalog, clock=clock, sleep=lambda seconds: clock.advance(seconds=seconds)
    )
    again_after = executor.run(JobMessage.of(job), claimant="w1", remaining=QUARTER_HOUR)
    assert stored(store, job).status is status
    assert (again_after is None) is (status is Status.COMPLETED)
    assert store.refusals == 0


# ── Lines ──────────────────────────────────────────────────────────────────────────────────────────


def test_an_attempt_is_told_in_two_lines(submit: Submit, run: Run, lines: Lines) -> None:
    job = submit("sample.returns")
    run(job)
    assert lines.names() == ["JOB_STARTED", "JOB_COMPLETED"]
    for line in lines.events:
        assert (line["asyncJobId"], line["jobType"], line["attempt"]) == (job.async_job_id, "sample.returns", 1)
    assert lines.events[1]["durationMs"] == 0


@pytest.mark.parametrize(
    ("name", "changes", "last"),
    [
        ("sample.gives_up", {}, "JOB_FAILED"),
        ("sample.raises", {}, "JOB_RETRIED"),
        ("sample.raises", {"attempt": 2}, "JOB_FAILED"),
    ],
)
def test_each_ending_has_its_line(
    submit: Submit, run: Run, lines: Lines, name: str, changes: dict[str, Any], last: str
) -> None:
    run(submit(name, **changes))
    assert lines.names()[-1] == last
    assert lines.events[-1]["errorCode"]
