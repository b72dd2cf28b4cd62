"""The query of a URL, read from its raw text: in API Gateway's own reading, a comma may be a client's or its own."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from asyncjobs.core.errors import InputProblem
from asyncjobs.http.problems import invalid_request
from asyncjobs.http.strict_json import is_clean
from asyncjobs.jobtypes.json_schema import pointer

Query = dict[str, list[str]]
"""The values of each parameter, in their order. They are still encoded: a comma that separates differs from one in a value."""

UNCLEAN = "must be a text in UTF-8 without NUL"


def read_query(raw: str) -> Query:
    """Return the query. Raise a `Problem` (400) that names each parameter whose text is not UTF-8 or has NUL."""
    query: Query = {}
    problems: list[InputProblem] = []
    for part in filter(None, raw.split("&")):
        encoded_name, _, value = part.partition("=")
        name = _decoded(encoded_name)
        if name is None or _decoded(value) is None:
            problems.append(InputProblem("" if name is None else pointer([name]), UNCLEAN))
        else:
            query.setdefault(name, []).append(value)
    if problems:
        raise invalid_request(*problems)
    return query


def text_of(value: str) -> str:
    """Return the text of a value. A `+` is a blank, as browsers and forms write it."""
    return _decoded(value) or ""


def texts_of(values: Iterable[str]) -> list[str]:
    """Return the texts of a list: of each value, or of each of its parts between commas that are not encoded."""
    return [text_of(part) for value in values for part in value.split(",")]


def _decoded(value: str) -> str | None:
    """Return the text, or None if it is not UTF-8 or has NUL."""
    try:
        text = unquote_to_bytes(value.replace("+", " ")).decode()
    except ValueError:
        return None
    return text if is_clean(text) else None
