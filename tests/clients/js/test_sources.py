"""The JavaScript client: its types, and its own tests in Node.js, the contract of all clients among them."""

from __future__ import annotations

import gzip
import re

import pytest

from tests.support.node import CLIENT, node, package, tsc
from tests.template.source import ROOT

pytestmark = pytest.mark.slow


def test_types_are_strict() -> None:
    assert tsc("--project", "tsconfig.json") == ""


def test_own_tests_pass() -> None:
    package("typescript")
    printed = node("--test", "--test-reporter=tap")
    found = {name: int(count) for name, count in re.findall(r"^# (pass|fail|skipped|todo) (\d+)$", printed, flags=re.MULTILINE)}
    assert found.pop("pass") > 80, printed
    assert set(found.values()) == {0}, printed


def test_client_has_at_most_8_kb_of_plain_zlib() -> None:
    # Node.js brings a zlib of its own, with which the client's own test measures.
    bundle = node(
        package("esbuild") / "bin/esbuild",
        "src/index.js",
        "--bundle",
        "--minify",
        "--format=esm",
        "--target=es2022",
        "--external:node:*",
    )
    size = len(gzip.compress(bundle.encode(), 9))
    assert 7 * 1024 < size <= 8 * 1024


def test_table_of_rules_names_tests_that_exist() -> None:
    rows = (CLIENT / "test/README.md").read_text().partition("|---|---|\n")[2].splitlines()
    named = [re.findall("`([^`]+)`", row.split(" | ")[1]) for row in rows]
    assert rows
    assert all(named)
    ours = [path.read_text() for path in (CLIENT / "test").glob("*.test.js")]
    titles = {title for text in ours for _, title in re.findall(r"^ *test\(([\"`])(.+?)\1", text, flags=re.MULTILINE)}
    pages = {
        f"{path.name}::{name}"
        for folder in ("tests/clients/js", "tests/clients/packages", "tests/deployed/clients")
        for path in (ROOT / folder).glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), flags=re.MULTILINE)
    }
    assert set[str]().union(*named) - titles - pages == set()
