"""Header fields that are lists (RFC 9110 5.6): their elements, the parameters of an element, and what a client accepts."""

from __future__ import annotations

import re
from collections.abc import Mapping

# A separator inside a quoted string separates nothing. A string that nobody closes goes to the end, so the search is linear.
_QUOTED = r'"(?:[^"\\]|\\.)*+"?'
_ELEMENT = re.compile(f'(?:[^,"]|{_QUOTED})+')
_PART = re.compile(f'(?:[^;"]|{_QUOTED})+')
_WEIGHT_0 = re.compile(r"0*\.?0+|0+\.")


def elements(field: str) -> list[str]:
    """Return the elements of the list, without white space around them and without the empty ones."""
    return _parts(_ELEMENT, field)


def item(element: str) -> tuple[str, dict[str, str]]:
    """Return the element in lower case without its parameters, and the parameters by their names in lower case."""
    first, *others = _parts(_PART, element) or [""]
    return first.lower(), dict(map(pair, others))


def pair(text: str) -> tuple[str, str]:
    """Return the name in lower case, and the value without its quotes; "" for a name alone."""
    name, _, value = text.partition("=")
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    return name.strip().lower(), value


def accepted(field: str) -> dict[str, bool]:
    """Return whether each range of an `Accept` or `Accept-Encoding` is accepted: all but those with the weight 0.

    The API has one form of each answer, so it compares no other weights. It has no parameters either, so a range with some is
    read as one without, unless it is one that excludes.
    """
    found: dict[str, bool] = {}
    for element in elements(field):
        name, parameters = item(element)
        is_accepted = not _WEIGHT_0.fullmatch(parameters.pop("q", "1"))
        if is_accepted or not parameters:
            found[name] = found.get(name, False) or is_accepted
    return found


def is_accepted(ranges: Mapping[str, bool], *names: str) -> bool:
    """Return whether the ranges accept what has these names, of which the most specific comes first and decides."""
    return next((ranges[name] for name in names if name in ranges), False)


def _parts(pattern: re.Pattern[str], text: str) -> list[str]:
    return [part for each in pattern.findall(text) if (part := each.strip())]
