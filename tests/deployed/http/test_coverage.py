"""The tests of this folder together received every documented answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncjobs.codegen.openapi import OPERATIONS, name_of
from tests.support.deployed import Api, LimitedDeployment

FILES = {path.name for path in Path(__file__).parent.glob("test_*.py")}
NOT_PROVOKED = {
    "OWNER_MISSING": "deployed/operations/test_tokens.py: every user of this deployment's own pool has a subject",
    "UNAVAILABLE": "unit/http/test_problems.py: nothing is broken here",
    "TOO_MANY_PAUSED_TYPES": "unit/http/test_admin_routes.py: 30 paused types would stop the other tests",
    "INTERNAL_ERROR": "unit/http/test_api.py: nothing is broken here",
}
"""Codes that no request of this folder can receive, and the tests that cover them."""

ONCE = {"SUBMIT_RATE_EXCEEDED", "TOO_MANY_LIVE_JOBS", "BUSY"}
"""Codes of the limits, which are the same for all requests that submit: one of them is enough."""

OF_A_BODY = {"INVALID_JSON", "REQUEST_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE", "UNSUPPORTED_CONTENT_ENCODING"}
"""Codes of requests with a body, which those of GET have not."""

IMPOSSIBLE = {
    (operation, 400, "UNKNOWN_JOB_TYPE"): "unit/service/test_commands.py: no job type is removed here"
    for operation in ("retryJob", "retryAnyJob")
}

Answer = tuple[str, int, str | None]


def documented(document: dict[str, Any]) -> Iterator[Answer]:
    """Yield each answer of each operation, problems by their code. The gateway's own answers are left out."""
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                content = answer.get("content", {})
                if "application/problem+json" in content:
                    codes = content["application/problem+json"]["schema"]["properties"]["code"]["enum"]
                    yield from ((operation["operationId"], int(status), code) for code in codes)
                elif content.get("application/json", {}).get("schema") != {"$ref": "#/components/schemas/GatewayError"}:
                    yield operation["operationId"], int(status), None


def synchronous_routes(document: dict[str, Any]) -> set[str]:
    """Return the operations of the synchronous routes of job types."""
    operations = (each for methods in document["paths"].values() for each in methods.values())
    return {each["operationId"] for each in operations if "303" in each["responses"]} - {name_of(each) for each in OPERATIONS}


def alike(answer: Answer, synchronous: set[str]) -> Answer:
    """Return the representative of answers with the same cause: routes of all job types, limits of all requests."""
    operation, status, code = answer
    if code in ONCE:
        return "any", status, code
    if operation in {name_of(each) for each in OPERATIONS}:
        return answer
    # A body is read in the same way by both.
    return "own synchronous" if operation in synchronous and code not in OF_A_BODY else "own", status, code


def test_every_documented_answer_was_given(request: pytest.FixtureRequest, api: Api, limited: LimitedDeployment) -> None:
    if not {item.path.name for item in request.session.items} >= FILES:
        pytest.skip("only some of the files were run")
    synchronous = synchronous_routes(api.checker.document)
    given = {
        alike((each.operation, each.status, each.code), synchronous)
        for checker in (api.checker, limited.api.checker)
        for each in checker.seen
    }
    wanted = {
        alike(each, synchronous) for each in documented(api.checker.document) if each[2] not in NOT_PROVOKED
    } - IMPOSSIBLE.keys()
    assert sorted(f"{operation} {status} {code}" for operation, status, code in wanted - given) == []
