"""Lambda's event source mapping for SQS: polls, invokes, and deletes what the function does not hand back.

The rules are those of the protocol's F15 to F23 and of Lambda's own documents; `test_mapping.py` holds them one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.proof.stateful.memory.sqs import MemorySqs


@dataclass(frozen=True, slots=True)
class Batch:
    """Received messages on their way to the function."""

    records: Sequence[Mapping[str, Any]]

    @property
    def event(self) -> dict[str, Any]:
        """What the function gets."""
        return {"Records": list(self.records)}

    @property
    def message_ids(self) -> frozenset[str]:
        return frozenset(record["messageId"] for record in self.records)


class EventSourceMapping:
    """Between a queue and a function with `ReportBatchItemFailures`."""

    def __init__(self, queue: MemorySqs, *, url: str = "https://sqs/jobs") -> None:
        self._queue = queue
        self._url = url

    def poll(self, size: int) -> Batch | None:
        """Receive up to `size` visible messages."""
        received = self._queue.receive_message(QueueUrl=self._url, MaxNumberOfMessages=size).get("Messages", [])
        return Batch([_record(message) for message in received]) if received else None

    def poll_again(self, message_id: str) -> Batch:
        """A message that was delivered once already, hidden or deleted as it may be: a standard queue promises no less."""
        return Batch([_record(self._queue.receive_again(message_id))])

    def conclude(self, batch: Batch, answer: object) -> None:
        """The function returned: delete what it does not name.

        A function that raised, timed out or was killed never gets here, nor does one that Lambda throttled: the messages
        become visible again when their time is over, and their receive counts stay raised.
        """
        failed = _failed(batch, answer)
        for record in batch.records:
            if record["messageId"] not in failed:
                self._queue.delete_message(QueueUrl=self._url, ReceiptHandle=record["receiptHandle"])


def _failed(batch: Batch, answer: object) -> frozenset[str]:
    """The messages to keep. Nothing said is success; what Lambda cannot make sense of fails the whole batch."""
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
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:jobs",
        "awsRegion": "us-east-1",
    }
