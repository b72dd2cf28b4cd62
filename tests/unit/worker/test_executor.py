"""Claims, recorded outcomes, and what happens to the message."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from asyncjobs.core.errors import Retry, Unavailable
from asyncjobs.core.job import GRACE, AsyncJob, JobKey, LockOwner, Status
from asyncjobs.core.message import JobMessage
from asyncjobs.core.named_events import MAX_EVENTS
from asyncjobs.core.ports import Lost
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.worker import heartbeat, timeouts
from asyncjobs.worker.executor import TRY_LATER, Executor
from tests.support.factories import NOW, new_job
from tests.support.fakes import FakeClock, FakeObjects, FakeQueue, FakeStore
from tests.support.parts import make_executor, run_attempt
from tests.unit.conftest import Lines
from tests.unit.worker.conftest import Run, Submit, stored

# ── Outcomes ──────────────────────────────────────────────────────────────────────────────────────


def test_events_of_a_job_are_written_before_its_end(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.sends_events", {"size": 3})
    run(job)
    ended = store.jobs[job.key]
    # Put, claim, three events, end.
    assert (ended.status, ended.seq, ended.named_event) == (Status.COMPLETED, 1 + 1 + 3 + 1, None)


def test_job_that_sends_an_event_too_much_fails_without_another_attempt(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.sends_events", {"size": MAX_EVENTS + 1})
    run(job)
    ended = store.jobs[job.key]
    assert ended.error is not None
    assert (ended.status, ended.attempt, ended.error.code, ended.seq) == (
        Status.FAILED,
        1,
        "TOO_MANY_EVENTS",
        2 + MAX_EVENTS + 1,
    )


def test_short_job_costs_two_writes(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.returns")
    before = store.writes
    run(job)
    assert store.writes - before == 2


def test_unforeseen_exception_is_retried_after_a_backoff(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.raises")
    again_after = run(job)
    released = stored(store, job)
    assert again_after is not None
    assert released.status is Status.PENDING
    assert released.not_before == NOW + again_after
    assert timedelta(0) <= again_after <= timedelta(seconds=2)


def test_exception_of_the_last_attempt_fails_the_job(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.raises", attempt=2)
    assert run(job) is None
    assert (stored(store, job).status, stored(store, job).attempt) == (Status.FAILED, 3)


def test_retry_sets_its_own_delay(store: FakeStore, submit: Submit, run: Run, clock: FakeClock) -> None:
    job = submit("sample.succeeds_at_last")
    for _ in range(2):
        assert run(job) == timedelta(seconds=1)
        clock.advance(seconds=1)
    assert run(job) is None
    ended = stored(store, job)
    assert (ended.status, ended.result and ended.result.text) == (Status.COMPLETED, "3")


# ── Claims ─────────────────────────────────────────────────────────────────────────────────────────


def test_second_delivery_of_a_running_job_does_nothing(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.returns")
    held = store.claim_if_claimable(JobMessage.of(job), by="other", now=NOW, lease_until=NOW + timedelta(seconds=75))
    assert run(job) is None
    assert stored(store, job) == held


def test_message_that_became_claimable_during_the_claim_returns_immediately(
    store: FakeStore, clock: FakeClock, submit: Submit, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit("sample.halves", {"number": 14}, not_before=NOW + timedelta(milliseconds=2))
    claim = store.claim_if_claimable

    def slow_claim(message: JobMessage, **terms: Any) -> AsyncJob | Lost:
        outcome = claim(message, **terms)
        clock.advance(seconds=0.005)
        return outcome

    monkeypatch.setattr(store, "claim_if_claimable", slow_claim)
    assert run(job) == timedelta(0)
    assert run(job) is None
    assert stored(store, job).status is Status.COMPLETED


def test_time_that_the_lock_takes_is_not_the_jobs(
    store: FakeStore, clock: FakeClock, submit: Submit, executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_owner, limits = store.lock_owner, list[timedelta]()

    def slow_lock_owner(name: str) -> LockOwner | None:
        clock.advance(seconds=20)
        return lock_owner(name)

    def note_limit(function: Callable[[], object], limit: timedelta) -> object:
        limits.append(limit)
        return function()

    monkeypatch.setattr(store, "lock_owner", slow_lock_owner)
    monkeypatch.setattr("asyncjobs.worker.executor.call_with_timeout", note_limit)
    job = submit("sample.takes_turns", {"seconds": 0}, exclusive_key="1#turns", waits_since=NOW)
    run_attempt(executor, JobMessage.of(job), remaining=timedelta(seconds=60))
    assert limits == [timedelta(seconds=60 - 20) - GRACE]


def test_early_message_waits(submit: Submit, run: Run) -> None:
    job = submit("sample.returns", not_before=NOW + timedelta(seconds=9))
    assert run(job) == timedelta(seconds=9)


@pytest.mark.parametrize("changes", [{"status": Status.CANCELLED, "due_at": None}, {"attempt": 3}, {"deadline_at": NOW}])
def test_message_of_an_unrunnable_job_is_acknowledged(submit: Submit, run: Run, changes: dict[str, Any]) -> None:
    assert run(submit("sample.returns", **changes)) is None


def test_message_of_a_deleted_job_is_acknowledged(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.returns")
    store.jobs.clear()
    assert run(job) is None


def test_message_of_an_earlier_generation_does_not_run_the_job(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.returns")
    assert run(replace(job, generation="an earlier one")) is None
    assert stored(store, job) == job


def test_unavailable_table_at_the_claim_returns_the_message(store: FakeStore, submit: Submit, run: Run) -> None:
    job = submit("sample.returns")
    store.failures += [Unavailable("throttled")] * 2
    assert run(job) == TRY_LATER
    assert stored(store, job) == job


class AnswerLostStore(FakeStore):
    """A store that claims, but whose answer to the first claim is lost."""

    claims = 0

    def claim_if_claimable(self, *args: Any, **options: Any) -> Any:
        claim = super().claim_if_claimable(*args, **options)
        self.claims += 1
        if self.claims == 1:
            raise Unavailable("no answer")
        return claim


def test_claim_with_a_lost_answer_is_repeated(objects: FakeObjects, catalog: Catalog, clock: FakeClock) -> None:
    store = AnswerLostStore()
    job = replace(new_job(), job_type="sample.returns")
    store.add_if_absent(job, NOW)
    executor = make_executor(store=store, queue=FakeQueue(), objects=objects, catalog=catalog, clock=clock)
    assert run_attempt(executor, JobMessage.of(job)) is None
    assert (stored(store, job).status, stored(store, job).attempt, store.claims) == (Status.COMPLETED, 1, 2)


def test_retry_beyond_the_deadline_waits_until_the_deadline(
    store: FakeStore, submit: Submit, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(_attempt: object, _definition: object) -> None:
        raise Retry("Much later.", after=timedelta(days=3_000_000))

    monkeypatch.setattr("asyncjobs.worker.attempt.Attempt._input", raises)
    job = submit("sample.returns")
    assert run(job) == job.deadline_at - NOW
    assert stored(store, job).not_before == job.deadline_at


def test_attempt_does_not_start_with_too_little_time_left(store: FakeStore, executor: Executor, submit: Submit) -> None:
    job = submit("sample.returns")
    assert run_attempt(executor, JobMessage.of(job), remaining=timedelta(seconds=9)) == timedelta(0)
    assert stored(store, job) == job


# ── Records ────────────────────────────────────────────────────────────────────────────────────────


class LateStore(FakeStore):
    """A store in which another writer changes the job between its claim and its end."""

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
def test_cancelled_or_replaced_attempt_records_nothing(
    objects: FakeObjects, catalog: Catalog, clock: FakeClock, lines: Lines, meanwhile: Any, reason: str
) -> None:
    store = LateStore(meanwhile)
    job = replace(new_job(), job_type="sample.returns")
    store.add_if_absent(job, NOW)
    executor = make_executor(store=store, queue=FakeQueue(), objects=objects, catalog=catalog, clock=clock)
    assert run_attempt(executor, JobMessage.of(job)) is None
    assert stored(store, job).result is None
    assert ("JOB_FENCED", reason) in [(line["message"], line.get("reason")) for line in lines.events]


class FlakyStore(FakeStore):
    """A store that is throttled for the first few swaps."""

    refusals = 0

    def swap_if_unchanged(self, *args: Any, **options: Any) -> Any:
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("throttled")
        return super().swap_if_unchanged(*args, **options)


@pytest.mark.parametrize(("refusals", "status"), [(4, Status.COMPLETED), (5, Status.IN_PROGRESS)])
def test_result_is_recorded_through_a_few_seconds_of_throttling(
    objects: FakeObjects, catalog: Catalog, clock: FakeClock, refusals: int, status: Status
) -> None:
    store = FlakyStore()
    job = replace(new_job(), job_type="sample.returns")
    store.add_if_absent(job, NOW)
    store.refusals = refusals
    executor = make_executor(
        store=store,
        queue=FakeQueue(),
        objects=objects,
        catalog=catalog,
        clock=clock,
        sleep=lambda seconds: clock.advance(seconds=seconds),
    )
    again_after = run_attempt(executor, JobMessage.of(job))
    assert stored(store, job).status is status
    assert (again_after is None) is (status is Status.COMPLETED)
    assert store.refusals == 0


# ── What a job changes in its process ──────────────────────────────────────────────────────────────


def test_job_that_switches_off_logging_is_logged_and_leaves_its_directory(
    submit: Submit, run: Run, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Path.cwd()

    def change(_attempt: object, _definition: object) -> Any:
        logging.disable(logging.CRITICAL)
        os.chdir("/")
        raise Retry("Again.")

    monkeypatch.setattr("asyncjobs.worker.attempt.Attempt._input", change)
    run(submit("sample.returns"))
    assert lines.names() == ["JOB_STARTED", "JOB_RETRIED"]
    assert Path.cwd() == before


# ── Interruptions ──────────────────────────────────────────────────────────────────────────────────

PLAIN = ["sample.is_silent", "sample.is_silent_for_long"]
COROUTINES = ["sample.is_silent_async", "sample.is_silent_for_long_async"]
ENDS = {
    "JobCancelled": lambda job: job.cancelled(now=NOW),
    "LeaseLost": lambda job: replace(job, attempt=2, claimed_by="w2"),
}
"""How a job may be taken away from its attempt, by the interruption's name."""


