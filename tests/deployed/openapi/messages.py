"""Check that a message of the WebSocket API is documented in its AsyncAPI document."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import jsonschema_rs

from asyncjobs.codegen import asyncapi


class Messages:
    """A document, read strictly: clients must expect unknown members, but every present one is documented."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._components = copy.deepcopy(dict(document["components"]))
        for schema in self._components["schemas"].values():
            if "properties" in schema:
                schema.setdefault("additionalProperties", False)
        names = [each["$ref"].rpartition("/")[2] for each in document["channels"]["jobs"]["messages"].values()]
        self.validators = {name: self._validator(name) for name in names}

    def check(self, message: Mapping[str, Any]) -> None:
        """Fail with the difference if the message to a client is not documented."""
        faults = [f"{each.instance_path}: {each.message}" for each in self.validators[message["type"]].iter_errors(message)]
        assert not faults, f"{message['type']} is not as documented: {faults}"

    def _validator(self, name: str) -> jsonschema_rs.Validator:
        reference = {"$ref": f"#/components/schemas/{name}", "components": self._components}
        return jsonschema_rs.validator_for(reference, validate_formats=True)


MESSAGES = Messages(asyncapi.document())
