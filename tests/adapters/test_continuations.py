"""Invocations of a function by itself, and what it reads of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from asyncjobs.aws import clients
from asyncjobs.aws.lambda_continuations import LambdaContinuations, task_in
from asyncjobs.core.administration import BulkTask
from asyncjobs.core.errors import Unavailable
from tests.support.events import sample
from tests.support.factories import JOB_ID
from tests.support.fakes import FakeContinuations

TASK = BulkTask(
    owner="ops",
    async_job_id=JOB_ID,
    request_id="r",
    request={"action": "retry", "failed": {"jobType": "a", "code": "É"}},
    part=3,
)


@pytest.fixture
def stub(request: pytest.FixtureRequest) -> Any:
    request.getfixturevalue("aws_account")
    with Stubber(clients.functions()) as stub:
        yield stub


def test_event_of_an_invocation_has_the_whole_task(stub: Any) -> None:
    sent: list[Any] = []
    stub.client.meta.events.register_first("before-parameter-build.lambda", lambda params, **_: sent.append(params))
    stub.add_response("invoke", {"StatusCode": 202}, {"FunctionName": "me", "InvocationType": "Event", "Payload": ANY})
    LambdaContinuations("me", stub.client).go_on(TASK)
    stub.assert_no_pending_responses()
    event = json.loads(sent[0]["Payload"])
    assert event.keys() == {"bulkAction"}
    assert task_in(event) == TASK


@pytest.mark.parametrize("name", ["admin-bulk", "admin-rights"])
def test_event_of_the_gateway_is_no_task(name: str) -> None:
    assert task_in(sample(name)) is None


@pytest.mark.parametrize(
    ("code", "status"), [("TooManyRequestsException", 429), ("ServiceException", 500), ("AccessDeniedException", 403)]
)
def test_invocation_that_lambda_does_not_take_is_unavailable(stub: Any, code: str, status: int) -> None:
    # The permission may be missing for some seconds while the stack is updated.
    stub.add_client_error("invoke", code, http_status_code=status)
    with pytest.raises(Unavailable):
        LambdaContinuations("me", stub.client).go_on(TASK)


def test_fake_keeps_the_tasks() -> None:
    fake = FakeContinuations()
    fake.go_on(TASK)
    assert list(fake.tasks) == [TASK]
    fake.is_down = True
    with pytest.raises(Unavailable):
        fake.go_on(TASK)
