# ruff: noqa: T201 - a command prints
"""python -m tests.deployed.openapi.fuzz: ask the deployed local stack for all that the OpenAPI document allows, and for more."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from local import users
from local.process import PROJECT
from local.stack import LocalStack
from tests.proof.crash import tree
from tests.proof.crash.history import FINISHED

FOLDER = Path(__file__).parent
SCENARIO = 5
"""A scenario is several requests, each made up anew, and counts as so many examples."""

_ENDING: tuple[dict[str, Any], ...] = (
    {"jobType": "fuzz.returns", "input": {"text": "small"}},
    *({"jobType": "fuzz.returns_much", "input": {"size": 20_000}} for _ in range(3)),  # submits make up none so large
    {"jobType": "fuzz.fails", "input": {}},
)
_WAITING: dict[str, Any] = {"jobType": "fuzz.returns", "input": {}, "delaySeconds": 900}


@dataclass(frozen=True)
class Fuzzed:
    """What schemathesis said, and what it was answered: by operation and status."""

    exit_status: int
    asked: Counter[str]  # by operation, each of the document's
    answers: Counter[str]
    scenarios: int
    text: str

    def given_up(self, examples: int) -> list[str]:
        """What was asked less often than it should: schemathesis does so in silence."""
        few = [f"{name} {count}" for name, count in self.asked.items() if count < examples]
        return few if self.scenarios >= examples // SCENARIO else [*few, f"scenarios {self.scenarios}"]


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.deployed.openapi.fuzz", description=__doc__, epilog="More goes to schemathesis."
    )
    parser.add_argument("--examples", type=int, default=10_000, help="an operation")
    options, further = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder, deployed(Path(folder)) as stack:
        fuzzed = fuzz(stack, examples=options.examples, further=further, say=lambda line: print(line, flush=True))
    for name, count in sorted(fuzzed.answers.items()):
        print(f"{count:8} {name}")
    given_up = fuzzed.given_up(options.examples)
    print(f"Given up: {', '.join(given_up) or 'nothing'}")
    return fuzzed.exit_status or int(bool(given_up))


@contextmanager
def deployed(folder: Path) -> Iterator[LocalStack]:
    """A stack with jobs of every way to end, and the longest retention there is, which is the one that the document names."""
    copy = tree.make(folder / "tree", jobs={"fuzz": FOLDER / "jobs.py"})
    with LocalStack(copy, folder / "state") as stack:
        stack.deploy({"MaxRetentionDays": "90"})
        yield stack


def fuzz(
    stack: LocalStack, *, examples: int, further: Sequence[str] = (), say: Callable[[str], None] = lambda _: None
) -> Fuzzed:
    """Let schemathesis run all its phases, so many examples an operation; `say` gets its lines as they come."""
    base = f"{stack.outputs.api_url}/api/v1"
    token = users.token(stack.outputs, stack.session, "fuzz")
    folder, answers = stack.state / "fuzz", stack.state / "fuzz" / "answers.json"
    folder.mkdir()
    settings = (FOLDER / "schemathesis.toml").read_text()  # which names a file beside it
    scenarios = f"[phases.stateful.generation]\nmax-examples = {examples // SCENARIO}\n"
    (folder / "schemathesis.toml").write_text(f"{settings}\n{scenarios}")
    with httpx.Client(base_url=base, headers={"authorization": f"Bearer {token}"}, timeout=60, trust_env=False) as client:
        document = client.get("/openapi.json").raise_for_status().json()
        (folder / "openapi.json").write_text(json.dumps(_with_something_to_vary(document)))
        (folder / "jobs.txt").write_text("\n".join(map(json.dumps, _seed(client))))
    with subprocess.Popen(
        [
            sys.executable, "-m", "schemathesis.cli", "run", "openapi.json",
            "--url", base, "--max-examples", str(examples), "--no-color", *further,
        ],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={
            **os.environ,
            "ASYNCJOBS_TOKEN": token,
            "ASYNCJOBS_ANSWERS": str(answers),
            "NO_PROXY": "*",
            "PYTHONPATH": f"{PROJECT}:{PROJECT}/layers/asyncjobs",
        },
    ) as process:  # fmt: skip
        assert process.stdout is not None
        text = "".join(_told(process.stdout, say))
    if not answers.exists():
        raise RuntimeError(f"schemathesis asked nothing:\n{text}")
    return _counted(document, json.loads(answers.read_text()), process.returncode, text)


def _counted(document: dict[str, Any], answers: dict[str, int], exit_status: int, text: str) -> Fuzzed:
    asked = Counter({operation["operationId"]: 0 for operation in _operations(document)})
    for name, count in answers.items():
        asked[name.split()[0]] += count
    scenarios = re.search(r"Scenarios:\s+(\d+)", text)
    return Fuzzed(exit_status, asked, Counter(answers), int(scenarios[1]) if scenarios else 0, text)


def _with_something_to_vary(document: dict[str, Any]) -> dict[str, Any]:
    """Give each operation that takes nothing a parameter that is in no document: else it would be asked the same once."""
    for operation in _operations(document):
        if not operation.keys() & {"parameters", "requestBody"}:
            operation["parameters"] = [{"in": "query", "name": "undocumented", "schema": {}}]
    return document


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for methods in document["paths"].values() for operation in methods.values()]


def _told(lines: Iterable[str], say: Callable[[str], None]) -> Iterator[str]:
    for line in lines:
        say(line.rstrip("\n"))
        yield line


def _seed(client: httpx.Client) -> list[str]:
    """The ids of jobs that stand in every way in which a job may when somebody asks for it."""
    ended = [_submit(client, body) for body in _ENDING]
    waiting, cancelled = _submit(client, _WAITING), _submit(client, _WAITING)
    client.post(f"/jobs/{cancelled}/cancel").raise_for_status()
    deadline = time.monotonic() + 60
    for async_job_id in ended:
        while client.get(f"/jobs/{async_job_id}").raise_for_status().json()["status"] not in FINISHED:
            if time.monotonic() > deadline:
                raise TimeoutError(async_job_id)
            time.sleep(0.2)
    return [*ended, waiting, cancelled]


def _submit(client: httpx.Client, body: dict[str, Any]) -> str:
    async_job_id: str = client.post("/jobs", json=body).raise_for_status().json()["asyncJobId"]
    return async_job_id


if __name__ == "__main__":
    sys.exit(main())
