"""What a connection may do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core.errors import InvalidTicket, JobNotFound, TooManyWatchers, TooManyWatches, Unavailable
from asyncjobs.core.events import EventType
from asyncjobs.core.ticket import MAX_TICKET
from asyncjobs.core.watch import CONNECT_WITHIN, MAX_WATCHERS, MAX_WATCHES, Connection, Topic
from asyncjobs.push.subscriptions import Subscriptions
from asyncjobs.push.tickets import TicketIssuer, opened
from tests.support.factories import JOB_ID, NOW, new_job, running_job
from tests.support.fakes import FakeClock, FakeStore, FakeTickets, FakeWatchers

OTHER = "00000000-0000-4000-8000-000000000001"
BOBS = "00000000-0000-4000-8000-000000000002"


class World:
    """Subscriptions over fakes, and jobs of two owners."""

    def __init__(self) -> None:
        self.clock, self.tickets, self.watchers = FakeClock(NOW), FakeTickets(), FakeWatchers()
        jobs = [new_job(), new_job(async_job_id=OTHER), new_job(async_job_id=BOBS, owner="bob")]
        self.store = FakeStore({job.key: job for job in jobs})
        self.issuer = TicketIssuer(store=self.store, tickets=self.tickets, clock=self.clock)
        self.subscriptions = Subscriptions(store=self.store, tickets=self.tickets, watchers=self.watchers, clock=self.clock)

    def ticket(self, jobs: Any = (JOB_ID,), **options: Any) -> str:
        return self.issuer.issue("alice", jobs, for_a_connection=True, **options).text

    def connect(self, jobs: Any = (JOB_ID,), name: str = "c1", **options: Any) -> str:
        self.subscriptions.connect(name, self.ticket(jobs, **options))
        return name

    def watchers_of(self, topic: Topic) -> list[str]:
        return list(self.watchers.of([topic], self.clock()).get(topic, ()))


@pytest.fixture
def world() -> World:
    return World()


# ── Connect ──────────────────────────────────────────────────────────────────────────────────────────


def test_ticket_opens_one_connection(world: World) -> None:
    ticket = world.ticket()
    world.subscriptions.connect("c1", ticket)
    with pytest.raises(InvalidTicket):
        world.subscriptions.connect("c2", ticket)
    assert world.watchers.connections.keys() == {"c1"}


def test_ticket_opens_a_connection_within_a_minute_only(world: World) -> None:
    ticket = world.ticket()
    world.clock.now += CONNECT_WITHIN
    with pytest.raises(InvalidTicket):
        world.subscriptions.connect("c1", ticket)


def test_connection_ends_when_the_lifetime_of_its_ticket_is_over(world: World) -> None:
    ticket = world.ticket(lifetime=timedelta(seconds=90))
    world.clock.advance(seconds=50)
    world.subscriptions.connect("c1", ticket)
    world.clock.advance(seconds=39)
    assert world.subscriptions.ping("c1").ends_at == NOW + timedelta(seconds=90)
    world.clock.advance(seconds=1)
    with pytest.raises(InvalidTicket):
        world.subscriptions.ping("c1")
    assert world.ticket(lifetime=timedelta(days=1))
    assert timedelta(minutes=15) == MAX_TICKET, "API Gateway ends a connection after two hours"


def test_ticket_that_reads_opens_no_connection_and_stays(world: World) -> None:
    text = world.issuer.issue("alice", [JOB_ID]).text
    with pytest.raises(InvalidTicket):
        world.subscriptions.connect("c1", text)
    assert opened(text, tickets=world.tickets, now=NOW)


def test_ticket_for_a_connection_reads_nothing(world: World) -> None:
    with pytest.raises(InvalidTicket):
        opened(world.ticket(), tickets=world.tickets, now=NOW)


@pytest.mark.parametrize("call", ["ping", "watch_job", "watch_owner", "unwatch_job", "unwatch_owner"])
def test_connection_that_is_not_open_can_do_nothing(world: World, call: str) -> None:
    arguments: dict[str, Any] = {"watch_job": (JOB_ID, 0), "unwatch_job": (JOB_ID,)}
    with pytest.raises(InvalidTicket):
        getattr(world.subscriptions, call)("c1", *arguments.get(call, ()))


# ── Watch ────────────────────────────────────────────────────────────────────────────────────────────


def test_new_watcher_gets_the_jobs_state(world: World) -> None:
    found = world.subscriptions.watch_job(world.connect(), JOB_ID, 0)
    assert found.snapshot is not None
    assert (found.snapshot.type, found.snapshot.seq) == (EventType.SNAPSHOT, new_job().seq)
    assert world.watchers_of(Topic("alice", JOB_ID, NOW)) == ["c1"]


def test_watcher_that_has_seen_the_state_gets_none(world: World) -> None:
    found = world.subscriptions.watch_job(world.connect(), JOB_ID, new_job().seq)
    assert found.snapshot is None
    assert world.watchers_of(Topic("alice", JOB_ID, NOW)) == ["c1"]


def test_client_that_is_ahead_gets_the_state(world: World) -> None:
    """Its job was deleted, and another one has the same id."""
    assert world.subscriptions.watch_job(world.connect(), JOB_ID, 99).snapshot is not None


@pytest.mark.parametrize("jobs", [[JOB_ID], None], ids=["of one job", "of all jobs"])
def test_watch_is_stored_before_the_state_is_read(world: World, jobs: Any) -> None:
    """A change after the read is pushed, since the stream's function reads the watchers after the change."""
    topic, seen = Topic("alice", JOB_ID, NOW), list[list[str]]()
    read = world.store.get

    def observed(key: Any) -> Any:
        seen.append(world.watchers_of(topic))
        return read(key)

    connection = world.connect(jobs)
    world.store.get = observed  # type: ignore[method-assign]
    world.subscriptions.watch_job(connection, JOB_ID, 0)
    assert seen[-1] == ["c1"]
    assert len(seen) == (1 if jobs else 2), "a ticket that names the job saves a read"


