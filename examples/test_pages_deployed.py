"""The commands of the examples' pages, pasted as they are, print what the pages show.

Only ports differ, and `make` only answers: the stack is the tests' own.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from local.process import PROJECT, free_port
from local.stack import LocalStack
from tests.support.deployed import Caller
from tests.support.mariadb import mariadb
from tests.support.programs import require

OVERVIEW, MYSQL = Path("docs/examples.md"), Path("examples/mysql-import/README.md")
PAGES = {str(path.relative_to(PROJECT)): [path.relative_to(PROJECT)] for path in sorted(PROJECT.glob("examples/*/README.md"))}
PAGES[str(OVERVIEW)] = [PAGES.pop(str(MYSQL))[0], OVERVIEW]  # which needs the database of the other
SECRET = "asyncjobs/mysql/shop"
MARK = re.compile(r"~~ end of a block: (\d+) ~~\n")
RUNNING = {"PENDING", "IN_PROGRESS"}
MAKE = """#!/bin/sh
case "$*" in
  run*|example*) ;;
  token|"-s token") echo "$THE_TOKEN" ;;
  env) env | grep ^AWS_ | sed 's/^/export /' ;;
  *) echo "make: no rule for $*" >&2; exit 2 ;;
esac
"""


# ── Pages ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Step:
    """A block of commands, and the output that is shown after it."""

    commands: str
    shown: str
    is_json: bool


@dataclass
class Page:
    """The commands of a page in their order, and the statements for its database."""

    steps: list[Step] = field(default_factory=list)
    sql: list[str] = field(default_factory=list)


def page(path: Path) -> Page:
    """Read the blocks of a section "Try it"; all blocks of the overview."""
    text = (PROJECT / path).read_text()
    if path != OVERVIEW:
        (text,) = re.findall(r"^## Try it$(.*?)(?=^## )", text, flags=re.DOTALL | re.MULTILINE)
    found = Page()
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE):
        if language == "sh":
            found.steps.append(Step(block, "", is_json=False))
        elif language == "sql":
            found.sql += [statement for statement in block.split(";\n") if statement]
        elif language in {"", "json"} and found.steps:
            found.steps[-1] = Step(found.steps[-1].commands, block, is_json=language == "json")
    return found


def values(text: str) -> list[Any]:
    """Return the JSON objects in a text, in their order."""
    decoder, found, place = json.JSONDecoder(), [], text.find("{")
    while place >= 0:
        try:
            value, place = decoder.raw_decode(text, place)
        except ValueError:
            place += 1
        else:
            found.append(value)
        place = text.find("{", place)
    return found


def differences(shown: Any, actual: Any, place: str = "") -> list[str]:
    """Return where an answer is not as the page shows it: members that are not shown, ids, times, ports and `…` are anything."""
    if isinstance(shown, dict) and isinstance(actual, dict):
        return [each for name in shown for each in differences(shown[name], actual.get(name, "(missing)"), f"{place}/{name}")]
    if isinstance(shown, list) and isinstance(actual, list) and len(shown) == len(actual):
        return [each for n, one in enumerate(shown) for each in differences(one, actual[n], f"{place}/{n}")]
    if isinstance(shown, str) and isinstance(actual, str) and re.fullmatch(_pattern(shown), actual, flags=re.DOTALL):
        return []
    return [] if (type(shown), shown) == (type(actual), actual) else [f"{place}: {shown!r} is shown, {actual!r} is printed"]


ANYTHING = {
    r"[0-9a-f]{8}\\-[0-9a-f]{4}\\-4[0-9a-f]{3}\\-[0-9a-f]{4}\\-[0-9a-f]{12}": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    r"\d{4}\\-\d\d\\-\d\dT\d\d:\d\d:\d\dZ": r"\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ",
    r"127\\\.0\\\.0\\\.1:\d+": r"127\\.0\\.0\\.1:\\d+",
    "…": ".*",
}


def _pattern(shown: str) -> str:
    pattern = re.escape(shown)
    for kind, anything in ANYTHING.items():
        pattern = re.sub(kind, anything, pattern)
    return pattern


def not_as_shown(step: Step, output: str) -> list[str]:
    if not step.is_json:
        return [line for line in step.shown.splitlines() if not re.search(_pattern(line), output)]
    shown, printed = values(step.shown), values(output)
    if len(shown) != len(printed):
        return [f"{len(shown)} answers are shown, {len(printed)} are printed: {output[-2000:]}"]
    return [each for one, other in zip(shown, printed, strict=True) for each in differences(one, other)]


def is_running(step: Step, output: str) -> bool:
    """Return whether each answer that differs is a job that still runs where the page shows its end."""
    shown, printed = values(step.shown), values(output)
    return (
        step.is_json
        and len(shown) == len(printed)
        and all(other.get("status") in RUNNING for one, other in zip(shown, printed, strict=True) if differences(one, other))
    )


# ── A terminal ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Printed:
    """What a block printed, and the exit code of its last command that failed, or 0."""

    output: str
    exit_code: int


@dataclass(frozen=True)
class Terminal:
    """A shell in a folder that looks as a clone with a running stack does."""

    folder: Path
    environment: dict[str, str]
    texts: dict[str, str]
    """Texts of commands that differ here: ports."""

    def run(self, steps: Sequence[Step], token: str) -> list[Printed]:
        """Run the blocks in one shell, with the token of a reader, and return what each does."""
        blocks = (f'code=0\n{step.commands}\necho "~~ end of a block: $code ~~"' for step in steps)
        script = "\n".join(["trap 'code=$?' ERR", *blocks])
        for documented, own in self.texts.items():
            script = script.replace(documented, own)
        if "curl " in script:
            require("curl", "curl")  # without it, what waits for an answer hangs
        shell = subprocess.Popen(
            ["bash", "-c", script], cwd=self.folder, env={**self.environment, "THE_TOKEN": token}, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            printed, _ = shell.communicate(timeout=400)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)  # what it has started
        *parts, _after = MARK.split(printed)
        return [Printed(output, int(code)) for output, code in zip(parts[::2], parts[1::2], strict=True)]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Start MariaDB with the database of its page, and return its port."""
    with mariadb(tmp_path_factory.mktemp("mariadb")) as server:
        server.run(*page(MYSQL).sql)
        yield server.port


