"""Makes .venv (the tools) and .venv-aws (what Lambda has, and the local engine), and makes them again when it must.

They are two because the functions run in the second: a package that a layer forgot to bring along must be missing there.
With --checks also .venv-checks, which is large, needed by `make check` only, and would not fit into either.
Run by any Python 3.11 or later, with nothing installed.
"""

import fcntl
import hashlib
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalError
from local.process import PROJECT
from local.state import State


@dataclass(frozen=True)
class Environment:
    """A virtual environment and what is installed into it."""

    folder: str
    requirements: str
    contents: str  # for people


ENGINE = Environment(".venv-aws", "requirements-aws.txt", "the local engine")
TOOLS = Environment(".venv", "requirements-dev.txt", "the tools")
CHECKS = Environment(".venv-checks", "requirements-checks.txt", "the security checks")


def main(arguments: Sequence[str] = ()) -> int:
    """0 when they are there."""
    wanted = (ENGINE, TOOLS, CHECKS) if "--checks" in arguments else (ENGINE, TOOLS)
    interpreter = Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()
    state = PROJECT / ".local"
    state.mkdir(exist_ok=True)
    with (state / "environments.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # `make run` and `make test` may start at the same moment
        try:
            missing = [environment for environment in wanted if not is_complete(PROJECT, environment, interpreter)]
            if ENGINE in missing:
                State(state).stop()  # or it would go on without what it runs on
            make_all(PROJECT, missing, interpreter)
        except LocalError as error:
            _tell(str(error))
            return 1
        except KeyboardInterrupt:
            _tell("Interrupted. Nothing is lost: the next make takes it up again.")
            return 130
    return 0


def is_complete(project: Path, environment: Environment, interpreter: Path) -> bool:
    """Whether all that is wanted now has been installed, and still runs."""
    stamp = _stamp(project, environment)
    return (
        stamp.exists()
        and stamp.read_text() == _wanted(project, environment, interpreter)
        and _runs(project / environment.folder / "bin" / "python")
    )


def make_all(project: Path, environments: Sequence[Environment], interpreter: Path) -> None:
    """Side by side: half of the time is spent waiting for the network and the disk."""
    with ThreadPoolExecutor() as threads:
        for made in [threads.submit(make, project, environment, interpreter) for environment in environments]:
            made.result()


def make(project: Path, environment: Environment, interpreter: Path) -> None:
    """From nothing. The stamp that calls it complete is written last."""
    stamp = _stamp(project, environment)
    stamp.unlink(missing_ok=True)
    folder = project / environment.folder
    version = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    _tell(f"Installing {environment.contents} into {environment.folder} ({version}; a minute the first time)")
    log = project / ".local" / f"install{environment.folder}.log"
    python = str(folder / "bin" / "python")
    for command in (
        [str(interpreter), "-m", "venv", "--clear", str(folder)],
        [python, "-m", "pip", "install", "--disable-pip-version-check", "-r", environment.requirements],
    ):
        with log.open("w") as output:
            status = subprocess.run(command, cwd=project, stdout=output, stderr=subprocess.STDOUT, check=False).returncode
        if status != 0:
            last = "\n".join(f"  {line}" for line in log.read_text(errors="replace").splitlines()[-15:])
            raise LocalError(f"{last}\nThat did not work (all of it is in {log}). Is the network there? Just try again.")
    stamp.write_text(_wanted(project, environment, interpreter))


def _stamp(project: Path, environment: Environment) -> Path:
    return project / environment.folder / "complete"


def _wanted(project: Path, environment: Environment, interpreter: Path) -> str:
    """The interpreter, for find-python.sh to go on using it, and a fingerprint of what it depends on."""
    # Scripts begin with the path they were made at, so an environment does not survive being moved.
    digest = hashlib.sha256(f"{sys.version}\0{(project / environment.folder).absolute()}".encode())
    for file in _requirement_files(project / environment.requirements):
        digest.update(file.read_bytes())
    return f"{interpreter}\n{digest.hexdigest()}\n"


def _requirement_files(first: Path) -> list[Path]:
    """It, and what it includes."""
    nested = re.findall(r"^-r\s+(\S+)", first.read_text(), flags=re.MULTILINE)
    return [first, *(file for name in nested for file in _requirement_files(first.parent / name))]


def _runs(python: Path) -> bool:
    """Not so when the interpreter that it links to has been removed."""
    try:
        return subprocess.run([python, "-c", ""], check=False).returncode == 0
    except OSError:
        return False


def _tell(line: str) -> None:
    """On stderr, since `make token` has nothing but the token on stdout."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
