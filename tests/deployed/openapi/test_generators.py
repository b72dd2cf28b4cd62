"""Other people's programs make complete clients of the document, without a warning."""

from __future__ import annotations

import ast
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from asyncjobs.jobtypes.catalog import OPENAPI, document_path
from tests.deployed.openapi.generators import OPENAPI_TYPESCRIPT, REDOCLY, TYPESCRIPT, npx, python_client

DOCUMENT = document_path(OPENAPI)
USAGE = Path(__file__).with_name("usage.ts")


def operations() -> list[Any]:
    found = [each for methods in json.loads(DOCUMENT.read_text())["paths"].values() for each in methods.values()]
    assert found
    return found


@pytest.mark.slow
def test_linter_finds_nothing(tmp_path: Path) -> None:
    report = json.loads(npx(tmp_path, REDOCLY, "redocly", "lint", "--format=json", DOCUMENT))
    assert (report["problems"], report["totals"]["errors"], report["totals"]["warnings"]) == ([], 0, 0)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the generated package for Python."""
    folder = tmp_path_factory.mktemp("python")
    assert "WARNING" not in python_client(DOCUMENT, folder)
    return folder / "asyncjobs_client"


@pytest.mark.slow
def test_python_client_has_every_operation_and_reads_every_answer(client: Path) -> None:
    modules = {path.stem: path.read_text() for path in (client / "api").rglob("*.py")}
    for operation in operations():
        source = modules[re.sub("(?<!^)(?=[A-Z])", "_", operation["operationId"]).lower()]
        parsed = {int(status) for status in re.findall(r"response\.status_code == (\d+)", source)}
        assert parsed == {int(status) for status in operation["responses"]}, operation["operationId"]


@pytest.mark.slow
def test_python_client_has_one_class_for_all_problems(client: Path) -> None:
    models = ast.parse((client / "models" / "__init__.py").read_text())
    names = {alias.name for node in models.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert {name for name in names if "Problem" in name} == {"Problem", "InputProblem"}


@pytest.mark.slow
def test_typescript_types_have_every_operation_and_answer_and_a_program_compiles_with_them(tmp_path: Path) -> None:
    npx(tmp_path, f"{OPENAPI_TYPESCRIPT} {TYPESCRIPT}", "openapi-typescript", DOCUMENT, "--output", "api.d.ts")
    types = (tmp_path / "api.d.ts").read_text()
    for operation in operations():
        _, _, rest = types.partition(f"\n    {operation['operationId']}: {{\n")
        body = rest.partition("\n    };\n")[0]
        assert set(re.findall(r"\n            (\d+): \{", body)) == set(operation["responses"]), operation["operationId"]
    shutil.copy(USAGE, tmp_path)
    npx(tmp_path, f"{OPENAPI_TYPESCRIPT} {TYPESCRIPT}", "tsc", "--strict", "--noEmit", "--skipLibCheck", "usage.ts")
