"""An environment is made when it is missing, incomplete or outdated."""

import subprocess
import sys
from pathlib import Path

import pytest

from local.errors import LocalError
from local.process import PROJECT
from tools.environments import TESTS, TOOLS, UV, Environment, Maker, UnreachableError

# Makes an "environment" whose Python notes the installs, and fails on demand. It has a uv, which does the same.
INTERPRETER = """#!/bin/sh
case "$*" in
"-m pip --version") [ -e "{0}/base-has-pip" ]; exit ;;
"-m pip install "*) echo "base $*" >> "{0}/log"; mkdir -p "{0}/.venv-uv/bin"; cp "{0}/a-uv" "{0}/.venv-uv/bin/uv"; exit ;;
esac
for folder in "$@"; do :; done
echo "made $folder" >> "{0}/log"
rm -rf "$folder" && mkdir -p "$folder/bin"
case " $* " in *" --without-pip "*) ;; *) touch "$folder/bin/pip" ;; esac
for program in python uv; do
cat > "$folder/bin/$program" <<END
#!/bin/sh
[ "\\$*" = "--version" ] && exit
for lock in "\\$@"; do :; done
[ ! -e "{0}/retries" ] || echo "WARNING: Retrying (Retry(total=2)) after connection broken"
[ ! -e "{0}/retries" ] || touch "{0}/no-network"
echo "$program \\$lock" >> "{0}/log"
[ ! -e "{0}/no-network" ] && [ ! -e "{0}/no-$program" ] && [ ! -e "{0}/no-\\$(basename \\$lock)" ]
END
chmod +x "$folder/bin/$program"
done
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".local").mkdir()
    (tmp_path / "requirements").mkdir()
    for name in ("uv", "engine", "tools", "tests", "checks"):
        (tmp_path / "requirements" / f"{name}.txt").write_text("one==1\n")
    return tmp_path


def maker(project: Path, interpreter: str = "interpreter") -> Maker:
    (project / interpreter).write_text(INTERPRETER.format(project))
    (project / interpreter).chmod(0o755)
    return Maker(project, project / interpreter)


def ensure(project: Path, environment: Environment = TOOLS, interpreter: str = "interpreter", uv: str | None = None) -> None:
    made = maker(project, interpreter)
    if not made.is_complete(environment):
        made.make_all([environment], uv)


def log(project: Path) -> list[str]:
    return (project / "log").read_text().splitlines()


def installs(project: Path) -> int:
    return sum(line.endswith(TOOLS.lock) for line in log(project))


def test_environment_is_made_once(project: Path) -> None:
    ensure(project)
    ensure(project)
    assert log(project) == ["made .venv-uv", f"python {UV.lock}", "made .venv", f"uv {TOOLS.lock}"]


def test_pip_of_the_interpreter_installs_uv_without_an_environment(project: Path) -> None:
    (project / "base-has-pip").touch()
    (project / "a-uv").write_text(f'#!/bin/sh\necho "uv $1" >> "{project}/log"\n')
    (project / "a-uv").chmod(0o755)
    ensure(project)
    ensure(project)
    first, *others = log(project)
    assert first.startswith("base -m pip install")
    assert "--target .venv-uv --require-hashes -r requirements/uv.txt" in first
    assert others == ["made .venv", "uv pip"]


def test_incomplete_environment_is_made_again(project: Path) -> None:
    (project / "no-network").touch()
    with pytest.raises(LocalError, match="Check the network, then repeat"):
        ensure(project)
    (project / "no-network").unlink()
    ensure(project)
    assert maker(project).is_complete(TOOLS)


def test_environment_is_made_again_when_its_lock_changes(project: Path) -> None:
    ensure(project)
    (project / TOOLS.lock).write_text("one==2\n")
    ensure(project)
    assert installs(project) == 2


def test_environment_is_made_again_for_another_interpreter(project: Path) -> None:
    ensure(project)
    ensure(project, interpreter="other")
    assert installs(project) == 2


def test_environment_is_made_again_when_its_interpreter_is_missing(project: Path) -> None:
    ensure(project)
    (project / ".venv" / "bin" / "python").unlink()
    ensure(project)
    assert installs(project) == 2


def test_test_packages_are_added_to_the_tools(project: Path) -> None:
    ensure(project, TOOLS)
    ensure(project, TESTS)
    ensure(project, TOOLS)
    assert log(project)[2:] == ["made .venv", f"uv {TOOLS.lock}", f"uv {TESTS.lock}"]


def test_test_packages_are_installed_without_the_tools(project: Path) -> None:
    ensure(project, TESTS)
    ensure(project, TOOLS)
    assert log(project)[2:] == ["made .venv", f"uv {TESTS.lock}"]


def test_other_environments_are_made_although_one_fails(project: Path) -> None:
    fails = Environment(".venv-fails", "requirements/checks.txt", "packages that nobody has")
    (project / "no-checks.txt").touch()
    with pytest.raises(LocalError, match="Check the network, then repeat"):
        maker(project).make_all([fails, TOOLS], None)
    assert maker(project).is_complete(TOOLS)
    assert not maker(project).is_complete(fails)


def test_pip_installs_if_uv_cannot_be_installed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "no-uv.txt").touch()
    ensure(project)
    assert log(project)[-2:] == ["made .venv", f"python {TOOLS.lock}"]
    assert "uv is not available" in capsys.readouterr().err


def test_nothing_is_installed_without_a_network(project: Path) -> None:
    (project / "retries").touch()
    with pytest.raises(UnreachableError, match="Check the network, then repeat"):
        ensure(project)
    assert log(project) == ["made .venv-uv", f"python {UV.lock}"]


def test_pip_installs_if_uv_fails(project: Path) -> None:
    (project / "no-uv").touch()
    ensure(project)
    assert log(project)[-2:] == ["made .venv", f"python {TOOLS.lock}"]
    assert maker(project).is_complete(TOOLS)


def test_empty_uv_means_pip(project: Path) -> None:
    ensure(project, uv="")
    ensure(project, TESTS, uv="")
    assert log(project) == ["made .venv", f"python {TOOLS.lock}", f"python {TESTS.lock}"]


def test_named_uv_is_used(project: Path) -> None:
    named = project / "my-uv"
    named.write_text(f'#!/bin/sh\necho mine >> "{project}/log"\n')
    named.chmod(0o755)
    ensure(project, uv=str(named))
    assert log(project) == ["made .venv", "mine"]


def test_nothing_is_printed_to_stdout(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ensure(project)
    assert capsys.readouterr().out == ""


def find_python(*arguments: str, path: str) -> subprocess.CompletedProcess[str]:
    command = ["/bin/sh", str(PROJECT / "tools" / "find-python.sh"), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env={"PATH": path, "HOME": "/nowhere"})


def test_python_that_does_not_start_is_skipped(tmp_path: Path) -> None:
    for name in ("python3.13", "python3.12", "python3.11", "python3"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 127\n")
        (tmp_path / name).chmod(0o755)
    base = Path(sys.executable).resolve().parent
    found = find_python(path=f"{tmp_path}:{base}:/usr/bin:/bin")
    assert found.returncode == 0
    assert subprocess.run([found.stdout.strip(), "-c", "import ensurepip"], check=False).returncode == 0


def test_missing_requested_python_is_named(tmp_path: Path) -> None:
    found = find_python(str(tmp_path / "python"), path="/usr/bin:/bin")
    assert found.returncode == 1
    assert "is not a Python 3.11" in found.stderr
