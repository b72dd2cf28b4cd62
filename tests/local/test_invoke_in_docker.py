"""Every event of `events/` runs its function in Docker by `sam local invoke`, against the local stack."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator

import pytest

from local import invoke
from local.errors import DockerMissingError
from local.process import PROJECT
from local.sam import Tools, architecture, runtime_image
from local.stack import FOR_DEVELOPERS, LocalStack
from tests.conftest import DIALECTS

EVENTS = sorted(file.stem for file in (PROJECT / "events").glob("*.json"))
# The events name no job, webhook or ticket of the stack: 404 if one is in the path, and 200 for others, except these.
STATUS = {
    "admin-bulk-outcomes": 200,
    "ticket": 404,
    **dict.fromkeys(("status-ticket", "status-ticket-list", "status-ticket-result", "status-ticket-events"), 401),
    **dict.fromkeys(("report", "socket-connect"), 401),
    **dict.fromkeys(("compat-status", "compat-report", "compat-put"), 404),
    "compat-submit": 202,
    "compat-delete": 405,
    "upload": 201,
    "create-webhook": 201,
    "delete-upload": 204,
    "console": 302,
}


def status_of(event: str) -> int:
    """Return the status of the answer to the event."""
    path = json.loads((PROJECT / "events" / f"{event}.json").read_text()).get("pathParameters", {})
    return STATUS.get(event, 404 if {"asyncJobId", "webhookId"} & path.keys() else 200)


def _missing() -> str | None:
    """Return why no function can run in Docker, and how to change that."""
    image = runtime_image(Tools().runtime(), architecture())
    try:
        invoke.require_docker()
    except DockerMissingError:
        return "Docker is missing or does not run: sudo apt-get install docker.io"
    found = subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False)
    return None if found.returncode == 0 else f"Docker has no image of the runtime: docker pull {image}"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    if reason := _missing():
        pytest.skip(reason)
    with pytest.MonkeyPatch.context() as patch, LocalStack(PROJECT, tmp_path_factory.mktemp("docker")) as stack:
        # Without the parameter, a stack has no function for the events of dialects.
        patch.setitem(FOR_DEVELOPERS, "Dialects", DIALECTS)
        stack.deploy()
        yield stack


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.parametrize("event", EVENTS)
def test_event_gets_an_answer_of_its_function(stack: LocalStack, event: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert invoke.invoke(stack, event) == 0
    output = capfd.readouterr()
    # After its answer, SAM's runtime interface says that it has no further event.
    [answer] = re.findall(r"^(?:null|\{(?!\"timestamp\").*)$", output.out, re.MULTILINE)
    if event == "sweeper-schedule":
        assert answer == "null"
    elif event in {"stream-changes", "worker-sqs"}:
        assert json.loads(answer) == {"batchItemFailures": []}
    else:
        assert json.loads(answer)["statusCode"] == status_of(event), answer
