# ruff: noqa: T201 - a command prints
"""python -m tests.deployed.openapi.fuzz: send the deployed local stack every request that the OpenAPI document allows, and more."""

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
"""A scenario is several generated requests and counts as this many examples."""
SAME = 10
"""An operation that gives this user the same answer to every request receives this part of the examples."""

_ENDING: tuple[dict[str, Any], ...] = (
    {"jobType": "fuzz.ends", "input": {"size": 1}},
    *({"jobType": "fuzz.ends", "input": {"size": 20_000}} for _ in range(3)),  # no generated submit is so large
    {"jobType": "fuzz.ends", "input": {"size": 0, "fails": True}},
)
_WAITING: dict[str, Any] = {"jobType": "fuzz.ends", "input": {"size": 1}, "delaySeconds": 900}
_MANY = 20
_SPARE = 5  # for deletions


@dataclass(frozen=True)
class Fuzzed:
    """The outcome of schemathesis, and the answers by operation and status."""

    exit_status: int
    requested: Counter[str]  # requests by operation, with every documented one
    answers: Counter[str]
    scenarios: int
    text: str
    same: frozenset[str]  # operations that give the same answer to every request

    @property
    def failures(self) -> str:
        """Return what schemathesis prints of the failed checks and errors, without its report of the settings."""
        return "\n".join(re.findall(r"^=+ (?:FAILURES|ERRORS) =+$.*?(?=^=+ |\Z)", self.text, flags=re.MULTILINE | re.DOTALL))

    def too_few(self, examples: int) -> list[str]:
        """Return operations with too few requests: schemathesis does not report them."""
        due = {name: examples // SAME if name in self.same else examples for name in self.requested}
        few = [f"{name} {count}" for name, count in self.requested.items() if count < due[name]]
        return few if self.scenarios >= examples // SCENARIO else [*few, f"scenarios {self.scenarios}"]


def main() -> int:
    """Run schemathesis and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.deployed.openapi.fuzz", description=__doc__, epilog="Other options go to schemathesis."
    )
    parser.add_argument("--examples", type=int, default=10_000, help="per operation")
    options, further = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder, deployed(Path(folder)) as stack:
        fuzzed = fuzz(stack, examples=options.examples, further=further, say=lambda line: print(line, flush=True))
    for name, count in sorted(fuzzed.answers.items()):
        print(f"{count:8} {name}")
    too_few = fuzzed.too_few(options.examples)
    print(f"Given up: {', '.join(too_few) or 'nothing'}")
    return fuzzed.exit_status or int(bool(too_few))


@contextmanager
def deployed(folder: Path) -> Iterator[LocalStack]:
    """Start a stack with jobs of every outcome and the longest retention, which is the documented one."""
    copy = tree.make(folder / "tree", jobs={"fuzz": FOLDER / "jobs.py"})
    with LocalStack(copy, folder / "state") as stack:
        stack.deploy({"MaxRetentionDays": "90"})
        _deliver_nothing(stack)
        yield stack


def _deliver_nothing(stack: LocalStack) -> None:
    """Have no event delivered to the generated webhooks, whose URLs no receiver answers: they would be most of the jobs.

    The API is the same, and test deliveries go out and fail.
    """
    functions = stack.session.client("lambda", endpoint_url=stack.endpoint_url)
    (name,) = (
        each["FunctionName"] for each in functions.list_functions()["Functions"] if "StreamFunction" in each["FunctionName"]
    )
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": {**variables, "WEBHOOKS": "OFF"}})


def fuzz(
    stack: LocalStack, *, examples: int, further: Sequence[str] = (), say: Callable[[str], None] = lambda _: None
) -> Fuzzed:
    """Run all phases of schemathesis with this many examples per operation; `say` receives its lines as they come."""
    base = f"{stack.outputs.api_url}/api/v1"
    token = users.token(stack.outputs, stack.session, "fuzz")
    folder, answers = stack.state / "fuzz", stack.state / "fuzz" / "answers.json"
    folder.mkdir()
    with httpx.Client(base_url=base, headers={"authorization": f"Bearer {token}"}, timeout=60, trust_env=False) as client:
        document = client.get("/openapi.json").raise_for_status().json()
        same = _with_the_same_answer(document)
        (folder / "schemathesis.toml").write_text(_settings(examples, same))
        (folder / "openapi.json").write_text(json.dumps(_with_something_to_vary(document)))
        (folder / "jobs.txt").write_text("\n".join(map(json.dumps, _seed(client))))
        (folder / "spare.txt").write_text("\n".join(json.dumps(_cancelled(client)) for _ in range(_SPARE)))
        ticket = client.post("/tickets", json={"scope": "owner"}).raise_for_status().json()["ticket"]
    with subprocess.Popen(
        [
            sys.executable, "-m", "schemathesis.cli", "run", "openapi.json",
            "--url", base, "--no-color", *further,
        ],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={
            **os.environ,
            "ASYNCJOBS_TOKEN": token,
            "ASYNCJOBS_TICKET": ticket,
            "ASYNCJOBS_ANSWERS": str(answers),
            "NO_PROXY": "*",
            "PYTHONPATH": f"{PROJECT}:{PROJECT}/layers/asyncjobs",
        },
    ) as process:  # fmt: skip
        assert process.stdout is not None
        text = "".join(_echoed(process.stdout, say))
    if not answers.exists():
        raise RuntimeError(f"schemathesis sent no request:\n{text}")
    requested, counted = _counted(document, json.loads(answers.read_text()))
    scenarios = re.search(r"Scenarios:\s+(\d+)", text)
    return Fuzzed(process.returncode, requested, counted, int(scenarios[1]) if scenarios else 0, text, same)


def _with_the_same_answer(document: dict[str, Any]) -> frozenset[str]:
    """Return the operations without any input, those of administrators and workers, and those of one webhook: this user has none."""
    return frozenset(
        operation["operationId"]
        for operation in _operations(document)
        if "admin" in operation["tags"]
        or {"workerToken": []} in operation.get("security", ())
        or {"$ref": "#/components/parameters/webhookId"} in operation.get("parameters", ())
        or not operation.keys() & {"parameters", "requestBody"}
    )


def _settings(examples: int, same: frozenset[str]) -> str:
    """Return the settings with the numbers of examples: an option of the command line sets one number for all operations."""
    return "\n".join(
        [
            (FOLDER / "schemathesis.toml").read_text(),  # which names another file of its folder
            f"[phases.fuzzing.generation]\nmax-examples = {examples}",
            f"[phases.stateful.generation]\nmax-examples = {examples // SCENARIO}",
            f"[[operations]]\ninclude-operation-id = {json.dumps(sorted(same))}\ngeneration.max-examples = {examples // SAME}",
        ]
    )


def _counted(document: dict[str, Any], answers: dict[str, int]) -> tuple[Counter[str], Counter[str]]:
    requested = Counter({operation["operationId"]: 0 for operation in _operations(document)})
    for name, count in answers.items():
        requested[name.split()[0]] += count
    return requested, Counter(answers)


def _with_something_to_vary(document: dict[str, Any]) -> dict[str, Any]:
    """Add an undocumented parameter to each operation without any: otherwise it would receive a single request."""
    for operation in _operations(document):
        if not operation.keys() & {"parameters", "requestBody"}:
            operation["parameters"] = [{"in": "query", "name": "undocumented", "schema": {}}]
    return document


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for methods in document["paths"].values() for operation in methods.values()]


def _echoed(lines: Iterable[str], say: Callable[[str], None]) -> Iterator[str]:
    for line in lines:
        say(line.rstrip("\n"))
        yield line


def _seed(client: httpx.Client) -> list[str]:
    """Create jobs in every state and return their ids."""
    ended = [_submit(client, body) for body in _ENDING]
    # Several, since a generated request may cancel one before another request deletes it.
    waiting = [_submit(client, _WAITING) for _ in range(_MANY)]
    deadline = time.monotonic() + 60
    for async_job_id in ended:
        while client.get(f"/jobs/{async_job_id}").raise_for_status().json()["status"] not in FINISHED:
            if time.monotonic() > deadline:
                raise TimeoutError(async_job_id)
            time.sleep(0.2)
    return [*ended, *waiting, _cancelled(client)]


def _cancelled(client: httpx.Client) -> str:
    async_job_id = _submit(client, _WAITING)
    client.post(f"/jobs/{async_job_id}/cancel").raise_for_status()
    return async_job_id


def _submit(client: httpx.Client, body: dict[str, Any]) -> str:
    async_job_id: str = client.post("/jobs", json=body).raise_for_status().json()["asyncJobId"]
    return async_job_id


if __name__ == "__main__":
    sys.exit(main())
