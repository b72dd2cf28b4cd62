"""Find changes in a new OpenAPI document that break a client of an old one.

A client sends requests that the old document allows, so the new one may require no more; and it reads answers that the old one
promises, so the new one may promise no less. Additions break nothing: clients must expect unknown members and codes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

Json = Mapping[str, Any]

_METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
_LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_SAME = ("pattern", "format", "const", "multipleOf", "uniqueItems", "propertyNames", "not")
"""Keywords without an order from wide to narrow: any change may be narrower."""


class Direction(Enum):
    """Which side writes the value of a schema."""

    REQUEST = "request"
    RESPONSE = "response"


def breaks(old: Json, new: Json) -> list[str]:
    """Return a line with the place of each break; none if every old client still works."""
    return list(_Comparison(old, new).paths())


class _Comparison:
    def __init__(self, old: Json, new: Json) -> None:
        self._old = old
        self._new = new
        self._seen: set[tuple[str, str, Direction]] = set()

    def paths(self) -> Iterator[str]:
        for path, methods in self._old["paths"].items():
            if path not in self._new["paths"]:
                yield f"{path}: is gone"
                continue
            for method in methods.keys() & _METHODS:
                where = f"{method.upper()} {path}"
                if method not in self._new["paths"][path]:
                    yield f"{where}: is gone"
                else:
                    yield from self._operation(where, methods[method], self._new["paths"][path][method])

    def _operation(self, where: str, old: Json, new: Json) -> Iterator[str]:
        if old["operationId"] != new["operationId"]:
            yield f"{where}: is called {new['operationId']!r}, which was {old['operationId']!r}"
        if not old.get("security", self._old.get("security")) and new.get("security", self._new.get("security")):
            yield f"{where}: needs a token"
        yield from self._parameters(where, self._parameters_of(self._old, old), self._parameters_of(self._new, new))
        yield from self._body(f"{where}: body", old.get("requestBody"), new.get("requestBody"))
        for status, answer in old["responses"].items():
            if status in new["responses"]:
                yield from self._answer(f"{where}: {status}", answer, new["responses"][status])
            elif status < "400":
                yield f"{where}: {status} is gone"

    def _parameters(self, where: str, old: dict[tuple[str, str], Json], new: dict[tuple[str, str], Json]) -> Iterator[str]:
        for key, parameter in new.items():
            if parameter.get("required") and not old.get(key, {}).get("required"):
                yield f"{where}: {key[0]} {key[1]!r} is required"
        for key, parameter in old.items():
            if key not in new:
                yield f"{where}: {key[0]} {key[1]!r} is gone"
            else:
                yield from self._schema(
                    f"{where}: {key[0]} {key[1]!r}", parameter["schema"], new[key]["schema"], Direction.REQUEST
                )

    def _body(self, where: str, old: Json | None, new: Json | None) -> Iterator[str]:
        if new is not None and new.get("required") and not (old or {}).get("required"):
            yield f"{where} is required"
        if old is not None and new is None:
            yield f"{where} is gone"
        if old is not None and new is not None:
            yield from self._content(where, old["content"], new["content"], Direction.REQUEST)

    def _answer(self, where: str, old: Json, new: Json) -> Iterator[str]:
        yield from self._content(where, old.get("content", {}), new.get("content", {}), Direction.RESPONSE)
        for name, described in old.get("headers", {}).items():
            header = _resolved(self._old, described)
            other = _resolved(self._new, new.get("headers", {}).get(name))
            if other is None:
                yield f"{where}: header {name} is gone"
                continue
            if header.get("required") and not other.get("required"):
                yield f"{where}: header {name} is no longer there each time"
            yield from self._schema(f"{where}: header {name}", header["schema"], other["schema"], Direction.RESPONSE)

    def _content(self, where: str, old: Json, new: Json, direction: Direction) -> Iterator[str]:
        for media_type, described in old.items():
            if media_type not in new:
                yield f"{where}: {media_type} is gone"
            else:
                yield from self._schema(where, described["schema"], new[media_type]["schema"], direction)

    def _schema(self, where: str, old: Any, new: Any, direction: Direction) -> Iterator[str]:
        pair = (_name(old), _name(new), direction)
        if pair in self._seen:
            return
        if pair[0] and pair[1]:
            self._seen.add(pair)
        if direction is Direction.REQUEST:
            new = _without_null(old, new)
        old, new = _merged(_resolved(self._old, old)), _merged(_resolved(self._new, new))
        if isinstance(old, bool) or isinstance(new, bool):
            narrow = new if direction is Direction.REQUEST else old
            if old != new and narrow is not True:
                yield f"{where}: other values are allowed"
            return
        yield from self._values(where, old, new, direction)
        yield from self._properties(where, old, new, direction)
        if "items" in old and "items" in new:
            yield from self._schema(f"{where}/*", old["items"], new["items"], direction)
        elif "items" in (new if direction is Direction.REQUEST else old):
            yield f"{where}: items are described otherwise"
        yield from self._choices(where, old, new, direction)

    def _values(self, where: str, old: Json, new: Json, direction: Direction) -> Iterator[str]:
        narrow, wide = (new, old) if direction is Direction.REQUEST else (old, new)
        documents = (self._new, self._old) if direction is Direction.REQUEST else (self._old, self._new)
        lost = _types(documents[1], wide) - _types(documents[0], narrow)
        if lost:
            yield f"{where}: {'no longer' if direction is Direction.REQUEST else 'also'} {', '.join(sorted(lost))}"
        for keyword in _SAME:
            if keyword in narrow and narrow[keyword] != wide.get(keyword):
                yield f"{where}: {keyword} is {new.get(keyword)!r}"
        if direction is Direction.RESPONSE:
            return
        if "enum" in new and ("enum" not in old or not _among(old["enum"], new["enum"])):
            yield f"{where}: fewer values are allowed"
        for keyword in _LOWER_BOUNDS:
            if keyword in new and (keyword not in old or new[keyword] > old[keyword]):
                yield f"{where}: {keyword} is {new[keyword]}"
        for keyword in _UPPER_BOUNDS:
            if keyword in new and (keyword not in old or new[keyword] < old[keyword]):
                yield f"{where}: {keyword} is {new[keyword]}"

    def _properties(self, where: str, old: Json, new: Json, direction: Direction) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        required = set(new.get("required", ())) - set(old.get("required", ()))
        optional = set(old.get("required", ())) - set(new.get("required", ()))
        if direction is Direction.REQUEST:
            yield from (f"{where}/{name}: is required" for name in sorted(required))
            if new.get("additionalProperties") is False and old.get("additionalProperties") is not False:
                yield f"{where}: no further members are allowed"
        else:
            yield from (f"{where}/{name}: is no longer there each time" for name in sorted(optional & after.keys()))
        for name, schema in before.items():
            if name not in after:
                yield f"{where}/{name}: is gone"
            else:
                yield from self._schema(f"{where}/{name}", schema, after[name], direction)

    def _choices(self, where: str, old: Json, new: Json, direction: Direction) -> Iterator[str]:
        """Compare `allOf`, which requires each part, and `anyOf`: a request may use any old one, an answer is one.

        `oneOf` counts as `anyOf`: no client depends on a value that fits only one.
        """
        for keyword, parts in (("allOf", _demanded), ("anyOf", _alternatives)):
            before, after = parts(old), parts(new)
            lost, added = before.keys() - after.keys(), after.keys() - before.keys()
            is_narrowed_by_more = keyword == "allOf" or not before
            if direction is Direction.REQUEST:
                broken = added if is_narrowed_by_more else lost
            else:
                broken = lost if keyword == "allOf" else set()
            yield from (f"{where}: {keyword} {name} {'is gone' if name in lost else 'is new'}" for name in sorted(broken))
            for name in sorted(before.keys() & after.keys()):
                yield from self._schema(f"{where}({name})", before[name], after[name], direction)

    @staticmethod
    def _parameters_of(document: Json, operation: Json) -> dict[tuple[str, str], Json]:
        found = [_resolved(document, parameter) for parameter in operation.get("parameters", ())]
        return {(parameter["in"], parameter["name"]): parameter for parameter in found}


def _name(schema: Any) -> str:
    return str(schema.get("$ref", "")) if isinstance(schema, dict) else ""


def _resolved(document: Json, part: Any) -> Any:
    """Return the target of a `$ref`, with the members beside it laid over it."""
    while isinstance(part, dict) and "$ref" in part:
        found: Any = document
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        part = {**found, **{key: value for key, value in part.items() if key != "$ref"}}
    return part


def _without_null(old: Any, new: Any) -> Any:
    """Return the new schema of a request without an alternative for null that the old one does not have: null is an addition."""
    match new:
        case {"anyOf": [first, {"type": "null"}]} if "anyOf" not in old:
            return {**first, **{key: value for key, value in new.items() if key != "anyOf"}}
    return new


def _merged(schema: Any) -> Any:
    """Return the schema with the parts of its `allOf` that are in place as its own members, unless both have one."""
    if not isinstance(schema, dict):
        return schema
    merged, parts = dict(schema), []
    for part in schema.get("allOf", ()):
        rest = {key: value for key, value in part.items() if key not in ("properties", "required")}
        if (
            "$ref" in part
            or rest.keys() & merged.keys()
            or part.get("properties", {}).keys() & merged.get("properties", {}).keys()
        ):
            parts.append(part)
            continue
        merged |= rest
        if "properties" in part:
            merged["properties"] = {**merged.get("properties", {}), **part["properties"]}
        if "required" in part:
            merged["required"] = [*merged.get("required", ()), *part["required"]]
    return {**merged, "allOf": parts} if parts else {key: value for key, value in merged.items() if key != "allOf"}


_ALL_TYPES = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
_TYPES_OF_VALUES = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


def _types(document: Json, schema: Any) -> frozenset[str]:
    """Return the types that a value may have: those that are named, or those of the values or the alternatives."""
    schema = _resolved(document, schema)
    if not isinstance(schema, dict):
        return _ALL_TYPES
    if "type" in schema:
        types = {schema["type"]} if isinstance(schema["type"], str) else set(schema["type"])
    elif "enum" in schema or "const" in schema:
        values = schema["enum"] if "enum" in schema else [schema["const"]]
        types = {_TYPES_OF_VALUES[type(value)] for value in values}
    elif alternatives := _alternatives(schema):
        types = set().union(*(_types(document, part) for part in alternatives.values()))
    else:
        return _ALL_TYPES
    return frozenset(types | ({"integer"} if "number" in types else set()))


def _among(values: list[Any], others: list[Any]) -> bool:
    return all(value in others for value in values)


def _demanded(schema: Json) -> dict[str, Any]:
    return _named(schema.get("allOf", ()))


def _alternatives(schema: Json) -> dict[str, Any]:
    return _named([*schema.get("oneOf", ()), *schema.get("anyOf", ())])


def _named(parts: Sequence[Any]) -> dict[str, Any]:
    """Return the parts by their names: a `$ref`, or else the types or the position."""
    return {_name(part) or _plain(part) or str(place): part for place, part in enumerate(parts)}


def _plain(part: Any) -> str:
    return str(part["type"]) if isinstance(part, dict) and part.keys() == {"type"} else ""
