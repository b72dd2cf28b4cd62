"""The number of waiting messages: read from each queue at most every five seconds."""

from __future__ import annotations

import pytest

from asyncjobs.core.job import JobKey, Priority
from asyncjobs.core.message import JobMessage
from asyncjobs.limits.backlog import Backlog
from tests.support.fakes import FakeClock, FakeQueue


@pytest.fixture
def backlog(queue: FakeQueue, clock: FakeClock) -> Backlog:
    return Backlog(queue, clock)


def send(queue: FakeQueue, priority: Priority = Priority.STANDARD) -> None:
    queue.send(JobMessage(JobKey("bob", "1"), "gen", "sample.returns", priority=priority))


def test_queue_is_read_again_after_five_seconds(backlog: Backlog, queue: FakeQueue, clock: FakeClock) -> None:
    assert backlog.waiting(Priority.STANDARD) == 0
    send(queue)
    clock.advance(seconds=4.999)
    assert (backlog.waiting(Priority.STANDARD), queue.backlog_reads) == (0, 1)
    clock.advance(seconds=0.001)
    assert (backlog.waiting(Priority.STANDARD), queue.backlog_reads) == (1, 2)


def test_each_priority_has_its_own_number(backlog: Backlog, queue: FakeQueue) -> None:
    for priority in (Priority.HIGH, Priority.LOW, Priority.LOW):
        send(queue, priority)
    assert [backlog.waiting(priority) for priority in Priority] == [1, 0, 2]
    assert queue.backlog_reads == 3


def test_unavailable_queue_has_no_number_and_is_read_again_after_a_minute(
    backlog: Backlog, queue: FakeQueue, clock: FakeClock
) -> None:
    send(queue)
    queue.is_down = True
    assert backlog.waiting(Priority.STANDARD) is None
    queue.is_down = False
    clock.advance(seconds=59.999)
    assert (backlog.waiting(Priority.STANDARD), queue.backlog_reads) == (None, 1)
    clock.advance(seconds=0.001)
    assert backlog.waiting(Priority.STANDARD) == 1


def test_number_is_unknown_once_a_queue_has_become_unavailable(backlog: Backlog, queue: FakeQueue, clock: FakeClock) -> None:
    send(queue)
    assert backlog.waiting(Priority.STANDARD) == 1
    queue.is_down = True
    clock.advance(seconds=5)
    assert backlog.waiting(Priority.STANDARD) is None
