"""Make the virtual environments that are missing or outdated: `python -m tools.environments NAME ...`.

.venv-aws holds the local engine. .venv-lambda holds the packages that Lambda's runtime has: the functions run in it, so a
package that a layer does not bring along is missing there. .venv holds the tools, first those that `make run` needs and later
the tests' as well. .venv-checks holds the security checks, which need an older boto3 than the tools.

uv installs them in seconds, and is installed into .venv-uv first. The variable UV names another uv; if it is empty, and on
platforms for which there is no uv, pip installs them. Both check the hashes of the same locks.

Any Python 3.11 or later runs this, with nothing installed.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalError
from local.process import PROJECT
from local.state import State


class UnreachableError(LocalError):
    """The package index did not answer."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment and the lock of its packages."""

    folder: str
    lock: str
    contents: str  # for people
    extends: "Environment | None" = None  # the same folder with fewer packages
    program: str = "bin/python"


UV = Environment(".venv-uv", "requirements/uv.txt", "uv", program="bin/uv")
ENGINE = Environment(".venv-aws", "requirements/engine.txt", "the local engine")
LAMBDA = Environment(".venv-lambda", "requirements/lambda.txt", "the packages of Lambda's runtime")
TOOLS = Environment(".venv", "requirements/tools.txt", "the tools")
TESTS = Environment(".venv", "requirements/tests.txt", "the tools and the tests' packages", extends=TOOLS)
CHECKS = Environment(".venv-checks", "requirements/checks.txt", "the security checks")

_NAMES = {"uv": UV, "engine": ENGINE, "lambda": LAMBDA, "tools": TOOLS, "tests": TESTS, "checks": CHECKS}

_PIP_INSTALL = ("-m", "pip", "install", "--disable-pip-version-check", "--retries", "2")


