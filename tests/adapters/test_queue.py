"""The contract of every queue, and the requests that SQS receives."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from asyncjobs.aws.sqs import SqsQueue
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import DELIVERY, JobKey, Priority
from asyncjobs.core.message import DELIVERIES, JobMessage
from asyncjobs.core.ports import Queue
from tests.support.factories import new_job
from tests.support.fakes import FakeQueue


def message(number: int, priority: Priority = Priority.STANDARD, owner: str = "alice") -> JobMessage:
    return JobMessage(JobKey(owner, f"job-{number}"), "gen", "sample.returns", priority=priority)


Placed = tuple[str, str, str]
"""A message's job, its message group, and its queue."""


QUEUES = (*(each.value for each in Priority), DELIVERIES)


@dataclass
class Sqs:
    """Queues in moto, the requests they received, and the messages they deliver."""

    queue: SqsQueue
    client: Any
    urls: dict[str, str]
    calls: list[tuple[str, dict[str, Any]]]

    @property
    def url(self) -> str:
        return self.urls[Priority.STANDARD]

    def arn(self, priority: Priority = Priority.STANDARD) -> str:
        answer = self.client.get_queue_attributes(QueueUrl=self.urls[priority], AttributeNames=["QueueArn"])
        return str(answer["Attributes"]["QueueArn"])

    def received(self) -> list[JobMessage]:
        return [JobMessage.parse(message["Body"]) for queue in QUEUES for message in self._received(queue)]

    def placed(self) -> list[Placed]:
        return [
            (JobMessage.parse(message["Body"]).key.async_job_id, message["Attributes"]["MessageGroupId"], queue)
            for queue in QUEUES
            for message in self._received(queue)
        ]

    def _received(self, queue: str) -> Iterator[Any]:
        asked = {"MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["MessageGroupId"]}
        while batch := self.client.receive_message(QueueUrl=self.urls[queue], **asked).get("Messages"):
            yield from batch


@pytest.fixture(scope="module")
def client(request: pytest.FixtureRequest) -> Any:
    request.getfixturevalue("aws_account")
    return boto3.client("sqs")


@pytest.fixture
def sqs(client: Any) -> Iterator[Sqs]:
    """Return empty queues in moto."""
    calls: list[tuple[str, dict[str, Any]]] = []

    def remember(params: dict[str, Any], model: Any, **_: Any) -> None:
        calls.append((model.name, params))

    client.meta.events.register("provide-client-params.sqs", remember)
    urls: dict[str, str] = {each: client.create_queue(QueueName=f"{each}-{uuid.uuid4().hex}")["QueueUrl"] for each in QUEUES}
    yield Sqs(SqsQueue(urls, client), client, urls, calls)
    client.meta.events.unregister("provide-client-params.sqs", remember)


@pytest.fixture(params=["fake", "moto"])
def queue_and_received(request: pytest.FixtureRequest) -> tuple[Queue, Callable[[], list[JobMessage]]]:
    """Return an empty queue, and a function that returns its messages."""
    if request.param == "fake":
        fake = FakeQueue()
        return fake, lambda: fake.sent
    sqs: Sqs = request.getfixturevalue("sqs")
    return sqs.queue, sqs.received


@pytest.fixture(params=["fake", "moto"])
def queue_and_placed(request: pytest.FixtureRequest) -> tuple[Queue, Callable[[], list[Placed]]]:
    """Return an empty queue, and a function that returns the place of each message."""
    if request.param == "fake":
        fake = FakeQueue()
        return fake, lambda: [(message.key.async_job_id, message.group, message.queue) for message in fake.sent]
    sqs: Sqs = request.getfixturevalue("sqs")
    return sqs.queue, sqs.placed


# ── Both ───────────────────────────────────────────────────────────────────────────────────────────


def test_message_round_trips(queue_and_received: tuple[Queue, Callable[[], list[JobMessage]]]) -> None:
    queue, received = queue_and_received
    sent = JobMessage(JobKey("auth0|42 #", "job"), "gen", "sample.returns")
    queue.send(sent)
    assert received() == [sent]


@pytest.mark.parametrize("count", [0, 1, 10, 23])
def test_every_message_of_a_batch_arrives(queue_and_received: tuple[Queue, Callable[[], list[JobMessage]]], count: int) -> None:
    queue, received = queue_and_received
    sent = [message(number) for number in range(count)]
    assert queue.send_all(sent) == []
    assert sorted(received(), key=repr) == sorted(sent, key=repr)


def test_backlog_leaves_out_delayed_messages(
    queue_and_received: tuple[Queue, Callable[[], list[JobMessage]]],
) -> None:
    queue, _ = queue_and_received
    assert queue.backlog(Priority.STANDARD) == 0
    queue.send_all([message(number) for number in range(3)])
    queue.send(message(4))
    queue.send(message(5), delay=timedelta(minutes=5))
    assert queue.backlog(Priority.STANDARD) == 4


def test_each_priority_has_its_own_backlog(
    queue_and_received: tuple[Queue, Callable[[], list[JobMessage]]],
) -> None:
    queue, _ = queue_and_received
    queue.send_all([message(1), message(2, Priority.LOW), message(3, Priority.LOW)])
    assert {priority: queue.backlog(priority) for priority in Priority} == {"high": 0, "standard": 1, "low": 2}


def test_message_is_in_the_queue_of_its_priority_and_the_group_of_its_owner(
    queue_and_placed: tuple[Queue, Callable[[], list[Placed]]],
) -> None:
    queue, placed = queue_and_placed
    alone = [message(number, priority, owner="a" * 128) for number, priority in enumerate(Priority)]
    together = [message(10 + number, list(Priority)[number % 3], owner=f"bob-{number % 2}") for number in range(23)]
    for each in alone:
        queue.send(each)
    assert queue.send_all(together) == []
    expected = [(each.key.async_job_id, each.group, each.priority) for each in (*alone, *together)]
    assert sorted(placed()) == sorted(expected)
    assert len({group for _, group, _ in expected}) == 3


def test_deliveries_have_a_queue_of_their_own_and_count_in_no_backlog(
    queue_and_placed: tuple[Queue, Callable[[], list[Placed]]],
) -> None:
    queue, placed = queue_and_placed
    delivery = JobMessage.of(new_job(job_type=DELIVERY))
    queue.send(delivery)
    assert queue.send_all([delivery, message(1)]) == []
    assert {priority: queue.backlog(priority) for priority in Priority} == {"high": 0, "standard": 1, "low": 0}
    assert sorted(queue for _, _, queue in placed()) == [DELIVERIES, DELIVERIES, "standard"]


# ── SQS ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        (timedelta(0), 0),
        (timedelta(milliseconds=1), 1),
        (timedelta(seconds=30), 30),
        (timedelta(seconds=30, milliseconds=1), 31),
        (timedelta(minutes=15), 900),
        (timedelta(days=1), 900),
        (timedelta(seconds=-5), 0),
    ],
)
def test_delay_is_rounded_up_to_whole_seconds(sqs: Sqs, delay: timedelta, seconds: int) -> None:
    sqs.queue.send(message(1), delay=delay)
    assert sqs.calls[-1][1]["DelaySeconds"] == seconds


