"""Inputs, durations and files as they are typed."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from asyncjobs_client.values import File

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class WrongInput(ValueError):
    """Text that is not what the command needs."""


def input_of(pairs: Iterable[str], source: str | None, files: Iterable[str]) -> Any:
    """Return the input of `key=value` pairs, of JSON from a file or standard input, and of files to upload."""
    value: Any = None if source is None else _json(source)
    for text in pairs:
        name, separator, given = text.partition("=")
        if not separator:
            raise WrongInput(f"{text!r} is not key=value.")
        value = _set(value, name, _typed(given))
    for text in files:
        name, separator, path = text.partition("=")
        if not separator:
            raise WrongInput(f"{text!r} is not field=path of a file.")
        if not Path(path).is_file():
            raise WrongInput(f"There is no file {path!r} for {name!r}.")
        value = _set(value, name, File(path))
    return value


def _json(source: str) -> Any:
    if source == "-" and sys.stdin.isatty():
        raise WrongInput("Standard input is a terminal: pipe JSON into the command.")
    try:
        return json.loads(sys.stdin.read() if source == "-" else Path(source.removeprefix("@")).read_text())
    except (OSError, ValueError) as error:
        raise WrongInput(f"--input is JSON from @FILE, or - for standard input; {source!r} is not: {error}") from error


def _typed(text: str) -> Any:
    """Return JSON where the text is JSON, or else the text: `limit=3` is a number, and `query=lease` a string."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _set(value: Any, path: str, given: Any) -> Any:
    """Return the object with a member changed. Dots lead into objects."""
    if value is not None and not isinstance(value, dict):
        raise WrongInput(f"The input is not an object, so it has no {path!r}.")
    name, _, rest = path.partition(".")
    members = dict(value or {})
    members[name] = _set(members.get(name), rest, given) if rest else given
    return members


def seconds(text: str) -> float | None:
    """Return a duration: `90`, `90s`, `5m`, `2h`, `1d`, or None for `forever`."""
    if text == "forever":
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if found is None:
        raise WrongInput(f"{text!r} is not a duration: write 90, 90s, 5m, 2h, 1d or forever.")
    return float(found[1]) * _UNITS[found[2] or "s"]