@pytest.mark.parametrize(
    ("jobs", "async_job_id"),
    [([JOB_ID], OTHER), ([JOB_ID], BOBS), (None, BOBS), (None, "00000000-0000-4000-8000-000000000009")],
    ids=["not on the ticket", "another's, not on the ticket", "another's", "unknown"],
)
def test_other_jobs_are_not_found(world: World, jobs: Any, async_job_id: str) -> None:
    with pytest.raises(JobNotFound):
        world.subscriptions.watch_job(world.connect(jobs), async_job_id, 0)
    assert world.watchers.entries == {}


def test_deleted_job_and_its_successor_are_not_found(world: World) -> None:
    connection, key = world.connect(), new_job().key
    del world.store.jobs[key]
    with pytest.raises(JobNotFound):
        world.subscriptions.watch_job(connection, JOB_ID, 0)
    world.store.jobs[key] = new_job(now=NOW + timedelta(seconds=1))
    with pytest.raises(JobNotFound):
        world.subscriptions.watch_job(connection, JOB_ID, 0)


def test_job_that_replaces_the_watched_one_before_it_is_read_is_not_found(world: World) -> None:
    """The watch is of the job that was deleted."""
    key, read = new_job().key, world.store.get

    def replaced_after(asked: Any) -> Any:
        found = read(asked)
        world.store.jobs[key] = new_job(now=NOW + timedelta(seconds=1))
        return found

    connection = world.connect(None)
    world.store.get = replaced_after  # type: ignore[method-assign, assignment]
    with pytest.raises(JobNotFound):
        world.subscriptions.watch_job(connection, JOB_ID, 0)


def test_ticket_of_an_owner_watches_all_jobs(world: World) -> None:
    found = world.subscriptions.watch_owner(world.connect(None))
    assert (found.snapshot, found.ends_at) == (None, NOW + MAX_TICKET)
    assert world.watchers_of(Topic("alice")) == ["c1"]


def test_ticket_of_a_job_does_not_watch_all(world: World) -> None:
    with pytest.raises(JobNotFound):
        world.subscriptions.watch_owner(world.connect([JOB_ID]))


