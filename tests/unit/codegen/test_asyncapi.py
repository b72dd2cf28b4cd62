"""The AsyncAPI document: its parts refer to each other, and it describes the messages that the API reads."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema_rs
import pytest

from asyncjobs.codegen import asyncapi
from asyncjobs.core.events import EventType
from asyncjobs.http.socket_api import MESSAGES
from tests.deployed.openapi.messages import MESSAGES as CHECKED
from tests.support.factories import JOB_ID

DOCUMENT = asyncapi.document()
SCHEMAS = DOCUMENT["components"]["schemas"]


def test_every_reference_leads_to_a_part() -> None:
    references = re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(DOCUMENT))
    assert references
    for reference in references:
        part: Any = DOCUMENT
        for step in reference.split("/"):
            part = part[step]


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_a_json_schema(name: str) -> None:
    jsonschema_rs.meta.validate(SCHEMAS[name])


def test_every_operation_sends_or_receives_messages_of_its_channel() -> None:
    """AsyncAPI 3.0: the application is the server, so it receives what clients send."""
    operations = DOCUMENT["operations"]
    assert {name: each["action"] for name, each in operations.items()} == {
        **dict.fromkeys(MESSAGES, "receive"),
        "changes": "send",
    }
    for each in operations.values():
        found = [*each["messages"], *each.get("reply", {}).get("messages", ())]
        assert all(reference["$ref"].startswith("#/channels/jobs/messages/") for reference in found)


@pytest.mark.parametrize(
    ("name", "message", "fits"),
    [
        ("watch", {"action": "watch", "asyncJobId": JOB_ID, "after": 3, "id": "1"}, True),
        ("watch", {"action": "watch", "asyncJobId": JOB_ID, "owner": "bob"}, False),
        ("unwatch", {"action": "unwatch", "scope": "owner"}, True),
        ("ping", {"action": "ping"}, True),
        ("ping", {"action": "pong"}, False),
    ],
)
def test_messages_of_clients_are_described_as_they_are_read(name: str, message: Any, fits: bool) -> None:
    assert CHECKED.validators[name].is_valid(message) is fits


def test_every_type_of_event_is_documented() -> None:
    # In words: a client that was generated today must be able to read a type of tomorrow.
    assert re.findall("`([a-z]+)`", SCHEMAS["State"]["properties"]["type"]["description"])[: len(EventType)] == list(EventType)


def test_states_have_neither_input_nor_result() -> None:
    assert not {"input", "result", "metadata", "resultLocation"} & SCHEMAS["Change"]["properties"].keys()
