"""The input that a request to a job type's own route stands for: its path, its query and its body become the job's input."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain, repeat
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
_TYPES: Mapping[type, str] = {bool: "boolean", int: "integer", float: "number"}


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
    query, path = request.query, request.path_parameters
    fields = {name: list(_alternatives(field, schema)) for name, field in schema.get("properties", {}).items()}
    lists = {name: each for name in query for each in fields.get(name, ()) if "array" in _own_types(each)}
    twice = (body.keys() & (query.keys() | path.keys())) | (query.keys() & path.keys())
    twice |= {name for name, values in query.items() if len(values) > 1 and name not in lists}
    # The gateway decodes paths, and replaces what is not UTF-8.
    problems = [InputProblem(pointer([name]), UNCLEAN) for name, text in path.items() if "\ufffd" in text or not is_clean(text)]
    problems += [InputProblem(pointer([name]), "is given twice") for name in sorted(twice)]
    if problems:
        raise invalid_request(*problems)
    for name, values in query.items():
        if name in lists:
            items = chain(lists[name].get("prefixItems", ()), repeat(lists[name].get("items", {})))
            body[name] = [
                _value(text, _alternatives(item, schema)) for text, item in zip(texts_of(values), items, strict=False)
            ]
        else:
            body[name] = _value(text_of(values[0]), fields.get(name, ()))
    return {**body, **{name: _value(text, fields.get(name, ())) for name, text in path.items()}}


def _value(text: str, alternatives: Iterable[Mapping[str, Any]]) -> Any:
    """Return what the text stands for: a number or a boolean, if one of the schemas allows such values."""
    types = {name for each in alternatives for name in _own_types(each)}
    if types & {"integer", "number"} and _NUMBER.fullmatch(text) and len(significant_digits(text)) <= MAX_DIGITS:
        # The schema decides whether an integer may be written so.
        return int(text) if _INTEGER.fullmatch(text) else exact_number(text)
    if "boolean" in types:
        # As programs write them: `True` is Python's.
        return _BOOLEANS.get(text.lower(), text)
    return text


def _alternatives(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the schema and those that it is made of: of an optional field, of an enum, of a type with a name."""
    yield schema
    parts = [part for keyword in ("anyOf", "oneOf", "allOf") for part in schema.get(keyword, ())]
    name = schema.get("$ref", "").removeprefix("#/$defs/")
    if name:
        parts.append(root["$defs"][name])
    for part in parts:
        yield from _alternatives(part, root)


def _own_types(schema: Mapping[str, Any]) -> Collection[str]:
    if "type" in schema:
        found = schema["type"]
        return (found,) if isinstance(found, str) else found
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return {_TYPES[type(value)] for value in values if type(value) in _TYPES}
