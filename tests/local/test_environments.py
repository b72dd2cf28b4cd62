"""An environment is made when it is not there, not complete, or no longer what is wanted."""

import subprocess
import sys
from pathlib import Path

import pytest

from local.errors import LocalError
from local.process import PROJECT
from tools import environments
from tools.environments import Environment

TOOLS = Environment(".venv", "requirements.txt", "the tools")

# Makes an "environment" whose Python notes what it is asked to do, and is killed while it installs if told so.
INTERPRETER = """#!/bin/sh
rm -rf "$4" && mkdir -p "$4/bin"
cat > "$4/bin/python" <<END
#!/bin/sh
echo "\\$2" >> "{0}/log"
[ "\\$2" != pip ] || {{ [ ! -e "{0}/no-network" ] && [ ! -e "{0}/no-network-for-$(basename "$4")" ]; }}
END
chmod +x "$4/bin/python"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".local").mkdir()
    (tmp_path / "requirements.txt").write_text("-r layer/requirements.txt\n")
    (tmp_path / "layer").mkdir()
    (tmp_path / "layer" / "requirements.txt").write_text("one==1\n")
    make_interpreter(tmp_path, "python")
    return tmp_path


def make_interpreter(project: Path, name: str) -> Path:
    interpreter = project / name
    interpreter.write_text(INTERPRETER.format(project))
    interpreter.chmod(0o755)
    return interpreter


def ensure(project: Path, interpreter: str = "python") -> None:
    if not environments.is_complete(project, TOOLS, project / interpreter):
        environments.make(project, TOOLS, project / interpreter)


def installs(project: Path) -> int:
    return (project / "log").read_text().split().count("pip")


def test_it_is_made_once(project: Path) -> None:
    ensure(project)
    ensure(project)
    assert installs(project) == 1


def test_one_that_was_left_half_made_is_made_again(project: Path) -> None:
    (project / "no-network").touch()
    with pytest.raises(LocalError, match="Just try again"):
        ensure(project)
    (project / "no-network").unlink()
    ensure(project)
    assert installs(project) == 2


def test_it_is_made_again_when_a_requirement_changes(project: Path) -> None:
    ensure(project)
    (project / "layer" / "requirements.txt").write_text("one==2\n")
    ensure(project)
    assert installs(project) == 2


def test_it_is_made_again_for_another_interpreter(project: Path) -> None:
    ensure(project)
    make_interpreter(project, "other")
    ensure(project, "other")
    assert installs(project) == 2


def test_it_is_made_again_when_its_interpreter_is_gone(project: Path) -> None:
    ensure(project)
    (project / ".venv" / "bin" / "python").unlink()
    ensure(project)
    assert installs(project) == 2


def test_several_are_made_although_one_of_them_fails(project: Path) -> None:
    fails = Environment(".venv-fails", "requirements.txt", "what cannot be had")
    (project / "no-network-for-.venv-fails").touch()
    with pytest.raises(LocalError, match="Just try again"):
        environments.make_all(project, [fails, TOOLS], project / "python")
    assert environments.is_complete(project, TOOLS, project / "python")
    assert not environments.is_complete(project, fails, project / "python")


def test_nothing_is_said_on_stdout(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ensure(project)
    assert capsys.readouterr().out == ""


def find_python(*arguments: str, path: str) -> subprocess.CompletedProcess[str]:
    command = ["/bin/sh", str(PROJECT / "local" / "find-python.sh"), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env={"PATH": path, "HOME": "/nowhere"})


def test_a_python_on_the_path_that_starts_nothing_is_passed_over(tmp_path: Path) -> None:
    for name in ("python3.13", "python3.12", "python3.11", "python3"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 127\n")
        (tmp_path / name).chmod(0o755)
    base = Path(sys.executable).resolve().parent
    found = find_python(path=f"{tmp_path}:{base}:/usr/bin:/bin")
    assert found.returncode == 0
    assert subprocess.run([found.stdout.strip(), "-c", "import ensurepip"], check=False).returncode == 0


def test_a_python_that_was_asked_for_and_will_not_do_is_named(tmp_path: Path) -> None:
    found = find_python(str(tmp_path / "python"), path="/usr/bin:/bin")
    assert found.returncode == 1
    assert "is not a Python 3.11" in found.stderr
