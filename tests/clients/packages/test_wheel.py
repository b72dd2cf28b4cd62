"""The wheel, installed into an empty environment and used from there."""

from __future__ import annotations

import email
import json
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.contract import server
from tests.template.source import ROOT
from tools import python_package


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("packages")


@pytest.fixture(scope="module")
def packages(folder: Path) -> tuple[Path, Path]:
    return python_package.build(folder / "dist")


@pytest.fixture(scope="module")
def wheel(packages: tuple[Path, Path]) -> Path:
    return packages[0]


@pytest.fixture(scope="module")
def programs(wheel: Path, folder: Path) -> Path:
    """Install the wheel with its command line, and nothing else, in the locked versions."""
    locked = re.findall(r"^[\w.-]+==[^ \\]+(?: ;[^\\\n]*)?", (ROOT / "requirements/tests.txt").read_text(), flags=re.MULTILINE)
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(locked))
    uv = os.environ.get("UV", str(ROOT / ".venv-uv/bin/uv"))
    environment = folder / "environment"
    venv.create(environment, with_pip=not uv)
    python = environment / "bin/python"
    pip = [uv, "pip", "install", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
    subprocess.run([*pip, "-q", "-c", str(constraints), f"{wheel}[cli]"], check=True, cwd=folder)
    return environment / "bin"


@pytest.fixture(scope="module")
def faults() -> Iterator[server.FaultServer]:
    with server.serve() as running:
        yield running


def test_wheel_has_the_package_its_types_and_its_license(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = email.message_from_bytes(archive.read("asyncjobs_client-0.1.0.dist-info/METADATA"))
    assert {"asyncjobs_client/py.typed", "asyncjobs_client/_sync/job.py", "asyncjobs_client/cli/app.py"} <= names
    assert {name.partition("/")[0] for name in names} == {"asyncjobs_client", "asyncjobs_client-0.1.0.dist-info"}
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert [each for each in metadata.get_all("Requires-Dist", []) if "extra" not in each] == ["httpx2>=2.10"]
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_source_distribution_has_what_builds_the_wheel(packages: tuple[Path, Path]) -> None:
    with tarfile.open(packages[1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "asyncjobs_client/__init__.py"} <= names


def test_same_source_makes_the_same_bytes(packages: tuple[Path, Path], folder: Path) -> None:
    again = python_package.build(folder / "again")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in packages]


def test_license_is_the_projects() -> None:
    assert (python_package.CLIENT / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_installed_client_runs_a_job(programs: Path, faults: server.FaultServer, tmp_path: Path) -> None:
    session = faults.begin("run_quick")
    code = f"""
import asyncjobs_client, pathlib
assert "site-packages" in asyncjobs_client.__file__
with asyncjobs_client.Jobs({faults.sessions[session].base!r}, "token-1") as jobs:
    print(jobs.run("text.search", {{"query": "lease"}}))
"""
    done = subprocess.run([programs / "python", "-I", "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "{'matches': 2}\n"
    assert faults.verdict(session) == {"problems": [], "left": 0}


def test_installed_command_runs_a_job(programs: Path, faults: server.FaultServer, tmp_path: Path) -> None:
    session = faults.begin("run_quick")
    environment = {"ASYNCJOBS_URL": faults.sessions[session].base, "ASYNCJOBS_TOKEN": "token-1", "HOME": str(tmp_path)}
    command = [str(programs / "asyncjobs"), "run", "text.search", "query=lease"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    assert (json.loads(done.stdout), done.stderr) == ({"matches": 2}, "")


def test_types_of_the_installed_client_are_used(programs: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from asyncjobs_client import AsyncJobs, Jobs\n"
        "def f(jobs: Jobs) -> int:\n    return jobs.run('a.b', as_=len)\n"
        "async def g(jobs: AsyncJobs) -> str:\n    return (await jobs.submit('a.b', priority='low')).id\n"
        "def h(jobs: Jobs) -> None:\n    jobs.run('a.b', priorty='low')  # a mistake\n"
    )
    mypy = [
        str(sys.executable),
        "-m",
        "mypy",
        "--strict",
        "--python-executable",
        str(programs / "python"),
        "--config-file",
        "",
        "program.py",
    ]
    done = subprocess.run(
        [*mypy, "--cache-dir", str(tmp_path / "cache")], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert {line.partition(" ")[0] for line in done.stdout.splitlines() if " error: " in line} == {"program.py:7:"}, done.stdout


def test_command_without_its_packages_names_the_extra(programs: Path, tmp_path: Path) -> None:
    code = "import sys; sys.modules['typer'] = None; from asyncjobs_client.cli import main; sys.exit(main())"
    done = subprocess.run([programs / "python", "-I", "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "asyncjobs-client[cli]" in done.stderr
