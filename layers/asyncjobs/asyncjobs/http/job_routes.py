"""Routes that job types declare: the path, the query and the body of a request become the job's input."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from asyncjobs.core.errors import InputProblem
from asyncjobs.core.exact_json import MAX_DIGITS, exact_number, significant_digits
from asyncjobs.http.problems import invalid_request
from asyncjobs.http.query_string import UNCLEAN, text_of, texts_of
from asyncjobs.http.request import Request
from asyncjobs.http.strict_json import is_clean
from asyncjobs.jobtypes.json_schema import pointer

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,37})")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,37})([.][0-9]{1,37})?([eE][+-]?[0-9]{1,2})?")
_BOOLEANS = {"true": True, "false": False}


def input_of(request: Request, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the input: the fields of the body, and each parameter read by the schema of its field.

    A parameter that cannot be read so stays a text, which the schema then rejects. Raise a `Problem` (400) for a field that
    is given twice and for a body that is not an object; (413, 415) as for every body.
    """
    if request.has_body and request.route.startswith("GET "):
        # It has no meaning (RFC 9110 9.3.1), and proxies may drop it.
        raise invalid_request(InputProblem("", "must be in the query: a GET request has no body"))
    body = request.json() if request.has_body else {}
    if not isinstance(body, dict):
        raise invalid_request(InputProblem("", "must be an object"))
    query, path, fields = request.query, request.path, schema.get("properties", {})
    lists = {name: items for name in query if (items := _items(fields.get(name, {}))) is not None}
    twice = (body.keys() & (query.keys() | path.keys())) | (query.keys() & path.keys())
    twice |= {name for name, values in query.items() if len(values) > 1 and name not in lists}
    # The gateway decodes paths, and replaces what is not UTF-8.
    problems = [InputProblem(pointer([name]), UNCLEAN) for name, text in path.items() if "\ufffd" in text or not is_clean(text)]
    problems += [InputProblem(pointer([name]), "is given twice") for name in sorted(twice)]
    if problems:
        raise invalid_request(*problems)
    for name, values in query.items():
        if name in lists:
            body[name] = [_value(text, lists[name]) for text in texts_of(values)]
        else:
            body[name] = _value(text_of(values[0]), fields.get(name, {}))
    return {**body, **{name: _value(text, fields.get(name, {})) for name, text in path.items()}}


def _value(text: str, schema: Mapping[str, Any]) -> Any:
    types = _types(schema)
    if types & {"integer", "number"} and _NUMBER.fullmatch(text) and len(significant_digits(text)) <= MAX_DIGITS:
        # The schema decides whether an integer may be written so.
        return int(text) if _INTEGER.fullmatch(text) else exact_number(text)
    if "boolean" in types and text in _BOOLEANS:
        return _BOOLEANS[text]
    return text


def _items(schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the schema of a list's items; None for a field that allows no list."""
    lists = (each for each in _alternatives(schema) if "array" in _own_types(each))
    return next((each.get("items", {}) for each in lists), None)


def _types(schema: Mapping[str, Any]) -> set[str]:
    """Return the types that the schema names, also those of an optional field."""
    return {name for each in _alternatives(schema) for name in _own_types(each)}


def _alternatives(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield schema
    for option in schema.get("anyOf", ()):
        yield from _alternatives(option)


def _own_types(schema: Mapping[str, Any]) -> Sequence[str]:
    found = schema.get("type", ())
    return (found,) if isinstance(found, str) else found
