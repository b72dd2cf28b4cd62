"""Compare the catalog with that of the last release, to find changes by which waiting jobs would fail after a deployment.

`python -m asyncjobs.codegen.released FILE` names them; with `--accept`, the present catalog becomes the released one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from asyncjobs.jobtypes import json_schema
from asyncjobs.jobtypes.catalog import catalog_path

REMEDY = (
    "Accept both inputs (a new field has a default), or declare the changed job under a new name beside this one: see "
    "docs/jobs.md#change-an-input-type. If no such job waits, run `make released`."
)
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_COMPARED = {
    *(*_LOWER, *_UPPER, "type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"),
    *("properties", "required", "additionalProperties", "prefixItems", "items"),
}
"""Keywords with an order from wide to narrow. Any change of another one may be narrower."""


def main(arguments: list[str]) -> int:
    """Compare, or accept the present catalog. Return 1 if jobs would fail."""
    released = Path(next(argument for argument in arguments if argument != "--accept"))
    if "--accept" in arguments:
        released.write_text(catalog_path().read_text())
        return 0
    if not released.exists():
        return 0
    lines = list(failing_jobs(json.loads(released.read_text()), json.loads(catalog_path().read_text())))
    for line in lines:
        print(f"{line}: waiting jobs would fail.", file=sys.stderr)
    if lines:
        print(REMEDY, file=sys.stderr)
    return 1 if lines else 0


def failing_jobs(released: Mapping[str, Any], present: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each change by which a job of the released catalog fails."""
    for name, old in released.items():
        new = present.get(name)
        if old["tracked"]:
            # An outside worker ends such a job, whatever the catalog says.
            continue
        if new is None or new["tracked"]:
            yield f"{name}: the job type is {'missing' if new is None else 'tracked'}"
        else:
            comparison = _Comparison(old["input_schema"], new["input_schema"])
            yield from (f"{name}: {line}" for line in comparison.narrowed("", old["input_schema"], new["input_schema"]))


class _Comparison:
    """Two schemas of one input. A value that the old one allows should be allowed by the new one."""

    def __init__(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self._old = old
        self._new = new
        self._around: list[tuple[Any, Any]] = []
        """The pairs of schemas around the present place: a model may contain itself."""

    def narrowed(self, where: str, old: Any, new: Any) -> Iterator[str]:
        """Yield each place where the new schema allows less. Doubtful cases count as less."""
        pair = _resolved(self._old, old), _resolved(self._new, new)
        if pair in self._around:
            return
        self._around.append(pair)
        yield from self._compared(where, *pair)
        self._around.remove(pair)

    def _compared(self, where: str, old: Any, new: Any) -> Iterator[str]:
        if new is True or new == {} or old is False:
            return
        if isinstance(old, bool) or isinstance(new, bool):
            yield f"{where or '/'}: allows fewer values"
        elif (values := _values(old)) is not None:
            if not all(self._allows(new, value) for value in values):
                yield f"{where or '/'}: no longer allows each of {json.dumps(values)}"
        else:
            yield from self._choices(where, old, new)

    def _choices(self, where: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
        """Compare each alternative of the old schema with the one of the new schema that is nearest to it."""
        if (alternatives := _alternatives(old)) is not None:
            for alternative in alternatives:
                yield from self.narrowed(where, alternative, new)
        elif (choices := _alternatives(new)) is not None:
            yield from min((list(self.narrowed(where, old, choice)) for choice in choices), key=len)
        else:
            yield from self._keywords(where, old, new)

    def _keywords(self, where: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
        place = where or "/"
        if not _types(old) <= _types(new):
            yield f"{place}: is {_text(new['type'])} instead of {_text(old.get('type', 'any type'))}"
            return
        if _values(new) is not None:
            yield f"{place}: allows fewer values"
        for keyword in _LOWER:
            if keyword in new and (keyword not in old or old[keyword] < new[keyword]):
                yield f"{place}: {keyword} is {new[keyword]}"
        for keyword in _UPPER:
            if keyword in new and (keyword not in old or old[keyword] > new[keyword]):
                yield f"{place}: {keyword} is {new[keyword]}"
        for keyword in sorted(new.keys() - _COMPARED):
            if new[keyword] != old.get(keyword):
                yield f"{place}: {keyword} is {json.dumps(new[keyword])}"
        yield from self._members(where, old, new)
        for part in new.get("allOf", ()):
            yield from self.narrowed(where, old, part)

    def _members(self, where: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
        for name in new.get("required", ()):
            if name not in old.get("required", ()):
                yield f"{where}/{name}: is required"
        fields, others = new.get("properties", {}), new.get("additionalProperties", True)
        for name, schema in old.get("properties", {}).items():
            if name in fields or others is not False:
                yield from self.narrowed(f"{where}/{name}", schema, fields.get(name, others))
            else:
                yield f"{where}/{name}: is not a known field"
        if "object" in _types(old):
            yield from self._rest(f"{where}/*", old.get("additionalProperties", True), others)
        before, after = old.get("prefixItems", []), new.get("prefixItems", [])
        for index, schema in enumerate(after):
            earlier = before[index] if index < len(before) else old.get("items", True)
            yield from self.narrowed(f"{where}/{index}", earlier, schema)
        if "items" in new:
            yield from self._rest(f"{where}/*", old.get("items", True), new["items"])

    def _rest(self, where: str, old: Any, new: Any) -> Iterator[str]:
        """Compare what further members may be."""
        if old is True and new is False:
            yield f"{where}: further fields are rejected"
        elif old is not False:
            yield from self.narrowed(where, old, new)

    def _allows(self, schema: Any, value: Any) -> bool:
        return json_schema.allows({"$defs": self._new.get("$defs", {}), "allOf": [schema]}, value)


def _reference(schema: Any) -> str | None:
    return schema.get("$ref") if isinstance(schema, dict) else None


def _resolved(root: Mapping[str, Any], schema: Any) -> Any:
    """Return the schema with what its `$ref` says, and without what is only said about it."""
    while (reference := _reference(schema)) is not None:
        found: Any = root
        for step in reference.removeprefix("#").split("/")[1:]:
            found = found[step.replace("~1", "/").replace("~0", "~")]
        schema = {**found, **{keyword: part for keyword, part in schema.items() if keyword != "$ref"}}
    if not isinstance(schema, dict):
        return schema
    return {keyword: part for keyword, part in schema.items() if keyword not in _ANNOTATIONS}


_ANNOTATIONS = {"title", "description", "default", "examples", "deprecated", "discriminator", "$defs", "readOnly", "writeOnly"}


def _values(schema: Any) -> list[Any] | None:
    """Return the values of an enumeration; None if the schema is none."""
    if not isinstance(schema, dict):
        return None
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _alternatives(schema: Any) -> list[Any] | None:
    return schema.get("anyOf", schema.get("oneOf")) if isinstance(schema, dict) else None


def _types(schema: Mapping[str, Any]) -> set[str]:
    kind = schema.get("type", list(_ALL_TYPES))
    types = {kind} if isinstance(kind, str) else set(kind)
    return types | {"integer"} if "number" in types else types


_ALL_TYPES = ("null", "boolean", "number", "string", "array", "object")


def _text(kind: str | list[str]) -> str:
    return kind if isinstance(kind, str) else " or ".join(kind)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
