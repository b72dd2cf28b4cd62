"""SQS in memory: standard queues with visibility, delay, retention, receive counts and a dead-letter queue."""

# ruff: noqa: N803 - the parameters have the names that boto3 gives them

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

_TWELVE_HOURS = timedelta(hours=12)
_GROUP = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}")


@dataclass(slots=True)
class Message:
    """A message, visible or not."""

    message_id: str
    url: str
    body: str
    sent_at: datetime
    visible_at: datetime
    sent_by: Any = None
    receive_count: int = 0
    received_at: datetime | None = None
    handles: list[str] = field(default_factory=list)


class MemorySqs:
    """The calls of boto3's `sqs` client that the queue's adapter and Lambda make, on queues with the same properties."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        *,
        urls: Collection[str] = ("https://sqs/jobs",),
        visibility: timedelta = timedelta(seconds=30),
        retention: timedelta = timedelta(days=4),
        max_receive_count: int | None = None,
        dead_letters: MemorySqs | None = None,
        writer: Callable[[], Any] | None = None,
    ) -> None:
        self.messages: dict[str, Message] = {}
        self.sent: list[Message] = []
        self._clock = clock
        self._urls = urls
        self._visibility = visibility
        self._retention = retention
        self._max_receive_count = max_receive_count
        self._dead_letters = dead_letters
        self._writer = writer or (lambda: None)
        self._receives = 0

    # ── The client's calls ─────────────────────────────────────────────────────────────────────────

    def send_message(
        self, *, QueueUrl: str, MessageBody: str, MessageGroupId: str | None = None, DelaySeconds: int = 0
    ) -> dict[str, Any]:
        self._check_url(QueueUrl)
        if MessageGroupId is not None and not _GROUP.fullmatch(MessageGroupId):
            raise _error("InvalidParameterValue", "The MessageGroupId can have 128 letters, digits and punctuation marks.")
        if not 0 <= DelaySeconds <= 900 or not isinstance(DelaySeconds, int):
            raise _error("InvalidParameterValue", f"Value {DelaySeconds} for parameter DelaySeconds is invalid.")
        if not MessageBody:
            raise _error("MissingParameter", "The request must contain the parameter MessageBody.")
        now = self._clock()
        message = Message(
            f"{QueueUrl.rsplit('/', 1)[-1]}-{len(self.sent)}",
            QueueUrl,
            MessageBody,
            now,
            now + timedelta(seconds=DelaySeconds),
            self._writer(),
        )
        self.sent.append(message)
        self.messages[message.message_id] = message
        return {"MessageId": message.message_id}

    def send_message_batch(self, *, QueueUrl: str, Entries: Sequence[Any], refused: int = 0) -> dict[str, Any]:
        """Send a batch. `refused`, which AWS does not have, is the number of failed entries in an answer of 200."""
        self._check_url(QueueUrl)
        if not 1 <= len(Entries) <= 10 or len({entry["Id"] for entry in Entries}) < len(Entries):
            raise _error("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "1 to 10 entries, with ids of their own.")
        taken = Entries[refused:]
        answer: dict[str, Any] = {"Successful": []}
        for entry in taken:
            sent = self.send_message(
                QueueUrl=QueueUrl,
                MessageBody=entry["MessageBody"],
                MessageGroupId=entry.get("MessageGroupId"),
                DelaySeconds=entry.get("DelaySeconds", 0),
            )
            answer["Successful"].append({"Id": entry["Id"], **sent})
        if refused:
            answer["Failed"] = [
                {"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"} for entry in Entries[:refused]
            ]
        return answer

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: Sequence[str]) -> dict[str, Any]:
        self._check_url(QueueUrl)
        if AttributeNames != ["ApproximateNumberOfMessages"]:
            raise _error("InvalidAttributeName", "Unknown Attribute.")
        count = sum(message.url == QueueUrl for message in self.visible())
        return {"Attributes": {"ApproximateNumberOfMessages": str(count)}}

    def change_message_visibility(self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int) -> dict[str, Any]:
        self._check_url(QueueUrl)
        if not 0 <= VisibilityTimeout <= 43200 or not isinstance(VisibilityTimeout, int):
            raise _error("InvalidParameterValue", f"Value {VisibilityTimeout} for parameter VisibilityTimeout is invalid.")
        message, now = self._by_handle(QueueUrl, ReceiptHandle), self._clock()
        if message is None:
            raise _error(
                "InvalidParameterValue",
                "Value for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for "
                "visibility timeout change.",
            )
        until = now + timedelta(seconds=VisibilityTimeout)
        if message.received_at is not None and until > message.received_at + _TWELVE_HOURS:
            raise _error("InvalidParameterValue", "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]")
        # An old handle, or one after its timeout, is accepted and changes nothing.
        if message.handles[-1] == ReceiptHandle and message.visible_at > now:
            message.visible_at = until
        return {}

    def receive_message(self, *, QueueUrl: str, MaxNumberOfMessages: int = 1) -> dict[str, Any]:
        self._check_url(QueueUrl)
        self.forget_old()
        now = self._clock()
        received: list[Message] = []
        for message in [message for message in self.messages.values() if message.visible_at <= now and message.url == QueueUrl]:
            if len(received) == MaxNumberOfMessages:
                break
            if self._max_receive_count is not None and message.receive_count >= self._max_receive_count:
                self._bury(message)
                continue
            received.append(self._receive(message))
        return {"Messages": [_as_received(message) for message in received]} if received else {}

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> dict[str, Any]:
        self._check_url(QueueUrl)
        message = self._by_handle(QueueUrl, ReceiptHandle)
        if message is not None:
            del self.messages[message.message_id]
        return {}

    # ── Events of SQS and its operators ────────────────────────────────────────────────────────────

    def receive_again(self, message_id: str) -> Any:
        """Receive a message again, while it is hidden or after it was deleted, as a standard queue may do."""
        message = next(message for message in self.sent if message.message_id == message_id)
        return _as_received(self._receive(message))

    def lose(self, message_id: str) -> None:
        del self.messages[message_id]

    def purge(self) -> None:
        self.messages.clear()

    def redrive_from(self, dead_letters: MemorySqs) -> None:
        """Move the dead letters back to the queue."""
        for message in dead_letters.messages.values():
            message.receive_count, message.visible_at = 0, self._clock()
            self.messages[message.message_id] = message
        dead_letters.messages.clear()

    def forget_old(self) -> None:
        """Drop messages older than the retention of the queue."""
        horizon = self._clock() - self._retention
        self.messages = {key: message for key, message in self.messages.items() if message.sent_at > horizon}

    def visible(self) -> Sequence[Message]:
        return [message for message in self.messages.values() if message.visible_at <= self._clock()]

    # ── Steps ──────────────────────────────────────────────────────────────────────────────────────

    def _receive(self, message: Message) -> Message:
        now = self._clock()
        self._receives += 1
        message.receive_count += 1
        message.received_at = now
        message.visible_at = now + self._visibility
        message.handles.append(f"{message.message_id}/{self._receives}")
        return message

    def _bury(self, message: Message) -> None:
        del self.messages[message.message_id]
        if self._dead_letters is not None:
            self._dead_letters.messages[message.message_id] = message

    def _by_handle(self, url: str, handle: str) -> Message | None:
        found = next((message for message in self.messages.values() if handle in message.handles), None)
        if found is not None and found.url != url:
            raise _error("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
        return found

    def _check_url(self, url: str) -> None:
        if url not in self._urls:
            raise _error("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")


def _as_received(message: Message) -> dict[str, Any]:
    return {
        "MessageId": message.message_id,
        "QueueUrl": message.url,  # which AWS does not have
        "ReceiptHandle": message.handles[-1],
        "Body": message.body,
        "Attributes": {"ApproximateReceiveCount": str(message.receive_count)},
    }


def _error(code: str, message: str) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(response, "memory")
