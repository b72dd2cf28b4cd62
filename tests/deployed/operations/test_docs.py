"""The commands in the documents print the output that is shown there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import users
from local.process import PROJECT
from local.stack import LocalStack
from tests.support.deployed import Api, Caller
from tests.support.programs import require

MARK = "~~ end of a command ~~"
NOT_RUN = ("make ", "python3 -m venv ", "pip ", "python3 -m http.server ", "kill $SERVER")
"""The stack is another one, the packages are those of this environment, and the server's port may be another program's."""


def steps(document: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of the document's console blocks, with the lines that are shown under it."""
    text = (PROJECT / document).read_text()
    for block in re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *shown = part.rstrip("\n").replace("\\\n", " ").split("\n")
            yield command, shown


@pytest.mark.parametrize(
    ("document", "least"),
    [
        ("README.md", 2),
        ("docs/http-api.md", 20),
        ("docs/tracked.md", 4),
        ("docs/notifications.md", 8),
        ("docs/clients.md", 1),
        ("docs/dialects.md", 1),
        ("docs/administration.md", 1),
    ],
    ids=str,
)
def test_every_command_prints_the_documented_output(
    document: str, least: int, stack: LocalStack, api: Api, tmp_path: Path
) -> None:
    caller = api.caller("alice") if document != "docs/administration.md" else _operator(api, stack)
    # A reader is slower than this test and has already run a job.
    caller.wait_for(caller.submit("text.search", {"query": "lease"}, prefer="respond-async"))
    listed = [(command, shown) for command, shown in steps(document) if not command.startswith(NOT_RUN)]
    script = "\n".join(f"{_typed(command, caller)}\necho '{MARK}'" for command, _ in listed)
    if "curl " in script:
        require("curl", "curl")
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local" / "stack.json").write_text(json.dumps({"apiUrl": stack.outputs.api_url}))
    ran = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True,
        env={
            "PATH": f"{_installed_client(tmp_path)}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            **dict.fromkeys(("ASYNCJOBS_URL", "API_URL"), stack.outputs.api_url),
            **dict.fromkeys(("ASYNCJOBS_TOKEN", "TOKEN"), _token(caller)),
            "NO_PROXY": "*",
        },
    )  # fmt: skip
    outputs = ran.stdout.split(MARK)[: len(listed)]
    assert len(outputs) == len(listed), ran.stderr
    wrong = [
        f"$ {command}\n{output.strip()}"
        for (command, shown), output in zip(listed, outputs, strict=True)
        if not all(line in output for line in shown)
    ]
    assert not wrong, "\n\n".join(wrong)
    assert sum(len(shown) for _, shown in listed) >= least


def _installed_client(folder: Path) -> Path:
    """Return a folder with the program `asyncjobs`, as an installation of the client has it."""
    program = folder / "bin/asyncjobs"
    program.parent.mkdir()
    client = PROJECT / "clients/python"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={client} exec {sys.executable} -m asyncjobs_client "$@"\n')
    program.chmod(0o755)
    return program.parent


def _operator(api: Api, stack: LocalStack) -> Caller:
    users.create(stack.outputs, stack.session, "operator-of-the-documents", group="operator")
    return api.caller("operator-of-the-documents")


def _token(caller: Caller) -> str:
    return str(caller.http.headers["authorization"]).removeprefix("Bearer ")


def _typed(command: str, caller: Caller) -> str:
    if command.startswith("TOKEN="):
        # In the document, make prints a token, for the stack of `make run` only.
        return f"TOKEN={_token(caller)}"
    if command.startswith("TAG="):
        # The wait of the previous command may have ended before the job.
        return f'until curl -s $API/jobs/$JOB -H "$ME" | grep -q \'"COMPLETED"\'; do sleep 0.2; done\n{command}'
    return command
