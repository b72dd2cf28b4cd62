# ruff: noqa: T201 - a command prints
"""Print what detect-secrets finds in files, as its command does, in a third of the time: `scan_secrets.py BASELINE FILE ...`.

Its command calls each plugin for each line, by way of functions that look up their own arguments. Here, a filter runs first and
drops the lines in which no plugin's pattern occurs. Its Python is that of .venv-checks.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from detect_secrets import SecretsCollection  # type: ignore[import-not-found] # in .venv-checks
from detect_secrets.plugins import keyword  # type: ignore[import-not-found] # in .venv-checks
from detect_secrets.settings import get_plugins, transient_settings  # type: ignore[import-not-found] # in .venv-checks


def holds_no_pattern(line: str) -> bool:
    """Return whether no plugin can find a secret in the line. It is a filter of detect-secrets, which finds it by its name."""
    return not any(pattern.search(line) for pattern in _patterns())


@cache
def _patterns() -> Sequence[re.Pattern[str]]:
    """Return patterns of which a line must hold one for any plugin to find a secret."""
    # The detector of private keys reads the whole of a file with its first line that is not dropped.
    patterns = [re.compile("PRIVATE KEY|PuTTY"), re.compile("|".join(keyword.DENYLIST), re.IGNORECASE)]
    for plugin in get_plugins():
        if hasattr(plugin, "entropy_limit"):
            # Its pattern, and enough characters: n different ones have an entropy of log2(n), and it must exceed the limit.
            several = plugin.regex.pattern.replace("]+)", f"]{{{int(2**plugin.entropy_limit) + 1},}})")
            patterns.append(re.compile(several))
        elif not isinstance(plugin, keyword.KeywordDetector):
            patterns.extend(plugin.denylist)
    return patterns


def main(baseline: str, files: Sequence[str]) -> None:
    """Print the findings in these files with the baseline's plugins and filters."""
    settings = json.loads(Path(baseline).read_text())
    first = {"path": f"file://{__file__}::{holds_no_pattern.__name__}"}
    with transient_settings({**settings, "filters_used": [first, *settings["filters_used"]]}):
        secrets = SecretsCollection()
        for file in files:
            secrets.scan_file(file)
        print(json.dumps({"results": secrets.json()}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
