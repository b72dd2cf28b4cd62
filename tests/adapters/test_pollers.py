"""The contract of the pollers of queues, and the behavior of those in Lambda."""

from __future__ import annotations

from typing import Any
from unittest.mock import ANY

import pytest
from botocore.stub import Stubber

from asyncjobs.aws import clients
from asyncjobs.aws.lambda_pollers import LambdaPollers
from asyncjobs.core.administration import MAX_PAUSED_TYPES
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
    assert pollers(stub).state("low") == (is_paused, frozenset())


@pytest.mark.parametrize("on", [True, False])
def test_switch_changes_the_mapping_and_nothing_else_of_it(stub: Any, on: bool) -> None:
    stub.add_response("update_event_source_mapping", {}, {**UUID, "Enabled": on})
    pollers(stub).switch("low", on=on)
    stub.assert_no_pending_responses()


def test_types_to_drop_are_written_as_one_pattern_and_read_from_it(stub: Any) -> None:
    pattern = '{"body":{"jobType":[{"anything-but":["a.b","c"]}]}}'
    criteria = {"Filters": [{"Pattern": pattern}]}
    stub.add_response("update_event_source_mapping", {}, {**UUID, "FilterCriteria": criteria})
    stub.add_response("get_event_source_mapping", {"State": "Enabled", "FilterCriteria": criteria}, UUID)
    pollers(stub).drop("low", frozenset({"c", "a.b"}))
    assert pollers(stub).state("low") == (False, frozenset({"a.b", "c"}))


def test_most_types_with_the_longest_names_fit_into_a_filter(stub: Any) -> None:
    types = frozenset(f"{number:x>100}" for number in range(MAX_PAUSED_TYPES))
    stub.add_response("update_event_source_mapping", {}, {**UUID, "FilterCriteria": ANY})
    stub.client.meta.events.register_first("before-parameter-build.lambda", lambda params, **_: sent.append(params))
    sent: list[Any] = []
    pollers(stub).drop("low", types)
    assert len(sent[0]["FilterCriteria"]["Filters"][0]["Pattern"]) <= 4096


def test_no_type_to_drop_leaves_no_filter(stub: Any) -> None:
    stub.add_response("update_event_source_mapping", {}, {**UUID, "FilterCriteria": {}})
    pollers(stub).drop("low", frozenset())
    stub.assert_no_pending_responses()


@pytest.mark.parametrize(
    "criteria",
    [
        {},
        {"Filters": []},
        {"Filters": [{"Pattern": "no JSON"}]},
        {"Filters": [{"Pattern": '{"body":{"jobType":["a"]}}'}]},
        {"Filters": [{"Pattern": '{"body":{"owner":[{"exists":true}]}}'}]},
    ],
)
def test_filter_of_another_form_pauses_no_type(stub: Any, criteria: dict[str, Any]) -> None:
    stub.add_response("get_event_source_mapping", {"State": "Enabled", "FilterCriteria": criteria}, UUID)
    assert pollers(stub).state("low") == (False, frozenset())


@pytest.mark.parametrize(("code", "status"), [("ResourceInUseException", 400), ("TooManyRequestsException", 429), ("X", 500)])
def test_change_that_lambda_cannot_make_now_is_unavailable(stub: Any, code: str, status: int) -> None:
    stub.add_client_error("update_event_source_mapping", code, http_status_code=status)
    with pytest.raises(Unavailable):
        pollers(stub).switch("low", on=False)


def test_fake_is_switched_off_and_on() -> None:
    fake = FakePollers()
    fake.switch("low", on=False)
    assert (fake.state("low"), fake.state("high")) == ((True, frozenset()), (False, frozenset()))
    fake.switch("low", on=True)
    fake.drop("low", frozenset({"a"}))
    assert fake.state("low") == (False, frozenset({"a"}))
