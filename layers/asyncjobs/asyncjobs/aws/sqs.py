"""The queues in SQS. They only reduce latency: the table has the jobs, so lost and duplicate messages do no harm."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from asyncjobs.aws import clients
from asyncjobs.core.job import MAX_QUEUE_DELAY, Priority
from asyncjobs.core.message import JobMessage

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_MAX_VISIBILITY = timedelta(hours=11)
"""SQS hides a message for 12 hours at most, counted from its receipt some minutes ago."""
_DELETED = frozenset(
    {
        "InvalidParameterValue",
        "ReceiptHandleIsInvalid",
        "MessageNotInflight",
        "AWS.SimpleQueueService.MessageNotInflight",  # as the JSON protocol names the same error
    }
)
"""SQS's error codes for the receipt handle of a message that was deleted meanwhile."""
_BATCH = 10


class SqsQueue:
    """A `Queue` in SQS: one queue for each priority and one for deliveries, by its URL."""

    def __init__(self, urls: Mapping[str, str], client: SQSClient | None = None) -> None:
        self._urls = urls
        self._client = client or clients.sqs()

    def send(self, message: JobMessage, *, delay: timedelta = timedelta(0)) -> None:
        with clients.unavailable("The queue"):
            self._client.send_message(
                QueueUrl=self._urls[message.queue],
                MessageBody=message.to_body(),
                MessageGroupId=message.group,
                DelaySeconds=_whole_seconds(min(delay, MAX_QUEUE_DELAY)),
            )

    def send_all(self, messages: Sequence[JobMessage]) -> Sequence[JobMessage]:
        """See `Queue`. SQS may refuse a part of a batch in an answer with status 200."""
        refused: list[JobMessage] = []
        for batch in _batches(messages):
            with clients.unavailable("The queue"):
                answer = self._client.send_message_batch(
                    QueueUrl=self._urls[batch[0].queue],
                    Entries=[
                        {"Id": str(index), "MessageBody": message.to_body(), "MessageGroupId": message.group}
                        for index, message in enumerate(batch)
                    ],
                )
            refused += [batch[int(failure["Id"])] for failure in answer.get("Failed", [])]
        return refused

    def backlog(self, priority: Priority) -> int:
        with clients.unavailable("The queue"):
            answer = self._client.get_queue_attributes(
                QueueUrl=self._urls[priority], AttributeNames=["ApproximateNumberOfMessages"]
            )
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def return_after(self, receipt_handle: str, delay: timedelta, *, source: str) -> None:
        """See `Queue`. A deleted message needs no return: it was delivered twice, and the other delivery is done.

        Raises `KeyError` for the ARN of any other queue.
        """
        name = source.rpartition(":")[2]
        urls = {url.rpartition("/")[2]: url for url in self._urls.values()}
        try:
            with clients.translated("The queue"):
                self._client.change_message_visibility(
                    QueueUrl=urls[name],
                    ReceiptHandle=receipt_handle,
                    VisibilityTimeout=_whole_seconds(min(delay, _MAX_VISIBILITY)),
                )
        except ClientError as error:
            if clients.error_code(error) not in _DELETED:
                raise


def _batches(messages: Sequence[JobMessage]) -> Iterator[Sequence[JobMessage]]:
    """Yield batches of messages, each for one queue."""
    for queue in dict.fromkeys(message.queue for message in messages):
        of_one_queue = [message for message in messages if message.queue == queue]
        for start in range(0, len(of_one_queue), _BATCH):
            yield of_one_queue[start : start + _BATCH]


def _whole_seconds(duration: timedelta) -> int:
    """Round up: a message that returns too early finds nothing to do."""
    return max(0, math.ceil(duration.total_seconds()))
