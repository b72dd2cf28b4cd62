"""The examples' modules on the import path, and a local stack that has all examples."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

import jobs
from local.stack import LocalStack
from tests.conftest import DIALECTS, alice, api, bob, caller, key, outputs  # noqa: F401 - fixtures
from tools.examples import assemble, every

jobs.__path__ += [str(example.folder / "jobs") for example in every()]
sys.path += [str(example.folder) for example in every()]  # of programs outside of the stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.stem.endswith("_deployed"):
            item.add_marker("e2e")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    added = assemble(every(), tmp_path_factory.mktemp("examples"))
    with LocalStack(added.tree, tmp_path_factory.mktemp("state")) as stack:
        stack.deploy({**added.parameters, "Dialects": DIALECTS})
        yield stack
