"""The contract of the pollers of queues, and the behavior of those in Lambda."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import Stubber

from asyncjobs.aws import clients
from asyncjobs.aws.lambda_pollers import LambdaPollers
from asyncjobs.core.errors import Unavailable
from tests.support.fakes import FakePollers

UUID = {"UUID": "a-mapping"}


@pytest.fixture
def stub(request: pytest.FixtureRequest) -> Any:
    request.getfixturevalue("aws_account")
    with Stubber(clients.functions()) as stub:
        yield stub


def pollers(stub: Any) -> LambdaPollers:
    return LambdaPollers({"low": UUID["UUID"]}, stub.client)


@pytest.mark.parametrize(
    ("state", "is_paused"),
    [("Enabled", False), ("Enabling", False), ("Updating", False), ("Disabling", True), ("Disabled", True)],
)
def test_mapping_that_is_off_or_going_off_is_paused(stub: Any, state: str, is_paused: bool) -> None:
    stub.add_response("get_event_source_mapping", {"State": state}, UUID)
    assert pollers(stub).is_paused("low") is is_paused


@pytest.mark.parametrize("on", [True, False])
def test_switch_changes_the_mapping_and_nothing_else_of_it(stub: Any, on: bool) -> None:
    stub.add_response("update_event_source_mapping", {}, {**UUID, "Enabled": on})
    pollers(stub).switch("low", on=on)
    stub.assert_no_pending_responses()


@pytest.mark.parametrize(("code", "status"), [("ResourceInUseException", 400), ("TooManyRequestsException", 429), ("X", 500)])
def test_change_that_lambda_cannot_make_now_is_unavailable(stub: Any, code: str, status: int) -> None:
    stub.add_client_error("update_event_source_mapping", code, http_status_code=status)
    with pytest.raises(Unavailable):
        pollers(stub).switch("low", on=False)


def test_fake_is_switched_off_and_on() -> None:
    fake = FakePollers()
    fake.switch("low", on=False)
    assert (fake.is_paused("low"), fake.is_paused("high")) == (True, False)
    fake.switch("low", on=True)
    assert not fake.is_paused("low")
