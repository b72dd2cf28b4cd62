"""Each sample event is answered by its deployed function, as `make invoke` sends it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from local.invoke import function_of, variables_of
from local.stack import LocalStack
from tests.support.events import FOLDER, sample
from tests.template.source import template


@pytest.mark.parametrize("name", sorted(file.stem for file in FOLDER.glob("*.json")))
def test_sample_event_is_answered(stack: LocalStack, name: str) -> None:
    answer = invoke(stack, sample(name))
    assert answer is None or answer.get("statusCode", httpx.codes.OK) < httpx.codes.INTERNAL_SERVER_ERROR


def test_function_outside_lambda_gets_the_variables_of_the_deployed_one(stack: LocalStack) -> None:
    variables = variables_of(stack.session, stack.outputs.stack_name, "WorkerFunction", endpoint_url=stack.endpoint_url)
    assert variables["TABLE_NAME"] == stack.outputs.table_name
    assert variables["QUEUE_URL"] == stack.outputs.queue_url


def invoke(stack: LocalStack, event: dict[str, Any]) -> Any:
    cloudformation = stack.session.client("cloudformation", endpoint_url=stack.endpoint_url)
    function = function_of(event, template()["Resources"])
    found = cloudformation.describe_stack_resource(StackName=stack.outputs.stack_name, LogicalResourceId=function)
    answer = stack.session.client("lambda", endpoint_url=stack.endpoint_url).invoke(
        FunctionName=found["StackResourceDetail"]["PhysicalResourceId"], Payload=json.dumps(event)
    )
    payload = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    return payload
