"""Sample events of the routes that have none yet, made of their records and of the other samples."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from asyncjobs.codegen.openapi import name_of
from asyncjobs.http.operations import Operation

_OF_A_BODY = {"content-length", "content-type"}
_OPTIONS = {"idempotency-key", "prefer"}


def missing_events(folder: Path, operations: Iterable[Operation]) -> dict[Path, str]:
    """Return the event of each operation of which the folder has none, by its file."""
    found = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    events = {event["routeKey"]: event for event in found if "routeKey" in event}
    operations = tuple(operations)
    models = {_kind(each): events[each.route_key] for each in operations if each.route_key in events}
    values = {name: value for event in events.values() for name, value in event.get("pathParameters", {}).items()}
    return {
        folder / f"{_file_name(each)}.json": json.dumps(_event(each, models[_kind(each)], values), indent=2) + "\n"
        for each in operations
        if each.route_key not in events
    }


def _kind(operation: Operation) -> tuple[str | None, bool]:
    """Return what decides on the tokens and claims of a request."""
    return operation.security, operation.route.split("/")[1] == "admin"


def _file_name(operation: Operation) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name_of(operation))


def _event(operation: Operation, model: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    method, _, path = operation.route_key.partition(" ")
    parameters = {name: values.get(name, name) for name in operation.path_parameters}
    raw_path = path.format(**parameters)
    context, http = model["requestContext"], model["requestContext"]["http"]
    event = {name: value for name, value in model.items() if name not in {"pathParameters", "body"}} | {
        "routeKey": operation.route_key,
        "rawPath": raw_path,
        "headers": {name: value for name, value in model["headers"].items() if name not in _OF_A_BODY | _OPTIONS},
        "requestContext": {
            **context,
            "http": {**http, "method": method, "path": raw_path},
            "routeKey": operation.route_key,
        },
    }
    if operation.security != "ticket":
        event["rawQueryString"] = ""
        event.pop("queryStringParameters", None)
    if parameters:
        event["pathParameters"] = parameters
    if operation.body is not None:
        body = json.dumps(operation.example, separators=(",", ":"))
        event["headers"] |= {"content-type": "application/json", "content-length": str(len(body))}
        event["body"] = body
    return event
