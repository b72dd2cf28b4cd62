"""`make invoke`: the command, the variables and the address that `sam local invoke` gets. Docker and SAM are stand-ins."""

import json
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import httpx
import pytest

from local import invoke
from local.errors import DockerMissingError, LocalError
from local.process import PROJECT
from local.sam import Tools
from local.stack import LocalStack

FUNCTION = {
    "Type": "AWS::Serverless::Function",
    "Properties": {
        "Runtime": "python3.13",
        "Handler": "index.handler",
        "InlineCode": "def handler(event, context): pass",
        "Environment": {"Variables": {"TABLE_NAME": "jobs", "AWS_ENDPOINT_URL": ""}},
        "Events": {"Submit": {"Type": "HttpApi", "Properties": {"Method": "POST", "Path": "/api/v1/jobs"}}},
    },
}
OUTPUTS = ("ApiId", "ApiUrl", "TableName", "QueueUrl", "DeadLetterQueueUrl", "BucketName")
TEMPLATE = {
    "Transform": "AWS::Serverless-2016-10-31",
    "Resources": {"SubmitFunction": FUNCTION},
    "Outputs": {name: {"Value": "x"} for name in OUTPUTS},
}
GATEWAY = "#!/bin/sh\n[ $1 = image ] && exit 1\necho 127.0.0.1\n"
IMAGE = "public.ecr.aws/lambda/python:3."
SAM = """\
#!/bin/sh
if [ "$1" = local ]; then
  echo "$@" > arguments
  env > environment
  cp state/invoke.json variables
  exit 3
fi
exec {python} -W ignore {stand_in} "$@"
"""


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalStack]:
    """Create a stack of one function, with stand-ins for SAM and Docker."""
    (tmp_path / "template.yaml").write_text(json.dumps(TEMPLATE))
    (tmp_path / "events").symlink_to(PROJECT / "events")
    sam = program(tmp_path / "sam", SAM.format(python=sys.executable, stand_in=Path(__file__).parent / "fake_sam.py"))
    program(tmp_path / "docker", GATEWAY)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with LocalStack(tmp_path, tmp_path / "state", tools=Tools(sam=sam)) as stack:
        yield stack


def program(file: Path, script: str) -> Path:
    file.write_text(script)
    file.chmod(0o755)
    return file


@pytest.mark.slow
def test_function_gets_the_variables_of_its_deployment_and_the_engine_s_address(stack: LocalStack) -> None:
    assert invoke.invoke(stack, "submit") == 3
    arguments = (stack.root / "arguments").read_text()
    assert arguments.startswith(f"local invoke SubmitFunction --event {PROJECT}/events/submit.json --env-vars")
    assert "ParameterKey=PythonRuntime,ParameterValue=python3" in arguments
    assert "--skip-pull-image" not in arguments
    (variables,) = json.loads((stack.root / "variables").read_text()).values()
    assert variables["TABLE_NAME"] == "jobs"
    assert variables["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    assert variables["AWS_ENDPOINT_URL"] != stack.engine.url  # a relay, since containers cannot reach loopback
    seen = dict(line.split("=", 1) for line in (stack.root / "environment").read_text().splitlines() if "=" in line)
    assert seen["AWS_SECRET_ACCESS_KEY"] == stack.engine.secret_access_key


@pytest.mark.slow
def test_image_is_downloaded_once(stack: LocalStack, tmp_path: Path) -> None:
    program(
        tmp_path / "docker",
        f"""#!/bin/sh
case "$*" in "image inspect {IMAGE}"*) exit 0 ;; image*) exit 1 ;; esac
echo 127.0.0.1
""",
    )
    invoke.invoke(stack, "submit")
    assert "--skip-pull-image" in (stack.root / "arguments").read_text()


@pytest.mark.slow
def test_function_of_a_deployed_stack_has_the_user_s_credentials_and_calls_aws(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.deploy()
    engine = stack.engine  # it stands in for AWS
    for name, value in engine.environment.items():
        monkeypatch.setenv(name, value)
    assert invoke.invoke(stack, "submit", deployed="asyncjobs") == 3
    (variables,) = json.loads((stack.root / "variables").read_text()).values()
    assert variables == {"TABLE_NAME": "jobs"}
    seen = (stack.root / "environment").read_text().splitlines()
    assert f"AWS_ACCESS_KEY_ID={engine.access_key_id}" in seen


@pytest.mark.slow
def test_missing_function_is_named_with_its_stack_and_the_parameters(stack: LocalStack) -> None:
    outputs = stack.deploy()
    for name in (outputs.stack_name, "no-such-stack"):
        with pytest.raises(LocalError, match=rf"no stack {name}, or it has no DialectsFunction.*Dialects.*STACK=name"):
            invoke.variables_of(stack.session, name, "DialectsFunction", endpoint_url=outputs.endpoint_url)


def test_unknown_event_lists_the_known_ones() -> None:
    with pytest.raises(LocalError, match=r"no event 'nothing'.*stream-changes.*submit"):
        invoke.event_file(PROJECT, "nothing")


def test_event_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text("{}")
    assert invoke.event_file(PROJECT, str(tmp_path / "mine.json")) == tmp_path / "mine.json"


def test_event_without_a_function_is_an_error() -> None:
    with pytest.raises(LocalError, match="events of GET /nowhere"):
        invoke.function_of({"routeKey": "GET /nowhere"}, TEMPLATE["Resources"])  # type: ignore[arg-type]  # it is JSON


@pytest.mark.parametrize("event", [{}, [], "text", {"Records": []}, {"Records": [{}]}, {"requestContext": {}}], ids=str)
def test_invalid_event_is_an_error(event: object) -> None:
    with pytest.raises(LocalError, match="no event that Lambda sends"):
        invoke.function_of(event, {})  # type: ignore[arg-type]  # a file may have any JSON


def test_file_that_is_not_json_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "event").write_text("{'jobType': 'text.search'}")
    with pytest.raises(LocalError, match=r"event has no event, since it is not JSON: .*line 1"):
        invoke.read(tmp_path / "event")


def test_missing_credentials_and_regions_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    for region, reason in ((None, "You must specify a region"), ("eu-west-1", "Unable to locate credentials")):
        with pytest.raises(LocalError, match=rf"stack asyncjobs cannot be read: {reason}.*AWS_PROFILE and AWS_REGION"):
            invoke.variables_of(boto3.Session(region_name=region), "asyncjobs", "SubmitFunction")


def test_missing_docker_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DockerMissingError, match=r"not installed.*\n.*Without Docker, `make run`"):
        invoke.require_docker()


def test_docker_without_its_engine_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "docker", "#!/bin/sh\necho Cannot connect to the Docker daemon >&2\nexit 1\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DockerMissingError, match="Cannot connect to the Docker daemon"):
        invoke.require_docker()


class Echo(BaseHTTPRequestHandler):
    """Answers a request with its body and its Host."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.headers["host"].encode() + b" " + body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the terminal free."""


def test_relay_passes_requests_on_until_the_call_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "docker", GATEWAY)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever).start()
        with invoke.address_in_docker(server.server_port) as url:
            body = b"x" * 3_000_000
            assert httpx.post(url, content=body).content == url.removeprefix("http://").encode() + b" " + body
        with pytest.raises(httpx.ConnectError):
            httpx.post(url)
        server.shutdown()


def test_docker_desktop_has_a_name_for_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "docker", "#!/bin/sh\necho 203.0.113.1\n")  # in its virtual machine
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with invoke.address_in_docker(4566) as url:
        assert url == "http://host.docker.internal:4566"
