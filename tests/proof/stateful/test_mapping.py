"""The queue and the mapping follow the rules that the failure model takes from AWS's documentation (F15 to F23)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.proof.stateful.mapping import Batch, EventSourceMapping
from tests.proof.stateful.memory.sqs import MemorySqs
from tests.support.fakes import FakeClock

URL, OTHER = "https://sqs/jobs", "https://sqs/others"


class MappedQueue:
    """A queue with three messages, its dead-letter queue, and its mapping."""

    def __init__(self) -> None:
        self.clock = FakeClock(datetime(2026, 11, 21, tzinfo=UTC))
        self.dead = MemorySqs(self.clock)
        self.queue = MemorySqs(
            self.clock, urls=(URL, OTHER), visibility=timedelta(seconds=30), max_receive_count=3, dead_letters=self.dead
        )
        self.mapping = EventSourceMapping(self.queue)
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
def mapped() -> MappedQueue:
    return MappedQueue()


def failures(batch: Batch, *bodies: str) -> dict[str, Any]:
    named = [record["messageId"] for record in batch.records if record["body"] in bodies]
    return {"batchItemFailures": [{"itemIdentifier": name} for name in named]}


def bodies(batch: Batch) -> list[str]:
    return [str(record["body"]) for record in batch.records]


def test_batch_is_no_larger_than_requested(mapped: MappedQueue) -> None:
    assert [bodies(mapped.poll(2)), bodies(mapped.poll(2))] == [["a", "b"], ["c"]]


def test_received_message_is_hidden_until_its_timeout(mapped: MappedQueue) -> None:
    mapped.poll()
    assert mapped.mapping.poll(10) is None
    mapped.clock.advance(seconds=30)
    assert bodies(mapped.poll()) == ["a", "b", "c"]


def test_batch_is_of_one_queue(mapped: MappedQueue) -> None:
    for _ in range(2):
        mapped.queue.send_message(QueueUrl=OTHER, MessageBody="other")
    mapped.queue.send_message(QueueUrl=URL, MessageBody="d")
    batches = [mapped.poll(), mapped.poll()]
    assert [bodies(batch) for batch in batches] == [["a", "b", "c", "d"], ["other", "other"]]
    with pytest.raises(ClientError, match="receipt handle is invalid"):
        mapped.queue.change_message_visibility(
            QueueUrl=URL, ReceiptHandle=batches[1].records[0]["receiptHandle"], VisibilityTimeout=5
        )
    for batch in batches:
        mapped.mapping.conclude(batch, None)
    assert mapped.left == []


def test_delayed_message_waits(mapped: MappedQueue) -> None:
    mapped.poll()
    mapped.queue.send_message(QueueUrl=URL, MessageBody="late", DelaySeconds=20)
    assert mapped.mapping.poll(10) is None
    mapped.clock.advance(seconds=20)
    assert bodies(mapped.poll()) == ["late"]


def test_only_reported_messages_stay(mapped: MappedQueue) -> None:
    batch = mapped.poll()
    mapped.mapping.conclude(batch, failures(batch, "b"))
    assert mapped.left == ["b"]


@pytest.mark.parametrize("answer", [None, {}, {"batchItemFailures": []}, {"batchItemFailures": None}])
def test_empty_answer_is_success(mapped: MappedQueue, answer: object) -> None:
    mapped.mapping.conclude(mapped.poll(), answer)
    assert mapped.left == []


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
def test_invalid_answer_returns_the_whole_batch(mapped: MappedQueue, answer: object) -> None:
    mapped.mapping.conclude(mapped.poll(), answer)
    assert mapped.left == ["a", "b", "c"]


def test_returned_message_comes_after_its_timeout(mapped: MappedQueue) -> None:
    batch = mapped.poll()
    handle = batch.records[1]["receiptHandle"]
    mapped.queue.change_message_visibility(QueueUrl=URL, ReceiptHandle=handle, VisibilityTimeout=5)
    mapped.mapping.conclude(batch, failures(batch, "b"))
    mapped.clock.advance(seconds=5)
    assert bodies(mapped.poll()) == ["b"]


def test_message_of_a_throttled_invocation_counts_as_received(mapped: MappedQueue) -> None:
    for expected in (1, 2, 3):
        batch = mapped.poll()
        assert {record["attributes"]["ApproximateReceiveCount"] for record in batch.records} == {str(expected)}
        mapped.clock.advance(seconds=30)


def test_message_received_too_often_is_a_dead_letter_and_can_be_redriven(mapped: MappedQueue) -> None:
    for _ in range(3):
        mapped.poll()
        mapped.clock.advance(seconds=30)
    assert mapped.mapping.poll(10) is None
    assert len(mapped.dead.messages) == 3
    mapped.queue.redrive_from(mapped.dead)
    assert bodies(mapped.poll()) == ["a", "b", "c"]


def test_message_may_come_again_while_hidden_and_after_its_deletion(mapped: MappedQueue) -> None:
    batch = mapped.poll()
    assert bodies(mapped.mapping.poll_again(batch.records[0]["messageId"])) == ["a"]
    mapped.mapping.conclude(batch, None)
    assert bodies(mapped.mapping.poll_again(batch.records[0]["messageId"])) == ["a"]
    assert mapped.left == []


def test_messages_expire(mapped: MappedQueue) -> None:
    mapped.clock.advance(seconds=4 * 86400)
    assert mapped.mapping.poll(10) is None
    assert mapped.left == []


def test_deleted_message_cannot_be_returned(mapped: MappedQueue) -> None:
    batch = mapped.poll()
    mapped.mapping.conclude(batch, None)
    with pytest.raises(ClientError, match="Message does not exist"):
        mapped.queue.change_message_visibility(
            QueueUrl=URL, ReceiptHandle=batch.records[0]["receiptHandle"], VisibilityTimeout=5
        )


def test_old_receipt_handle_changes_nothing(mapped: MappedQueue) -> None:
    old = mapped.poll().records[0]["receiptHandle"]
    mapped.clock.advance(seconds=30)
    mapped.poll()
    mapped.queue.change_message_visibility(QueueUrl=URL, ReceiptHandle=old, VisibilityTimeout=0)
    assert mapped.mapping.poll(10) is None


def test_twelve_hours_are_counted_from_the_receive(mapped: MappedQueue) -> None:
    handle = mapped.poll().records[0]["receiptHandle"]
    mapped.clock.advance(seconds=1)
    with pytest.raises(ClientError, match="beyond the limit"):
        mapped.queue.change_message_visibility(QueueUrl=URL, ReceiptHandle=handle, VisibilityTimeout=43200)
