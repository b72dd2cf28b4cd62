"""Pushes of a batch of changes to the connections that watch them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import AsyncJob
from asyncjobs.core.records import replace
from asyncjobs.core.watch import Connection, Posted, Topic
from asyncjobs.push.changes import Change
from asyncjobs.push.watchers import MAX_FRAME, WatcherPushes, message_text
from tests.support.factories import JOB_ID, NOW, new_job, running_job
from tests.support.fakes import FakeClock, FakeConnections, FakeWatchers
from tests.unit.conftest import Lines

OTHER = "00000000-0000-4000-8000-000000000001"
END = NOW + timedelta(minutes=15)


class World:
    """The consumer over fakes. A pause moves the clock."""

    def __init__(self, *, threads: int = 4) -> None:
        self.clock, self.watchers, self.connections = FakeClock(NOW), FakeWatchers(), FakeConnections()
        self.pauses: list[float] = []
        self.pushes = WatcherPushes(self.watchers, self.connections, clock=self.clock, threads=threads, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.advance(seconds=seconds)

    def watch(self, name: str, *topics: Topic) -> None:
        self.watchers.open(Connection(name, topics[0].owner, None, END))
        for topic in topics:
            connection = self.watchers.connection(name)
            assert connection is not None
            self.watchers.watch(connection, topic, NOW)

    def seqs(self, name: str) -> list[list[tuple[str, int]]]:
        """Return the jobs and numbers of each message that a connection got."""
        messages = self.connections.sent.get(name, [])
        return [[(each["asyncJobId"], each["seq"]) for each in message["changes"]] for message in messages]


@pytest.fixture
def world() -> World:
    return World()


def changes(*jobs: AsyncJob) -> list[Change]:
    """Return the changes from each job to the next one of the same id."""
    seen: dict[Any, AsyncJob] = {}
    found: list[Change] = []
    for number, job in enumerate(jobs):
        found.append(Change.of(str(number), seen.get(job.key), job))
        seen[job.key] = job
    return found


def steps(count: int, **changed: Any) -> list[AsyncJob]:
    """Return a job at so many moments, each of which a client can see."""
    return [replace(running_job(), seq=number, progress=number, **changed) for number in range(1, count + 1)]


def test_watcher_gets_the_newest_state_of_its_job(world: World) -> None:
    world.watch("c1", Topic("alice", JOB_ID, NOW))
    assert world.pushes.consume(changes(*steps(3))) == ()
    (message,) = world.connections.sent["c1"]
    assert (message["type"], message["more"]) == ("changes", False)
    (change,) = message["changes"]
    assert change == {
        "asyncJobId": JOB_ID,
        "seq": 3,
        "type": "progress",
        "at": "2026-11-21T12:00:00.000Z",
        "status": "IN_PROGRESS",
        "progress": 3,
        "message": None,
        "attempt": 1,
        "code": None,
    }


def test_watcher_learns_the_end_of_a_job_that_was_deleted_and_submitted_again(world: World) -> None:
    """In one batch: both records have the same id."""
    ended = replace(running_job().cancelled(now=NOW), seq=3)
    world.watch("c1", Topic.of_job(ended))
    world.watch("c2", Topic("alice"))
    world.pushes.consume(changes(ended, new_job(now=NOW + timedelta(seconds=1))))
    assert world.seqs("c1") == [[(JOB_ID, 3)]]
    assert world.seqs("c2") == [[(JOB_ID, 3), (JOB_ID, 1)]]


def test_job_that_nobody_watches_is_pushed_to_nobody(world: World) -> None:
    world.watch("c1", Topic("alice", OTHER, NOW), Topic("bob"))
    world.pushes.consume(changes(*steps(2)))
    assert world.connections.order == []


def test_watcher_of_an_owner_gets_all_jobs_in_one_message(world: World) -> None:
    world.watch("c1", Topic("alice"))
    world.pushes.consume(changes(*steps(2), *steps(1, async_job_id=OTHER), *steps(1, owner="bob")))
    assert world.seqs("c1") == [[(JOB_ID, 2), (OTHER, 1)]]


def test_watcher_of_a_job_and_its_owner_gets_each_change_once(world: World) -> None:
    world.watch("c1", Topic("alice"), Topic("alice", JOB_ID, NOW))
    world.pushes.consume(changes(*steps(1)))
    assert world.seqs("c1") == [[(JOB_ID, 1)]]


def test_write_without_an_event_reads_no_watchers(world: World) -> None:
    world.watchers.is_down = True
    beat = replace(running_job(), lease_until=END)
    assert world.pushes.consume([Change("1", running_job(), beat, None)]) == ()


def test_table_that_does_not_answer_has_the_batch_delivered_again(world: World) -> None:
    world.watchers.is_down = True
    with pytest.raises(Unavailable):
        world.pushes.consume(changes(*steps(1)))


def test_closed_connection_is_forgotten_everywhere(world: World) -> None:
    topics = [Topic("alice"), Topic("alice", JOB_ID, NOW)]
    world.watch("c1", *topics)
    world.watch("c2", Topic("alice"))
    world.connections.gone = {"c1"}
    world.pushes.consume(changes(*steps(1)))
    assert world.watchers.of(topics, NOW) == {Topic("alice"): ["c2"]}


def test_dropped_push_is_not_repeated_and_its_watcher_stays(world: World) -> None:
    world.watch("c1", Topic("alice"))
    world.connections.throttled = {"c1"}
    assert world.pushes.consume(changes(*steps(1))) == ()
    assert world.connections.order == ["c1"]
    world.connections.throttled = set()
    world.clock.advance(seconds=1)
    world.pushes.consume(changes(*steps(2)))
    assert world.seqs("c1") == [[(JOB_ID, 2)]]


def test_connection_gets_two_messages_a_second_and_the_newest_state(world: World) -> None:
    world.watch("c1", Topic("alice"))
    for number in range(1, 11):  # ten batches as quickly as they come
        world.pushes.consume(changes(*steps(number)))
    assert world.seqs("c1")[-1] == [(JOB_ID, 10)]
    assert world.clock.now - NOW >= timedelta(seconds=4.5)


def test_connection_that_waits_holds_up_no_other_one(world: World) -> None:
    world.watch("c1", Topic("alice"))
    world.watch("c2", Topic("bob"))
    world.pushes.consume(changes(*steps(1)))
    world.clock.advance(seconds=0.1)
    world.pushes.consume(changes(*steps(2), *steps(1, owner="bob")))
    assert world.connections.order == ["c1", "c2", "c1"]
    assert world.pauses == [pytest.approx(0.4)]


def test_batch_waits_once_for_all_that_wait(world: World) -> None:
    for number in range(30):
        world.watch(f"c{number}", Topic("alice"))
    for count in (1, 2):
        world.pushes.consume(changes(*steps(count)))
    assert world.pauses == [pytest.approx(0.5)]


def test_owners_take_turns() -> None:
    # Several threads take the messages in this order, too, and send them in any.
    world = World(threads=1)
    for number in range(50):
        world.watch(f"a{number}", Topic("alice"))
    world.watch("b", Topic("bob"))
    world.pushes.consume(changes(*steps(1), *steps(1, owner="bob")))
    assert len(world.connections.order) == 51
    assert world.connections.order.index("b") <= 1


def many(count: int, message: str) -> Sequence[Change]:
    jobs = [
        replace(new_job(), async_job_id=f"00000000-0000-4000-8000-{number:012}", seq=1, message=message)
        for number in range(count)
    ]
    return changes(*jobs)


def test_message_that_fits_is_whole() -> None:
    message = json.loads(message_text(many(60, "Page 1")))
    assert (len(message["changes"]), message["more"]) == (60, False)


@pytest.mark.parametrize("message", ["x" * 256, "\N{MUSICAL SYMBOL G CLEF}" * 256, '"' * 256])
def test_message_has_as_many_of_the_newest_as_fit_into_a_frame(message: str) -> None:
    text = message_text(many(100, message))
    found = json.loads(text)
    assert len(text.encode()) <= MAX_FRAME < 32 * 1024
    assert found["more"]
    assert found["changes"][-1]["asyncJobId"].endswith("99")
    assert len(found["changes"]) >= 10


def test_gateway_that_hangs_does_not_use_up_the_time_of_other_tasks(world: World, lines: Lines) -> None:
    job = running_job()
    for number in range(20):
        world.watch(f"c{number:02}", Topic.of_job(job))
    post = world.connections.post

    def hangs(connection_id: str, text: str) -> Posted:
        world.clock.advance(seconds=6)
        return post(connection_id, text)

    world.connections.post = hangs  # type: ignore[method-assign]
    world.pushes.consume(changes(*steps(1)))
    # Four threads had begun before the time was up.
    assert 2 <= len(world.connections.order) <= 6
    assert lines.names() == ["PUSH_DROPPED"] * (20 - len(world.connections.order))


def test_custom_events_are_pushed_before_the_newest_state(world: World) -> None:
    world.watch("c1", Topic("alice", JOB_ID, NOW))
    first, second, third, last = steps(4)
    second, third = (replace(job, named_event=f'{job.seq} rows_loaded {{"rows":{job.seq}}}') for job in (second, third))
    world.pushes.consume(changes(first, second, third, last))
    (message,) = world.connections.sent["c1"]
    assert [(each["seq"], each["type"], each.get("data")) for each in message["changes"]] == [
        (2, "custom", {"rows": 2}),
        (3, "custom", {"rows": 3}),
        (4, "progress", None),
    ]
