"""Say where a module of jobs has a mistake, without the frames of what imports it."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path
from traceback import FrameSummary

from asyncjobs.core.errors import InvalidJob


def explained(error: Exception, package: Path) -> str | None:
    """Return what is wrong in a module of the package, and where; None for an error that arose elsewhere."""
    frames = traceback.extract_tb(error.__traceback__)
    first = next((number for number, frame in enumerate(frames) if _is_in(package, frame.filename)), None)
    own = [] if first is None else frames[first:]
    place = _place([frame for frame in own if _is_in(package, frame.filename)])
    if isinstance(error, InvalidJob):
        return f"{place}{error}"
    if isinstance(error, SyntaxError) and _is_in(package, error.filename or ""):
        return "".join(traceback.format_exception_only(error)).rstrip()
    if not own:
        return None
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] != package.name:
        return f"{place}{error}. If a package has it, name the package with its version in layers/jobs/requirements.in, and run `make lock`."
    return "".join([*traceback.format_list(own), *traceback.format_exception_only(error)]).rstrip()


def _is_in(package: Path, file: str) -> bool:
    return Path(file).is_relative_to(package)


def _place(frames: Sequence[FrameSummary]) -> str:
    if not frames:
        return ""
    file = Path(frames[-1].filename)
    shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    return f"{shown}, line {frames[-1].lineno}: "
