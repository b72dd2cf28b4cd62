"""The package: what it exports, what it imports, and that its two halves are one source."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import asyncjobs_client
from tests.clients.python.harness import ASYNC, SYNC
from tools import sync_client

FOLDER = Path(asyncjobs_client.__file__).parent


def test_half_without_asyncio_is_made_from_the_other_one() -> None:
    assert [path.name for path, text in sync_client.generated().items() if path.read_text() != text] == []


def test_generator_leaves_texts_and_other_names_alone() -> None:
    source = 'async def f(x: AsyncIterator[AsyncjobsError]) -> AsyncJob:\n    await g("async is AsyncJob")\n'
    made = 'def f(x: Iterator[AsyncjobsError]) -> Job:\n    g("async is Job")\n'
    assert sync_client.without_async(source) == made


def test_both_clients_have_the_same_methods_and_parameters() -> None:
    def shape(kind: Any) -> dict[str, list[str]]:
        methods = inspect.getmembers(kind, inspect.isfunction)
        names = {"aclose": "close", "__aenter__": "__enter__", "__aexit__": "__exit__"}
        return {names.get(name, name): list(inspect.signature(method).parameters) for name, method in methods}

    assert shape(SYNC.jobs) == shape(ASYNC.jobs)
    assert shape(asyncjobs_client.Job) == shape(asyncjobs_client.AsyncJob)
    assert shape(SYNC.worker) == shape(ASYNC.worker)


def test_client_depends_on_httpx2_alone_and_imports_nothing_of_the_library() -> None:
    own = {"asyncjobs_client", "httpx2"}
    allowed = {"cli": own | {"typer", "rich"}}
    for path in FOLDER.rglob("*.py"):
        imported = {name.partition(".")[0] for name in _imports(ast.parse(path.read_text()))}
        outside = imported - sys.stdlib_module_names
        assert outside <= allowed.get(path.parent.name, own), path


def _imports(tree: ast.Module) -> set[str]:
    found = [each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names]
    return {*found, *(node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))}


def test_import_loads_no_asyncio_and_no_command_line() -> None:
    code = "import asyncjobs_client, sys; print([name for name in ('asyncio', 'typer', 'rich') if name in sys.modules])"
    environment = {"PYTHONPATH": str(FOLDER.parent)}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout
    assert found.strip() == "[]"


def test_every_exported_name_exists() -> None:
    assert [name for name in asyncjobs_client.__all__ if not hasattr(asyncjobs_client, name)] == []
    with pytest.raises(AttributeError, match="nothing"):
        _ = asyncjobs_client.nothing


def test_version_is_that_of_the_metadata() -> None:
    metadata = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text())
    assert metadata["project"]["version"] == asyncjobs_client.__version__
    assert metadata["project"]["dependencies"] == ["httpx2>=2.10"]
