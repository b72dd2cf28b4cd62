"""Build the Python client's wheel and source distribution: `python -m tools.python_package FOLDER`."""

from __future__ import annotations

import os
import sys
from contextlib import chdir
from pathlib import Path

from flit_core import buildapi  # type: ignore[import-untyped]  # it has no stubs

CLIENT = Path(__file__).parents[1] / "clients/python"


def build(folder: Path) -> tuple[Path, Path]:
    """Build into the folder, and return the wheel and the source distribution. The same source makes the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    target = str(folder.resolve())
    os.environ.setdefault("SOURCE_DATE_EPOCH", "1767225600")  # 2026: flit writes the time of the build otherwise
    with chdir(CLIENT):
        return folder / buildapi.build_wheel(target), folder / buildapi.build_sdist(target)


if __name__ == "__main__":
    for path in build(Path(sys.argv[1])):
        print(path)
