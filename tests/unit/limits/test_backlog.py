"""The number of waiting messages: read from each queue at most every five seconds."""

from __future__ import annotations

import pytest

from asyncjobs.core.job import Priority
from asyncjobs.limits.backlog import Backlog
from tests.support.fakes import FakeClock, FakeQueue
from tests.unit.conftest import Lines


@pytest.fixture
def backlog(queue: FakeQueue, clock: FakeClock) -> Backlog:
    return Backlog(queue, clock)


def test_queue_is_read_again_after_five_seconds(backlog: Backlog, queue: FakeQueue, clock: FakeClock) -> None:
    assert backlog.waiting(Priority.STANDARD) == 0
    queue.add_waiting(1)
    clock.advance(seconds=4.999)
    assert (backlog.waiting(Priority.STANDARD), queue.backlog_reads) == (0, 1)
    clock.advance(seconds=0.001)
    assert (backlog.waiting(Priority.STANDARD), queue.backlog_reads) == (1, 2)


def test_each_priority_has_its_own_number(backlog: Backlog, queue: FakeQueue) -> None:
    for priority in (Priority.HIGH, Priority.LOW, Priority.LOW):
        queue.add_waiting(1, priority)
    assert [backlog.waiting(priority) for priority in Priority] == [1, 0, 2]
    assert queue.backlog_reads == 3


def test_unavailable_queue_has_no_number_and_is_read_again_after_a_minute(
    backlog: Backlog, queue: FakeQueue, clock: FakeClock
) -> None:
    queue.add_waiting(1)
    queue.is_down = True
    assert backlog.waiting(Priority.STANDARD) is None
    queue.is_down = False
    clock.advance(seconds=59.999)
    assert (backlog.waiting(Priority.STANDARD), queue.backlog_reads) == (None, 1)
    clock.advance(seconds=0.001)
    assert backlog.waiting(Priority.STANDARD) == 1


def test_queue_that_cannot_be_counted_is_logged_once_a_minute(
    backlog: Backlog, queue: FakeQueue, clock: FakeClock, lines: Lines
) -> None:
    queue.is_down = True
    for _ in range(4):
        backlog.waiting(Priority.STANDARD)
        clock.advance(seconds=20)
    assert lines.events == [{"message": "BACKLOG_UNAVAILABLE", "reason": "The queue is down."}] * 2


def test_number_is_unknown_once_a_queue_has_become_unavailable(backlog: Backlog, queue: FakeQueue, clock: FakeClock) -> None:
    queue.add_waiting(1)
    assert backlog.waiting(Priority.STANDARD) == 1
    queue.is_down = True
    clock.advance(seconds=5)
    assert backlog.waiting(Priority.STANDARD) is None
