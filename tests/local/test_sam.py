"""sam receives the pip settings of the user's shell, and none of its AWS settings."""

from pathlib import Path

import pytest

from local.errors import SamFailedError
from local.process import Engine
from local.sam import Sam, Tools

WRITES_ITS_ENVIRONMENT = "#!/bin/sh\nenv > environment\n"
ENGINE = Engine(pid=1, port=1, instance="x", access_key_id="key", secret_access_key="secret")
FAILS = "#!/bin/sh\necho first\necho 'Build Failed: no such layer'\nexit 1\n"


def make_sam(folder: Path, script: str) -> Sam:
    program = folder / "sam-program"
    program.write_text(script)
    program.chmod(0o755)
    return Sam(folder, folder, Tools(sam=program))


def test_profile_of_the_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "secret")
    monkeypatch.setenv("MAKEFLAGS", "n")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.test/simple")
    make_sam(tmp_path, WRITES_ITS_ENVIRONMENT).deploy("stack", ENGINE, {})
    seen = dict(line.split("=", 1) for line in (tmp_path / "environment").read_text().splitlines())
    assert {"AWS_PROFILE", "AWS_SESSION_TOKEN", "MAKEFLAGS"} & seen.keys() == set()
    assert (seen["AWS_ACCESS_KEY_ID"], seen["AWS_SECRET_ACCESS_KEY"]) == ("key", "secret")
    assert seen["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert seen["PIP_INDEX_URL"] == "https://mirror.test/simple"
    assert seen["PATH"].startswith(str(Tools().lambda_python.parent))


def test_error_of_a_failure_has_the_end_of_sams_output(tmp_path: Path) -> None:
    with pytest.raises(SamFailedError, match="no such layer"):
        make_sam(tmp_path, FAILS).build({})
