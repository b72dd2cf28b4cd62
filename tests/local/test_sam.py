"""sam receives the pip settings of the user's shell, and none of its AWS settings."""

import json
import os
import zipfile
from pathlib import Path

import pytest

from local.errors import SamFailedError
from local.process import Engine
from local.sam import Sam, Tools

WRITES_ITS_ENVIRONMENT = "#!/bin/sh\nenv > environment\n"
ENGINE = Engine(pid=1, port=1, instance="x", access_key_id="key", secret_access_key="secret")
BUILT = """
Parameters:
  Level: { Type: String, Default: INFO }
Resources:
  Layer: { Type: AWS::Serverless::LayerVersion, Properties: { ContentUri: Layer } }
  Value: { Type: AWS::SSM::Parameter, Properties: { Value: !Ref Level } }
"""
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


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """Return a folder with the template and a layer, as `sam build` leaves them."""
    folder = tmp_path / "build"
    (folder / "Layer/python").mkdir(parents=True)
    (folder / "Layer/python/one.py").write_text("ONE = 1\n" * 100)
    (folder / "Layer/python/program").write_text("#!/bin/sh\n")
    (folder / "Layer/python/program").chmod(0o755)
    (folder / "template.yaml").write_text(BUILT)
    return folder


def test_deployed_template_is_that_of_the_build_with_packed_layers(tmp_path: Path, built: Path) -> None:
    sam = make_sam(tmp_path, '#!/bin/sh\necho "$@" > options\n')
    sam.build({})
    sam.deploy("stack", ENGINE, {})
    template = json.loads((built / "template.json").read_text())
    assert template["Resources"]["Value"]["Properties"] == {"Value": {"Ref": "Level"}}
    assert template["Resources"]["Layer"]["Properties"] == {"ContentUri": "Layer.zip"}
    assert f"--template-file {built}/template.json" in (tmp_path / "options").read_text()
    assert sam.defaults() == {"Level": "INFO"}


def test_packed_layer_has_its_files_and_depends_on_nothing_else(tmp_path: Path, built: Path) -> None:
    sam = make_sam(tmp_path, "#!/bin/sh\n")
    sam.build({})
    packed = (built / "Layer.zip").read_bytes()
    with zipfile.ZipFile(built / "Layer.zip") as archive:
        assert archive.read("python/one.py") == b"ONE = 1\n" * 100
        modes = {entry.filename: entry.external_attr >> 16 & 0o100 for entry in archive.infolist()}
    assert modes == {"python/one.py": 0, "python/program": 0o100}
    os.utime(built / "Layer/python/one.py", (1e9, 1e9))
    sam.build({})
    assert (built / "Layer.zip").read_bytes() == packed


def test_error_of_a_failure_has_the_end_of_sams_output(tmp_path: Path) -> None:
    with pytest.raises(SamFailedError, match="no such layer"):
        make_sam(tmp_path, FAILS).build({})
