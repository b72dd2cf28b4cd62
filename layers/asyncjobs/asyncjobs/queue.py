"""The queues in SQS. They make jobs start at once; the table remembers them, so a message lost or doubled does no harm."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import ClientError

from asyncjobs import aws
from asyncjobs.errors import MalformedMessage
from asyncjobs.lifecycle import MAX_QUEUE_DELAY, AsyncJob, JobKey, Priority

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_MAX_VISIBILITY = timedelta(hours=11)
"""SQS hides a message for 12 hours at most, counted from when it was received: some minutes ago."""
_GONE = frozenset({"InvalidParameterValue", "ReceiptHandleIsInvalid", "MessageNotInflight"})
"""What SQS calls the receipt handle of a message that was deleted meanwhile."""
_BATCH = 10
_VERSION = 1


@dataclass(frozen=True, slots=True)
class JobMessage:
    """A hint that a job may be run now: all a worker needs to claim it without reading."""

    key: JobKey
    gen: str
    job_type: str
    exclusive_key: str | None = None
    """The lock that the job runs under; None for most."""
    priority: Priority = field(default=Priority.STANDARD, compare=False)
    """Which queue it is sent to. Not in its body: where a message lies tells it, and whoever receives it needs it no more."""

    @classmethod
    def of(cls, job: AsyncJob) -> JobMessage:
        """The message for the job."""
        return cls(job.key, job.gen, job.job_type, job.exclusive_key, job.priority)

    @property
    def group(self) -> str:
        """The owner as SQS may know it, who shares a queue fairly between groups: 64 hexadecimal digits that name nobody."""
        return hashlib.sha256(self.key.owner.encode()).hexdigest()

    def to_body(self) -> str:
        """The message as SQS holds it."""
        return json.dumps(
            {
                "version": _VERSION,
                "owner": self.key.owner,
                "asyncJobId": self.key.async_job_id,
                "gen": self.gen,
                "jobType": self.job_type,
                **({} if self.exclusive_key is None else {"exclusiveKey": self.exclusive_key}),
            }
        )

    @classmethod
    def parse(cls, body: str) -> JobMessage:
        """The message that `to_body` wrote. Raises `MalformedMessage` for anything else, a newer version's too."""
        try:
            fields: Any = json.loads(body)
            version, *texts = (fields[name] for name in ("version", "owner", "asyncJobId", "gen", "jobType"))
            exclusive_key = fields.get("exclusiveKey")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise MalformedMessage(f"Not a job message: {type(error).__name__}.") from error
        texts.append("none" if exclusive_key is None else exclusive_key)
        if version != _VERSION or not all(isinstance(text, str) and text for text in texts):
            raise MalformedMessage("Not a job message of a version this worker knows.")
        owner, async_job_id, gen, job_type, _ = texts
        return cls(JobKey(owner, async_job_id), gen, job_type, exclusive_key)


class Queue(Protocol):
    """Where messages go, each by its priority. Every method raises `Unavailable` when the queue does not answer."""

    def send(self, message: JobMessage, *, delay: timedelta = timedelta(0)) -> None:
        """Put the message into its queue; it is delivered after `delay`, 15 minutes at most."""
        ...

    def send_all(self, messages: Sequence[JobMessage]) -> Sequence[JobMessage]:
        """Put them into their queues. Returns those that a queue refused."""
        ...

    def backlog(self, priority: Priority) -> int:
        """About how many messages wait to be delivered, as of some seconds ago; those of delayed jobs do not wait yet."""
        ...

    def return_after(self, receipt_handle: str, delay: timedelta, *, source: str) -> None:
        """Have a message delivered again after `delay` that was received from the queue whose ARN is `source`."""
        ...


class SqsQueue:
    """A `Queue` in SQS: one queue for each priority, by its URL."""

    def __init__(self, urls: Mapping[str, str], client: SQSClient | None = None) -> None:
        self._urls = urls
        self._client = client or aws.sqs()

    def send(self, message: JobMessage, *, delay: timedelta = timedelta(0)) -> None:
        with aws.translated("The queue"):
            self._client.send_message(
                QueueUrl=self._urls[message.priority],
                MessageBody=message.to_body(),
                MessageGroupId=message.group,
                DelaySeconds=_whole_seconds(min(delay, MAX_QUEUE_DELAY)),
            )

    def send_all(self, messages: Sequence[JobMessage]) -> Sequence[JobMessage]:
        """See `Queue`. A batch may be refused in part, inside an answer that says 200."""
        refused: list[JobMessage] = []
        for batch in _batches(messages):
            with aws.translated("The queue"):
                answer = self._client.send_message_batch(
                    QueueUrl=self._urls[batch[0].priority],
                    Entries=[
                        {"Id": str(index), "MessageBody": message.to_body(), "MessageGroupId": message.group}
                        for index, message in enumerate(batch)
                    ],
                )
            refused += [batch[int(failure["Id"])] for failure in answer.get("Failed", [])]
        return refused

    def backlog(self, priority: Priority) -> int:
        with aws.translated("The queue"):
            answer = self._client.get_queue_attributes(
                QueueUrl=self._urls[priority], AttributeNames=["ApproximateNumberOfMessages"]
            )
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def return_after(self, receipt_handle: str, delay: timedelta, *, source: str) -> None:
        """See `Queue`. A message that is gone by now needs no return: it was delivered twice, and the other one is done.

        Raises `KeyError` for a queue that is none of ours.
        """
        name = source.rpartition(":")[2]
        urls = {url.rpartition("/")[2]: url for url in self._urls.values()}
        try:
            with aws.translated("The queue"):
                self._client.change_message_visibility(
                    QueueUrl=urls[name],
                    ReceiptHandle=receipt_handle,
                    VisibilityTimeout=_whole_seconds(min(delay, _MAX_VISIBILITY)),
                )
        except ClientError as error:
            if aws.error_code(error) not in _GONE:
                raise


def _batches(messages: Sequence[JobMessage]) -> Iterator[Sequence[JobMessage]]:
    """The messages of each queue, as many as it takes at once."""
    for priority in Priority:
        of_one_queue = [message for message in messages if message.priority is priority]
        for start in range(0, len(of_one_queue), _BATCH):
            yield of_one_queue[start : start + _BATCH]


def _whole_seconds(duration: timedelta) -> int:
    """Rounded up: a message that comes back too early finds nothing to do."""
    return max(0, math.ceil(duration.total_seconds()))
