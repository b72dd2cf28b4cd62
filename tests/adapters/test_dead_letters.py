"""The contract of the dead letters' queue, and the behavior of the one in SQS."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import boto3
import pytest
from botocore.stub import Stubber

from asyncjobs.aws import clients
from asyncjobs.aws.sqs_dead_letters import SqsDeadLetters
from asyncjobs.core.administration import DeadLetter, DeadLetters
from asyncjobs.core.errors import Unavailable
from tests.support.fakes import FakeDeadLetters

Holding = Callable[..., DeadLetters]


@pytest.fixture(params=["fake", "moto"])
def holding(request: pytest.FixtureRequest) -> Holding:
    """Return a function that makes a queue of dead letters with these bodies."""
    if request.param == "fake":
        return lambda *bodies: FakeDeadLetters({str(number): body for number, body in enumerate(bodies)})
    request.getfixturevalue("aws_account")
    sqs = boto3.client("sqs")

    def make(*bodies: str) -> DeadLetters:
        url = sqs.create_queue(QueueName=uuid.uuid4().hex)["QueueUrl"]
        for body in bodies:
            sqs.send_message(QueueUrl=url, MessageBody=body)
        return SqsDeadLetters(url, sqs)

    return make


def test_letters_are_received_once_until_they_are_shown_again(holding: Holding) -> None:
    bodies = [f"letter {number}" for number in range(23)]
    letters = holding(*bodies)
    first, second = letters.receive(at_most=15), letters.receive(at_most=15)
    assert (len(first), len(second)) == (15, 8)
    assert sorted(each.body for each in (*first, *second)) == sorted(bodies)
    assert letters.receive(at_most=15) == []


def test_deleted_letters_are_not_received(holding: Holding) -> None:
    letters = holding(*(str(number) for number in range(12)))
    letters.delete(letters.receive(at_most=12))
    assert letters.receive(at_most=12) == []
    letters.delete([])


@pytest.mark.parametrize("code", ["AccessDenied", "ThrottlingException"])
@pytest.mark.usefixtures("aws_account")
def test_queue_that_refuses_is_unavailable(code: str) -> None:
    sqs = clients.sqs()
    letters = SqsDeadLetters("https://queue", sqs)
    with Stubber(sqs) as stub:
        stub.add_client_error("receive_message", code, http_status_code=403)
        with pytest.raises(Unavailable):
            letters.receive(at_most=1)
        stub.add_client_error("delete_message_batch", code, http_status_code=403)
        with pytest.raises(Unavailable):
            letters.delete([DeadLetter("1", "x")])


def test_fake_that_is_down_is_unavailable() -> None:
    letters = FakeDeadLetters({"1": "x"}, is_down=True)
    with pytest.raises(Unavailable):
        letters.receive(at_most=1)
    with pytest.raises(Unavailable):
        letters.delete([DeadLetter("1", "x")])
