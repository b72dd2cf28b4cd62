"""The fingerprint of the deployed files decides whether a deployment is needed."""

from pathlib import Path

import pytest

from local.sources import copy, fingerprint

FILES = ("template.yaml", "functions/submit/app.py", "layers/jobs/jobs/one.py", "console/app.js", "clients/js/src/http.js")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for file in FILES:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(file)
    return tmp_path


@pytest.mark.parametrize("file", [*FILES, "layers/jobs/jobs/new.py"])
def test_changed_file_changes_the_fingerprint(tree: Path, file: str) -> None:
    before = fingerprint(tree)
    (tree / file).write_text("changed")
    assert fingerprint(tree) != before


def test_renamed_file_changes_the_fingerprint(tree: Path) -> None:
    before = fingerprint(tree)
    (tree / "layers/jobs/jobs/one.py").rename(tree / "layers/jobs/jobs/two.py")
    assert fingerprint(tree) != before


@pytest.mark.parametrize("file", ["README.md", "layers/jobs/jobs/__pycache__/one.pyc", "functions/submit/.app.py.swp"])
def test_file_that_is_not_deployed_does_not_change_the_fingerprint(tree: Path, file: str) -> None:
    before = fingerprint(tree)
    (tree / file).parent.mkdir(exist_ok=True)
    (tree / file).write_text("new")
    assert fingerprint(tree) == before


def test_copy_is_the_same_deployment(tree: Path, tmp_path: Path) -> None:
    (tree / "samconfig.toml").write_text("version = 0.1\n")
    (tree / "layers/jobs/jobs/__pycache__").mkdir()
    copy(tree, tmp_path / "copies/one")
    assert fingerprint(tmp_path / "copies/one") == fingerprint(tree)
    assert not (tmp_path / "copies/one/layers/jobs/jobs/__pycache__").exists()