def main(names: Sequence[str]) -> int:
    """Return 0 when the environments of these names are complete."""
    state = PROJECT / ".local"
    state.mkdir(exist_ok=True)
    maker = Maker(PROJECT, Path(getattr(sys, "_base_executable", None) or sys.executable).resolve())
    with (state / "environments.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # `make run` and `make test` may start at the same moment
        try:
            missing = [_NAMES[name] for name in names if not maker.is_complete(_NAMES[name])]
            if ENGINE in missing or LAMBDA in missing:
                State(state).stop()  # a running engine and its functions would lose the packages they run on
            maker.make_all(missing, os.environ.get("UV"))
        except LocalError as error:
            _say(str(error))
            return 1
        except KeyboardInterrupt:
            _say("Interrupted. The next `make` continues.")
            return 130
    return 0


@dataclass(frozen=True)
class Maker:
    """Makes environments of one project with one interpreter."""

    project: Path
    interpreter: Path

    def is_complete(self, environment: Environment) -> bool:
        """Return whether the environment has the packages of its lock, or more, and its Python still starts."""
        made = self._stamp(environment)
        extensions = [extension for extension in _NAMES.values() if extension.extends == environment]
        return any(made == self._expected(known) for known in (environment, *extensions)) and _starts(
            self.project / environment.folder / environment.program
        )

    def make_all(self, environments: Sequence[Environment], uv: str | None) -> None:
        """Make the environments in parallel. `uv` is a path, empty for pip, or None for the project's own uv."""
        program = self._own_uv() if uv is None and environments else uv or ""
        with ThreadPoolExecutor() as threads:
            made = [threads.submit(self.make, environment, program) for environment in environments if environment != UV]
            for future in made:
                future.result()

    def make(self, environment: Environment, uv: str) -> None:
        """Make one environment with this uv; with pip if it is empty, or if uv fails."""
        try:
            self._make(environment, uv)
        except LocalError as error:
            if not uv:
                raise
            _say(f"{error}\nTrying again with pip, which may have settings of its own, such as a mirror.")
            self._make(environment, uv="")

    def _own_uv(self) -> str:
        """Return the path of the project's own uv, or nothing where it cannot be installed."""
        if not self.is_complete(UV):
            try:
                self._make_uv()
            except UnreachableError:
                raise  # pip would not reach the other packages
            except LocalError as error:
                _say(f"{error}\nuv is not available, so pip installs the packages. That takes minutes.")
                return ""
        return str(self.project / UV.folder / "bin" / "uv")

    def _make_uv(self) -> None:
        """Install uv with the interpreter's own pip, or else with a pip in a virtual environment, which takes twice as long."""
        if not _starts(self.interpreter, "-m", "pip", "--version"):
            self._make(UV, uv="")
            return
        _say(f"Installing {UV.contents} into {UV.folder} ...")
        shutil.rmtree(self.project / UV.folder, ignore_errors=True)
        install = [str(self.interpreter), *_PIP_INSTALL, "--no-user", "--target", UV.folder]
        self._run(UV, [*install, "--require-hashes", "-r", UV.lock])
        self._stamp_file(UV).write_text(self._expected(UV))

    def _make(self, environment: Environment, uv: str) -> None:
        """Install everything. The stamp, which says that the environment is complete, is written last."""
        _say(f"Installing {environment.contents} into {environment.folder} ...")
        python = self._python(environment)
        base = environment.extends
        keep = base is not None and self._stamp(base) == self._expected(base) and (uv or python.with_name("pip").exists())
        self._stamp_file(environment).unlink(missing_ok=True)
        if not keep:
            without_pip = ["--without-pip"] if uv else []
            self._run(environment, [str(self.interpreter), "-m", "venv", "--clear", *without_pip, environment.folder])
        install = [uv, "pip", "install", "--python", str(python)] if uv else [str(python), *_PIP_INSTALL]
        self._run(environment, [*install, "--require-hashes", "-r", environment.lock])
        self._stamp_file(environment).write_text(self._expected(environment))

    def _run(self, environment: Environment, command: list[str]) -> None:
        log = self.project / ".local" / f"install{environment.folder}.log"
        with log.open("w") as output:
            try:
                status = subprocess.run(
                    command, cwd=self.project, stdout=output, stderr=subprocess.STDOUT, check=False
                ).returncode
            except OSError as error:
                raise LocalError(f"{command[0]} does not start: {error}.") from error
        if status != 0:
            text = log.read_text(errors="replace")
            kind = UnreachableError if "Retrying (" in text else LocalError  # pip's words
            raise kind(
                f"{_gist(text)}\nInstalling {environment.contents} failed (the whole log is in {log})."
                " Check the network, then repeat the command."
            )

    def _python(self, environment: Environment) -> Path:
        return self.project / environment.folder / "bin" / "python"

    def _stamp(self, environment: Environment) -> str | None:
        try:
            return self._stamp_file(environment).read_text()
        except FileNotFoundError:
            return None

    def _stamp_file(self, environment: Environment) -> Path:
        return self.project / environment.folder / "complete"

    def _expected(self, environment: Environment) -> str:
        """Return the stamp: the interpreter, which find-python.sh reads, and a fingerprint of what the environment depends on."""
        # Scripts begin with the path they were made at, so an environment does not survive being moved.
        place = (self.project / environment.folder).absolute()
        digest = hashlib.sha256(f"{sys.version}\0{place}\0{environment.lock}\0".encode())
        digest.update((self.project / environment.lock).read_bytes())
        return f"{self.interpreter}\n{digest.hexdigest()}\n"


def _gist(log: str) -> str:
    """Return the log's errors, or else its end."""
    lines = log.splitlines()
    errors = [line for line in lines if line.lower().startswith("error")]
    return "\n".join(f"  {line}" for line in errors or lines[-10:])


def _starts(program: Path, *arguments: str) -> bool:
    """Return whether the program starts. A Python does not when the interpreter that it links to has been removed."""
    try:
        return subprocess.run([program, *(arguments or ["--version"])], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def _say(line: str) -> None:
    """Print to stderr, since `make token` prints nothing but the token to stdout."""
    sys.stderr.write(f"{line}\n")  # in one piece: environments are made in parallel
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
