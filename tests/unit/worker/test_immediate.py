"""Quick jobs run in the submit function; all others are sent to the queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core import job as core_job
from asyncjobs.core.durations import Durations
from asyncjobs.core.errors import JobProcessLost, Retry, Unavailable
from asyncjobs.core.job import IMMEDIATE_TIMEOUT, AsyncJob, Priority, Result, Status
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import Lost
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import Exclusive
from asyncjobs.service.commands import Commands
from asyncjobs.service.submit import Submission, SubmitRequest
from asyncjobs.worker import immediate, job_process
from asyncjobs.worker.executor import Executor
from asyncjobs.worker.immediate import ImmediateExecutor
from asyncjobs.worker.job_process import JobProcess
from tests.support.factories import NOW, OWNER, job_type
from tests.support.fakes import FakeClock, FakeHistory, FakeObjects, FakeQueue, FakeStore
from tests.support.parts import JobsHere, make_commands, make_executor
from tests.unit.conftest import Lines

HALF_A_SECOND = timedelta(seconds=0.5)


@pytest.fixture
def history() -> FakeHistory:
    return FakeHistory()


MakeImmediateExecutor = Callable[[timedelta], ImmediateExecutor]


@pytest.fixture
def executors() -> list[Executor]:
    """Return the executors that have been made for quick jobs."""
    return []


@pytest.fixture
def make_immediate_executor(
    store: FakeStore,
    queue: FakeQueue,
    objects: FakeObjects,
    catalog: Catalog,
    clock: FakeClock,
    history: FakeHistory,
    executors: list[Executor],
) -> MakeImmediateExecutor:
    """Return a function that makes an immediate executor with a threshold."""

    def make_executor_here() -> Executor:
        executors.append(
            make_executor(
                store=store,
                queue=queue,
                objects=objects,
                catalog=catalog,
                clock=clock,
                at_most=core_job.IMMEDIATE_TIMEOUT,
                sleep=lambda _seconds: None,
            )
        )
        return executors[-1]

    def make(threshold: timedelta) -> ImmediateExecutor:
        return ImmediateExecutor(
            threshold=threshold,
            history=history,
            store=store,
            job_process=lambda: JobsHere(make_executor_here),
            clock=clock,
        )

    return make


@pytest.fixture
def immediate_executor(make_immediate_executor: MakeImmediateExecutor) -> ImmediateExecutor:
    return make_immediate_executor(HALF_A_SECOND)


@pytest.fixture
def commands(
    store: FakeStore,
    queue: FakeQueue,
    objects: FakeObjects,
    catalog: Catalog,
    clock: FakeClock,
    immediate_executor: ImmediateExecutor,
) -> Commands:
    return make_commands(
        store=store,
        queue=queue,
        objects=objects,
        catalog=catalog,
        clock=clock,
        immediate_executor=immediate_executor,
    )


def submit(commands: Commands, name: str = "sample.is_quick", turn: str = "returns", **options: Any) -> Submission:
    request = SubmitRequest(
        job_type=name,
        input={"turn": turn},
        delay=options.pop("delay", timedelta(0)),
        priority=options.pop("priority", None),
        estimate=options.pop("estimate", None),
    )
    return commands.submit(OWNER, request, **options)


@pytest.mark.parametrize("name", ["sample.is_quick", "sample.is_quick_async"])
def test_quick_job_has_finished_when_it_is_accepted(
    commands: Commands, store: FakeStore, queue: FakeQueue, lines: Lines, name: str
) -> None:
    job = submit(commands, name).job
    assert (job.status, job.attempt, job.result and job.result.text) == (Status.COMPLETED, 1, "1")
    assert store.jobs == {job.key: job}
    assert queue.sent == []
    assert lines.names() == ["JOB_ACCEPTED", "JOB_STARTED", "JOB_COMPLETED"]


@pytest.mark.parametrize("priority", Priority)
def test_quick_job_runs_immediately_at_any_priority(commands: Commands, queue: FakeQueue, priority: Priority) -> None:
    job = submit(commands, priority=priority).job
    assert (job.status, job.priority, queue.sent) == (Status.COMPLETED, priority, [])


@pytest.mark.parametrize("priority", Priority)
def test_retried_quick_job_is_sent_to_its_own_queue(commands: Commands, queue: FakeQueue, priority: Priority) -> None:
    submit(commands, turn="raises", priority=priority)
    assert [message.priority for message in queue.sent] == [priority]


@pytest.mark.parametrize(("milliseconds", "runs_here"), [(0, True), (500, True), (501, False)])
def test_callers_estimate_decides_whatever_other_jobs_took(
    commands: Commands, history: FakeHistory, milliseconds: int, *, runs_here: bool
) -> None:
    history.known["sample.is_quick"] = Durations.of([LONG if runs_here else QUICK] * 100)
    job = submit(commands, estimate=timedelta(milliseconds=milliseconds)).job
    assert (job.status is Status.COMPLETED) is runs_here


def test_estimate_permits_nothing_that_the_type_does_not(commands: Commands) -> None:
    assert submit(commands, "sample.is_quick_elsewhere", estimate=timedelta(0)).job.status is Status.PENDING


def test_quick_job_costs_two_writes(commands: Commands, store: FakeStore) -> None:
    submit(commands)
    assert store.writes == 2


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sample.is_quick", {"in_background": True}),
        ("sample.is_quick", {"delay": timedelta(seconds=1)}),
        ("sample.is_quick_elsewhere", {}),
        ("sample.works", {}),
    ],
    ids=["asked for", "delayed", "forbidden by its type", "slow"],
)
def test_other_jobs_are_sent_and_no_job_code_is_loaded(
    commands: Commands, queue: FakeQueue, executors: list[Executor], name: str, options: dict[str, Any]
) -> None:
    request = {"sample.works": {"seconds": 1}}.get(name, {"turn": "returns"})
    delay = options.pop("delay", timedelta(0))
    job = commands.submit(OWNER, SubmitRequest(job_type=name, input=request, delay=delay), **options).job
    assert (job.status, queue.sent) == (Status.PENDING, [JobMessage.of(job)])
    assert executors == []


def test_job_with_a_single_attempt_is_sent(immediate_executor: ImmediateExecutor) -> None:
    quick = job_type("sample.is_quick", expected=HALF_A_SECOND)
    assert immediate_executor.takes(quick)
    assert not immediate_executor.takes(replace(quick, max_attempts=1))
    assert not immediate_executor.takes(replace(quick, expected=timedelta(seconds=0.51)))


def test_quick_job_that_raises_is_retried_by_the_worker(commands: Commands, queue: FakeQueue) -> None:
    job = submit(commands, turn="raises").job
    assert (job.status, job.attempt, job.error and job.error.code) == (Status.PENDING, 1, "JOB_RAISED")
    assert queue.sent == [JobMessage.of(job)]
    assert queue.delays == [(job.not_before or NOW) - NOW]


def test_quick_job_that_raises_fatal_has_failed(commands: Commands, queue: FakeQueue) -> None:
    job = submit(commands, turn="gives up").job
    assert (job.status, job.error and job.error.code) == (Status.FAILED, "HOPELESS")
    assert queue.sent == []


@pytest.mark.parametrize("name", ["sample.is_quick", "sample.is_quick_async"])
def test_slow_job_is_handed_over_and_never_runs_twice_at_the_same_time(
    commands: Commands, queue: FakeQueue, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (core_job, immediate, job_process):
        monkeypatch.setattr(module, "IMMEDIATE_TIMEOUT", timedelta(seconds=0.1))
    job = submit(commands, name, turn="dawdles").job
    assert (job.status, job.attempt, job.error and job.error.code) == (Status.PENDING, 1, "HANDED_OVER")
    assert job.claimed_by is None
    assert job.is_claimable(NOW)
    assert (queue.sent, queue.delays) == ([JobMessage.of(job)], [timedelta(0)])


def test_retry_with_the_code_of_a_timeout_is_no_hand_over(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_retry(_self: object, _definition: object) -> object:
        raise Retry("later", after=60, code="TIME_LIMIT_EXCEEDED")

    monkeypatch.setattr("asyncjobs.worker.attempt.Attempt._input", raise_retry)
    job = submit(commands).job
    assert (job.status, job.error and job.error.message) == (Status.PENDING, "later")
    assert job.not_before == NOW + timedelta(seconds=60)


def test_replay_runs_nothing(commands: Commands, store: FakeStore) -> None:
    first = submit(commands, idempotency_key="k")
    again = submit(commands, idempotency_key="k")
    assert (again.job, again.replayed, first.replayed) == (first.job, True, False)
    assert store.jobs[first.job.key].attempt == 1


def test_replay_of_a_running_job_does_not_start_it(commands: Commands, store: FakeStore, queue: FakeQueue) -> None:
    job = submit(commands, idempotency_key="k").job
    running = replace(job, status=Status.IN_PROGRESS, lease_until=NOW + timedelta(minutes=1), due_at=NOW, result=None)
    store.jobs[job.key] = running
    again = submit(commands, idempotency_key="k")
    assert (again.job, again.replayed, queue.sent) == (running, True, [])


def test_job_whose_put_was_answered_late_does_not_run_immediately(
    commands: Commands, store: FakeStore, executors: list[Executor], monkeypatch: pytest.MonkeyPatch
) -> None:
    put = store.add_if_absent

    def add_and_answer_late(job: AsyncJob, now: Any) -> AsyncJob | None:
        assert put(job, now) is None
        late = now + timedelta(minutes=2)
        taken = store.claim_if_claimable(JobMessage.of(job), by="worker", now=late, lease_until=late + timedelta(minutes=1))
        assert not isinstance(taken, Lost)
        return put(job, late)  # the SDK's second try

    monkeypatch.setattr(store, "add_if_absent", add_and_answer_late)
    submission = submit(commands)
    assert (submission.job.claimed_by, submission.job.attempt, submission.replayed) == ("worker", 2, False)
    assert executors == []


def test_unrecorded_result_is_computed_again_after_the_lease(
    commands: Commands, store: FakeStore, queue: FakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = store.add_if_absent

    def add_then_fail(job: AsyncJob, now: Any) -> AsyncJob | None:
        outcome = put(job, now)
        store.failures = deque([Unavailable("throttled")] * 5)
        return outcome

    monkeypatch.setattr(store, "add_if_absent", add_then_fail)
    job = submit(commands).job
    assert (job.status, job.attempt, queue.sent) == (Status.IN_PROGRESS, 1, [])
    assert job.lease_until is not None
    assert job.due_at is not None
    assert job.due_at <= job.lease_until
    assert job.is_claimable(job.lease_until + timedelta(milliseconds=1))


# ── Lost processes ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def lost_after(
    store: FakeStore, queue: FakeQueue, objects: FakeObjects, catalog: Catalog, clock: FakeClock, history: FakeHistory
) -> Callable[..., Commands]:
    """Return a function that makes commands whose job process does what is given, and is then lost."""

    def make(during: Callable[[AsyncJob], object], *, error: Exception | None = None) -> Commands:
        class LostProcess(JobProcess):
            def __init__(self) -> None: ...

            def run(self, job: AsyncJob) -> AsyncJob | None:
                during(job)
                raise error or JobProcessLost

        ports: dict[str, Any] = {"store": store, "clock": clock}
        executor = ImmediateExecutor(threshold=HALF_A_SECOND, history=history, job_process=LostProcess, **ports)
        return make_commands(**ports, queue=queue, objects=objects, catalog=catalog, immediate_executor=executor)

    return make


@pytest.mark.parametrize(("seconds", "code"), [(0, "WORKER_LOST"), (IMMEDIATE_TIMEOUT.total_seconds(), "HANDED_OVER")])
def test_job_of_a_lost_process_goes_to_a_worker(
    lost_after: Callable[..., Commands], clock: FakeClock, queue: FakeQueue, lines: Lines, seconds: float, code: str
) -> None:
    job = submit(lost_after(lambda _job: clock.advance(seconds=seconds))).job
    assert (job.status, job.attempt, job.error and job.error.code) == (Status.PENDING, 1, code)
    assert job.is_claimable(clock.now)
    assert queue.sent == [JobMessage.of(job)]
    assert lines.names() == ["JOB_ACCEPTED", "JOB_STARTED", "JOB_RETRIED"]


def test_end_that_a_lost_process_has_recorded_counts(
    lost_after: Callable[..., Commands], store: FakeStore, clock: FakeClock, queue: FakeQueue
) -> None:
    def complete(job: AsyncJob) -> None:
        store.swap_if_unchanged(job, job.completed(now=clock.now, result=Result(text="1")))

    job = submit(lost_after(complete)).job
    assert (job, job.status, queue.sent) == (store.jobs[job.key], Status.COMPLETED, [])


@pytest.mark.parametrize("error", [RuntimeError("canary-secret"), OSError("cannot fork"), Unavailable("throttled")])
def test_accepted_job_is_answered_whatever_is_raised_after_its_put(
    lost_after: Callable[..., Commands], store: FakeStore, lines: Lines, error: Exception
) -> None:
    job = submit(lost_after(lambda _job: None, error=error)).job
    assert (job, job.status) == (store.jobs[job.key], Status.IN_PROGRESS)
    assert lines.names()[-1] == "INLINE_RUN_FAILED"
    assert "canary" not in lines.text()


@pytest.mark.parametrize("error", [RuntimeError("no permission"), Unavailable("throttled")])
def test_accepted_job_of_a_lost_process_is_answered_without_the_table(
    lost_after: Callable[..., Commands], store: FakeStore, error: Exception
) -> None:
    job = submit(lost_after(lambda _job: store.failures.append(error))).job
    assert (job, job.status) == (store.jobs[job.key], Status.IN_PROGRESS)


def test_exclusive_job_is_sent(immediate_executor: ImmediateExecutor, catalog: Catalog) -> None:
    quick = catalog["sample.is_quick"]
    assert immediate_executor.takes(quick)
    assert not immediate_executor.takes(replace(quick, exclusive=Exclusive("alone")))


# ── Measured durations ───────────────────────────────────────────────────────────────────────────

DECLARED_QUICK = job_type("a.declared_quick", expected=timedelta(seconds=0.1))
DECLARED_SLOW = job_type("a.declared_slow", immediate=True)
QUICK, SLOW, LONG = 0.1, 2.0, 60.0


@pytest.mark.parametrize(
    ("took", "declared_quick", "declared_slow"),
    [
        ([], True, False),
        ([QUICK] * 19, True, False),
        ([SLOW] * 19, True, False),
        ([QUICK] * 20, True, True),
        ([QUICK] * 19 + [LONG], True, True),
        ([QUICK] * 18 + [SLOW] * 2, True, False),
        ([QUICK] * 18 + [LONG] * 2, False, False),
        ([QUICK] * 18 + [5.05] * 2, False, False),
        ([QUICK] * 11 + [SLOW] * 9, True, False),
        ([QUICK] * 10 + [SLOW] * 10, False, False),
        ([SLOW] * 20, False, False),
        ([LONG] * 400, False, False),
    ],
    ids=[
        "nothing seen",
        "too few, quick",
        "too few, slow",
        "all quick",
        "nineteen of twenty quick",
        "a tenth slow",
        "a tenth too long to be answered at all",
        "a tenth handed over and ended at once",
        "not quite half slow",
        "half slow",
        "all slow",
        "all long",
    ],
)
def test_measured_durations_override_the_declared_one(
    immediate_executor: ImmediateExecutor, history: FakeHistory, took: list[float], *, declared_quick: bool, declared_slow: bool
) -> None:
    durations = Durations.of(took)
    history.known = {DECLARED_QUICK.name: durations, DECLARED_SLOW.name: durations}
    assert (immediate_executor.takes(DECLARED_QUICK), immediate_executor.takes(DECLARED_SLOW)) == (
        declared_quick,
        declared_slow,
    )


def test_type_that_was_often_handed_over_is_sent(commands: Commands, history: FakeHistory, queue: FakeQueue) -> None:
    history.known["sample.is_quick"] = Durations.of([QUICK] * 100 + [LONG] * 10)
    job = submit(commands).job
    assert (job.status, queue.sent) == (Status.PENDING, [JobMessage.of(job)])


@pytest.mark.parametrize(
    "changes",
    [
        {"immediate": None},
        {"immediate": False},
        {"immediate": False, "expected": timedelta(0)},
        {"max_attempts": 1},
        {"exclusive": Exclusive("alone")},
    ],
    ids=["nobody said it may", "forbidden", "forbidden, declared quick", "single attempt", "needs a lock"],
)
def test_type_that_may_not_run_immediately_is_sent_without_a_read(
    immediate_executor: ImmediateExecutor, history: FakeHistory, changes: dict[str, Any]
) -> None:
    history.known = {DECLARED_SLOW.name: Durations.of([QUICK] * 400)}
    assert immediate_executor.takes(DECLARED_SLOW)
    assert history.reads == 1
    assert not immediate_executor.takes(replace(DECLARED_SLOW, **changes))
    assert history.reads == 1


def test_disabled_immediate_execution_reads_nothing(
    make_immediate_executor: MakeImmediateExecutor, history: FakeHistory
) -> None:
    history.known = {DECLARED_SLOW.name: Durations.of([QUICK] * 400)}
    off = make_immediate_executor(timedelta(milliseconds=-1))
    assert not off.takes(DECLARED_SLOW)
    assert not off.takes(DECLARED_QUICK)
    assert history.reads == 0


@pytest.mark.parametrize("options", [{"in_background": True}, {"delay": timedelta(seconds=1)}], ids=["asked for", "delayed"])
def test_delayed_or_background_job_reads_nothing(commands: Commands, history: FakeHistory, options: dict[str, Any]) -> None:
    submit(commands, **options)
    assert history.reads == 0


def test_burst_of_submits_reads_once(commands: Commands, history: FakeHistory) -> None:
    for _ in range(10):
        submit(commands)
    assert history.reads == 1


def test_burst_of_submits_judges_the_type_once(
    commands: Commands, history: FakeHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = iter([True])
    monkeypatch.setattr(immediate, "_judge", lambda *_, **__: next(verdicts))
    history.known["sample.is_quick"] = Durations.of([LONG] * 100)
    assert [submit(commands).job.status for _ in range(3)] == [Status.COMPLETED] * 3


def test_declared_duration_counts_while_the_table_is_unavailable(
    commands: Commands, immediate_executor: ImmediateExecutor, history: FakeHistory
) -> None:
    history.known, history.is_down = {"sample.is_quick": Durations.of([LONG] * 400)}, True
    assert submit(commands).job.status is Status.COMPLETED
    assert not immediate_executor.takes(DECLARED_SLOW)


def test_higher_threshold_makes_longer_jobs_quick(make_immediate_executor: MakeImmediateExecutor, history: FakeHistory) -> None:
    history.known = {DECLARED_SLOW.name: Durations.of([SLOW] * 400)}
    assert make_immediate_executor(timedelta(seconds=3)).takes(DECLARED_SLOW)


def test_threshold_below_half_a_second_only_proves_jobs_slow(
    make_immediate_executor: MakeImmediateExecutor, history: FakeHistory
) -> None:
    immediate_executor = make_immediate_executor(timedelta(seconds=0.2))
    history.known = {DECLARED_QUICK.name: Durations.of([QUICK] * 400), DECLARED_SLOW.name: Durations.of([QUICK] * 400)}
    assert (immediate_executor.takes(DECLARED_QUICK), immediate_executor.takes(DECLARED_SLOW)) == (True, False)
    history.known = {"a.slow": Durations.of([SLOW] * 400)}
    assert not immediate_executor.takes(replace(DECLARED_QUICK, name="a.slow"))


# ── Sizes ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("rows", "runs_here"), [(3, True), (99, True), (100, False), (999, False)])
def test_past_jobs_of_the_same_size_decide(commands: Commands, history: FakeHistory, rows: int, *, runs_here: bool) -> None:
    history.known = {f"sample.grows#{size}": Durations.of([QUICK if size < 2 else LONG] * 100) for size in range(3)}
    job = commands.submit(OWNER, SubmitRequest(job_type="sample.grows", input={"rows": rows})).job
    assert (job.status is Status.COMPLETED) is runs_here


@pytest.mark.parametrize(
    ("known", "runs_here"),
    [
        ({}, True),
        ({2: LONG}, False),
        ({2: QUICK}, True),
        ({4: QUICK}, True),
        ({4: LONG}, True),
        ({2: LONG, 4: QUICK}, False),
        ({1: LONG}, True),
        ({3: QUICK, 2: LONG}, True),
        ({3: LONG, 4: QUICK}, False),
    ],
    ids=str,
)
def test_next_size_decides_for_a_size_without_past_jobs(
    immediate_executor: ImmediateExecutor, history: FakeHistory, known: dict[int, float], *, runs_here: bool
) -> None:
    grows = job_type("sample.grows", expected=HALF_A_SECOND)
    history.known = {f"sample.grows#{size}": Durations.of([took] * 100) for size, took in known.items()}
    assert immediate_executor.takes(grows, size_class=3) is runs_here


def test_smallest_size_has_no_smaller_one(immediate_executor: ImmediateExecutor, history: FakeHistory) -> None:
    assert immediate_executor.takes(job_type("sample.grows", expected=HALF_A_SECOND), size_class=0)
    assert history.reads == 2


def test_job_without_a_size_is_quick_by_all_jobs_of_its_type(commands: Commands, history: FakeHistory) -> None:
    history.known = {"sample.grows": Durations.of([LONG] * 100), "sample.grows#0": Durations.of([QUICK] * 100)}
    for given in ({}, {"rows": None}):
        job = commands.submit(OWNER, SubmitRequest(job_type="sample.grows", input=given)).job
        assert (job.status, job.size_class) == (Status.PENDING, None)
