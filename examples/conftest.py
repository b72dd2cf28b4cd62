"""The examples' modules on the import path, and a local stack that has all examples."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location

import pytest

from local.stack import LocalStack
from tests.conftest import DIALECTS, alice, api, bob, caller, key, outputs, pytest_configure  # noqa: F401 - fixtures
from tests.proof.crash.tree import rewrite
from tests.support import killed_writer
from tools.examples import assemble, every

MODULES = {f"jobs.{module.stem}": module for example in every() for module in example.modules if module.suffix == ".py"}

KILL, REPLACEMENT = "test_searches_go_on_when_a_writer_is_killed", "test_writer_that_is_killed_before_it_publishes_is_replaced"


class Finder(MetaPathFinder):
    """Finds the examples' modules in the package `jobs`, whose own folder stays as it is: other tests list its modules."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        module = MODULES.get(fullname)
        return None if module is None else spec_from_file_location(fullname, module)


sys.meta_path.append(Finder())
sys.path += [str(example.folder) for example in every()]  # of programs outside of the stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.stem.endswith("_deployed"):
            item.add_marker("e2e")
    # A killed worker is replaced within 90 seconds, in which all others run.
    items.sort(key=lambda item: (item.name == REPLACEMENT) - (item.name == KILL))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    added = assemble(every(), tmp_path_factory.mktemp("examples"))
    rewrite(added.tree / "layers/jobs/jobs/search_index.py", killed_writer.CHANGES)
    with LocalStack(added.tree, tmp_path_factory.mktemp("state")) as stack:
        stack.deploy({**added.parameters, "Dialects": DIALECTS})
        yield stack
