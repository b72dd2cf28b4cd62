"""`make catalog` writes a sample event for a route that has none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from asyncjobs.codegen.openapi import OPERATIONS
from asyncjobs.codegen.sample_events import missing_events
from asyncjobs.http.operations import Operation
from tests.support.events import FOLDER

ALONE = {"workerToken"}
"""Kinds of tokens that one route has, so nothing shows how they are sent."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the sample events."""
    return shutil.copytree(FOLDER, tmp_path / "events")


def removed(folder: Path, operation: Operation) -> dict[str, Any]:
    """Remove the operation's event and return it."""
    for file in folder.glob("*.json"):
        event: dict[str, Any] = json.loads(file.read_text())
        if event.get("routeKey") == operation.route_key:
            file.unlink()
            return event
    raise LookupError(operation.route)


def test_folder_with_an_event_for_each_route_gets_none(folder: Path) -> None:
    assert missing_events(folder, OPERATIONS) == {}


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.security not in ALONE], ids=lambda operation: operation.route
)
def test_event_of_a_new_route_is_as_one_that_is_written_by_hand(folder: Path, operation: Operation) -> None:
    by_hand = removed(folder, operation)
    ((file, text),) = missing_events(folder, OPERATIONS).items()
    made = json.loads(text)
    assert file.parent == folder
    assert not file.exists()
    assert made["routeKey"] == made["requestContext"]["routeKey"] == by_hand["routeKey"]
    assert made["requestContext"].get("authorizer") == by_hand["requestContext"].get("authorizer")
    assert made["headers"].get("authorization") == by_hand["headers"].get("authorization")
    assert made.get("pathParameters", {}).keys() == by_hand.get("pathParameters", {}).keys()
    path = operation.route_key.partition(" ")[2].format(**made.get("pathParameters", {}))
    assert made["rawPath"] == made["requestContext"]["http"]["path"] == path
    assert ("ticket=" in made["rawQueryString"]) == (operation.security == "ticket")
    assert ("body" in made) == ("body" in by_hand) == (operation.body is not None)
    assert made["headers"].get("content-length", "0") == str(len(made.get("body", "")))


def test_file_is_named_after_the_operation(folder: Path) -> None:
    (operation,) = (each for each in OPERATIONS if each.route == "GET /jobs/{asyncJobId}/result")
    removed(folder, operation)
    assert [file.name for file in missing_events(folder, OPERATIONS)] == ["get-job-result.json"]
