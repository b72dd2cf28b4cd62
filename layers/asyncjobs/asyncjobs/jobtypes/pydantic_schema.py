"""The JSON Schema of a type, which says more than pydantic's own. Only the build imports this module."""

from __future__ import annotations

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

_OFFSET = "([Zz]|[+-][0-9]{2}:?[0-9]{2})$"
_NAIVE = "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?$"


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
