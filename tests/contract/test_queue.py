"""What every queue promises, and what the one in SQS makes of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from asyncjobs.errors import Unavailable
from asyncjobs.lifecycle import JobKey
from asyncjobs.queue import JobMessage, Queue, SqsQueue
from tests.fakes import FakeQueue


def message(number: int) -> JobMessage:
    return JobMessage(JobKey("alice", f"job-{number}"), "gen", "zoo.returns")


@dataclass
class Sqs:
    """A queue in moto, what was asked of it, and what can be received from it."""

    queue: SqsQueue
    client: Any
    url: str
    calls: list[tuple[str, dict[str, Any]]]

    def received(self) -> list[JobMessage]:
        found: list[JobMessage] = []
        while batch := self.client.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            found += [JobMessage.parse(message["Body"]) for message in batch]
        return found


@pytest.fixture(scope="module")
def client(request: pytest.FixtureRequest) -> Any:
    request.getfixturevalue("aws_account")
    return boto3.client("sqs")


@pytest.fixture
def sqs(client: Any) -> Iterator[Sqs]:
    """An empty queue in moto."""
    calls: list[tuple[str, dict[str, Any]]] = []

    def remember(params: dict[str, Any], model: Any, **_: Any) -> None:
        calls.append((model.name, params))

    client.meta.events.register("provide-client-params.sqs", remember)
    url = client.create_queue(QueueName=f"jobs-{uuid.uuid4().hex}")["QueueUrl"]
    yield Sqs(SqsQueue(url, client), client, url, calls)
    client.meta.events.unregister("provide-client-params.sqs", remember)


@pytest.fixture(params=["fake", "moto"])
def queue_and_received(request: pytest.FixtureRequest) -> tuple[Queue, Callable[[], list[JobMessage]]]:
    """An empty queue, and a look at what is in it."""
    if request.param == "fake":
        fake = FakeQueue()
        return fake, lambda: fake.sent
    sqs: Sqs = request.getfixturevalue("sqs")
    return sqs.queue, sqs.received


# ── Both ───────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_sent_arrives_as_it_was(queue_and_received: tuple[Queue, Callable[[], list[JobMessage]]]) -> None:
    queue, received = queue_and_received
    sent = JobMessage(JobKey("auth0|42 ü", "job"), "gen", "zoo.returns")
    queue.send(sent)
    assert received() == [sent]


@pytest.mark.parametrize("count", [0, 1, 10, 23])
def test_all_that_is_sent_together_arrives(
    queue_and_received: tuple[Queue, Callable[[], list[JobMessage]]], count: int
) -> None:
    queue, received = queue_and_received
    sent = [message(number) for number in range(count)]
    assert queue.send_all(sent) == []
    assert sorted(received(), key=repr) == sorted(sent, key=repr)


def test_the_backlog_is_what_waits_and_not_what_is_delayed(
    queue_and_received: tuple[Queue, Callable[[], list[JobMessage]]],
) -> None:
    queue, _ = queue_and_received
    assert queue.backlog() == 0
    queue.send_all([message(number) for number in range(3)])
    queue.send(message(4))
    queue.send(message(5), delay=timedelta(minutes=5))
    assert queue.backlog() == 4


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
def test_a_delay_is_rounded_up_to_what_sqs_can_do(sqs: Sqs, delay: timedelta, seconds: int) -> None:
    sqs.queue.send(message(1), delay=delay)
    assert sqs.calls[-1][1]["DelaySeconds"] == seconds


def test_a_delayed_message_does_not_arrive_before_its_time(sqs: Sqs) -> None:
    sqs.queue.send(message(1), delay=timedelta(minutes=5))
    assert sqs.received() == []


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        (timedelta(0), 0),
        (timedelta(seconds=-1), 0),
        (timedelta(seconds=2.001), 3),
        (timedelta(hours=11), 39600),
        # SQS allows 12 hours, but from when the message was received.
        (timedelta(hours=12), 39600),
        (timedelta(days=2), 39600),
    ],
)
def test_a_returned_message_is_hidden_for_the_time_rounded_up(sqs: Sqs, delay: timedelta, seconds: int) -> None:
    sqs.queue.send(message(1))
    (received,) = sqs.client.receive_message(QueueUrl=sqs.url)["Messages"]
    sqs.queue.return_after(received["ReceiptHandle"], delay)
    name, params = sqs.calls[-1]
    assert (name, params["VisibilityTimeout"]) == ("ChangeMessageVisibility", seconds)


def test_a_message_returned_at_once_arrives_again(sqs: Sqs) -> None:
    sqs.queue.send(message(1))
    (received,) = sqs.client.receive_message(QueueUrl=sqs.url)["Messages"]
    assert sqs.received() == []
    sqs.queue.return_after(received["ReceiptHandle"], timedelta(0))
    assert sqs.received() == [message(1)]


def test_many_messages_are_sent_ten_at_a_time(sqs: Sqs) -> None:
    sqs.queue.send_all([message(number) for number in range(23)])
    batches = [params["Entries"] for name, params in sqs.calls if name == "SendMessageBatch"]
    assert [len(entries) for entries in batches] == [10, 10, 3]


def test_what_a_batch_refuses_inside_an_answer_of_200_is_told(sqs: Sqs) -> None:
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


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("send_message", lambda queue: queue.send(message(1))),
        ("send_message_batch", lambda queue: queue.send_all([message(1)])),
        ("get_queue_attributes", lambda queue: queue.backlog()),
        ("change_message_visibility", lambda queue: queue.return_after("handle", timedelta(0))),
    ],
    ids=["send", "send_all", "backlog", "return_after"],
)
def test_a_queue_that_does_not_answer_is_unavailable(sqs: Sqs, operation: str, call: Callable[[Queue], object]) -> None:
    with Stubber(sqs.client) as stub:
        stub.add_client_error(operation, "ServiceUnavailable", http_status_code=503)
        with pytest.raises(Unavailable):
            call(sqs.queue)
