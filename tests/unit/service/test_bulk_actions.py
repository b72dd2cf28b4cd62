"""Actions on many jobs, over fakes: a part within a request, and all of them in the background, whatever dies or comes twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import pytest

from asyncjobs.core.administration import BulkTask, FailedPosition
from asyncjobs.core.errors import JobNotFound, Unavailable, Unreadable
from asyncjobs.core.job import AsyncJob, JobFailure, JobKey, Priority, Result, Status
from asyncjobs.core.records import replace
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.service.administration import Actor, FailedQuery, LiveQuery
from asyncjobs.service.bulk_actions import BulkAction, BulkRequest, BulkSlice
from tests.support.factories import (
    JOB_ID,
    NOW,
    OWNER,
    failed_jobs,
    job_type,
    live_jobs,
    new_job,
    new_tracked_job,
    running_job,
)
from tests.support.fakes import (
    FakeAuditLog,
    FakeBulkParts,
    FakeClock,
    FakeContinuations,
    FakeObjects,
    FakeQueue,
    FakeStore,
)
from tests.support.parts import make_administration, make_bulk_actions, make_commands

ACTOR = Actor("ops", "request-1")
KEY = JobKey(OWNER, JOB_ID)
BROKEN = FailedQuery(job_type="sample.returns", code="BROKEN", limit=50)


class World:
    def __init__(self, *jobs: AsyncJob) -> None:
        self.store, self.queue, self.clock = FakeStore(), FakeQueue(), FakeClock(NOW)
        self.store.jobs |= {job.key: job for job in jobs}
        self.audit, self.parts, self.continuations = FakeAuditLog(), FakeBulkParts(), FakeContinuations()
        ports: Any = {
            "store": self.store,
            "queue": self.queue,
            "catalog": Catalog({name: job_type(name) for name in ("sample.returns", "other")}),
            "clock": self.clock,
        }
        self.commands = make_commands(objects=FakeObjects(), **ports)
        self.bulk = make_bulk_actions(
            make_administration(**ports, commands=self.commands, audit=self.audit),
            store=self.store,
            commands=self.commands,
            clock=self.clock,
            parts=self.parts,
            continuations=self.continuations,
        )

    def act_on(self, action: BulkAction, jobs: Any, *, is_trial: bool = False, filter: Any = None) -> BulkSlice:
        return self.bulk.act_on(ACTOR, BulkRequest(action=action, jobs=jobs, filter=filter or {}, is_trial=is_trial))

    # ── In the background ──────────────────────────────────────────────────────────────────────────

    def start(self, request: BulkRequest) -> AsyncJob:
        return self.bulk.start(ACTOR, request, {"action": request.action.value})

    def invoke(self, request: BulkRequest, *, jobs: int = 1_000_000) -> None:
        """Make the next invocation, which has time for so many jobs. Lambda forgets its event only if it does not fail."""
        self.bulk.go_on(self.continuations.tasks[0], request, time_for(jobs))
        self.continuations.tasks.popleft()

    def run(self, request: BulkRequest, *, jobs: int = 1_000_000) -> int:
        """Make invocations until there is none left, and return their number."""
        for number in count():
            if not self.continuations.tasks:
                return number
            self.invoke(request, jobs=jobs)
        raise AssertionError

    def own(self, job: AsyncJob) -> AsyncJob:
        return self.store.jobs[job.key]

    def others(self, job: AsyncJob) -> Sequence[AsyncJob]:
        return [each for each in self.store.jobs.values() if each.key != job.key]

    def outcomes_of(self, job: AsyncJob) -> Iterator[tuple[JobKey, str]]:
        for number in count():
            part = self.bulk.outcomes(job.async_job_id, number)
            if part is None or part.outcomes is None:
                return
            yield from zip((entry.key for entry in part.entries), part.outcomes, strict=True)


def time_for(jobs: int) -> Callable[[], bool]:
    """Return what says that there is time, so many times."""
    left = count(jobs, -1)
    return lambda: next(left) > 0


def request_to(action: BulkAction, jobs: Any = BROKEN, **changes: Any) -> BulkRequest:
    return BulkRequest(action=action, jobs=jobs, filter={"failed": {"jobType": "sample.returns"}}, **changes)


RETRY = request_to(BulkAction.RETRY)


def outcomes(part: BulkSlice) -> Counter[str]:
    return Counter("" if each.error is None else type(each.error).__name__ for each in part.outcomes)


# ── Within a request ─────────────────────────────────────────────────────────────────────────────────


def test_many_failed_jobs_are_retried_part_by_part() -> None:
    world, query, done = World(*failed_jobs(120), *failed_jobs(3, "OTHER")), BROKEN, Counter[str]()
    while True:
        part = world.act_on(BulkAction.RETRY, query)
        done += outcomes(part)
        if part.next is None:
            break
        assert isinstance(part.next, FailedPosition)
        query = replace(query, after=part.next)
    assert done == {"": 120}
    assert Counter(job.status for job in world.store.jobs.values()) == {Status.PENDING: 120, Status.FAILED: 3}
    assert [(each.action, each.count) for each in world.audit.stored] == [
        ("bulk.retry", 50),
        ("bulk.retry", 50),
        ("bulk.retry", 20),
    ]


def test_part_that_is_repeated_leaves_what_is_done() -> None:
    world = World(*failed_jobs(10))
    for expected in ({"": 10}, {}):
        assert outcomes(world.act_on(BulkAction.RETRY, BROKEN)) == expected


def test_trial_says_what_would_become_of_each_job_and_changes_nothing() -> None:
    waiting, tracked = new_job(), replace(new_tracked_job().cancelled(now=NOW), job_type="other", owner="bob")
    gone = replace(failed_jobs(1)[0], job_type="of.an.earlier.release")
    done = running_job(owner="carol").completed(now=NOW, result=Result(text="1"))
    world = World(waiting, tracked, gone, done, *failed_jobs(2))
    keys = [*world.store.jobs, JobKey("nobody", JOB_ID)]
    before = dict(world.store.jobs)
    for action, expected in (
        (BulkAction.RETRY, {"": 2, "JobNotRetryable": 3, "UnknownJobType": 1, "JobNotFound": 1}),
        (BulkAction.CANCEL, {"": 2, "JobAlreadyFinished": 4, "JobNotFound": 1}),
        (BulkAction.DELETE, {"": 5, "JobNotFinished": 1, "JobNotFound": 1}),
    ):
        trial = world.act_on(action, keys, is_trial=True)
        assert (outcomes(trial), world.store.jobs, world.audit.stored) == (expected, before, [])
        # The action itself has the same outcomes.
        assert outcomes(World(*before.values()).act_on(action, keys)) == expected


def test_live_jobs_are_cancelled_by_their_filter() -> None:
    world = World(*live_jobs(30, priority=Priority.LOW), new_job())
    query = LiveQuery(priority=Priority.LOW, limit=50)
    part = world.act_on(BulkAction.CANCEL, query, filter={"live": {"priority": "low"}})
    assert (outcomes(part), part.next) == ({"": 30}, None)
    assert not world.store.jobs[KEY].is_finished
    assert [(each.action, each.filter, each.count) for each in world.audit.stored] == [
        ("bulk.cancel", {"live": {"priority": "low"}}, 30)
    ]


def test_action_on_many_that_cannot_be_recorded_is_not_done() -> None:
    world = World(*failed_jobs(3))
    world.audit.is_down = True
    with pytest.raises(Unavailable):
        world.act_on(BulkAction.DELETE, BROKEN)
    assert len(world.store.jobs) == 3


def test_action_on_no_job_is_not_recorded() -> None:
    world = World()
    assert world.act_on(BulkAction.RETRY, BROKEN) == ([], None)
    assert world.audit.stored == []


def test_job_that_cannot_be_read_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    world, get = World(new_job(), *failed_jobs(1)), FakeStore.get

    def unreadable(store: FakeStore, key: JobKey) -> AsyncJob | None:
        if key == KEY:
            raise Unreadable("A newer release has written it.")
        return get(store, key)

    monkeypatch.setattr(FakeStore, "get", unreadable)
    assert outcomes(world.act_on(BulkAction.RETRY, list(world.store.jobs))) == {"": 1, "JobNotFound": 1}


# ── In the background ────────────────────────────────────────────────────────────────────────────────


def test_action_is_recorded_and_is_a_job_of_the_administrator_before_anything_happens() -> None:
    world = World(*failed_jobs(120))
    job = world.start(replace(RETRY, expected=120))
    assert (job.owner, job.job_type, job.status, job.is_tracked) == ("ops", "admin.action", Status.PENDING, True)
    assert json.loads(job.metadata or "") == {"action": "retry", "failed": {"jobType": "sample.returns"}}
    assert {each.status for each in world.others(job)} == {Status.FAILED}
    (record,) = world.audit.stored
    assert (record.action, record.actor, record.owner, record.async_job_id, record.count) == (
        "bulk.retry",
        "ops",
        "ops",
        job.async_job_id,
        120,
    )


def test_job_of_an_action_changes_once_for_each_part() -> None:
    world = World(*failed_jobs(120))
    job = world.start(replace(RETRY, expected=120))
    world.run(RETRY)
    assert (world.own(job).status, world.own(job).seq - job.seq) == (Status.COMPLETED, 3)


def test_action_that_cannot_be_recorded_does_not_start() -> None:
    world = World(*failed_jobs(3))
    world.audit.is_down = True
    with pytest.raises(Unavailable):
        world.start(RETRY)
    assert (len(world.store.jobs), list(world.continuations.tasks)) == (3, [])


def test_action_whose_first_invocation_cannot_be_made_fails_visibly() -> None:
    world = World(*failed_jobs(3))
    world.continuations.is_down = True
    with pytest.raises(Unavailable):
        world.start(RETRY)
    (job,) = [each for each in world.store.jobs.values() if each.is_bulk_action]
    assert (job.status, job.error and job.error.code) == (Status.FAILED, "NOT_STARTED")


@pytest.mark.parametrize("jobs", [1_000, 70, 7])
def test_every_job_has_its_outcome_however_little_time_an_invocation_has(jobs: int) -> None:
    world = World(*failed_jobs(120), *failed_jobs(3, "OTHER"))
    job = world.start(replace(RETRY, expected=120))
    assert (world.run(RETRY, jobs=jobs) > 1) is (jobs < 120)
    own = world.own(job)
    assert (own.status, own.progress, own.message) == (Status.COMPLETED, 100, "120 jobs done")
    assert json.loads((own.result and own.result.text) or "") == {"action": "retry", "outcomes": {"DONE": 120}}
    assert Counter(each.status for each in world.others(job)) == {Status.PENDING: 120, Status.FAILED: 3}
    found = list(world.outcomes_of(job))
    assert (len(found), len({key for key, _ in found}), {outcome for _, outcome in found}) == (120, 120, {"DONE"})
    assert [(each.action, each.count, each.outcomes) for each in world.audit.stored[1:]] == [
        ("bulk.retry.end", 120, {"DONE": 120})
    ]


def test_jobs_by_their_ids_have_the_codes_of_single_actions() -> None:
    failed = failed_jobs(2)
    world = World(*failed, new_job())
    request = request_to(BulkAction.DELETE, [*(job.key for job in failed), KEY, JobKey("nobody", JOB_ID)])
    job = world.start(request)
    world.run(request)
    assert [outcome for _, outcome in world.outcomes_of(job)] == ["DONE", "DONE", "JOB_NOT_FINISHED", "JOB_NOT_FOUND"]
    assert world.own(job).message == "2 of 4 jobs done"


def test_invocation_without_time_still_gets_further() -> None:
    world = World(*failed_jobs(20))
    job = world.start(RETRY)
    # More than the 16 after which Lambda would stop a loop.
    assert world.run(RETRY, jobs=0) >= 20
    assert world.own(job).message == "20 jobs done"


def test_progress_follows_from_the_expected_number() -> None:
    world, request = World(*failed_jobs(120)), replace(RETRY, expected=100)
    job = world.start(request)
    seen = []
    while world.continuations.tasks:
        world.invoke(request, jobs=51)
        seen.append((world.own(job).progress, world.own(job).message))
    assert seen == [(50, "50 jobs done"), (99, "100 jobs done"), (100, "120 jobs done")]


def test_action_on_all_live_jobs_leaves_out_its_own() -> None:
    world, request = World(*live_jobs(60)), request_to(BulkAction.CANCEL, LiveQuery(limit=50))
    job = world.start(request)
    world.run(request)
    assert world.own(job).status is Status.COMPLETED
    assert {each.status for each in world.others(job)} == {Status.CANCELLED}


def test_pages_without_a_job_are_skipped() -> None:
    rare = replace(live_jobs(900)[-1], owner="rare")
    world, request = World(*live_jobs(899), rare), request_to(BulkAction.CANCEL, LiveQuery(owner="rare", limit=50))
    job = world.start(request)
    world.run(request)
    assert [key for key, _ in world.outcomes_of(job)] == [rare.key]
    assert len(world.parts.stored) <= 2


def test_outcomes_of_no_action_are_not_found() -> None:
    world = World()
    with pytest.raises(JobNotFound):
        world.bulk.outcomes(JOB_ID, 0)
    assert world.bulk.outcomes(JOB_ID, 1) is None


# ── Invocations that die, or come twice ──────────────────────────────────────────────────────────────


class Died(BaseException):
    """The process of an invocation has ended."""


def die_after(calls: int, monkeypatch: pytest.MonkeyPatch, port: type, method: str) -> list[int]:
    """Let the process die before this call of the port. Returns a list that has the call when it has died."""
    call, left, deaths = getattr(port, method), count(calls, -1), list[int]()

    def dying(*arguments: Any, **options: Any) -> Any:
        if next(left) == 0:
            deaths.append(calls)
            raise Died
        return call(*arguments, **options)

    monkeypatch.setattr(port, method, dying)
    return deaths


@pytest.mark.parametrize("action", [BulkAction.RETRY, BulkAction.DELETE])
@pytest.mark.parametrize(
    ("port", "method", "calls"),
    [
        *((FakeStore, "swap_if_unchanged", calls) for calls in (0, 1, 17, 51, 52, 75, 110)),
        *((FakeBulkParts, "begin", calls) for calls in (0, 1, 2)),
        *((FakeBulkParts, "end", calls) for calls in (0, 1, 2)),
        *((FakeAuditLog, "add", calls) for calls in (0,)),
        *((FakeContinuations, "go_on", calls) for calls in (0,)),
    ],
)
def test_action_goes_on_after_an_invocation_that_died(
    monkeypatch: pytest.MonkeyPatch, port: type, method: str, calls: int, action: BulkAction
) -> None:
    world, request = World(*failed_jobs(120)), request_to(action)
    job = world.start(request)
    with monkeypatch.context() as patch:
        deaths = die_after(calls, patch, port, method)
        with pytest.raises(Died):
            world.run(request, jobs=80)
        assert deaths == [calls]
    # Lambda has kept the event, and invokes the function again.
    assert world.run(request) >= 1
    assert world.own(job).status is Status.COMPLETED
    found = dict(world.outcomes_of(job))
    assert (len(found), set(found.values())) == (120, {"DONE"})
    assert len([each for each in world.audit.stored if each.action.endswith(".end")]) == 1
    if action is BulkAction.DELETE:
        assert world.others(job) == []
    else:
        assert Counter(each.status for each in world.others(job)) == {Status.PENDING: 120}


def test_job_that_failed_again_before_its_part_is_repeated_is_not_retried_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(*failed_jobs(3))
    job = world.start(RETRY)
    with monkeypatch.context() as patch:
        deaths = die_after(2, patch, FakeStore, "swap_if_unchanged")
        with pytest.raises(Died):
            world.run(RETRY)
        assert deaths
    again = JobFailure(code="BROKEN", message="Still.", type="Fatal", retryable=False)
    retried = [each for each in world.others(job) if each.status is Status.PENDING]
    world.store.jobs |= {each.key: each.failed(now=NOW, error=again) for each in retried}
    world.run(RETRY)
    assert Counter(each.status for each in world.others(job)) == {Status.FAILED: 2, Status.PENDING: 1}
    assert [outcome for _, outcome in world.outcomes_of(job)] == ["DONE"] * 3


def test_table_that_does_not_answer_ends_the_invocation_and_not_the_action() -> None:
    world = World(*failed_jobs(60))
    job = world.start(RETRY)
    world.parts.failures.append(Unavailable("The table is down."))
    with pytest.raises(Unavailable):
        world.run(RETRY)
    world.run(RETRY)
    assert world.own(job).status is Status.COMPLETED


@pytest.mark.parametrize("jobs", [1_000, 51])
@pytest.mark.parametrize("action", BulkAction)
def test_invocation_that_comes_twice_changes_nothing(action: BulkAction, jobs: int) -> None:
    live = LiveQuery(limit=50)
    waiting = live_jobs(120) if action is BulkAction.CANCEL else failed_jobs(120)
    world, request = World(*waiting), request_to(action, live if action is BulkAction.CANCEL else BROKEN)
    job = world.start(request)
    world.continuations.tasks *= 2
    twice = list[BulkTask]()
    while world.continuations.tasks:
        twice.append(world.continuations.tasks[0])
        world.invoke(request, jobs=jobs)
    assert len(twice) > len({task.part for task in twice})
    assert world.own(job).status is Status.COMPLETED
    found = list(world.outcomes_of(job))
    assert (len(found), {outcome for _, outcome in found}) == (120, {"DONE"})
    assert len([each for each in world.audit.stored if each.action.endswith(".end")]) == 1


@pytest.mark.parametrize("action", [BulkAction.RETRY, BulkAction.DELETE])
def test_invocation_that_runs_beside_another_one_stops_where_that_one_has_begun(action: BulkAction) -> None:
    world, request = World(*failed_jobs(120)), request_to(action)
    job = world.start(request)
    (task,) = world.continuations.tasks
    # While the first one begins its second part, the other one does all of the action.
    world.bulk.go_on(task, request, time_for(51))
    world.continuations.tasks.clear()
    world.parts.before_begin = lambda: world.bulk.go_on(task, request, time_for(1_000))
    world.bulk.go_on(task, request, time_for(1_000))
    assert not world.continuations.tasks
    assert world.own(job).status is Status.COMPLETED
    found = list(world.outcomes_of(job))
    assert (len(found), {outcome for _, outcome in found}) == (120, {"DONE"})


def test_job_that_another_invocation_has_just_retried_counts_as_done(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(*failed_jobs(2))
    job = world.start(RETRY)
    retry = world.commands.retry

    def retry_after_another(owner: str, async_job_id: str) -> Any:
        retry(owner, async_job_id)
        return retry(owner, async_job_id)

    monkeypatch.setattr(world.commands, "retry", retry_after_another)
    world.run(RETRY)
    assert [outcome for _, outcome in world.outcomes_of(job)] == ["DONE", "DONE"]


# ── The end ──────────────────────────────────────────────────────────────────────────────────────────


def test_cancelled_action_stops_after_the_part_that_is_under_way() -> None:
    world = World(*failed_jobs(120))
    job = world.start(RETRY)
    world.parts.before_begin = lambda: world.commands.cancel("ops", job.async_job_id)
    world.run(RETRY)
    assert world.own(job).status is Status.CANCELLED
    assert Counter(each.status for each in world.others(job)) == {Status.PENDING: 50, Status.FAILED: 70}
    (end,) = world.audit.stored[1:]
    assert (end.action, end.count, end.outcomes) == ("bulk.retry.end", 50, {"DONE": 50})


def test_action_that_was_cancelled_between_two_invocations_does_nothing_more() -> None:
    world = World(*failed_jobs(120))
    job = world.start(RETRY)
    world.invoke(RETRY, jobs=49)
    world.commands.cancel("ops", job.async_job_id)
    world.run(RETRY)
    assert Counter(each.status for each in world.others(job)) == {Status.PENDING: 50, Status.FAILED: 70}
    assert world.audit.stored[-1].outcomes == {"DONE": 50}


def test_action_that_was_cancelled_in_the_middle_of_a_part_says_what_it_has_done() -> None:
    world = World(*failed_jobs(120))
    job = world.start(RETRY)
    world.invoke(RETRY, jobs=59)  # the first part, a look at the time, and ten jobs of the second part
    world.commands.cancel("ops", job.async_job_id)
    world.run(RETRY)
    assert Counter(each.status for each in world.others(job)) == {Status.PENDING: 60, Status.FAILED: 60}
    assert Counter(outcome for _, outcome in world.outcomes_of(job)) == {"DONE": 60, "STOPPED": 40}
    assert world.audit.stored[-1].outcomes == {"DONE": 60, "STOPPED": 40}


def test_action_that_is_deleted_after_its_cancel_does_nothing_more() -> None:
    world = World(*failed_jobs(120))
    job = world.start(RETRY)
    world.invoke(RETRY, jobs=49)
    world.commands.cancel("ops", job.async_job_id)
    world.commands.delete("ops", job.async_job_id)
    world.run(RETRY)
    assert Counter(each.status for each in world.store.jobs.values()) == {Status.PENDING: 50, Status.FAILED: 70}


def test_action_ends_at_its_deadline() -> None:
    world = World(*failed_jobs(120))
    job = world.start(RETRY)
    world.invoke(RETRY, jobs=49)
    world.clock.advance(seconds=2 * 3600)
    world.run(RETRY)
    own = world.own(job)
    assert (own.status, own.error and own.error.code) == (Status.FAILED, "DEADLINE_EXCEEDED")
    assert world.audit.stored[-1].outcomes == {"DONE": 100}


def test_action_that_is_started_again_finds_what_is_left() -> None:
    world = World(*failed_jobs(120))
    world.start(RETRY)
    world.invoke(RETRY, jobs=49)
    world.continuations.tasks.clear()  # Lambda has given up
    job = world.start(RETRY)
    world.run(RETRY)
    assert len(list(world.outcomes_of(job))) == 70
