"""The soak's receiver: what it fails, and what counts as a missed delivery."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.proof.soak.deliveries import MOST_FAILURES, End, FailingReceiver, failing_receiver
from tests.support.receiver import Received


@pytest.fixture
def failing() -> Iterator[FailingReceiver]:
    with failing_receiver(random.Random(1)) as receiver:
        yield receiver


def delivery(webhook_id: str, *, at: str = "2026-11-26T12:00:00Z") -> Received:
    data = {"asyncJobId": "a", "seq": 3, "status": "FAILED", "at": at}
    return Received({"webhook-id": webhook_id}, b"", {"type": "job.failed", "data": data})


def accept(failing: FailingReceiver, received: Received) -> int:
    """Deliver until it is accepted, and return how often it was not."""
    for number in range(MOST_FAILURES + 1):
        if failing.receiver.answer(received, 0)[0] == 204:
            return number
    raise AssertionError("It fails without end.")


def test_receiver_fails_half_of_the_time_and_no_delivery_without_end(failing: FailingReceiver) -> None:
    failures = sum(accept(failing, delivery(str(number))) for number in range(200))
    assert failures == failing.failures
    assert 0.4 < failures / failing.tries.total() < 0.6


def test_end_is_missed_until_it_is_accepted(failing: FailingReceiver) -> None:
    ends = [End("a", 3, "FAILED"), End("a", 4, "COMPLETED"), End("b", 3, "FAILED")]
    assert failing.missed(ends) == ends
    accept(failing, delivery("d1"))
    assert failing.missed(ends) == ends[1:]


def test_end_with_two_ids_is_found(failing: FailingReceiver) -> None:
    for _ in range(2):
        accept(failing, delivery("d1"))
    # The same number of another job, which has the id of a deleted one.
    accept(failing, delivery("d2", at="2026-11-26T13:00:00Z"))
    assert failing.broken() == []
    accept(failing, delivery("d3"))
    (fault,) = failing.broken()
    assert "['d1', 'd3']" in fault


def test_unsigned_delivery_is_found(failing: FailingReceiver) -> None:
    assert failing.receiver.answer(Received({"webhook-id": "d1"}, b"", None), 0)[0] == 401
    assert failing.broken() == ["1 deliveries were not signed"]
