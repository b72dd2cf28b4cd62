"""checkov over the template, as it is written and after the SAM transform. `make check` has cfn-lint, which transforms it itself.

checkov does not evaluate conditions. That it accepts `KmsKeyArn` and similar parameters means that they are available, not that
they are on: docs/decisions.md has the reasons.
"""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.template.source import ROOT, deployed, template

pytestmark = pytest.mark.slow

MOST_SKIPS = 4
PYTHON = ROOT / ".venv-checks" / "bin" / "python"
CHECKOV = Path(__file__).with_name("run_checkov.py")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return checkov's report on the template, before and after the transform, and on a faulty one."""
    assert PYTHON.exists(), "checkov is not installed: run `make environments`."
    made = copy.deepcopy(deployed())
    # SAM gives the metadata of a WebSocket API to its API, and not to its stage.
    made["Resources"]["SocketApiv1Stage"]["Metadata"] = template()["Resources"]["SocketApi"]["Metadata"]
    # Without the routes of the API: checkov has no rule for them, but would follow 6,000 references in them for a minute.
    del made["Resources"]["Api"]["Properties"]["Body"]["paths"]
    transformed = tmp_path_factory.mktemp("transformed") / "template.json"
    transformed.write_text(json.dumps(made, default=str))
    (planted := transformed.with_name("planted.yaml")).write_text(PLANTED)
    command: list[str | Path] = [PYTHON, CHECKOV, ROOT / "template.yaml", transformed, planted]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


FILES = ("template.yaml", "template.json")
PLANTED = """
Parameters:
  Anybody: { Type: String, Default: "*" }
Resources:
  Bucket: { Type: AWS::S3::Bucket }
  Key:
    Type: AWS::KMS::Key
    Properties: { KeyPolicy: { Statement: [{ Effect: Allow, Principal: !Ref Anybody, Action: "kms:*", Resource: "*" }] } }
"""


def checks_of(report: dict[str, Any], result: str, file: str) -> list[dict[str, Any]]:
    """Return the checks of a file with this result."""
    return [check for check in report["results"][result] if Path(check["file_path"]).name == file]


@pytest.mark.parametrize("file", FILES)
def test_checkov_finds_nothing(report: dict[str, Any], file: str) -> None:
    failed = checks_of(report, "failed_checks", file)
    assert [(check["check_id"], check["resource"], check["check_name"]) for check in failed] == []
    assert report["summary"]["parsing_errors"] == 0
    assert len(checks_of(report, "passed_checks", file)) > 60, "checkov checked nothing"


def test_checkov_finds_planted_faults(report: dict[str, Any]) -> None:
    found = {(check["check_id"], check["resource"]) for check in checks_of(report, "failed_checks", "planted.yaml")}
    public_bucket, open_key = ("CKV_AWS_53", "AWS::S3::Bucket.Bucket"), ("CKV_AWS_33", "AWS::KMS::Key.Key")
    assert {public_bucket, open_key} <= found


@pytest.mark.parametrize("file", FILES)
def test_few_rules_are_skipped_and_each_with_a_reason(report: dict[str, Any], file: str) -> None:
    skipped = checks_of(report, "skipped_checks", file)
    assert 0 < len({check["check_id"] for check in skipped}) <= MOST_SKIPS
    assert all(len(check["check_result"]["suppress_comment"]) > 80 for check in skipped)


def test_no_other_linter_rule_is_suppressed() -> None:
    metadata = {key for found in template()["Resources"].values() for key in found.get("Metadata", {})}
    assert metadata <= {"checkov", "BuildMethod", "BuildArchitecture"}
    text = (ROOT / "template.yaml").read_text()
    assert not [word for word in ("checkov:skip", "cfn-lint", "cfn_nag") if word in text]
    assert not [name for name in (".checkov.yaml", ".checkov.yml", ".cfnlintrc") if (ROOT / name).exists()]