def test_delayed_message_does_not_arrive_early(sqs: Sqs) -> None:
    sqs.queue.send(message(1), delay=timedelta(minutes=5))
    assert sqs.received() == []


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        (timedelta(0), 0),
        (timedelta(seconds=-1), 0),
        (timedelta(seconds=2.001), 3),
        (timedelta(hours=11), 39600),
        # SQS allows 12 hours, counted from the receive.
        (timedelta(hours=12), 39600),
        (timedelta(days=2), 39600),
    ],
)
def test_returned_message_is_hidden_for_whole_seconds(sqs: Sqs, delay: timedelta, seconds: int) -> None:
    sqs.queue.send(message(1))
    (received,) = sqs.client.receive_message(QueueUrl=sqs.url)["Messages"]
    sqs.queue.return_after(received["ReceiptHandle"], delay, source=sqs.arn())
    name, params = sqs.calls[-1]
    assert (name, params["VisibilityTimeout"]) == ("ChangeMessageVisibility", seconds)


def test_message_returned_without_a_delay_arrives_again(sqs: Sqs) -> None:
    sqs.queue.send(message(1))
    (received,) = sqs.client.receive_message(QueueUrl=sqs.url)["Messages"]
    assert sqs.received() == []
    sqs.queue.return_after(received["ReceiptHandle"], timedelta(0), source=sqs.arn())
    assert sqs.received() == [message(1)]


