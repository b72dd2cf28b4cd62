"""Lambda's event source mappings for SQS: each polls, invokes, and deletes the messages that the function does not report.

The rules are those of the protocol's F15 to F23 and of Lambda's documentation; `test_mapping.py` tests each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.proof.stateful.memory.sqs import MemorySqs

_SERVICE = "https://sqs/"
_ARN = "arn:aws:sqs:us-east-1:000000000000:"


@dataclass(frozen=True, slots=True)
class Batch:
    """Received messages for one invocation."""

    records: Sequence[Mapping[str, Any]]

    @property
    def event(self) -> dict[str, Any]:
        """Return the function's event."""
        return {"Records": list(self.records)}

    @property
    def message_ids(self) -> frozenset[str]:
        return frozenset(record["messageId"] for record in self.records)


class EventSourceMapping:
    """The mappings of queues to a function with `ReportBatchItemFailures`. The one whose message came first polls."""

    def __init__(self, queue: MemorySqs) -> None:
        self._queue = queue

    def poll(self, size: int) -> Batch | None:
        """Receive up to `size` visible messages of one queue."""
        # Those that are received too often become dead letters instead.
        for url in dict.fromkeys(message.url for message in self._queue.visible()):
            received = self._queue.receive_message(QueueUrl=url, MaxNumberOfMessages=size).get("Messages", [])
            if received:
                return Batch([_record(message) for message in received])
        return None

    def poll_again(self, message_id: str) -> Batch:
        """Receive a message again, even while it is hidden or after it was deleted: a standard queue may do that."""
        return Batch([_record(self._queue.receive_again(message_id))])

    def conclude(self, batch: Batch, answer: object) -> None:
        """Delete the messages that the function's answer does not report.

        This is not called after a function raised, timed out, was killed or was throttled: its messages become visible again
        after their timeout, and their receive counts stay raised.
        """
        failed = _failed(batch, answer)
        for record in batch.records:
            if record["messageId"] not in failed:
                url = f"{_SERVICE}{record['eventSourceARN'].removeprefix(_ARN)}"
                self._queue.delete_message(QueueUrl=url, ReceiptHandle=record["receiptHandle"])


def _failed(batch: Batch, answer: object) -> frozenset[str]:
    """Return the messages to keep. An empty answer is success; an invalid one fails the whole batch."""
    if not answer:
        return frozenset()
    if not isinstance(answer, dict):
        return batch.message_ids
    failures = answer.get("batchItemFailures")
    if not failures:
        return frozenset()
    if not isinstance(failures, list) or not all(isinstance(failure, dict) for failure in failures):
        return batch.message_ids
    named = [failure.get("itemIdentifier") for failure in failures]
    if not all(isinstance(name, str) and name in batch.message_ids for name in named):
        return batch.message_ids
    return frozenset(named)


def _record(message: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message["Attributes"]),
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": f"{_ARN}{message['QueueUrl'].removeprefix(_SERVICE)}",
        "awsRegion": "us-east-1",
    }