@pytest.fixture
def read_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "FIRST_READ", timedelta(seconds=0.02))


def once_it_runs(store: FakeStore, key: JobKey, lines: Lines, change: Callable[[AsyncJob], AsyncJob]) -> threading.Thread:
    """Change the stored job from another thread, once its code has begun."""

    def wait_and_change() -> None:
        deadline = time.monotonic() + 60
        while "began" not in lines.names() and time.monotonic() < deadline:
            time.sleep(0.001)
        store.jobs[key] = change(store.jobs[key])

    thread = threading.Thread(target=wait_and_change)
    thread.start()
    return thread


@pytest.mark.usefixtures("read_soon")
@pytest.mark.parametrize("reason", ENDS)
@pytest.mark.parametrize("name", [*PLAIN, *COROUTINES])
def test_job_that_was_taken_away_is_interrupted(
    store: FakeStore, submit: Submit, run: Run, lines: Lines, name: str, reason: str
) -> None:
    job = submit(name, {"seconds": 20})
    changing, began = once_it_runs(store, job.key, lines, ENDS[reason]), time.monotonic()
    assert run(job) is None
    assert time.monotonic() - began < 10
    changing.join()
    assert lines.names() == ["JOB_STARTED", "began", "cleaned up", "JOB_FENCED"]
    assert lines.events[-1]["reason"] == reason
    assert stored(store, job).result is None


