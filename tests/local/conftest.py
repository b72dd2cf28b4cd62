"""Two engines with the same stack: one as `make run` starts it, one with the emulator as released."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local import process
from local.process import REGION, Engine
from local.sam import Tools

TEMPLATE = (Path(__file__).parent / "emulator_patches.yaml").read_text()


@dataclass(frozen=True)
class Deployed:
    engine: Engine
    outputs: dict[str, str]

    @property
    def session(self) -> boto3.Session:
        return session(self.engine.access_key_id, self.engine.secret_access_key)

    def client(self, service: Any) -> Any:
        return self.session.client(service, endpoint_url=self.engine.url)

    @property
    def s3(self) -> Any:
        """Return a client that signs links as the library does."""
        return self.session.client("s3", endpoint_url=self.engine.url, config=Config(signature_version="s3v4"))

    def url(self, api: str, path: str) -> str:
        return f"{self.engine.url}/_aws/execute-api/{self.outputs[api]}{path}"


def session(key: str, secret: str, token: str | None = None) -> boto3.Session:
    return boto3.Session(key, secret, token, region_name=REGION)


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>A page</title>")

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the terminal free."""


@pytest.fixture(scope="session")
def pages_port() -> Iterator[int]:
    """Serve an empty page under every name of this machine, and return the port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def app_url(pages_port: int) -> str:
    """Return the URL of a front end that the template's CORS configuration allows."""
    return f"http://localhost:{pages_port}"


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory, app_url: str) -> Iterator[Deployed]:
    """Start an engine as `make run` does."""
    yield from _deployed(tmp_path_factory.mktemp("twin"), app_url, as_released=False)


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory, app_url: str) -> Iterator[Deployed]:
    """Start the emulator as released, without patches."""
    yield from _deployed(tmp_path_factory.mktemp("released"), app_url, as_released=True)


def _deployed(state: Path, app_url: str, *, as_released: bool) -> Iterator[Deployed]:
    tools = Tools()
    engine = process.start(
        state,
        python=tools.engine_python,
        lambda_python=tools.lambda_python,
        port=process.free_port(),
        extra={"SEEN": "by functions"},
        as_released=as_released,
    )
    try:
        keys = session(engine.access_key_id, engine.secret_access_key)
        cloudformation = keys.client("cloudformation", endpoint_url=engine.url)
        cloudformation.create_stack(
            StackName="patches",
            TemplateBody=TEMPLATE,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            # sam passes them as text.
            Parameters=[
                {"ParameterKey": "Runtime", "ParameterValue": tools.runtime()},
                {"ParameterKey": "Concurrency", "ParameterValue": "3"},
                {"ParameterKey": "AppUrl", "ParameterValue": app_url},
                {"ParameterKey": "Origins", "ParameterValue": "http://one.test,http://two.test"},
            ],
        )
        cloudformation.get_waiter("stack_create_complete").wait(
            StackName="patches", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        stack = cloudformation.describe_stacks(StackName="patches")["Stacks"][0]
        yield Deployed(engine, {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]})
    finally:
        process.stop(state)
