"""A deployment has what the tree has, and an unchanged tree is not deployed again."""

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from local.errors import NotRunningError, SamFailedError
from local.sam import Tools
from local.stack import LocalStack
from tests.local.test_process import wait_until_gone

pytestmark = pytest.mark.slow

OUTPUTS = {
    "ApiId": "a1b2c3d4",
    "ApiUrl": "https://a1b2c3d4.execute-api.us-east-1.amazonaws.com",
    "TableName": "table",
    "QueueUrl": "queue",
    "DeadLetterQueueUrl": "dead",
    "BucketName": "bucket",
    "UserPoolId": "pool",
    "UserPoolClientId": "client",
}
NOTHING = {"Type": "AWS::CloudFormation::WaitConditionHandle"}
IMPOSSIBLE = {"Type": "AWS::No::Such"}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    program = tmp_path / "sam-program"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -W ignore {Path(__file__).parent / "fake_sam.py"} "$@"\n')
    program.chmod(0o755)
    write_template(tmp_path, NOTHING)
    with LocalStack(tmp_path, tmp_path / "state", tools=Tools(sam=program)) as stack:
        yield stack


def write_template(root: Path, resource: Mapping[str, object], parameters: Mapping[str, object] | None = None) -> None:
    outputs = {name: {"Value": value} for name, value in OUTPUTS.items()}
    template = {"Parameters": parameters or {}, "Resources": {"One": resource}, "Outputs": outputs}
    (root / "template.yaml").write_text(json.dumps(template))


def calls(stack: LocalStack) -> list[str]:
    return (stack.root / "calls.log").read_text().split()


def overrides(stack: LocalStack) -> set[str]:
    return set((stack.root / "overrides.log").read_text().splitlines())


def test_outputs_are_returned_and_stored(stack: LocalStack) -> None:
    outputs = stack.deploy()
    written = json.loads((stack.state / "stack.json").read_text())
    assert outputs.api_url == f"{stack.endpoint_url}/_aws/execute-api/a1b2c3d4"
    assert written["apiUrl"] == outputs.api_url
    assert written["deadLetterQueueUrl"] == "dead"
    assert written["pid"] == stack.engine.pid
    assert written["secretAccessKey"] == stack.engine.secret_access_key
    assert (stack.state / "stack.json").stat().st_mode & 0o777 == 0o600
    assert stack.outputs == outputs


def test_unchanged_tree_is_not_deployed_again(stack: LocalStack) -> None:
    stack.deploy()
    stack.deploy()
    assert calls(stack) == ["build", "deploy"]


def test_changed_tree_is_deployed_again(stack: LocalStack) -> None:
    stack.deploy()
    (stack.root / "functions").mkdir()
    (stack.root / "functions" / "app.py").write_text("new")
    write_template(stack.root, {**NOTHING, "Metadata": {"new": True}})
    stack.deploy()
    assert calls(stack) == ["build", "deploy"] * 2


def test_parameter_that_a_deployment_does_not_name_has_its_default(stack: LocalStack) -> None:
    parameters = {"Level": {"Type": "String", "Default": "INFO"}, "Topic": {"Type": "String", "Default": ""}}
    write_template(stack.root, NOTHING, parameters)
    stack.deploy({"Level": "DEBUG", "Topic": "mine"})
    assert {"ParameterKey=Level,ParameterValue=DEBUG", "ParameterKey=Topic,ParameterValue=mine"} <= overrides(stack)
    write_template(stack.root, {**NOTHING, "Metadata": {"new": True}}, parameters)
    stack.deploy()
    assert {"ParameterKey=Level,ParameterValue=INFO", 'ParameterKey=Topic,ParameterValue=""'} <= overrides(stack)


def test_new_engine_has_no_deployment(stack: LocalStack) -> None:
    stack.deploy()
    os.kill(stack.engine.pid, signal.SIGKILL)
    wait_until_gone(stack.state)
    stack.start()
    with pytest.raises(NotRunningError):
        _ = stack.outputs
    stack.deploy()
    assert calls(stack) == ["build", "deploy", "deploy"]


def test_one_call_does_everything_that_is_missing(stack: LocalStack) -> None:
    stack.stop()
    outputs = stack.up()
    assert stack.up() == outputs == stack.outputs
    assert calls(stack) == ["build", "deploy"]


def test_failed_build_is_repeated(stack: LocalStack) -> None:
    template = (stack.root / "template.yaml").read_text()
    (stack.root / "template.yaml").write_text("fail the build")
    with pytest.raises(SamFailedError):
        stack.up()
    with pytest.raises(SamFailedError):
        stack.up()
    (stack.root / "template.yaml").write_text(template)
    assert stack.up().table_name == "table"
    assert calls(stack) == ["build", "build", "build", "deploy"]


def test_engine_of_an_earlier_release_is_replaced(stack: LocalStack) -> None:
    stack.deploy()
    claim = stack.state / "engine.claim"
    released = {name: value for name, value in json.loads(claim.read_text()).items() if "key" not in name}
    claim.write_text(json.dumps(released))
    with pytest.raises(NotRunningError):
        _ = stack.outputs
    assert stack.start().instance != released["instance"]


def test_failed_first_deployment_does_not_block_the_next(stack: LocalStack) -> None:
    write_template(stack.root, IMPOSSIBLE)
    with pytest.raises(SamFailedError):
        stack.deploy()
    write_template(stack.root, NOTHING)
    assert stack.deploy().table_name == "table"


def test_stop_removes_the_outputs(stack: LocalStack) -> None:
    stack.deploy()
    assert stack.stop()
    assert not stack.stop()
    with pytest.raises(NotRunningError):
        _ = stack.outputs
