"""Linters over the template, as it is written and after the SAM transform.

checkov does not evaluate conditions. That it accepts `KmsKeyArn` and similar parameters means that they are available, not that
they are on: docs/decisions.md has the reasons.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.template.source import ROOT, deployed, template

pytestmark = pytest.mark.slow

MOST_SKIPS = 4
CHECKOV = ROOT / ".venv-checks" / "bin" / "checkov"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Write the template, before and after the transform."""
    transformed, made = tmp_path_factory.mktemp("transformed") / "template.json", deployed()
    # SAM gives the metadata of a WebSocket API to its API, and not to its stage.
    made["Resources"]["SocketApiv1Stage"]["Metadata"] = template()["Resources"]["SocketApi"]["Metadata"]
    transformed.write_text(json.dumps(made, default=str))
    return [ROOT / "template.yaml", transformed]


# `make check` has it for the source. The transform replaces parameters by values: then no resource uses them (W2001).
# For a conditional function, it writes the condition at each depth of its routes, of which the inner ones cannot differ (W1028).
def test_cfn_lint_finds_nothing_in_the_transformed_template(files: list[Path]) -> None:
    cfn_lint = Path(sys.executable).with_name("cfn-lint")
    options = ["--ignore-checks", "W1028", "W2001"]
    found = subprocess.run([cfn_lint, files[1], *options], check=False, capture_output=True, text=True, cwd=ROOT)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


@pytest.fixture(scope="module")
def reports(files: list[Path]) -> dict[str, dict[str, Any]]:
    """Return checkov's reports by file."""
    assert CHECKOV.exists(), "checkov is not installed: run `make environments`."
    options = ["--framework", "cloudformation", "--skip-download", "--output", "json", "--soft-fail"]
    source, transformed = files
    bare = transformed.with_name("bare.json")
    bare.write_text(_without_routes(transformed.read_text()))
    found: dict[str, dict[str, Any]] = {}
    for file, checked in ((source, source), (transformed, bare)):
        done = subprocess.run([CHECKOV, "--file", checked, *options], check=True, capture_output=True, text=True)
        found[file.name] = json.loads(done.stdout)
    return found


def _without_routes(transformed: str) -> str:
    """Leave out the routes of the API. checkov has no rule for them, but would follow 6,000 references in them for a minute."""
    made = json.loads(transformed)
    del made["Resources"]["Api"]["Properties"]["Body"]["paths"]
    return json.dumps(made)


@pytest.mark.parametrize("file", ["template.yaml", "template.json"])
def test_checkov_finds_nothing(reports: dict[str, dict[str, Any]], file: str) -> None:
    report = reports[file]
    failed = [(check["check_id"], check["resource"], check["check_name"]) for check in report["results"]["failed_checks"]]
    assert failed == []
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 60, "checkov checked nothing"


@pytest.mark.parametrize("file", ["template.yaml", "template.json"])
def test_few_rules_are_skipped_and_each_with_a_reason(reports: dict[str, dict[str, Any]], file: str) -> None:
    skipped = reports[file]["results"]["skipped_checks"]
    assert len({check["check_id"] for check in skipped}) <= MOST_SKIPS
    assert all(len(check["check_result"]["suppress_comment"]) > 80 for check in skipped)


def test_no_other_linter_rule_is_suppressed() -> None:
    metadata = {key for found in template()["Resources"].values() for key in found.get("Metadata", {})}
    assert metadata <= {"checkov", "BuildMethod", "BuildArchitecture"}
    text = (ROOT / "template.yaml").read_text()
    assert not [word for word in ("checkov:skip", "cfn-lint", "cfn_nag") if word in text]
    assert not [name for name in (".checkov.yaml", ".checkov.yml", ".cfnlintrc") if (ROOT / name).exists()]
