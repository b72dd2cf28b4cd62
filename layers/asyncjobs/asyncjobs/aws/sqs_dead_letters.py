"""The queue of messages that could not be delivered, for administrators: see `sqs`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from asyncjobs.aws import clients
from asyncjobs.core.administration import DeadLetter

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_BATCH = 10
_HIDDEN_SECONDS = 30
"""Longer than the function runs: a letter that a request receives is not received by another one before it is deleted."""
_WAIT_SECONDS = 1
"""A request that waits queries all of SQS's servers; one that does not may miss messages."""


class SqsDeadLetters:
    """`DeadLetters` in SQS."""

    def __init__(self, url: str, client: SQSClient | None = None) -> None:
        self._url = url
        self._client = client or clients.sqs()

    def receive(self, *, at_most: int) -> Sequence[DeadLetter]:
        found: dict[str, DeadLetter] = {}
        while len(found) < at_most:
            with clients.unavailable("The queue"):
                answer = self._client.receive_message(
                    QueueUrl=self._url,
                    MaxNumberOfMessages=min(_BATCH, at_most - len(found)),
                    VisibilityTimeout=_HIDDEN_SECONDS,
                    WaitTimeSeconds=_WAIT_SECONDS,
                )
            messages = answer.get("Messages", [])
            if not messages:
                break
            # SQS may deliver a message twice all the same.
            found |= {each["MessageId"]: DeadLetter(each["ReceiptHandle"], each["Body"]) for each in messages}
        return list(found.values())

    def delete(self, letters: Sequence[DeadLetter]) -> None:
        for start in range(0, len(letters), _BATCH):
            entries = enumerate(letters[start : start + _BATCH])
            with clients.unavailable("The queue"):
                self._client.delete_message_batch(
                    QueueUrl=self._url,
                    Entries=[{"Id": str(index), "ReceiptHandle": letter.handle} for index, letter in entries],
                )
