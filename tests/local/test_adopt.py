"""`make adopt`: a new stack around the table, the bucket and the user pool that a deleted one left."""

import re
from typing import Any

import pytest

from tests.local.conftest import Deployed
from tools import adopt

KEPT = ("Table", "Bucket", "UserPool")


@pytest.fixture
def cloudformation(twin: Deployed) -> Any:
    return twin.client("cloudformation")


@pytest.fixture
def left(twin: Deployed, cloudformation: Any) -> dict[str, str]:
    """Return what is left of a deleted stack, by logical id. The table holds a job."""
    template = adopt.import_template(adopt.TEMPLATE.read_text(), KEPT)
    cloudformation.create_stack(StackName="first", TemplateBody=template)
    cloudformation.get_waiter("stack_create_complete").wait(StackName="first", WaiterConfig={"Delay": 1})
    found = physical_ids(cloudformation, "first")
    twin.client("dynamodb").put_item(TableName=found["Table"], Item={"pk": {"S": "J#alice#1"}})
    cloudformation.delete_stack(StackName="first")
    cloudformation.get_waiter("stack_delete_complete").wait(StackName="first", WaiterConfig={"Delay": 1})
    return found


def physical_ids(cloudformation: Any, stack_name: str) -> dict[str, str]:
    resources = cloudformation.describe_stack_resources(StackName=stack_name)["StackResources"]
    return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in resources}


@pytest.mark.slow
def test_new_stack_has_what_a_deleted_one_left_and_can_be_updated(
    left: dict[str, str], twin: Deployed, cloudformation: Any
) -> None:
    adopt.adopt(cloudformation, "second", left, {"MaxRetentionDays": "90"})
    assert physical_ids(cloudformation, "second") == left
    template = adopt.import_template(adopt.TEMPLATE.read_text(), KEPT)
    cloudformation.update_stack(
        StackName="second",
        TemplateBody=f"{template}  Another: {{ Type: AWS::SQS::Queue }}\n",
        Parameters=[{"ParameterKey": "MaxRetentionDays", "UsePreviousValue": True}],
    )
    cloudformation.get_waiter("stack_update_complete").wait(StackName="second", WaiterConfig={"Delay": 1})
    assert physical_ids(cloudformation, "second").items() > left.items()
    job = twin.client("dynamodb").get_item(TableName=left["Table"], Key={"pk": {"S": "J#alice#1"}})
    assert "Item" in job


@pytest.mark.slow
def test_missing_table_is_not_adopted_and_the_reason_is_shown(cloudformation: Any) -> None:
    with pytest.raises(adopt.NotAdoptedError, match=r"none.*Delete the stack third"):
        adopt.adopt(cloudformation, "third", {"Table": "none"}, {})


def test_missing_name_is_an_error_that_says_what_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        adopt.main(["--stack", "second", "--table", "", "--bucket", "b"])
    assert "TABLE=" in capsys.readouterr().err


@pytest.mark.parametrize("resources", [("Table", "Bucket"), KEPT])
def test_import_template_refers_to_nothing_that_it_leaves_out(resources: tuple[str, ...]) -> None:
    text = adopt.import_template(adopt.TEMPLATE.read_text(), resources)
    defined = {*re.findall(r"^  (\w+):", text, re.MULTILINE)}
    used = {*re.findall(r"!(?:Ref|GetAtt) (\w+)", text), *re.findall(r"!FindInMap \[(\w+)", text)} - {"AWS"}
    assert used <= defined
    assert set(resources) <= defined
    assert "Transform" not in text
