"""The recorded answers of the clients' contract are ones that this server gives."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from clients.contract import server
from tests.deployed.openapi.contract import Contract
from tests.template.source import ROOT

DOCUMENT = json.loads((ROOT / "layers/jobs/jobs/openapi.json").read_text())
NOT_OF_THIS_SERVER = re.compile("unknown_|live_|events_|deleted_while_live|wait_without_updates")
"""Cases of a newer or an older server."""
GATEWAY = {401, 403, 404, 429, 500, 502, 503, 504}
"""Statuses of answers that the gateway gives itself."""


def answers(name: str) -> Iterator[tuple[str, server.Answer]]:
    for exchange in server.case(name)["exchanges"]:
        request, answer = exchange["request"], exchange["answer"]
        if request["path"].startswith("/storage/") or "fault" in answer or "cut" in answer:
            continue
        yield f"{request['method']} {request['path'].replace('{job}', '{asyncJobId}')}", server.answer_of(answer, "http://h")


def numbered(body: str) -> str:
    """Give each record a `seq`. The cases have servers of the last release, which number no record, so that clients poll."""
    if not body.startswith("{"):
        return body
    value: dict[str, Any] = json.loads(body)
    for record in (value, *value.get("jobs", ())):
        if "recordExpiresAt" in record:
            record.setdefault("seq", 1)
    return json.dumps(value)


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract(DOCUMENT)


@pytest.mark.parametrize("name", [name for name in server.names() if not NOT_OF_THIS_SERVER.match(name)])
def test_answers_of_a_case_are_documented(contract: Contract, name: str) -> None:
    for route, answer in answers(name):
        body = numbered(answer.body.decode())
        ours = {key: value for key, value in answer.headers.items() if key not in {"content-length", "date"}}
        is_problem = answer.headers.get("content-type") == "application/problem+json"
        if answer.status in GATEWAY and not is_problem:
            continue
        path = route.partition(" ")[2]
        assert path in DOCUMENT["paths"], route
        required = DOCUMENT["paths"][path][route.partition(" ")[0].lower()]["responses"][str(answer.status)].get("headers", {})
        added = {key.lower(): "x" for key, header in required.items() if header.get("required")}
        contract.check(route, answer.status, {**added, **ours}, body)
