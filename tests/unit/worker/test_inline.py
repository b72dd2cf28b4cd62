"""Quick jobs, run where they are submitted: at once when they are quick, in the queue when they are not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core.durations import Durations
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import AsyncJob, Priority, Status
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import Lost
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import Exclusive
from asyncjobs.service.commands import Commands, Submission, SubmitRequest
from asyncjobs.worker import inline
from asyncjobs.worker.inline import InlineExecutor
from tests.support.factories import NOW, OWNER, job_type
from tests.support.fakes import FakeClock, FakeHistory, FakeObjects, FakeQueue, FakeStore
from tests.unit.conftest import Lines

HALF_A_SECOND = timedelta(seconds=0.5)


@pytest.fixture
def history() -> FakeHistory:
    return FakeHistory()


MakeFirstWorker = Callable[[timedelta], InlineExecutor]


@pytest.fixture
def make_first_worker(
    store: FakeStore, objects: FakeObjects, catalog: Catalog, clock: FakeClock, history: FakeHistory
) -> MakeFirstWorker:
    """By its threshold."""

    def make(threshold: timedelta) -> InlineExecutor:
        return InlineExecutor(threshold=threshold, store=store, objects=objects, catalog=catalog, clock=clock, history=history)

    return make


@pytest.fixture
def inline_executor(make_first_worker: MakeFirstWorker) -> InlineExecutor:
    return make_first_worker(HALF_A_SECOND)


@pytest.fixture
def commands(
    store: FakeStore,
    queue: FakeQueue,
    objects: FakeObjects,
    catalog: Catalog,
    clock: FakeClock,
    inline_executor: InlineExecutor,
) -> Commands:
    return Commands(
        store=store,
        queue=queue,
        objects=objects,
        catalog=catalog,
        clock=clock,
        max_retention=timedelta(days=30),
        inline_executor=inline_executor,
    )


def has_run_something(inline_executor: InlineExecutor) -> bool:
    return "_executor" in vars(inline_executor)


def submit(commands: Commands, name: str = "sample.is_quick", turn: str = "returns", **options: Any) -> Submission:
    request = SubmitRequest(
        job_type=name, input={"turn": turn}, delay=options.pop("delay", timedelta(0)), priority=options.pop("priority", None)
    )
    return commands.submit(OWNER, request, **options)


@pytest.mark.parametrize("name", ["sample.is_quick", "sample.is_quick_async"])
def test_a_quick_job_has_finished_when_it_is_accepted(
    commands: Commands, store: FakeStore, queue: FakeQueue, lines: Lines, name: str
) -> None:
    job = submit(commands, name).job
    assert (job.status, job.attempt, job.result and job.result.text) == (Status.COMPLETED, 1, "1")
    assert store.jobs == {job.key: job}
    assert queue.sent == []
    assert lines.names() == ["JOB_ACCEPTED", "JOB_STARTED", "JOB_COMPLETED"]


@pytest.mark.parametrize("priority", Priority)
def test_a_quick_job_waits_for_nobody_whatever_its_priority(commands: Commands, queue: FakeQueue, priority: Priority) -> None:
    job = submit(commands, priority=priority).job
    assert (job.status, job.priority, queue.sent) == (Status.COMPLETED, priority, [])


@pytest.mark.parametrize("priority", Priority)
def test_one_that_goes_on_later_goes_on_in_its_own_queue(commands: Commands, queue: FakeQueue, priority: Priority) -> None:
    submit(commands, turn="raises", priority=priority)
    assert [message.priority for message in queue.sent] == [priority]


def test_a_quick_job_costs_its_put_and_its_end(commands: Commands, store: FakeStore) -> None:
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
def test_everything_else_is_sent_and_no_job_code_is_loaded(
    commands: Commands, queue: FakeQueue, inline_executor: InlineExecutor, name: str, options: dict[str, Any]
) -> None:
    request = {"sample.works": {"seconds": 1}}.get(name, {"turn": "returns"})
    delay = options.pop("delay", timedelta(0))
    job = commands.submit(OWNER, SubmitRequest(job_type=name, input=request, delay=delay), **options).job
    assert (job.status, queue.sent) == (Status.PENDING, [JobMessage.of(job)])
    assert not has_run_something(inline_executor)


def test_a_job_with_a_single_attempt_is_not_risked_here(inline_executor: InlineExecutor) -> None:
    quick = job_type("sample.is_quick", expected=HALF_A_SECOND)
    assert inline_executor.takes(quick)
    assert not inline_executor.takes(replace(quick, max_attempts=1))
    assert not inline_executor.takes(replace(quick, expected=timedelta(seconds=0.51)))


def test_a_quick_job_that_raises_is_tried_again_by_the_worker(commands: Commands, queue: FakeQueue) -> None:
    job = submit(commands, turn="raises").job
    assert (job.status, job.attempt, job.error and job.error.code) == (Status.PENDING, 1, "JOB_RAISED")
    assert queue.sent == [JobMessage.of(job)]
    assert queue.delays == [(job.not_before or NOW) - NOW]


def test_a_quick_job_that_fails_for_good_has_failed(commands: Commands, queue: FakeQueue) -> None:
    job = submit(commands, turn="gives up").job
    assert (job.status, job.error and job.error.code) == (Status.FAILED, "HOPELESS")
    assert queue.sent == []


@pytest.mark.parametrize("name", ["sample.is_quick", "sample.is_quick_async"])
def test_one_that_is_not_quick_after_all_is_handed_over_and_never_runs_twice_at_once(
    commands: Commands, queue: FakeQueue, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inline, "AT_MOST", timedelta(seconds=0.1))
    job = submit(commands, name, turn="dawdles").job
    assert (job.status, job.attempt, job.error and job.error.code) == (Status.PENDING, 1, "HANDED_OVER")
    assert job.claimed_by is None
    assert job.is_claimable(NOW)
    assert (queue.sent, queue.delays) == ([JobMessage.of(job)], [timedelta(0)])


def test_a_replay_runs_nothing_again(commands: Commands, store: FakeStore) -> None:
    first = submit(commands, idempotency_key="k")
    again = submit(commands, idempotency_key="k")
    assert (again.job, again.replayed, first.replayed) == (first.job, True, False)
    assert store.jobs[first.job.key].attempt == 1


def test_a_replay_of_one_that_still_runs_leaves_it_alone(commands: Commands, store: FakeStore, queue: FakeQueue) -> None:
    job = submit(commands, idempotency_key="k").job
    running = replace(job, status=Status.IN_PROGRESS, lease_until=NOW + timedelta(minutes=1), due_at=NOW, result=None)
    store.jobs[job.key] = running
    again = submit(commands, idempotency_key="k")
    assert (again.job, again.replayed, queue.sent) == (running, True, [])


def test_one_whose_put_got_no_answer_until_another_attempt_began_does_not_run_here(
    commands: Commands, store: FakeStore, inline_executor: InlineExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = store.add_if_absent

    def answers_late(job: AsyncJob, now: Any) -> AsyncJob | None:
        assert put(job, now) is None
        late = now + timedelta(minutes=2)
        taken = store.claim_if_claimable(
            job.key, generation=job.generation, by="worker", now=late, lease_until=late + timedelta(minutes=1)
        )
        assert not isinstance(taken, Lost)
        return put(job, late)  # the SDK's second try

    monkeypatch.setattr(store, "add_if_absent", answers_late)
    submission = submit(commands)
    assert (submission.job.claimed_by, submission.job.attempt, submission.replayed) == ("worker", 2, False)
    assert not has_run_something(inline_executor)


def test_a_result_that_cannot_be_recorded_is_made_again_when_the_lease_is_over(
    commands: Commands, store: FakeStore, queue: FakeQueue, inline_executor: InlineExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = store.add_if_absent

    def then_fails(job: AsyncJob, now: Any) -> AsyncJob | None:
        outcome = put(job, now)
        store.failures = deque([Unavailable("throttled")] * 5)
        return outcome

    monkeypatch.setattr(store, "add_if_absent", then_fails)
    monkeypatch.setattr(inline_executor._executor, "_sleep", lambda _: None)
    job = submit(commands).job
    assert (job.status, job.attempt, queue.sent) == (Status.IN_PROGRESS, 1, [])
    assert job.lease_until is not None
    assert job.due_at is not None
    assert job.due_at <= job.lease_until
    assert job.is_claimable(job.lease_until + timedelta(milliseconds=1))


def test_a_job_that_needs_a_lock_does_not_run_where_it_is_submitted(inline_executor: InlineExecutor, catalog: Catalog) -> None:
    quick = catalog["sample.is_quick"]
    assert inline_executor.takes(quick)
    assert not inline_executor.takes(replace(quick, exclusive=Exclusive("alone")))


# ── Declared, then learnt ──────────────────────────────────────────────────────────────────────────

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
def test_what_jobs_took_goes_before_what_their_type_declares(
    inline_executor: InlineExecutor, history: FakeHistory, took: list[float], *, declared_quick: bool, declared_slow: bool
) -> None:
    durations = Durations.of(took)
    history.known = {DECLARED_QUICK.name: durations, DECLARED_SLOW.name: durations}
    assert (inline_executor.takes(DECLARED_QUICK), inline_executor.takes(DECLARED_SLOW)) == (declared_quick, declared_slow)


def test_one_that_was_handed_over_again_and_again_is_not_tried_here_any_more(
    commands: Commands, history: FakeHistory, queue: FakeQueue
) -> None:
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
def test_however_quick_it_is_a_type_runs_here_only_if_it_may_and_nothing_is_read_for_others(
    inline_executor: InlineExecutor, history: FakeHistory, changes: dict[str, Any]
) -> None:
    history.known = {DECLARED_SLOW.name: Durations.of([QUICK] * 400)}
    assert inline_executor.takes(DECLARED_SLOW)
    assert history.reads == 1
    assert not inline_executor.takes(replace(DECLARED_SLOW, **changes))
    assert history.reads == 1


def test_where_nothing_runs_at_once_nothing_is_read(make_first_worker: MakeFirstWorker, history: FakeHistory) -> None:
    history.known = {DECLARED_SLOW.name: Durations.of([QUICK] * 400)}
    off = make_first_worker(timedelta(milliseconds=-1))
    assert not off.takes(DECLARED_SLOW)
    assert not off.takes(DECLARED_QUICK)
    assert history.reads == 0


@pytest.mark.parametrize("options", [{"in_background": True}, {"delay": timedelta(seconds=1)}], ids=["asked for", "delayed"])
def test_nothing_is_read_for_a_job_that_runs_later_anyway(
    commands: Commands, history: FakeHistory, options: dict[str, Any]
) -> None:
    submit(commands, **options)
    assert history.reads == 0


def test_a_burst_of_submits_reads_once(commands: Commands, history: FakeHistory) -> None:
    for _ in range(10):
        submit(commands)
    assert history.reads == 1


def test_while_the_table_does_not_tell_what_is_declared_counts(
    commands: Commands, inline_executor: InlineExecutor, history: FakeHistory
) -> None:
    history.known, history.is_down = {"sample.is_quick": Durations.of([LONG] * 400)}, True
    assert submit(commands).job.status is Status.COMPLETED
    assert not inline_executor.takes(DECLARED_SLOW)


def test_with_a_higher_threshold_what_takes_longer_is_quick(make_first_worker: MakeFirstWorker, history: FakeHistory) -> None:
    history.known = {DECLARED_SLOW.name: Durations.of([SLOW] * 400)}
    assert make_first_worker(timedelta(seconds=3)).takes(DECLARED_SLOW)


def test_below_half_a_second_nothing_is_proven_quick_but_what_takes_longer_is_proven_slow(
    make_first_worker: MakeFirstWorker, history: FakeHistory
) -> None:
    inline_executor = make_first_worker(timedelta(seconds=0.2))
    history.known = {DECLARED_QUICK.name: Durations.of([QUICK] * 400), DECLARED_SLOW.name: Durations.of([QUICK] * 400)}
    assert (inline_executor.takes(DECLARED_QUICK), inline_executor.takes(DECLARED_SLOW)) == (True, False)
    history.known = {"a.slow": Durations.of([SLOW] * 400)}
    assert not inline_executor.takes(replace(DECLARED_QUICK, name="a.slow"))