@pytest.mark.usefixtures("read_soon")
@pytest.mark.parametrize("name", COROUTINES)
def test_coroutine_that_suppresses_the_interruption_is_left_behind(
    store: FakeStore, executor: Executor, submit: Submit, run: Run, lines: Lines, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "_grace", timedelta(seconds=0.5))
    job = submit(name, {"seconds": 20, "is_stubborn": True})
    changing, began = once_it_runs(store, job.key, lines, ENDS["JobCancelled"]), time.monotonic()
    assert run(job) is None
    assert time.monotonic() - began < 10
    changing.join()
    assert "JOB_FENCED" in lines.names()


def test_coroutine_that_suppresses_its_time_limit_is_left_behind(
    store: FakeStore, executor: Executor, submit: Submit, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "_grace", timedelta(seconds=0.1))
    job = submit("sample.is_silent_async", {"seconds": 20, "is_stubborn": True}, deadline_at=NOW + timedelta(seconds=0.5))
    began = time.monotonic()
    assert run(job) is not None
    assert time.monotonic() - began < 10
    error = stored(store, job).error
    assert error is not None
    assert error.code == "TIME_LIMIT_EXCEEDED"


def test_quick_job_costs_no_read(store: FakeStore, submit: Submit, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[JobKey] = []
    monkeypatch.setattr(store, "get", reads.append)
    run(submit("sample.is_silent_for_long", {"seconds": 0.01}))
    assert reads == []


PROGRAM = """
import threading, time
from datetime import timedelta
from asyncjobs.worker import heartbeat
heartbeat.FIRST_READ = timedelta(seconds=0.02)
from asyncjobs.core.clock import utc_now
from asyncjobs.core.message import JobMessage
from asyncjobs.jobtypes.catalog import Catalog
from tests.support import sample_jobs
from tests.support.factories import job_types_of, new_job
from tests.support.fakes import FakeObjects, FakeQueue, FakeStore
from tests.support.parts import make_executor, run_attempt

def cancel():
    time.sleep(0.5)
    store.jobs[job.key] = store.jobs[job.key].cancelled(now=utc_now())

{prelude}
store = FakeStore()
job = new_job(job_type="{job_type}", now=utc_now()).with_input(text='{{"seconds": 30, "is_stubborn": true}}')
store.jobs[job.key] = job
catalog = Catalog(job_types_of(*vars(sample_jobs).values()))
ports = dict(store=store, queue=FakeQueue(), objects=FakeObjects(), catalog=catalog, clock=utc_now)
threading.Thread(target=cancel).start()
run_attempt(make_executor(**ports, grace=timedelta(seconds=0.2)), JobMessage.of(job))
print("lived on")
"""


HOLDS_THE_LOCK = """
import ctypes
heartbeat.LONGEST_SILENCE = timedelta(seconds=1)
sample_jobs.{name} = lambda *_: ctypes.PyDLL(None).sleep(30)
"""


@pytest.mark.parametrize(
    ("job_type", "prelude"),
    [
        ("sample.is_silent", ""),
        ("sample.is_silent_async", "sample_jobs._silent_async = lambda *_: time.sleep(30)"),
        ("sample.is_silent_for_long", HOLDS_THE_LOCK.format(name="_silent")),
        ("sample.is_silent_for_long_async", HOLDS_THE_LOCK.format(name="_silent_async")),
    ],
    ids=["suppresses the exception", "blocks the event loop", "holds the lock", "holds the lock in a coroutine"],
)
def test_job_that_cannot_be_interrupted_ends_with_its_process(job_type: str, prelude: str) -> None:
    root = Path(__file__).parents[3]
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(job_type=job_type, prelude=prelude)],
        env={"PYTHONPATH": f"{Path(timeouts.__file__).parents[2]}:{root}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode != 0
    assert "lived on" not in ended.stdout
    assert "sample_jobs.py" in ended.stderr or "in <lambda>" in ended.stderr


# ── Log ────────────────────────────────────────────────────────────────────────────────────────────


def test_attempt_logs_two_lines(submit: Submit, run: Run, lines: Lines) -> None:
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
def test_each_outcome_has_its_log_line(
    submit: Submit, run: Run, lines: Lines, name: str, changes: dict[str, Any], last: str
) -> None:
    run(submit(name, **changes))
    assert lines.names()[-1] == last
    assert lines.events[-1]["errorCode"]
