"""The table of rules in `clients/contract/README.md` names each case, and tests that exist."""

from __future__ import annotations

import re

from clients.contract import proxy, server
from tests.template.source import ROOT

README = (ROOT / "clients/contract/README.md").read_text()
ROWS = README.partition("| rule | cases and tests |")[2].splitlines()[2:]
NAMED = [set(re.findall("`([^`]+)`", row.split("|")[2])) for row in ROWS]


def test_each_rule_has_cases_or_tests() -> None:
    assert ROWS
    assert all(NAMED)


def test_each_case_is_one_of_a_rule() -> None:
    cases = {*server.names(), *(f"deployed/{name}" for name in proxy.names())}
    tests = {
        f"{path.name}::{name}"
        for path in (ROOT / "tests/clients/python").glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), flags=re.MULTILINE)
    }
    named = set[str]().union(*NAMED)
    assert cases - named == set()
    assert named - cases - tests == set()
