"""A layer has its locked packages and its own modules, compiled."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import layer

ROOT = Path(layer.__file__).parents[1]

# Puts one module into the folder that is its last argument.
UV = """#!/bin/sh
for folder in "$@"; do :; done
mkdir -p "$folder" && echo "VALUE = 1" > "$folder/installed.py"
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "uv").write_text(UV)
    (tmp_path / "uv").chmod(0o755)
    source = tmp_path / "source"
    (source / "own" / "__pycache__").mkdir(parents=True)
    for file in ("Makefile", "requirements.in", "requirements.txt", "top.py", "own/__init__.py", "own/__pycache__/old.pyc"):
        (source / file).write_text("")
    return source


def build(source: Path, artifacts: Path, **environment: str) -> int:
    # -S: the tests' environment may be one that pip made.
    command = [sys.executable, "-S", "-m", "tools.layer", str(artifacts)]
    return subprocess.run(
        command, cwd=source, check=False, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}
    ).returncode


def test_layer_has_compiled_packages_and_modules(source: Path, tmp_path: Path) -> None:
    assert build(source, tmp_path / "layer", UV=str(tmp_path / "uv")) == 0
    python = tmp_path / "layer" / "python"
    modules = sorted(file.relative_to(python).as_posix() for file in python.rglob("*") if file.is_file())
    assert [file for file in modules if "__pycache__" not in file] == ["installed.py", "own/__init__.py", "top.py"]
    assert len([file for file in modules if file.endswith(".pyc")]) == 3


def test_compiled_modules_ignore_dates_and_name_lambdas_folder(source: Path, tmp_path: Path) -> None:
    build(source, tmp_path / "layer", UV=str(tmp_path / "uv"))
    compiled = Path(importlib.util.cache_from_source(str(tmp_path / "layer" / "python" / "top.py"))).read_bytes()
    assert int.from_bytes(compiled[4:8], "little") == 0b01  # by hash, unchecked
    assert b"/opt/python/top.py" in compiled


def test_layer_without_its_packages_is_not_built(source: Path, tmp_path: Path) -> None:
    (tmp_path / "uv").write_text("#!/bin/sh\nexit 3\n")
    assert build(source, tmp_path / "layer", UV=str(tmp_path / "uv")) == 3
    assert not (tmp_path / "layer").exists()


@pytest.mark.parametrize("uv", ["/bin/uv", ""])
@pytest.mark.parametrize("architecture", [None, "arm64", "x86_64"])
def test_every_install_checks_hashes(uv: str, architecture: str | None) -> None:
    command = layer.install_command(Path("modules"), architecture, uv=uv)
    assert "--require-hashes" in command
    assert command[command.index("-r") + 1] == "requirements.txt"


@pytest.mark.parametrize("uv", ["/bin/uv", ""])
def test_layer_for_lambda_has_only_wheels_for_its_processor(uv: str) -> None:
    command = " ".join(layer.install_command(Path("modules"), "arm64", uv=uv))
    assert "--only-binary :all:" in command
    assert "aarch64" in command
    assert "x86_64" not in command


@pytest.mark.parametrize("uv", ["/bin/uv", ""])
def test_layer_for_this_machine_names_no_platform(uv: str) -> None:
    assert "platform" not in " ".join(layer.install_command(Path("modules"), None, uv=uv))
