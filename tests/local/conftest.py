"""Two engines: one as `make run` starts it, one with the emulator as its makers release it. The same stack on both."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from local import process
from local.process import REGION, Engine
from local.sam import Tools

TEMPLATE = (Path(__file__).parent / "emulator_patches.yaml").read_text()


@dataclass(frozen=True)
class Deployed:
    engine: Engine
    outputs: dict[str, str]

    def client(self, service: Any) -> Any:
        return client(self.engine, service)

    def url(self, api: str, path: str) -> str:
        return f"{self.engine.url}/_aws/execute-api/{self.outputs[api]}{path}"


def client(engine: Engine, service: Any, key: str = "test", secret: str = "test") -> Any:
    session = boto3.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name=REGION)
    return session.client(service, endpoint_url=engine.url)


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """As `make run` starts it."""
    yield from _deployed(tmp_path_factory.mktemp("twin"), as_released=False)


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """With all gaps open."""
    yield from _deployed(tmp_path_factory.mktemp("released"), as_released=True)


def _deployed(state: Path, *, as_released: bool) -> Iterator[Deployed]:
    tools = Tools()
    engine = process.start(
        state,
        python=tools.lambda_python,
        port=process.free_port(),
        extra={"AUTH": "true", "SEEN": "by functions"},
        as_released=as_released,
    )
    try:
        cloudformation = client(engine, "cloudformation")
        cloudformation.create_stack(
            StackName="gaps",
            TemplateBody=TEMPLATE,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            # As sam passes them: as text.
            Parameters=[
                {"ParameterKey": "Runtime", "ParameterValue": tools.runtime()},
                {"ParameterKey": "Concurrency", "ParameterValue": "3"},
            ],
        )
        cloudformation.get_waiter("stack_create_complete").wait(StackName="gaps", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        stack = cloudformation.describe_stacks(StackName="gaps")["Stacks"][0]
        yield Deployed(engine, {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]})
    finally:
        process.stop(state)