def test_connection_has_no_more_than_its_most_watches(world: World) -> None:
    connection = world.connect(None)
    ids = [f"00000000-0000-4000-8000-{number:012}" for number in range(100, 101 + MAX_WATCHES)]
    world.store.jobs |= {job.key: job for job in (new_job(async_job_id=each) for each in ids)}
    for each in ids[:MAX_WATCHES]:
        world.subscriptions.watch_job(connection, each, 0)
    with pytest.raises(TooManyWatches):
        world.subscriptions.watch_job(connection, ids[-1], 0)
    world.subscriptions.watch_job(connection, ids[0], 0)
    world.subscriptions.unwatch_job(connection, ids[0])
    world.subscriptions.watch_job(connection, ids[-1], 0)


def test_job_has_no_more_than_its_most_watchers(world: World) -> None:
    topic = Topic("alice", JOB_ID, NOW)
    for number in range(MAX_WATCHERS):
        connection = Connection(f"w{number}", "alice", None, NOW + MAX_TICKET)
        world.watchers.open(connection)
        world.watchers.watch(connection, topic, NOW)
    with pytest.raises(TooManyWatchers):
        world.subscriptions.watch_job(world.connect(), JOB_ID, 0)


# ── End ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "end",
    [
        lambda world: world.subscriptions.disconnect("c1"),
        lambda world: world.subscriptions.unwatch_job("c1", JOB_ID),
    ],
    ids=["disconnect", "unwatch"],
)
def test_ended_watch_leaves_nothing(world: World, end: Callable[[World], object]) -> None:
    world.subscriptions.watch_job(world.connect(None), JOB_ID, 0)
    end(world)
    assert world.watchers_of(Topic("alice", JOB_ID, NOW)) == []


def test_unwatch_ends_one_watch_and_may_be_repeated(world: World) -> None:
    connection = world.connect(None)
    world.subscriptions.watch_job(connection, JOB_ID, 0)
    world.subscriptions.watch_owner(connection)
    for _ in range(2):
        world.subscriptions.unwatch_owner(connection)
    assert world.watchers_of(Topic("alice")) == []
    assert world.watchers_of(Topic("alice", JOB_ID, NOW)) == ["c1"]


# ── Ping ─────────────────────────────────────────────────────────────────────────────────────────────


def test_ping_returns_the_number_of_each_watched_jobs_state(world: World) -> None:
    connection = world.connect(None)
    assert world.subscriptions.ping(connection).seqs == {}
    for each in (JOB_ID, OTHER):
        world.subscriptions.watch_job(connection, each, 0)
    world.subscriptions.watch_owner(connection)
    running = running_job()
    world.store.jobs[running.key] = running
    assert world.subscriptions.ping(connection).seqs == {JOB_ID: running.seq, OTHER: new_job().seq}


def test_ping_leaves_out_deleted_jobs_and_their_successors(world: World) -> None:
    connection = world.connect(None)
    for each in (JOB_ID, OTHER):
        world.subscriptions.watch_job(connection, each, 0)
    del world.store.jobs[new_job().key]
    later = new_job(async_job_id=OTHER, now=NOW + timedelta(seconds=1))
    world.store.jobs[later.key] = later
    assert world.subscriptions.ping(connection).seqs == {}


def test_ping_has_a_job_that_was_watched_before_and_after_it_was_submitted_again(world: World) -> None:
    connection, key = world.connect(None), new_job().key
    for second in range(10):
        world.store.jobs[key] = new_job(now=NOW + timedelta(seconds=second), seq=second + 1)
        world.subscriptions.watch_job(connection, JOB_ID, 0)
    assert world.subscriptions.ping(connection).seqs == {JOB_ID: 10}


def test_table_that_does_not_answer_is_unavailable(world: World) -> None:
    connection = world.connect()
    world.watchers.is_down = True
    with pytest.raises(Unavailable):
        world.subscriptions.watch_job(connection, JOB_ID, 0)
