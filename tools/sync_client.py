"""Make the client without asyncio from the one with it: `python -m tools.sync_client [--check]`.

Both are one source, so that one of them cannot have a bug that the other has not. `_async` is written by hand; `_sync` is the
same code without `async` and `await`, and with the names below. Needs ruff.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "clients/python/asyncjobs_client"
BY_HAND = {"__init__.py", "runtime.py"}
"""Files that both have, with different contents."""

_NAMES = {
    "_async": "_sync",
    "aclose": "close",
    "anext": "next",
    "aiter_raw": "iter_raw",
    "aread": "read",
    "asynccontextmanager": "contextmanager",
    "AbstractAsyncContextManager": "AbstractContextManager",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
}
_LEFT_OUT = {"async", "await"}
_HEADER = "# Made from _async by tools/sync_client.py: change it there.\n"


def main(arguments: list[str]) -> int:
    """Write the files, or only compare them, and return the exit code."""
    outdated = [path for path, text in generated().items() if not path.exists() or path.read_text() != text]
    if "--check" not in arguments:
        for path in outdated:
            path.write_text(generated()[path])
        return 0
    for path in outdated:
        sys.stderr.write(f"{path} is outdated: run `python -m tools.sync_client`.\n")
    return 1 if outdated else 0


def generated() -> dict[Path, str]:
    """Return the text of each file of `_sync` that is made from one of `_async`."""
    sources = [path for path in sorted((PACKAGE / "_async").glob("*.py")) if path.name not in BY_HAND]
    return {PACKAGE / "_sync" / path.name: _formatted(_HEADER + without_async(path.read_text())) for path in sources}


def without_async(source: str) -> str:
    """Return the same code without asyncio."""
    lines = source.splitlines(keepends=True)
    for token in reversed(list(tokenize.generate_tokens(io.StringIO(source).readline))):
        if token.type not in {tokenize.NAME, tokenize.STRING} or token.start[0] != token.end[0]:
            continue  # also a docstring of several lines: it names no class
        row, start, end = token.start[0] - 1, token.start[1], token.end[1]
        before, after = lines[row][:start], lines[row][end:]
        if token.type == tokenize.NAME and token.string in _LEFT_OUT:
            lines[row] = before + after.removeprefix(" ")
        elif token.type == tokenize.NAME:
            lines[row] = before + renamed(token.string) + after
        elif token.type == tokenize.STRING:
            lines[row] = before + re.sub(r"\w+", lambda word: renamed(word[0]), token.string) + after
    return "".join(lines)


def renamed(name: str) -> str:
    """Return the name of the same thing without asyncio."""
    return _NAMES.get(name) or re.sub(r"^Async(?=[A-Z])", "", name)


def _formatted(source: str) -> str:
    ruff = Path(sys.executable).with_name("ruff")
    for command in (["check", "--quiet", "--fix", "--select", "I"], ["format", "--quiet"]):
        arguments = [str(ruff), *command, "--stdin-filename", str(PACKAGE / "_sync" / "made.py"), "-"]
        source = subprocess.run(arguments, input=source, capture_output=True, text=True, check=True).stdout
    return source


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
