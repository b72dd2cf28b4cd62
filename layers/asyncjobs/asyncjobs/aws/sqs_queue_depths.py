"""What the queues hold, for administrators: see `sqs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from asyncjobs.aws import clients
from asyncjobs.core.administration import QueueDepth

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_Count = Literal["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed", "ApproximateNumberOfMessagesNotVisible"]
_COUNTS: Sequence[_Count] = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
)


class SqsQueueDepths:
    """`QueueDepths` in SQS, by their URLs. Its counts are some seconds old."""

    def __init__(self, urls: Mapping[str, str], client: SQSClient | None = None) -> None:
        self._urls = urls
        self._client = client or clients.sqs()

    def depth(self, name: str) -> QueueDepth:
        with clients.unavailable("The queue"):
            answer = self._client.get_queue_attributes(QueueUrl=self._urls[name], AttributeNames=_COUNTS)
        waiting, delayed, in_flight = (int(answer["Attributes"][name]) for name in _COUNTS)
        return QueueDepth(waiting, delayed, in_flight)
