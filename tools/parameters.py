"""Check the parameters that `make deploy PARAMETERS=...` names. SAM leaves out those that the template lacks, and says nothing."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

TEMPLATE = Path("template.yaml")


def mistakes(given: Sequence[str], known: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each of these texts that is not a known name with a value."""
    for each in given:
        name, sign, _ = each.partition("=")
        if not sign:
            yield f"{each!r} has no value: write NAME=VALUE, and commas between the values of a list."
        elif name not in known:
            close = get_close_matches(name, known, n=1)
            meant = f" Is it {close[0]}?" if close else ""
            yield f"The template has no parameter {name!r}.{meant} docs/operations.md describes all of them."


def known_parameters(template: str) -> list[str]:
    """Return the names of the template's parameters."""
    section = re.split(r"^\w", template.partition("\nParameters:")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^  (\w+):", section, flags=re.MULTILINE)


def main(given: Sequence[str]) -> int:
    """Return 0 if there is no mistake."""
    found = list(mistakes(given, known_parameters(TEMPLATE.read_text())))
    print("".join(f"{each}\n" for each in found), end="", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
