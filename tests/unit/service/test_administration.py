"""What administrators see and do, over fakes. Reads are counted: no list may scan."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core.administration import MAX_PAUSED_TYPES, QueueDepth, TypeHistory
from asyncjobs.core.durations import Durations
from asyncjobs.core.errors import (
    JobAlreadyFinished,
    JobNotFinished,
    JobNotFound,
    JobNotRetryable,
    JobTypeNotFound,
    TooManyPausedTypes,
    Unavailable,
)
from asyncjobs.core.job import AsyncJob, JobFailure, JobKey, Priority, Status
from asyncjobs.core.records import replace
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.service.administration import Actor, FailedQuery, LiveQuery
from asyncjobs.service.dead_letters import LetterOutcome, Redriven
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
    FakeClock,
    FakeDeadLetters,
    FakeHistory,
    FakeIndexes,
    FakePollers,
    FakeQueue,
    FakeQueueDepths,
    FakeStore,
)
from tests.support.parts import make_administration

ACTOR = Actor("ops", "request-1")
KEY = JobKey(OWNER, JOB_ID)
FAILURE = JobFailure(code="HOPELESS", message="Encrypted.", type="Fatal", retryable=False)
FAILED = running_job().failed(now=NOW, error=FAILURE)


class CountingStore(FakeStore):
    """A store that counts the jobs that are read."""

    read = 0

    def get_all(self, keys: Any) -> Any:
        self.read += len(keys)
        return super().get_all(keys)


class World:
    def __init__(self, *jobs: AsyncJob) -> None:
        self.store, self.queue, self.clock = CountingStore(), FakeQueue(), FakeClock(NOW)
        self.store.jobs |= {job.key: job for job in jobs}
        self.audit, self.indexes = FakeAuditLog(), FakeIndexes(self.store)
        self.queues, self.pollers, self.history = FakeQueueDepths(), FakePollers(), FakeHistory()
        self.dead_letters = FakeDeadLetters()
        types = {name: job_type(name) for name in ("sample.returns", "other")} | {"work": job_type("work", tracked=True)}
        self.admin = make_administration(
            store=self.store,
            queue=self.queue,
            catalog=Catalog(types),
            clock=self.clock,
            letters=self.dead_letters,
            indexes=self.indexes,
            queues=self.queues,
            pollers=self.pollers,
            histories=self.history,
            audit=self.audit,
        )

    def pages(self, **query: Any) -> Iterator[list[AsyncJob]]:
        wanted = LiveQuery(**query)
        while True:
            page = self.admin.live(wanted)
            yield list(page.jobs)
            if page.next is None:
                return
            wanted = replace(wanted, after=page.next)

    def all_live(self, **query: Any) -> list[AsyncJob]:
        return [job for page in self.pages(**query) for job in page]


# ── Live jobs ────────────────────────────────────────────────────────────────────────────────────────


def test_no_live_jobs_are_an_empty_page() -> None:
    assert World().all_live() == []


@pytest.mark.parametrize("limit", [1, 7, 100])
@pytest.mark.parametrize("count", [1, 30, 500])
def test_pages_have_each_unfinished_job_once_in_the_order_of_the_due_times(count: int, limit: int) -> None:
    jobs = live_jobs(count)
    found = World(*jobs, FAILED).all_live(limit=limit)
    assert [job.async_job_id for job in found] == [
        job.async_job_id for job in sorted(jobs, key=lambda each: each.due_at or NOW)
    ]


def test_jobs_that_are_due_in_the_same_millisecond_are_not_lost_between_pages() -> None:
    jobs = [replace(job, due_at=NOW) for job in live_jobs(900)]
    found = World(*jobs).all_live(limit=10)
    assert sorted(job.async_job_id for job in found) == sorted(job.async_job_id for job in jobs)


def test_filters_leave_only_what_they_name() -> None:
    high = live_jobs(5, priority=Priority.HIGH)
    other = [replace(job, async_job_id=str(uuid.uuid4()), job_type="other") for job in live_jobs(5)]
    world = World(*high, *other, running_job())
    assert {job.key for job in world.all_live(priority=Priority.HIGH)} == {job.key for job in high}
    assert {job.key for job in world.all_live(job_type="other")} == {job.key for job in other}
    assert {job.key for job in world.all_live(status=Status.IN_PROGRESS)} == {KEY}
    assert {job.owner for job in world.all_live(owner="user-3")} == {"user-3"}


@pytest.mark.parametrize("query", [{}, {"job_type": "rare"}, {"limit": 100}])
def test_first_page_of_many_jobs_reads_a_few_hundred_entries(query: dict[str, Any]) -> None:
    world = World(*live_jobs(5_000))
    page = world.admin.live(LiveQuery(**query))
    assert page.next is not None
    assert world.indexes.entries <= 24 * 11
    assert world.store.read <= 100


def test_job_that_ended_since_its_entry_was_read_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(new_job())
    monkeypatch.setattr(world.store, "get_all", lambda _keys: {KEY: FAILED})
    assert world.all_live() == []


# ── One job ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("job", [new_job(), running_job(), new_tracked_job()])
def test_unfinished_job_is_found_without_its_owner(job: AsyncJob) -> None:
    world = World(job, *live_jobs(50))
    assert world.admin.find_live(job.async_job_id) == job


def test_finished_job_is_not_found_by_its_id_alone() -> None:
    world = World(FAILED)
    with pytest.raises(JobNotFound):
        world.admin.find_live(JOB_ID)


def test_search_without_an_owner_is_bounded() -> None:
    world = World(*live_jobs(5_000))
    with pytest.raises(JobNotFound):
        world.admin.find_live(JOB_ID)
    assert world.indexes.entries <= 3 * 100


# ── Actions ──────────────────────────────────────────────────────────────────────────────────────────


def test_each_action_is_recorded_with_its_administrator() -> None:
    world = World(new_job())
    assert world.admin.cancel(ACTOR, KEY).status is Status.CANCELLED
    assert world.admin.retry(ACTOR, KEY).status is Status.PENDING
    world.admin.cancel(ACTOR, KEY)
    world.admin.delete(ACTOR, KEY)
    assert [(each.action, each.actor, each.request_id, each.owner, each.async_job_id) for each in world.audit.stored] == [
        (f"job.{action}", "ops", "request-1", OWNER, JOB_ID) for action in ("cancel", "retry", "cancel", "delete")
    ]
    assert world.store.jobs == {}


@pytest.mark.parametrize("action", ["cancel", "retry", "delete"])
def test_action_that_cannot_be_recorded_is_not_done(action: str) -> None:
    world = World(FAILED if action != "cancel" else new_job())
    before = dict(world.store.jobs)
    world.audit.is_down = True
    with pytest.raises(Unavailable):
        getattr(world.admin, action)(ACTOR, KEY)
    assert world.store.jobs == before


def test_action_on_an_unknown_job_is_not_recorded() -> None:
    world = World()
    for action in (world.admin.cancel, world.admin.retry, world.admin.delete):
        with pytest.raises(JobNotFound):
            action(ACTOR, KEY)
    with pytest.raises(JobNotFound):
        world.admin.note_reading(ACTOR, "job.input", KEY)
    assert world.audit.stored == []


def test_action_that_the_jobs_state_does_not_allow_fails_as_for_its_owner() -> None:
    with pytest.raises(JobAlreadyFinished):
        World(FAILED).admin.cancel(ACTOR, KEY)
    with pytest.raises(JobNotRetryable):
        World(new_job()).admin.retry(ACTOR, KEY)
    with pytest.raises(JobNotFinished):
        World(new_job()).admin.delete(ACTOR, KEY)


def test_audit_log_is_read_from_the_newest_on() -> None:
    world = World(new_job())
    world.admin.note_reading(ACTOR, "job.input", KEY)
    world.clock.advance(seconds=1)
    world.admin.note_reading(ACTOR, "job.result", KEY)
    (newest,), position = world.admin.audit(limit=1, after=None)
    (oldest,), end = world.admin.audit(limit=1, after=position)
    assert ([newest.action, oldest.action], end) == (["job.result", "job.input"], None)


# ── Failed jobs ──────────────────────────────────────────────────────────────────────────────────────


def test_failed_jobs_are_grouped_by_type_and_code_with_the_most_recent_first() -> None:
    world = World(*failed_jobs(3), *failed_jobs(5, "WORKER_LOST"), *failed_jobs(9, job_type="other"), new_job())
    found = world.admin.failed_groups()
    assert [(group.job_type, group.code, group.count, group.is_more) for group in found.groups] == [
        ("other", "BROKEN", 9, False),
        ("sample.returns", "WORKER_LOST", 5, False),
        ("sample.returns", "BROKEN", 3, False),
    ]
    assert found.groups[0].newest_at == NOW + timedelta(seconds=8)
    assert not found.is_more


def test_groups_of_one_type_leave_the_others_out() -> None:
    world = World(*failed_jobs(1), *failed_jobs(1, job_type="other"), *failed_jobs(1, job_type="of.an.earlier.release"))
    assert [group.job_type for group in world.admin.failed_groups("other").groups] == ["other"]
    # Its type is not in the catalog any more, so only its name leads to it.
    assert [group.job_type for group in world.admin.failed_groups("of.an.earlier.release").groups] == ["of.an.earlier.release"]


def test_count_of_a_large_group_stops_and_says_so() -> None:
    world = World(*failed_jobs(500))
    (group,) = world.admin.failed_groups().groups
    assert (group.count, group.is_more) == (100, True)
    assert world.indexes.entries <= 110


@pytest.mark.parametrize(("codes", "each"), [(1, 3000), (10, 300), (60, 50)])
def test_groups_of_many_failed_jobs_read_a_few_hundred_entries(codes: int, each: int) -> None:
    world = World(*(job for number in range(codes) for job in failed_jobs(each, f"CODE_{number}")))
    found = world.admin.failed_groups()
    assert len(found.groups) == min(codes, 40)
    assert found.is_more is (codes > 40)
    assert world.indexes.entries <= 500


def test_failed_jobs_of_a_code_are_walked_from_the_newest_on() -> None:
    jobs = failed_jobs(45)
    world = World(*jobs, *failed_jobs(3, "OTHER"))
    query, walked = FailedQuery(job_type="sample.returns", code="BROKEN", limit=20), list[AsyncJob]()
    while True:
        page = world.admin.failed(query)
        walked += page.jobs
        if page.next is None:
            break
        query = replace(query, after=page.next)
    assert walked == jobs[::-1]


def test_page_of_failed_jobs_reads_no_more_than_it_shows() -> None:
    world = World(*failed_jobs(3000))
    world.admin.failed(FailedQuery(job_type="sample.returns", code="BROKEN", limit=20))
    assert (world.indexes.entries, world.store.read) == (20, 20)


def test_job_that_was_retried_since_its_entry_was_read_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    (job,) = failed_jobs(1)
    world = World(job)
    monkeypatch.setattr(world.store, "get_all", lambda _keys: {job.key: new_job()})
    assert world.admin.failed(FailedQuery(job_type="sample.returns", code="BROKEN")).jobs == []


# ── Queues and types ─────────────────────────────────────────────────────────────────────────────────


def test_queues_say_what_they_hold_and_since_when_jobs_wait() -> None:
    high = new_job(priority=Priority.HIGH, now=NOW - timedelta(minutes=9))
    delivery = new_job(job_type="webhook.deliver", async_job_id=str(uuid.uuid4()), now=NOW - timedelta(minutes=2))
    later = new_job(async_job_id=str(uuid.uuid4()), delay=timedelta(minutes=5))
    world = World(high, delivery, later)
    world.queues.depths = {"high": QueueDepth(7, 0, 2), "dead letters": QueueDepth(3, 0, 0)}
    found = world.admin.queues()
    assert [(each.name, each.depth.waiting, each.oldest_waiting_since) for each in found.queues] == [
        ("high", 7, NOW - timedelta(minutes=9)),
        ("standard", 0, None),
        ("low", 0, None),
        ("deliveries", 0, NOW - timedelta(minutes=2)),
    ]
    assert found.dead_letters.waiting == 3


def test_sweeper_is_as_late_as_the_first_job_is_overdue() -> None:
    assert World().admin.queues().sweeper_lag == timedelta(0)
    assert World(new_job()).admin.queues().sweeper_lag == timedelta(0)
    late = replace(new_job(), due_at=NOW - timedelta(minutes=7))
    assert World(late, *live_jobs(100)).admin.queues().sweeper_lag == timedelta(minutes=7)


def test_queues_with_many_live_jobs_read_a_few_hundred_entries() -> None:
    world = World(*live_jobs(5_000))
    world.admin.queues()
    assert world.indexes.entries <= 24 * 11
    assert world.store.read <= 100


def test_types_have_their_durations_and_how_their_jobs_ended() -> None:
    world = World()
    world.history.known["other"] = Durations.of([3.0])
    world.history.hours["webhook.deliver"] = {"2026-11-21T12": (5, 1)}
    found = {job_type.name: history for job_type, history in world.admin.types()}
    assert found.keys() == {"sample.returns", "other", "work", "webhook.deliver", "admin.action"}
    assert found["other"].durations == Durations.of([3.0])
    assert found["webhook.deliver"].hours == {"2026-11-21T12": (5, 1)}
    assert found["sample.returns"] == TypeHistory(Durations(), {})
    assert world.history.reads == 1


# ── Pause and resume ─────────────────────────────────────────────────────────────────────────────────


def test_priority_is_paused_and_resumed_and_both_are_recorded() -> None:
    world = World()
    world.admin.pause(ACTOR, Priority.LOW)
    assert [each.name for each in world.admin.queues().queues if each.pollers.is_paused] == ["low"]
    world.admin.resume(ACTOR, Priority.LOW)
    assert not any(each.pollers.is_paused for each in world.admin.queues().queues)
    assert [(each.action, each.filter) for each in world.audit.stored] == [
        ("queue.pause", {"queue": "low"}),
        ("queue.resume", {"queue": "low"}),
    ]


def test_pause_that_cannot_be_recorded_is_not_done() -> None:
    world = World()
    world.audit.is_down = True
    with pytest.raises(Unavailable):
        world.admin.pause(ACTOR, Priority.HIGH)
    assert world.pollers.paused == set()


def dropped(world: World) -> list[frozenset[str]]:
    return [world.pollers.state(priority).paused_types for priority in Priority]


def test_type_is_paused_in_all_priorities_and_resumed_and_both_are_recorded() -> None:
    world = World()
    world.admin.pause_type(ACTOR, "other")
    world.admin.pause_type(ACTOR, "sample.returns")
    assert dropped(world) == [{"other", "sample.returns"}] * 3
    world.admin.resume_type(ACTOR, "sample.returns")
    assert [each.pollers.paused_types for each in world.admin.queues().queues] == [*[{"other"}] * 3, set()]
    assert [(each.action, each.job_type) for each in world.audit.stored] == [
        ("type.pause", "other"),
        ("type.pause", "sample.returns"),
        ("type.resume", "sample.returns"),
    ]


@pytest.mark.parametrize("name", ["unknown", "work", "webhook.deliver"])
def test_type_without_messages_of_its_own_cannot_be_paused(name: str) -> None:
    world = World()
    with pytest.raises(JobTypeNotFound):
        world.admin.pause_type(ACTOR, name)
    assert world.audit.stored == []


def test_paused_type_that_a_deployment_removed_is_resumed() -> None:
    world = World()
    world.pollers.dropped["low"] = frozenset({"gone", "other"})
    world.admin.resume_type(ACTOR, "gone")
    assert dropped(world) == [set(), set(), {"other"}]
    with pytest.raises(JobTypeNotFound):
        world.admin.resume_type(ACTOR, "gone")


def test_pause_that_failed_half_way_is_completed_when_it_is_repeated() -> None:
    world = World()
    world.pollers.dropped["high"] = frozenset({"other"})
    world.admin.pause_type(ACTOR, "other")
    assert dropped(world) == [{"other"}] * 3


def test_no_more_types_are_paused_than_a_filter_holds() -> None:
    world = World()
    world.pollers.dropped["low"] = frozenset(f"type.{number}" for number in range(MAX_PAUSED_TYPES))
    with pytest.raises(TooManyPausedTypes):
        world.admin.pause_type(ACTOR, "other")
    assert world.audit.stored == []
    assert list(world.pollers.dropped) == ["low"]


def test_pause_of_a_type_that_cannot_be_recorded_is_not_done() -> None:
    world = World()
    world.audit.is_down = True
    with pytest.raises(Unavailable):
        world.admin.pause_type(ACTOR, "other")
    assert dropped(world) == [set()] * 3


# ── Dead letters ─────────────────────────────────────────────────────────────────────────────────────


def test_redrive_is_recorded_with_the_number_of_its_letters() -> None:
    world = World()
    world.dead_letters.bodies = {str(number): "x" for number in range(60)}
    assert world.admin.redrive(ACTOR, discards_malformed=True) == ([Redriven(None, LetterOutcome.DISCARDED)] * 50, True)
    assert world.admin.redrive(ACTOR, discards_malformed=False) == ([Redriven(None, LetterOutcome.MALFORMED)] * 10, False)
    assert [(each.action, each.count, each.filter) for each in world.audit.stored] == [
        ("dead-letters.redrive", 50, {"discardMalformed": True}),
        ("dead-letters.redrive", 10, None),
    ]


def test_redrive_ends_with_letters_that_all_stay() -> None:
    # Those that stay return, so a caller that went on would never end.
    world = World()
    world.dead_letters.bodies = {str(number): "x" for number in range(60)}
    assert world.admin.redrive(ACTOR, discards_malformed=False) == ([Redriven(None, LetterOutcome.MALFORMED)] * 50, False)


def test_redrive_that_cannot_be_recorded_settles_nothing() -> None:
    world = World()
    world.dead_letters.bodies, world.audit.is_down = {"1": "x"}, True
    with pytest.raises(Unavailable):
        world.admin.redrive(ACTOR, discards_malformed=True)
    assert world.dead_letters.bodies == {"1": "x"}


def test_redrive_of_no_letter_is_not_recorded() -> None:
    world = World()
    assert world.admin.redrive(ACTOR, discards_malformed=True) == ([], False)
    assert world.audit.stored == []
