"""Send a job's message: with the delay until the job may start, or not at all."""

from __future__ import annotations

from datetime import timedelta

import pytest

from asyncjobs.core.message import JobMessage
from asyncjobs.service.sender import Sender
from tests.support.factories import NOW, new_job
from tests.support.fakes import FakeClock, FakeQueue
from tests.unit.conftest import Lines


@pytest.fixture
def sender(queue: FakeQueue, clock: FakeClock) -> Sender:
    return Sender(queue, clock)


@pytest.mark.parametrize("delay", [timedelta(0), timedelta(seconds=7), timedelta(minutes=15)])
def test_message_is_delayed_until_the_job_may_start(sender: Sender, queue: FakeQueue, delay: timedelta) -> None:
    job = new_job(delay=delay)
    sender.send(job)
    assert (queue.sent, queue.delays) == ([JobMessage.of(job)], [delay])


def test_message_after_the_start_has_no_delay(sender: Sender, queue: FakeQueue) -> None:
    sender.send(new_job(not_before=NOW - timedelta(seconds=1)))
    assert queue.delays == [timedelta(0)]


def test_start_beyond_the_queues_delay_is_left_to_the_sweeper(sender: Sender, queue: FakeQueue, lines: Lines) -> None:
    sender.send(new_job(delay=timedelta(minutes=15, milliseconds=1)))
    assert (queue.sent, lines.names()) == ([], [])


def test_failed_send_is_logged_and_left_to_the_sweeper(sender: Sender, queue: FakeQueue, lines: Lines) -> None:
    queue.is_down = True
    sender.send(new_job())
    assert lines.names() == ["JOB_ENQUEUE_DEFERRED"]
