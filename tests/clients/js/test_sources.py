"""The JavaScript client: its types, and its own tests in Node.js, the contract of all clients among them."""

from __future__ import annotations

import re

import pytest

from tests.support.node import node, package, tsc

pytestmark = pytest.mark.slow


def test_types_are_strict() -> None:
    assert tsc("--project", "tsconfig.json") == ""


def test_own_tests_pass() -> None:
    package("typescript")
    printed = node("--test", "--test-reporter=tap")
    found = {name: int(count) for name, count in re.findall(r"^# (pass|fail|skipped|todo) (\d+)$", printed, flags=re.MULTILINE)}
    assert found.pop("pass") > 80, printed
    assert set(found.values()) == {0}, printed