@pytest.fixture
def terminal(stack: LocalStack, database: int, tmp_path: Path) -> Terminal:
    for name in ("clients", "examples", "local"):
        (tmp_path / name).symlink_to(PROJECT / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / ".local").mkdir()
    (tmp_path / ".local/stack.json").write_text(json.dumps({"apiUrl": stack.outputs.api_url}))
    make = tmp_path / "bin/make"
    make.parent.mkdir()
    make.write_text(MAKE)
    make.chmod(0o755)
    processor = free_port()
    environment = {
        **stack.engine.environment,
        "PATH": f"{make.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PROCESSOR_URL": f"http://127.0.0.1:{processor}",
        "NO_PROXY": "*",
    }
    texts = {"4691": str(processor), "file_processor.py": f"file_processor.py --port {processor}", "3306": str(database)}
    return Terminal(tmp_path, environment, texts)


@pytest.fixture
def forget(stack: LocalStack) -> Iterator[Callable[[], None]]:
    """Delete the secret that a page creates."""
    secrets = stack.session.client("secretsmanager", endpoint_url=stack.endpoint_url)

    def forget() -> None:
        with suppress(secrets.exceptions.ResourceNotFoundException):
            secrets.delete_secret(SecretId=SECRET, ForceDeleteWithoutRecovery=True)

    yield forget
    forget()


@pytest.mark.parametrize("paths", PAGES.values(), ids=PAGES)
def test_every_command_prints_the_documented_output(
    paths: Sequence[Path], terminal: Terminal, caller: Callable[[str], Caller], forget: Callable[[], None]
) -> None:
    steps = [step for path in paths for step in page(path).steps]
    assert [step for step in steps if step.shown], "nothing is compared"
    wrong: list[str] = []
    for _ in range(3):
        forget()
        reader = caller(uuid.uuid4().hex)  # who has no uploads yet
        printed = terminal.run(steps, reader.http.headers["authorization"].removeprefix("Bearer "))
        assert len(printed) == len(steps), printed
        assert [(step.commands, each) for step, each in zip(steps, printed, strict=True) if each.exit_code] == []
        found = [(step, each.output, not_as_shown(step, each.output)) for step, each in zip(steps, printed, strict=True)]
        wrong = [line for *_, lines in found for line in lines]
        # Where this machine is busy, an answer may be a job that still runs.
        if not wrong or not all(is_running(step, output) for step, output, lines in found if lines):
            break
    assert wrong == []


def test_command_that_fails_is_seen_wherever_it_is(tmp_path: Path) -> None:
    blocks = ["true", "(exit 7)\ntrue", "X=$(exit 8)\necho done", "until true; do false; done", "echo last"]
    steps = [Step(f"{block}\n", "", is_json=False) for block in blocks]
    printed = Terminal(tmp_path, dict(os.environ), {}).run(steps, token="")
    assert [each.exit_code for each in printed] == [0, 7, 8, 0, 0]
    assert [each.output for each in printed] == ["", "", "done\n", "", "last\n"]


@pytest.mark.parametrize(
    ("shown", "printed", "expected"),
    [
        ('{"status": "COMPLETED", "result": 1}', '{"status": "IN_PROGRESS", "result": null}', True),
        ('{"status": "success"}', '{"status": "PENDING"}', True),
        ('{"status": "COMPLETED", "result": 1}', '{"status": "COMPLETED", "result": 2}', False),
        ('{"status": "COMPLETED", "result": 1}', '{"status": "FAILED", "result": null}', False),
        ('{"a": 1}{"status": "COMPLETED"}', '{"a": 2}{"status": "PENDING"}', False),
        ('{"status": "COMPLETED"}', '{"status": "PENDING"}{}', False),
    ],
)
def test_page_is_tried_again_only_for_a_job_that_still_runs(shown: str, printed: str, expected: bool) -> None:
    assert is_running(Step("", shown, is_json=True), printed) is expected


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {}),
        ({"a": None}, {}),
        ([1], [1, 2]),
        (True, 1),
        ("uploads/875ca673-4a4d-42ba-ad1b-70114ae49992", "uploads/1"),
        ("It is …", "It was so"),
        ("a.b", "axb"),
    ],
    ids=str,
)
def test_difference_is_found(shown: Any, printed: Any) -> None:
    assert differences(shown, printed) != []
    assert differences(shown, shown) == []
