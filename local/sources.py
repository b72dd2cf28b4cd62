"""Whether what is deployed is what is in the tree."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

_DEPLOYED = ("functions", "layers")


def fingerprint(root: Path) -> str:
    """Changes when the template, or a file that `sam build` packs, does."""
    digest = hashlib.sha256()
    for file in [root / "template.yaml", *sorted(_files(root))]:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _files(root: Path) -> Iterator[Path]:
    for folder in _DEPLOYED:
        for file in (root / folder).rglob("*"):
            if file.is_file() and not any(
                part == "__pycache__" or part.startswith(".") for part in file.relative_to(root).parts
            ):
                yield file
