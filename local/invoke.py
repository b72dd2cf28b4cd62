"""`make invoke`: run one function in Docker by `sam local invoke`, with a sample event.

The function calls the local stack, or a stack that is deployed to AWS.
"""

import json
import select
import shutil
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from samcli.yamlhelper import yaml_parse  # type: ignore[import-untyped]  # it ships no types

from local.errors import DockerMissingError, LocalError
from local.process import LOOPBACK
from local.stack import LocalStack

_SOURCES = {"SQS": "aws:sqs", "DynamoDB": "aws:dynamodb", "Schedule": "aws.events"}


def invoke(stack: LocalStack, event: str, *, deployed: str | None = None) -> int:
    """Run the function that gets this event, and return SAM's exit status. `deployed` names a stack on AWS."""
    file = event_file(stack.root, event)
    resources = yaml_parse((stack.root / "template.yaml").read_text())["Resources"]
    function = function_of(read(file), resources)
    require_docker()
    if deployed:
        variables = variables_of(boto3.Session(), deployed, function)
        return stack.invoke(function, file, variables, on_aws=True)
    outputs = stack.deploy()
    variables = variables_of(stack.session, outputs.stack_name, function, endpoint_url=outputs.endpoint_url)
    with address_in_docker(stack.engine.port) as url:
        return stack.invoke(function, file, {**variables, "AWS_ENDPOINT_URL": url})


def event_file(root: Path, event: str) -> Path:
    """Return the file of a sample event, by its name or by its path."""
    for file in (root / "events" / f"{event}.json", Path(event)):
        if file.is_file():
            return file.resolve()
    names = ", ".join(sorted(file.stem for file in (root / "events").glob("*.json")))
    raise LocalError(f"There is no event {event!r}. Give a file, or one of these: {names}")


def read(file: Path) -> Any:
    """Return the event of a file."""
    try:
        return json.loads(file.read_text())
    except ValueError as error:
        raise LocalError(f"{file} has no event, since it is not JSON: {error}") from error


def function_of(event: Mapping[str, Any], resources: Mapping[str, Any]) -> str:
    """Return the logical ID of the function that gets this event."""
    try:
        kind = kind_of(event)
    except (KeyError, IndexError, TypeError, AttributeError):
        raise LocalError("This is no event that Lambda sends to a function. The folder events/ has one of each kind.") from None
    try:
        return functions_by_kind(resources)[kind]
    except KeyError:
        raise LocalError(f"No function of the template gets events of {kind}.") from None


def kind_of(event: Mapping[str, Any]) -> str:
    """Return the event's route, or the kind of its source."""
    if "Records" in event:
        return str(event["Records"][0]["eventSource"])
    return str(event.get("routeKey") or event.get("source") or event["requestContext"]["routeKey"])


def functions_by_kind(resources: Mapping[str, Any]) -> dict[str, str]:
    """Return the function that gets each kind of events."""
    found: dict[str, str] = {}
    for name, resource in resources.items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function":
            found |= dict.fromkeys(map(_kind_of_source, properties.get("Events", {}).values()), name)
        elif resource["Type"] == "AWS::Serverless::WebSocketApi":
            found |= {route: target["FunctionArn"]["Fn::GetAtt"][0] for route, target in properties["Routes"].items()}
    return found


def _kind_of_source(source: Mapping[str, Any]) -> str:
    properties = source.get("Properties", {})
    return _SOURCES.get(source["Type"]) or f"{properties['Method'].upper()} {properties['Path']}"


def variables_of(session: boto3.Session, stack_name: str, function: str, *, endpoint_url: str | None = None) -> dict[str, str]:
    """Return the environment variables of a deployed function."""
    try:
        cloudformation = session.client("cloudformation", endpoint_url=endpoint_url)
        resource = cloudformation.describe_stack_resource(StackName=stack_name, LogicalResourceId=function)
        name = resource["StackResourceDetail"]["PhysicalResourceId"]
        found = session.client("lambda", endpoint_url=endpoint_url).get_function_configuration(FunctionName=name)
    except (BotoCoreError, ClientError) as error:
        if not isinstance(error, ClientError) or error.response["Error"]["Code"] != "ValidationError":
            raise LocalError(
                f"The stack {stack_name} cannot be read: {error} Check its name (STACK=...), AWS_PROFILE and AWS_REGION."
            ) from error
        raise LocalError(
            f"There is no stack {stack_name}, or it has no {function}, which a parameter makes, such as Dialects, AdminApi or Console. "
            "Give a stack with it: STACK=name."
        ) from error
    return dict(found["Environment"]["Variables"])


def require_docker() -> None:
    """Raise `DockerMissingError` unless Docker's command and its engine are there."""
    if shutil.which("docker") is None:
        raise DockerMissingError("The command `docker` is not installed.")
    answer = subprocess.run(["docker", "version"], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise DockerMissingError(answer.stderr.strip() or "`docker version` failed.")


@contextmanager
def address_in_docker(port: int) -> Iterator[str]:
    """Provide the URL under which containers reach this machine's loopback port.

    On Linux, containers reach the gateway of their network, so a relay runs there for the time of the call. Elsewhere that
    gateway is in Docker Desktop's virtual machine, and Docker Desktop relays a name of its own.
    """
    inspect = ["docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"]
    gateway = subprocess.run(inspect, capture_output=True, text=True, check=False).stdout.strip()
    try:
        relay = _Relay((gateway, 0), _Connection)
    except OSError:
        yield f"http://host.docker.internal:{port}"
        return
    relay.engine = (LOOPBACK, port)
    with relay:
        threading.Thread(target=relay.serve_forever, daemon=True).start()
        try:
            yield f"http://{gateway}:{relay.server_address[1]}"
        finally:
            relay.shutdown()


class _Relay(socketserver.ThreadingTCPServer):
    """Passes connections on to the engine, which answers only what is signed."""

    daemon_threads = True
    engine: tuple[str, int]


class _Connection(socketserver.BaseRequestHandler):
    server: _Relay

    def handle(self) -> None:
        """Copy bytes in both directions until one side closes."""
        with socket.create_connection(self.server.engine) as engine:
            other = {self.request: engine, engine: self.request}
            while True:
                for source in select.select(list(other), [], [])[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    other[source].sendall(data)
