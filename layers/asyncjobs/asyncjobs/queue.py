"""The queue in SQS. It makes jobs start at once; the table remembers them, so a message lost or doubled does no harm."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import ClientError

from asyncjobs import aws
from asyncjobs.errors import MalformedMessage
from asyncjobs.lifecycle import MAX_QUEUE_DELAY, AsyncJob, JobKey

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

    @classmethod
    def of(cls, job: AsyncJob) -> JobMessage:
        """The message for the job."""
        return cls(job.key, job.gen, job.job_type, job.exclusive_key)

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
    """Where messages go. Every method raises `Unavailable` when the queue does not answer."""

    def send(self, message: JobMessage, *, delay: timedelta = timedelta(0)) -> None:
        """Put the message into the queue; it is delivered after `delay`, 15 minutes at most."""
        ...

    def send_all(self, messages: Sequence[JobMessage]) -> Sequence[JobMessage]:
        """Put them into the queue. Returns those that the queue refused."""
        ...

    def backlog(self) -> int:
        """About how many messages wait to be delivered, as of some seconds ago; those of delayed jobs do not wait yet."""
        ...

    def return_after(self, receipt_handle: str, delay: timedelta) -> None:
        """Have a received message delivered again after `delay`."""
        ...


class SqsQueue:
    """A `Queue` in SQS."""

    def __init__(self, url: str, client: SQSClient | None = None) -> None:
        self._url = url
        self._client = client or aws.sqs()

    def send(self, message: JobMessage, *, delay: timedelta = timedelta(0)) -> None:
        with aws.translated("The queue"):
            self._client.send_message(
                QueueUrl=self._url, MessageBody=message.to_body(), DelaySeconds=_whole_seconds(min(delay, MAX_QUEUE_DELAY))
            )

    def send_all(self, messages: Sequence[JobMessage]) -> Sequence[JobMessage]:
        """See `Queue`. A batch may be refused in part, inside an answer that says 200."""
        refused: list[JobMessage] = []
        for start in range(0, len(messages), _BATCH):
            batch = messages[start : start + _BATCH]
            with aws.translated("The queue"):
                answer = self._client.send_message_batch(
                    QueueUrl=self._url,
                    Entries=[{"Id": str(index), "MessageBody": message.to_body()} for index, message in enumerate(batch)],
                )
            refused += [batch[int(failure["Id"])] for failure in answer.get("Failed", [])]
        return refused

    def backlog(self) -> int:
        with aws.translated("The queue"):
            answer = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def return_after(self, receipt_handle: str, delay: timedelta) -> None:
        """See `Queue`. A message that is gone by now needs no return: it was delivered twice, and the other one is done."""
        try:
            with aws.translated("The queue"):
                self._client.change_message_visibility(
                    QueueUrl=self._url,
                    ReceiptHandle=receipt_handle,
                    VisibilityTimeout=_whole_seconds(min(delay, _MAX_VISIBILITY)),
                )
        except ClientError as error:
            if aws.error_code(error) not in _GONE:
                raise


def _whole_seconds(duration: timedelta) -> int:
    """Rounded up: a message that comes back too early finds nothing to do."""
    return max(0, math.ceil(duration.total_seconds()))
