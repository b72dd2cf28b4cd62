"""Build a layer, as its Makefile requests during `sam build`: `python -m tools.layer ARTIFACTS_DIR` in the layer's folder.

Run it with the Python version that the functions run on. Without --architecture, the layer is for this machine: the local
engine runs the functions on it, also on a Mac, for which SAM itself would fetch packages for Linux.

A layer is mounted read-only, so Lambda would compile its modules again at every cold start. A worker starts in six tenths of
the time with them compiled (bench/README.md). The compiled files are "unchecked": SAM packs every file with the same date, so
Python would take them for outdated.
"""

import argparse
import os
import shutil
import subprocess
import sys
from compileall import compile_dir
from importlib.util import find_spec
from pathlib import Path
from py_compile import PycInvalidationMode

from tools.environments import UV

MOUNT = "/opt"
"""The folder in which Lambda mounts layers, for the paths in tracebacks."""

_PROCESSORS = {"arm64": "aarch64", "x86_64": "x86_64"}


def main() -> int:
    """Return 0 when the layer is built."""
    parser = argparse.ArgumentParser(prog="python -m tools.layer")
    parser.add_argument("artifacts", type=Path)
    parser.add_argument("--architecture", choices=sorted(_PROCESSORS), help="build for Lambda, not for this machine")
    options = parser.parse_args()
    modules = options.artifacts / "python"
    status = subprocess.run(install_command(modules, options.architecture, uv=uv()), check=False).returncode
    if status != 0:
        return status
    (modules / ".lock").unlink(missing_ok=True)  # uv's
    not_packed = shutil.ignore_patterns("Makefile", "requirements.*", "__pycache__")
    shutil.copytree(".", modules, ignore=not_packed, dirs_exist_ok=True)
    return int(not precompile(modules))


def install_command(modules: Path, architecture: str | None, *, uv: str) -> list[str]:
    """Return the command that installs the locked packages into this folder, with uv or else pip. Both check the hashes."""
    if uv:
        command = [uv, "pip", "install", "--python", sys.executable]
    else:
        command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    if architecture is not None:
        processor, linux = _PROCESSORS[architecture], _manylinux()
        if uv:  # which takes older platforms, too
            command += ["--python-platform", f"{processor}-{linux[0]}"]
        else:
            command += [option for platform in linux for option in ("--platform", f"{platform}_{processor}")]
        command += ["--only-binary", ":all:"]
    return [*command, "--quiet", "--require-hashes", "-r", "requirements.txt", "--target", str(modules)]


def precompile(modules: Path) -> bool:
    """Return whether every module could be compiled."""
    return compile_dir(
        str(modules),
        force=True,  # an installer may have compiled them, with dates
        quiet=1,
        stripdir=str(modules.parent),
        prependdir=MOUNT,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )


def uv() -> str:
    """Return the path of uv, or nothing in an environment that pip made: pip is in it, and may have a mirror of its own."""
    own = Path(__file__).parents[1] / UV.folder / "bin" / "uv"
    return "" if find_spec("pip") else os.environ.get("UV") or str(own)


def _manylinux() -> list[str]:
    """Return the wheels' platforms that Lambda's runtime of this Python version can load, newest first."""
    # Up to 3.11 a runtime is Amazon Linux 2 (glibc 2.26), later ones are Amazon Linux 2023 (glibc 2.34).
    newer = ["manylinux_2_34", "manylinux_2_28"] if sys.version_info >= (3, 12) else []
    return [*newer, "manylinux_2_17", "manylinux2014"]


if __name__ == "__main__":
    sys.exit(main())
