"""Check that an answer is documented in an OpenAPI document."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import jsonschema_rs

from asyncjobs.http.request import BASE_PATH


class Contract:
    """A document, read strictly: clients must expect unknown members, but every present one is documented."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = copy.deepcopy(dict(document))
        for schema in self._document["components"]["schemas"].values():
            if "properties" in schema:
                schema.setdefault("additionalProperties", False)
        self._validators: dict[str, jsonschema_rs.Validator] = {}

    def check(self, route: str, status: int, headers: Mapping[str, str], text: str) -> None:
        """Fail with the difference if the answer is not documented."""
        method, path = route.split()
        where = f"{route}: {status}"
        answers = self._document["paths"][path.removeprefix(BASE_PATH)][method.lower()]["responses"]
        assert str(status) in answers, f"{where} is not documented"
        answer = answers[str(status)]
        self._check_headers(where, answer.get("headers", {}), headers)
        if "content" not in answer:
            assert not text, f"{where} has a body"
            return
        media_type = headers["content-type"]
        assert media_type in answer["content"], f"{where} {media_type} is not documented"
        faults = [
            f"{fault.instance_path}: {fault.message}"
            for fault in self._validator(f"{where} {media_type}", answer["content"][media_type]["schema"]).iter_errors(
                json.loads(text) if media_type.endswith("json") else text
            )
        ]
        assert not faults, f"{where} is not as documented: {faults}"

    def _check_headers(self, where: str, documented: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        of_every_answer = {
            "content-type",
            "cache-control",
            "x-content-type-options",
            "content-security-policy",
            "strict-transport-security",
            "referrer-policy",
        }
        known = {name.lower(): header for name, header in documented.items()}
        assert headers.keys() <= known.keys() | of_every_answer, f"{where} has undocumented headers"
        missing = [name for name, header in known.items() if header.get("required") and name not in headers]
        assert not missing, f"{where} lacks {missing}"

    def _validator(self, name: str, schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
        if name not in self._validators:
            whole = {**schema, "components": self._document["components"]}
            self._validators[name] = jsonschema_rs.validator_for(whole, offline=True)
        return self._validators[name]
