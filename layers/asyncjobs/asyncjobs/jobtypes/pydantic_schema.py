"""The JSON Schemas of a job's input and output, which say more than pydantic's own. Only the build imports this module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from asyncjobs.core.errors import InvalidJob
from asyncjobs.jobtypes import json_schema
from asyncjobs.jobtypes.decorator import INPUT_BYTES, JobDefinition, JobType

_OFFSET = "([Zz]|[+-][0-9]{2}:?[0-9]{2})$"
_NAIVE = "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?$"


def describe(definition: JobDefinition) -> JobType:
    """Return the job type with its schemas. Raises `InvalidJob` when an annotation has no JSON Schema."""
    job_type = definition.job_type
    input_schema = _schema(f"{job_type.name}: its input", definition.input_adapter, "validation")
    _check_input(job_type, input_schema)
    output_schema = _schema(f"{job_type.name}: its output", definition.output_adapter, "serialization")
    return replace(job_type, input_schema=input_schema, output_schema=output_schema)


def _schema(what: str, adapter: TypeAdapter[Any], mode: JsonSchemaMode) -> dict[str, Any]:
    try:
        return adapter.json_schema(mode=mode, schema_generator=JobSchema)
    except PydanticInvalidForJsonSchema as error:
        raise InvalidJob(f"{what} has no JSON Schema: {error}") from error


def _check_input(job_type: JobType, schema: Mapping[str, Any]) -> None:
    try:
        json_schema.check_schema(schema)
    except ValueError as error:
        raise InvalidJob(f"{job_type.name}: a submit cannot check its input's JSON Schema: {error}") from error
    size = job_type.size
    if size not in (None, INPUT_BYTES) and not _is_number(schema.get("properties", {}).get(size, {})):
        raise InvalidJob(
            f"{job_type.name}: size is {size!r}; it must be a number among the members of the input, or INPUT_BYTES."
        )


def _is_number(schema: Mapping[str, Any]) -> bool:
    """Return whether a value of the schema may be a number."""
    return schema.get("type") in {"integer", "number"} or any(map(_is_number, schema.get("anyOf", ())))


class JobSchema(GenerateJsonSchema):
    """Makes the schema of a job's input or output."""

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:
        """Return the schema of a date-time. Its offset is required or excluded if its type (`AwareDatetime`) says so."""
        found = super().datetime_schema(schema)
        if self.mode != "validation" or "tz_constraint" not in schema:
            return found
        if schema["tz_constraint"] == "naive":
            # Without a format: in JSON Schema, a date-time has an offset.
            return {"type": "string", "pattern": _NAIVE}
        return {**found, "pattern": _OFFSET}

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """Return the schema of a decimal. With `max_digits`, pydantic's pattern for its text has no end, so any text fits."""
        found = super().decimal_schema(schema)
        for part in found.get("anyOf", ()):
            if "pattern" in part:
                part["pattern"] = part["pattern"].replace("}|(?=", "}$|(?=")
        return found

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Return the schema of a mapping. Where its keys have a pattern, no other keys are allowed."""
        found = super().dict_schema(schema)
        return {"additionalProperties": False, **found} if "patternProperties" in found else found