@pytest.mark.parametrize("priority", Priority)
def test_message_is_returned_to_its_own_queue(sqs: Sqs, priority: Priority) -> None:
    sqs.queue.send(message(1, priority))
    (received,) = sqs.client.receive_message(QueueUrl=sqs.urls[priority])["Messages"]
    sqs.queue.return_after(received["ReceiptHandle"], timedelta(0), source=sqs.arn(priority))
    assert sqs.received() == [message(1)]
    assert sqs.calls[-1][1]["QueueUrl"] != sqs.url or priority is Priority.STANDARD


def test_message_of_an_unknown_queue_is_not_returned(sqs: Sqs) -> None:
    with pytest.raises(KeyError, match="another"):
        sqs.queue.return_after("handle", timedelta(0), source="arn:aws:sqs:us-east-1:123456789012:another")


def test_messages_are_sent_in_batches_of_ten(sqs: Sqs) -> None:
    sqs.queue.send_all([message(number) for number in range(23)])
    batches = [params["Entries"] for name, params in sqs.calls if name == "SendMessageBatch"]
    assert [len(entries) for entries in batches] == [10, 10, 3]


def test_batch_holds_messages_of_one_queue(sqs: Sqs) -> None:
    sqs.queue.send_all([message(number, list(Priority)[number % 2]) for number in range(24)])
    batches = [(params["QueueUrl"], len(params["Entries"])) for name, params in sqs.calls if name == "SendMessageBatch"]
    high, standard = sqs.urls[Priority.HIGH], sqs.url
    assert batches == [(high, 10), (high, 2), (standard, 10), (standard, 2)]


def test_failed_entries_of_a_batch_are_returned(sqs: Sqs) -> None:
    sent = [message(number) for number in range(12)]
    with Stubber(sqs.client) as stub:
        for accepted, refused in ((range(10), [3, 9]), (range(2), [1])):
            stub.add_response(
                "send_message_batch",
                {
                    "Successful": [
                        {"Id": str(number), "MessageId": "x", "MD5OfMessageBody": "x"}
                        for number in accepted
                        if number not in refused
                    ],
                    "Failed": [{"Id": str(number), "SenderFault": False, "Code": "InternalError"} for number in refused],
                },
            )
        assert sqs.queue.send_all(sent) == [sent[3], sent[9], sent[11]]


@pytest.mark.parametrize("code", ["AccessDenied", "AWS.SimpleQueueService.NonExistentQueue", "KmsDisabled"])
def test_queue_that_refuses_is_unavailable_whatever_the_reason(sqs: Sqs, code: str) -> None:
    message = JobMessage.of(new_job())
    calls: dict[str, Callable[[], object]] = {
        "get_queue_attributes": lambda: sqs.queue.backlog(Priority.STANDARD),
        "send_message": lambda: sqs.queue.send(message),
        "send_message_batch": lambda: sqs.queue.send_all([message]),
    }
    for operation, call in calls.items():
        with Stubber(sqs.client) as stub:
            stub.add_client_error(operation, code)
            with pytest.raises(Unavailable, match=code):
                call()


@pytest.mark.parametrize(
    "code",
    ["InvalidParameterValue", "ReceiptHandleIsInvalid", "MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight"],
)
def test_return_of_a_deleted_message_is_no_error(sqs: Sqs, code: str) -> None:
    arn = sqs.arn()
    with Stubber(sqs.client) as stub:
        stub.add_client_error("change_message_visibility", code)
        sqs.queue.return_after("handle", timedelta(0), source=arn)


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("send_message", lambda queue, _: queue.send(message(1))),
        ("send_message_batch", lambda queue, _: queue.send_all([message(1)])),
        ("get_queue_attributes", lambda queue, _: queue.backlog(Priority.STANDARD)),
        ("change_message_visibility", lambda queue, arn: queue.return_after("handle", timedelta(0), source=arn)),
    ],
    ids=["send", "send_all", "backlog", "return_after"],
)
def test_unavailable_queue_is_unavailable(sqs: Sqs, operation: str, call: Callable[[Queue, str], object]) -> None:
    arn = sqs.arn()
    with Stubber(sqs.client) as stub:
        stub.add_client_error(operation, "ServiceUnavailable", http_status_code=503)
        with pytest.raises(Unavailable):
            call(sqs.queue, arn)
