"""The files that are deployed: detect whether they have changed since they were built or deployed, and copy them."""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from local.process import PROJECT

_DEPLOYED = ("functions", "layers", "console", "clients/js/src")
_SETTINGS = ("template.yaml", "samconfig.toml")
_BUILDERS = (PROJECT / "tools" / "layer.py", PROJECT / "local" / "sam.py")


def fingerprint(root: Path) -> str:
    """Return a value that changes with the template, the files that `sam build` packs, and the way they are built."""
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in _BUILDERS))
    for file in [root / "template.yaml", *sorted(_files(root))]:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def copy(root: Path, tree: Path) -> None:
    """Copy the template and all that `sam build` packs into a new folder."""
    tree.mkdir(parents=True)
    for name in _SETTINGS:
        shutil.copy(root / name, tree / name)
    for name in _DEPLOYED:
        shutil.copytree(root / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))


def _files(root: Path) -> Iterator[Path]:
    for folder in _DEPLOYED:
        for file in (root / folder).rglob("*"):
            if file.is_file() and not any(
                part == "__pycache__" or part.startswith(".") for part in file.relative_to(root).parts
            ):
                yield file
