"""Job types in the OpenAPI document: the schemas of their inputs and outputs, and the parameters of their routes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from asyncjobs.core.clock import RFC3339
from asyncjobs.http.bodies import submit_fields
from asyncjobs.http.operations import Operation
from asyncjobs.http.schemas import Json, described, ref
from asyncjobs.jobtypes import json_schema
from asyncjobs.jobtypes.decorator import GENERIC, MAX_RETENTION, JobType
from asyncjobs.jobtypes.json_schema import nulls_left_out

_SUBMIT_FIELDS: Mapping[str, Json] = {
    "metadata": ref("Metadata"),
    "message": {"description": "Shown until the job reports a message of its own."},
    "priority": described("Without it, the job type's priority.", ref("Priority")),
    "delaySeconds": {"description": "The earliest start. A deployment may allow less than the maximum."},
    "notBefore": {
        "description": "The earliest start as a date-time (RFC 3339), instead of `delaySeconds`.",
        "pattern": RFC3339,
    },
    "estimatedSeconds": {
        "description": "How long you expect the job to take. It decides whether a job of a quick type runs before the answer."
    },
    "retentionFrom": described("Without it, the job type's.", ref("RetentionFrom")),
    "webhook": {
        "description": "The `webhookId` of one of your webhooks that this job's events are delivered to, whatever its `jobTypes`.",
    },
    "retentionSeconds": {
        "description": "How long to keep the job and its result. A deployment may allow less than the maximum."
    },
}


def schemas_of(job_types: Iterable[JobType], operations: Iterable[Operation]) -> dict[str, Json]:
    """Return the schemas of each job type, and those of any submit and any result.

    Their names contain the type's name as it is, so that no two types share one.
    """
    types = list(job_types)
    found: dict[str, Json] = {
        # Not oneOf: a submit without a `jobType` and with it are alike but for that, and both are of the type `generic`.
        "SubmitRequest": {"anyOf": [ref(f"{type_.name}.submit") for type_ in types] or [False]},
        # The most specific first: generated clients read a result as the first one that it fits.
        "Result": {"anyOf": [ref(f"{type_.name}.output") for type_ in sorted(types, key=_specificity)] or [False]},
    }
    for type_ in types:
        found[f"{type_.name}.submit"] = _submit_schema(type_)
        found |= _components(f"{type_.name}.input", type_.input_schema)
        found |= _components(f"{type_.name}.output", type_.output_schema)
    for operation in operations:
        name = fields_name(operation)
        if operation.job_type is not None and name is not None:
            found |= _components(name, _fields_schema(operation.job_type, operation.route))
    return found


def operation_id(route: str) -> str:
    """Return the name of a job type's route: postImportName for `POST /import/{name}`."""
    method, *words = re.findall(r"[A-Za-z0-9]+", route)
    return "".join([method.lower(), *(word[0].upper() + word[1:] for word in words)])


def fields_name(operation: Operation) -> str | None:
    """Return the name of the schema of the body that a job type's route takes; None if it takes none."""
    if operation.job_type is None or operation.route.startswith("GET "):
        return None
    return f"{operation.job_type.name}.{operation_id(operation.route)}"


def parameters_of(job_type: JobType, route: str) -> Iterator[Json]:
    """Yield the parameters of a job type's route: any field of the input may be one."""
    fields = _relocated(job_type.input_schema.get("properties", {}), f"{job_type.name}.input")
    for name, schema in _without_titles(fields, are_names=True).items():
        in_path = f"{{{name}}}" in route
        is_only_place = not in_path and route.startswith("GET ") and name in job_type.input_schema.get("required", ())
        yield {
            "name": name,
            "in": "path" if in_path else "query",
            **({"required": True} if in_path or is_only_place else {}),
            "schema": schema,
            # Several values may be one text with commas, or repeated parameters: `query_string` reads both.
            **({} if in_path else {"explode": False}),
        }


def _specificity(job_type: JobType) -> int:
    return -len(job_type.output_schema.get("required", ()))


def _submit_schema(job_type: JobType) -> Json:
    schema: dict[str, Any] = json.loads(json.dumps(submit_fields(MAX_RETENTION)))
    fields: dict[str, Any] = schema["properties"]
    for name, description in _SUBMIT_FIELDS.items():
        fields[name] = description if "$ref" in description else {**fields[name], **description}
    fields |= {"jobType": {"const": job_type.name}, "input": ref(f"{job_type.name}.input")}
    schema["required"] = [] if job_type.name == GENERIC else ["jobType"]
    # An omitted input is an empty object.
    if not json_schema.allows(job_type.input_schema, {}):
        schema["required"].append("input")
    return {"description": job_type.description, **nulls_left_out(schema)}


def _fields_schema(job_type: JobType, route: str) -> Json:
    """Return the input without the fields of the path. No field is required in the body: the query may have it."""
    fields = {name: field for name, field in job_type.input_schema.get("properties", {}).items() if f"{{{name}}}" not in route}
    rest = {key: value for key, value in job_type.input_schema.items() if key not in ("required", "properties")}
    return {**rest, "properties": fields}


def _components(name: str, schema: Mapping[str, Any]) -> dict[str, Json]:
    """Return a JSON Schema and each of its `$defs` as a component."""
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    own = {key: value for key, value in schema.items() if key != "$defs"}
    parts = {name: own, **{f"{name}.{key}": value for key, value in definitions.items()}}
    return {key: _without_titles(_relocated(part, name)) for key, part in parts.items()}


def _relocated(part: Any, name: str) -> Any:
    """Return the part with its references led to the components of that name."""
    if isinstance(part, list):
        return [_relocated(item, name) for item in part]
    if not isinstance(part, dict):
        return part
    moved = {key: _relocated(value, name) for key, value in part.items()}
    if isinstance(part.get("$ref"), str):
        moved["$ref"] = _new_place(part["$ref"], name)
    mapping = part["discriminator"].get("mapping") if isinstance(part.get("discriminator"), dict) else None
    if isinstance(mapping, dict):
        moved["discriminator"]["mapping"] = {value: _new_place(place, name) for value, place in mapping.items()}
    return moved


def _new_place(reference: str, name: str) -> str:
    root = f"#/components/schemas/{name}"
    if reference.startswith("#/$defs/"):
        return f"{root}.{reference.removeprefix('#/$defs/')}"
    return root + reference.removeprefix("#") if reference.startswith("#") else reference


def _without_titles(part: Any, *, are_names: bool = False) -> Any:
    """Return the schema without titles. Client generators name models by them, and drop the second model of a name."""
    if isinstance(part, list):
        return [_without_titles(item) for item in part]
    if not isinstance(part, dict):
        return part
    return {
        key: value
        if key in _VALUES and not are_names
        else _without_titles(value, are_names=key in _NAMED_SCHEMAS and not are_names)
        for key, value in part.items()
        if are_names or key != "title"
    }


_NAMED_SCHEMAS = {"properties", "patternProperties", "dependentSchemas"}
_VALUES = {"const", "default", "enum", "examples"}
