"""The queue and the mapping, against the rules that the failure model takes from AWS's documents (F15 to F23)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.proof.stateful.mapping import Batch, EventSourceMapping
from tests.proof.stateful.memory.sqs import MemorySqs
from tests.support.fakes import FakeClock

URL = "https://sqs/jobs"


class House:
    """A queue with three messages, its dead-letter queue, and a mapping that polls it."""

    def __init__(self) -> None:
        self.clock = FakeClock(datetime(2026, 11, 21, tzinfo=UTC))
        self.dead = MemorySqs(self.clock)
        self.queue = MemorySqs(
            self.clock, url=URL, visibility=timedelta(seconds=30), max_receive_count=3, dead_letters=self.dead
        )
        self.mapping = EventSourceMapping(self.queue, url=URL)
        for body in "abc":
            self.queue.send_message(QueueUrl=URL, MessageBody=body)

    def poll(self, size: int = 10) -> Batch:
        batch = self.mapping.poll(size)
        assert batch is not None
        return batch

    @property
    def left(self) -> list[str]:
        return [message.body for message in self.queue.messages.values()]


@pytest.fixture
def house() -> House:
    return House()


def failures(batch: Batch, *bodies: str) -> dict[str, Any]:
    named = [record["messageId"] for record in batch.records if record["body"] in bodies]
    return {"batchItemFailures": [{"itemIdentifier": name} for name in named]}


def bodies(batch: Batch) -> list[str]:
    return [str(record["body"]) for record in batch.records]


def test_a_batch_is_no_larger_than_asked_for(house: House) -> None:
    assert [bodies(house.poll(2)), bodies(house.poll(2))] == [["a", "b"], ["c"]]


def test_what_is_received_is_hidden_until_its_time_is_over(house: House) -> None:
    house.poll()
    assert house.mapping.poll(10) is None
    house.clock.advance(seconds=30)
    assert bodies(house.poll()) == ["a", "b", "c"]


def test_a_delayed_message_waits(house: House) -> None:
    house.poll()
    house.queue.send_message(QueueUrl=URL, MessageBody="late", DelaySeconds=20)
    assert house.mapping.poll(10) is None
    house.clock.advance(seconds=20)
    assert bodies(house.poll()) == ["late"]


def test_only_what_the_function_names_stays(house: House) -> None:
    batch = house.poll()
    house.mapping.conclude(batch, failures(batch, "b"))
    assert house.left == ["b"]


@pytest.mark.parametrize("answer", [None, {}, {"batchItemFailures": []}, {"batchItemFailures": None}])
def test_an_answer_that_says_nothing_is_success(house: House, answer: object) -> None:
    house.mapping.conclude(house.poll(), answer)
    assert house.left == []


@pytest.mark.parametrize(
    "answer",
    [
        "ok",
        {"batchItemFailures": "a"},
        {"batchItemFailures": ["a"]},
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{"messageId": "jobs-0"}]},
        {"batchItemFailures": [{"itemIdentifier": "jobs-0"}, {"itemIdentifier": "of another batch"}]},
    ],
)
def test_an_answer_that_makes_no_sense_brings_the_whole_batch_back(house: House, answer: object) -> None:
    house.mapping.conclude(house.poll(), answer)
    assert house.left == ["a", "b", "c"]


def test_a_returned_message_comes_when_it_was_told_to(house: House) -> None:
    batch = house.poll()
    handle = batch.records[1]["receiptHandle"]
    house.queue.change_message_visibility(QueueUrl=URL, ReceiptHandle=handle, VisibilityTimeout=5)
    house.mapping.conclude(batch, failures(batch, "b"))
    house.clock.advance(seconds=5)
    assert bodies(house.poll()) == ["b"]


def test_a_message_that_no_invocation_was_to_be_had_for_counts_as_received(house: House) -> None:
    for expected in (1, 2, 3):
        batch = house.poll()
        assert {record["attributes"]["ApproximateReceiveCount"] for record in batch.records} == {str(expected)}
        house.clock.advance(seconds=30)


def test_what_was_received_too_often_is_buried_and_can_be_redriven(house: House) -> None:
    for _ in range(3):
        house.poll()
        house.clock.advance(seconds=30)
    assert house.mapping.poll(10) is None
    assert len(house.dead.messages) == 3
    house.queue.redrive_from(house.dead)
    assert bodies(house.poll()) == ["a", "b", "c"]


def test_a_message_may_come_again_while_it_is_hidden_and_after_it_was_deleted(house: House) -> None:
    batch = house.poll()
    assert bodies(house.mapping.poll_again(batch.records[0]["messageId"])) == ["a"]
    house.mapping.conclude(batch, None)
    assert bodies(house.mapping.poll_again(batch.records[0]["messageId"])) == ["a"]
    assert house.left == []


def test_messages_are_not_kept_for_ever(house: House) -> None:
    house.clock.advance(seconds=4 * 86400)
    assert house.mapping.poll(10) is None
    assert house.left == []


def test_a_deleted_message_cannot_be_returned(house: House) -> None:
    batch = house.poll()
    house.mapping.conclude(batch, None)
    with pytest.raises(ClientError, match="Message does not exist"):
        house.queue.change_message_visibility(
            QueueUrl=URL, ReceiptHandle=batch.records[0]["receiptHandle"], VisibilityTimeout=5
        )


def test_an_old_handle_changes_nothing(house: House) -> None:
    old = house.poll().records[0]["receiptHandle"]
    house.clock.advance(seconds=30)
    house.poll()
    house.queue.change_message_visibility(QueueUrl=URL, ReceiptHandle=old, VisibilityTimeout=0)
    assert house.mapping.poll(10) is None


def test_twelve_hours_are_counted_from_the_receive(house: House) -> None:
    handle = house.poll().records[0]["receiptHandle"]
    house.clock.advance(seconds=1)
    with pytest.raises(ClientError, match="beyond the limit"):
        house.queue.change_message_visibility(QueueUrl=URL, ReceiptHandle=handle, VisibilityTimeout=43200)
