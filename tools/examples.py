"""Add examples to the project, which is `make example NAME=...`, or to a copy of it, which `make run EXAMPLES=...` deploys.

An example is a folder in examples/ with a page (README.md) and

- `jobs/`: modules for layers/jobs/jobs/
- `test_MODULE.py`: the unit test of each of them
- `requirements.in`, `requirements.txt`: its packages and their lock, if it needs any
- `template.yaml`: what it adds to the template, if it adds anything, in the sections of `MARKERS`
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from local import sources
from local.errors import LocalError
from local.process import PROJECT
from tools.layer import install_command, uv

FOLDER = PROJECT / "examples"
ALL = "all"
MARKERS = {
    "Parameters": "# Parameters of jobs.",
    "Environment": "# Environment of jobs.",
    "Permissions": "# Permissions of jobs.",
    "Routes": "# Routes of job types: one for each that a `@job` declares.",
}
"""The comments of template.yaml below which the lines of a section of an example's template are inserted: at each place."""
LOCAL = "Local"
"""The section with values of parameters for the local stack."""

_JOBS = "layers/jobs/jobs"
_REQUIREMENTS = "layers/jobs/requirements"
_UNIT_TESTS = "tests/unit/jobs"


@dataclass(frozen=True)
class Example:
    """One example."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def modules(self) -> list[Path]:
        """The modules and data for the jobs package."""
        return sorted(path for path in self.folder.glob("jobs/*") if path.name != "__pycache__")

    @property
    def lock(self) -> Path | None:
        """The lock of its packages."""
        path = self.folder / "requirements.txt"
        return path if path.exists() else None

    def sections(self) -> dict[str, str]:
        """Return the sections of its template: lines without the section's own indentation."""
        path = self.folder / "template.yaml"
        found: dict[str, list[str]] = {}
        lines: list[str] = []
        for line in path.read_text().splitlines() if path.exists() else ():
            if line.endswith(":") and not line.startswith((" ", "#")):
                lines = found.setdefault(line.removesuffix(":"), [])
            elif line.startswith("  ") or not line:
                lines.append(line[2:])
        if unknown := found.keys() - {*MARKERS, LOCAL}:
            raise LocalError(f"{path} has unknown sections: {', '.join(sorted(unknown))}.")
        return {name: "\n".join(lines).strip("\n") for name, lines in found.items()}

    def local_parameters(self) -> dict[str, str]:
        """Return the values that its parameters have on the local stack."""
        pairs = (line.split(": ", 1) for line in self.sections().get(LOCAL, "").splitlines())
        return {name: value.strip('"') for name, value in pairs}


def every() -> list[Example]:
    """Return all examples."""
    return [Example(page.parent) for page in sorted(FOLDER.glob("*/README.md"))]


def named(names: str) -> list[Example]:
    """Return the examples of these names, which commas separate, or `all` of them. Raises `LocalError`."""
    known = {example.name: example for example in every()}
    wanted = list(known) if names == ALL else [name.strip() for name in names.split(",")]
    if missing := [name for name in wanted if name not in known]:
        raise LocalError(f"There is no example {missing[0]!r}. Choose from: {', '.join(known)}; or {ALL}.")
    return [known[name] for name in wanted]


def one(name: str) -> Example:
    """Return the example of this name. Raises `LocalError`."""
    known = {example.name: example for example in every()}
    if name not in known:
        raise LocalError(f"There is no example {name!r}. Write make example NAME=..., with one of these: {', '.join(known)}.")
    return known[name]


# ── A copy of the project ──────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Assembled:
    """A copy of the project with examples, and the values of their parameters for the local stack."""

    tree: Path
    parameters: dict[str, str]


def assemble(examples: Sequence[Example], folder: Path) -> Assembled:
    """Make a copy of the deployed files with these examples, and with its catalog. An example that was copied before is skipped."""
    tree = folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    sources.copy(PROJECT, tree)
    added = [example for example in examples if not _existing(example, tree)]
    for example in added:
        _copy_modules(example, tree)
    lock = tree / f"{_REQUIREMENTS}.txt"
    lock.write_text(merged([lock, *(example.lock for example in added if example.lock is not None)]))
    _extend_template(added, tree)
    _generate(tree, _installed(lock, folder / "packages"))
    return Assembled(tree, {name: value for example in examples for name, value in example.local_parameters().items()})


