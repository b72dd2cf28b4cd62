"""Each module of the library has its unit tests at the same place below tests/unit."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.template.source import ROOT

LIBRARY = ROOT / "layers/asyncjobs/asyncjobs"
JOBS = ROOT / "layers/jobs/jobs"
UNIT = ROOT / "tests/unit"

WITHOUT_UNIT_TEST = {
    "context.py": "protocols only: worker/attempt.py and testing.py implement them",
    "core/ports.py": "protocols only: aws/ and tests/support/fakes.py implement them, tests/adapters tests both",
    "aws/dynamodb_batch.py": "tests/adapters/test_store.py",
    "aws/dynamodb_events.py": "tests/adapters/test_event_log.py",
    "aws/dynamodb_history.py": "tests/adapters/test_history.py",
    "aws/dynamodb_jobs.py": "tests/adapters/test_store.py",
    "aws/dynamodb_tickets.py": "tests/adapters/test_tickets.py",
    "aws/dynamodb_watchers.py": "tests/adapters/test_watchers.py",
    "aws/eventbridge.py": "tests/adapters/test_event_bus.py",
    "aws/websocket.py": "tests/adapters/test_connections.py",
    "aws/dynamodb_webhooks.py": "tests/adapters/test_webhooks.py",
    "aws/dynamodb_audit.py": "tests/adapters/test_audit.py",
    "aws/dynamodb_bulk_parts.py": "tests/adapters/test_bulk_parts.py",
    "aws/lambda_continuations.py": "tests/adapters/test_continuations.py",
    "aws/dynamodb_type_histories.py": "tests/adapters/test_type_histories.py",
    "aws/lambda_pollers.py": "tests/adapters/test_pollers.py",
    "aws/sqs_queue_depths.py": "tests/adapters/test_queue_depths.py",
    "aws/sqs_dead_letters.py": "tests/adapters/test_dead_letters.py",
    "aws/dynamodb_indexes.py": "tests/adapters/test_indexes.py",
    "aws/s3.py": "tests/adapters/test_objects.py",
    "aws/sqs.py": "tests/adapters/test_queue.py",
    "tracked.py": "tests/adapters/test_tracked.py",
}
ABOUT_THE_REPOSITORY = {
    "test_documents.py",
    "test_layout.py",
    "test_log_volume.py",
    "test_parameters.py",
    "test_verify.py",
    "test_words.py",
}


def modules(package: Path) -> set[Path]:
    return {path.relative_to(package) for path in package.rglob("*.py") if path.name != "__init__.py"}


def unit_test_of(module: Path) -> Path:
    return module.with_name(f"test_{module.stem.strip('_')}.py")


def test_each_module_of_the_library_has_its_unit_test() -> None:
    missing = {str(module) for module in modules(LIBRARY) if not (UNIT / unit_test_of(module)).exists()}
    assert missing == WITHOUT_UNIT_TEST.keys()


def test_each_job_has_its_unit_test() -> None:
    missing = {str(module) for module in modules(JOBS) if not (UNIT / "jobs" / unit_test_of(module)).exists()}
    assert missing == {"tracked.py"}, "it only declares tracked job types"


def test_each_unit_test_has_its_module() -> None:
    tested = {unit_test_of(module) for module in modules(LIBRARY)} | {"jobs" / unit_test_of(module) for module in modules(JOBS)}
    found = {
        path.relative_to(UNIT)
        for path in UNIT.rglob("test_*.py")
        if path.relative_to(UNIT).as_posix() not in ABOUT_THE_REPOSITORY
    }
    assert found <= tested


def test_each_named_replacement_exists() -> None:
    named = [reason for reason in WITHOUT_UNIT_TEST.values() if reason.endswith(".py")]
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_ports_are_in_one_module_and_those_of_administrators_in_another() -> None:
    texts = {path.name: path.read_text() for path in (LIBRARY / "core").glob("*.py")}
    assert {name for name, text in texts.items() if re.search(r"^class \w+\(Protocol\)", text, flags=re.MULTILINE)} == {
        "ports.py",
        "administration.py",
    }


def test_names_of_tests_begin_with_their_subject() -> None:
    defined = [
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^ *(?:async )?def (test_\w+)", path.read_text(), flags=re.MULTILINE)
    ]
    words_to_leave_out = r"test_(an?|the|its?|of|what|whatever|who|whoever|nobody|somebody)_"
    assert [name for name in defined if re.match(words_to_leave_out, name)] == []


def test_library_imports_its_own_modules_at_the_top() -> None:
    """Only the handlers in `functions/` import modules of the library late."""
    late = re.compile(r"^ +(?:from (?:asyncjobs|jobs)[. ]|import asyncjobs).*", flags=re.MULTILINE)
    allowed = re.compile(r"^if TYPE_CHECKING:\n(?:    .*\n|\n)+", flags=re.MULTILINE)
    texts = {path: path.read_text() for package in (LIBRARY, JOBS) for path in package.rglob("*.py")}
    found = {str(path.relative_to(ROOT)): late.findall(allowed.sub("", text)) for path, text in texts.items()}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_no_environment_is_checked_where_no_gitignore_counts_as_in_an_archive() -> None:
    command = [sys.executable, "-m", "ruff", "check", "--show-files", "--no-respect-gitignore", "."]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    folders = {Path(file).relative_to(ROOT).parts[0] for file in listed}
    assert {"layers", "tests"} <= folders
    assert not {name for name in folders if name.startswith(".")}
