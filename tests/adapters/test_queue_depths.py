"""The contract of what queues hold, and the behavior of those in SQS."""

from __future__ import annotations

import uuid

import boto3
import pytest
from botocore.stub import Stubber

from asyncjobs.aws import clients
from asyncjobs.aws.sqs_queue_depths import SqsQueueDepths
from asyncjobs.core.administration import QueueDepth, QueueDepths
from asyncjobs.core.errors import Unavailable
from tests.support.fakes import FakeQueueDepths


@pytest.fixture(params=["fake", "moto"])
def queues(request: pytest.FixtureRequest) -> QueueDepths:
    """Return a queue with two messages that wait, one that is delayed and one in flight, and an empty one."""
    if request.param == "fake":
        return FakeQueueDepths({"high": QueueDepth(2, 1, 1)})
    request.getfixturevalue("aws_account")
    sqs = boto3.client("sqs")
    urls = {name: sqs.create_queue(QueueName=f"{name}-{uuid.uuid4().hex}")["QueueUrl"] for name in ("high", "low")}
    for _ in range(3):
        sqs.send_message(QueueUrl=urls["high"], MessageBody="x")
    sqs.receive_message(QueueUrl=urls["high"], MaxNumberOfMessages=1)
    sqs.send_message(QueueUrl=urls["high"], MessageBody="x", DelaySeconds=600)
    return SqsQueueDepths(urls, sqs)


def test_depth_counts_what_waits_is_delayed_and_in_flight(queues: QueueDepths) -> None:
    assert queues.depth("high") == QueueDepth(waiting=2, delayed=1, in_flight=1)


def test_empty_queue_has_no_messages(queues: QueueDepths) -> None:
    assert queues.depth("low") == QueueDepth(0, 0, 0)


@pytest.mark.parametrize("code", ["AccessDenied", "ThrottlingException"])
@pytest.mark.usefixtures("aws_account")
def test_queue_that_refuses_is_unavailable(code: str) -> None:
    sqs = clients.sqs()
    with Stubber(sqs) as stub:
        stub.add_client_error("get_queue_attributes", code, http_status_code=403)
        with pytest.raises(Unavailable):
            SqsQueueDepths({"high": "https://queue"}, sqs).depth("high")


def test_fake_that_is_down_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        FakeQueueDepths(is_down=True).depth("high")
