"""The console has no build step, so nothing but this reads its files before a browser does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.node import node
from tests.template.source import ROOT

MODULES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "console").rglob("*.js"))


@pytest.mark.parametrize("module", MODULES)
def test_module_parses(module: str, tmp_path: Path) -> None:
    copy = tmp_path / "module.mjs"  # so that Node.js takes it for a module
    copy.write_bytes((ROOT / module).read_bytes())
    node("--check", copy)
