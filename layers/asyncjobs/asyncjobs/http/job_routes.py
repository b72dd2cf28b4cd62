"""Routes of a job type's own: its path, its query and its body become its input."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from asyncjobs.core.errors import InputProblem
from asyncjobs.http.request import Request, invalid_request

BASE_PATH = "/api/v1"

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,37})")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,37})([.][0-9]{1,37})?([eE][+-]?[0-9]{1,2})?")
_BOOLEANS = {"true": True, "false": False}


def route_key(route: str) -> str:
    """A job type's route as the gateway names it."""
    method, _, path = route.partition(" ")
    return f"{method} {BASE_PATH}{path}"


def input_of(request: Request, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The input that the request asks for: each parameter as what the input's schema says it is, and the body's fields.

    What a parameter cannot be read as stays a text, for the schema to refuse. Raises a `Problem` (400) for a field that is
    given twice and for a body that is no object; (413, 415) as for every body.
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
    if "integer" in types and _INTEGER.fullmatch(text):
        return int(text)
    if "number" in types and _NUMBER.fullmatch(text):
        return float(text)
    if "boolean" in types and text in _BOOLEANS:
        return _BOOLEANS[text]
    if "array" in types:
        # The gateway joins what is given several times by commas.
        return [_value(part, schema.get("items", {})) for part in text.split(",")]
    return text


def _types(schema: Mapping[str, Any]) -> list[str]:
    """The types that the schema allows, as far as they are said here: also those of an optional field."""
    found = schema.get("type", [])
    alternatives = [each for option in schema.get("anyOf", []) for each in _types(option)]
    return [*([found] if isinstance(found, str) else found), *alternatives]