def merged(locks: Sequence[Path]) -> str:
    """Return one lock of several, of which some may have the same packages. Raises `LocalError` when versions differ."""
    found: dict[str, dict[str, str]] = {}
    for lock in locks:
        for name, pins in _pins(lock).items():
            if found.setdefault(name, pins).keys() != pins.keys():
                raise LocalError(
                    f"{lock} has another version of {name} than the locks before it. Name one version in all .in files, then run"
                    " `make lock`."
                )
    return "".join(entry for _, pins in sorted(found.items()) for entry in pins.values())


def _pins(lock: Path) -> dict[str, dict[str, str]]:
    """Return the entries of each package by its version: several if it depends on the platform."""
    found: dict[str, dict[str, str]] = {}
    pins: dict[str, str] = {}
    version = ""
    for line in lock.read_text().splitlines(keepends=True):
        if line.startswith("#"):
            continue
        if not line.startswith(" "):
            pins = found.setdefault(line.partition("==")[0], {})
            version = line.rstrip(" \\\n")
            pins[version] = ""
        pins[version] += line
    return found


def _installed(lock: Path, folder: Path) -> Path:
    """Return the folder with the packages of the lock, which are needed to import the jobs."""
    stamp, wanted = folder / "complete", sha256(sys.version.encode() + lock.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    done = subprocess.run(install_command(folder, None, uv=uv()), cwd=lock.parent, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise LocalError(
            f"{done.stderr.strip()}\nThe examples' packages could not be installed. Check the network, then repeat."
        )
    stamp.write_text(wanted)
    return folder


def _generate(tree: Path, packages: Path) -> None:
    """Write the catalog and the documents of the API, as `make catalog` does."""
    path = os.pathsep.join(map(str, (tree / "layers/asyncjobs", tree / "layers/jobs", packages)))
    command = [sys.executable, "-m", "asyncjobs.codegen"]
    done = subprocess.run(
        command, cwd=tree, env={**os.environ, "PYTHONPATH": path}, check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise LocalError(f"{done.stderr.strip()}\nThe catalog of the examples could not be written.")


# ── The project itself ─────────────────────────────────────────────────────────────────────────────


def adopt(example: Example, project: Path) -> None:
    """Copy the example into the project. Raises `LocalError` if it has no job, or a part of it is there already."""
    if not example.modules:
        raise LocalError(f"{example.name} is a program beside the project, with no job to copy. Its page says how to run it.")
    if existing := _existing(example, project):
        raise LocalError(f"{existing.relative_to(project)} exists already. Move it away to copy the example again.")
    _copy_modules(example, project)
    for module in example.modules:
        test = example.folder / f"test_{module.stem}.py"
        if test.exists():
            shutil.copy(test, project / _UNIT_TESTS)
    named_packages = example.folder / "requirements.in"
    if named_packages.exists():
        requirements = project / f"{_REQUIREMENTS}.in"
        present = requirements.read_text().splitlines()
        new = [line for line in named_packages.read_text().splitlines() if line not in present and not line.startswith("-c")]
        requirements.write_text("\n".join([*present, *new]) + "\n")
    _extend_template([example], project)


def _existing(example: Example, project: Path) -> Path | None:
    places = (project / _JOBS / module.name for module in example.modules)
    return next((place for place in places if place.exists()), None)


def _copy_modules(example: Example, project: Path) -> None:
    for module in example.modules:
        target = project / _JOBS / module.name
        if module.is_dir():
            shutil.copytree(module, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(module, target)


def _extend_template(examples: Sequence[Example], project: Path) -> None:
    path = project / "template.yaml"
    path.write_text("\n".join(_extended(path.read_text().splitlines(), examples)) + "\n")


def _extended(template: Sequence[str], examples: Sequence[Example]) -> Iterator[str]:
    added = {marker: [example.sections().get(section) for example in examples] for section, marker in MARKERS.items()}
    for line in template:
        yield line
        indentation = line[: len(line) - len(line.lstrip())]
        for text in filter(None, added.get(line.strip(), ())):
            yield from (f"{indentation}{each}" if each else each for each in text.splitlines())


def main() -> int:
    """Copy one example into the project. Return 0 when that is done."""
    parser = argparse.ArgumentParser(prog="python -m tools.examples")
    parser.add_argument("name")
    try:
        example = one(parser.parse_args().name)
        adopt(example, PROJECT)
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1
    page = (example.folder / "README.md").relative_to(PROJECT)
    print(
        f"Copied {example.name} into {_JOBS}, with its tests and its parts of the template and requirements. Its page: {page}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
