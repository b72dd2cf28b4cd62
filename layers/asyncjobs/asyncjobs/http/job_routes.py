"""Routes that job types declare: the path, the query and the body of a request become the job's input."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from asyncjobs.core.errors import InputProblem
from asyncjobs.core.exact_json import MAX_DIGITS, exact_number, significant_digits
from asyncjobs.http.problems import invalid_request
from asyncjobs.http.request import Request

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,37})")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,37})([.][0-9]{1,37})?([eE][+-]?[0-9]{1,2})?")
_BOOLEANS = {"true": True, "false": False}


def input_of(request: Request, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the input: the fields of the body, and each parameter read by the schema of its field.

    A parameter that cannot be read so stays a text, which the schema then rejects. Raise a `Problem` (400) for a field that
    is given twice and for a body that is not an object; (413, 415) as for every body.
    """
    body = request.json() if request.has_body else {}
    if not isinstance(body, dict):
        raise invalid_request(InputProblem("", "must be an object"))
    parameters = {**request.query, **request.path}
    twice = sorted((body.keys() & parameters.keys()) | (request.query.keys() & request.path.keys()))
    if twice:
        raise invalid_request(*(InputProblem(f"/{name}", "is given twice") for name in twice))
    fields = schema.get("properties", {})
    return {**body, **{name: _value(text, fields.get(name, {})) for name, text in parameters.items()}}


def _value(text: str, schema: Mapping[str, Any]) -> Any:
    types = set(_types(schema))
    if types & {"integer", "number"} and _NUMBER.fullmatch(text) and len(significant_digits(text)) <= MAX_DIGITS:
        # The schema decides whether an integer may be written so.
        return int(text) if _INTEGER.fullmatch(text) else exact_number(text)
    if "boolean" in types and text in _BOOLEANS:
        return _BOOLEANS[text]
    if "array" in types:
        # The gateway joins the values of a repeated parameter with commas.
        return [_value(part, schema.get("items", {})) for part in text.split(",")]
    return text


def _types(schema: Mapping[str, Any]) -> list[str]:
    """Return the types that the schema itself names, also those of an optional field."""
    found = schema.get("type", [])
    alternatives = [each for option in schema.get("anyOf", []) for each in _types(option)]
    return [*([found] if isinstance(found, str) else found), *alternatives]
