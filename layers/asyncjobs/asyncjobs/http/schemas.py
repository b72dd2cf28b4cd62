"""Schemas of bodies, answers and parameters: a name in the OpenAPI document, and the parts that they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

Json = dict[str, Any]

STRING: Json = {"type": "string"}
NOT_EMPTY: Json = {"type": "string", "minLength": 1}
BOOLEAN: Json = {"type": "boolean"}
SECONDS: Json = {"type": "number"}
UUID: Json = {"type": "string", "format": "uuid"}
TIME: Json = {"type": "string", "format": "date-time"}
URI: Json = {"type": "string", "format": "uri"}
URI_REFERENCE: Json = {"type": "string", "format": "uri-reference"}
ANY_OBJECT: Json = {"type": "object", "additionalProperties": True}


class Schema(NamedTuple):
    """A JSON Schema of one operation, and its name among the document's components."""

    name: str
    json: Json


def ref(name: str) -> Json:
    """Return a reference to the component of that name."""
    return {"$ref": f"#/components/schemas/{name}"}


def described(description: str, schema: Mapping[str, Any]) -> Json:
    """Return the schema with the description."""
    return {**schema, "description": description}


def answer_object(description: str, properties: Mapping[str, Json], *, optional: tuple[str, ...] = ()) -> Json:
    """Return the schema of an object in an answer. It is open: answers may get further members without notice."""
    return {
        "type": "object",
        "description": description,
        "required": [name for name in properties if name not in optional],
        "properties": properties,
    }


def query(name: str, description: str, schema: Json) -> Json:
    """Return a parameter of the query."""
    return {"name": name, "in": "query", "description": description, "schema": schema}


def header(name: str, description: str, schema: Json) -> Json:
    """Return a parameter that is a header of the request."""
    return {"name": name, "in": "header", "description": description, "schema": schema}
