"""What every dialect has, on the deployed stack: one job for an idempotency key, times to poll at, and errors of its own form."""

from __future__ import annotations

import random
import uuid
from typing import Any

import httpx
import pytest

from tests.deployed.http.dialects.examples import client_of
from tests.support.deployed import Api

SUBMITS: dict[str, tuple[str, Any]] = {
    "daemon": ("/api/v1/jobs/search?q=query&limit=10", None),
    "entity": ("/api/v1/jobs", {"metadata": {"submittedBy": "user123"}}),
    "executor": ("/api/v1/import/mysql", {"host": "remote.db", "database": "huge_db", "ssh": {}}),
    "polling": ("/api/v1/analyze/", {"bid_id": random.randrange(10**9), "seconds": 0}),
    "tracking": ("/api/jobs", {"message": "Upload queued"}),
}
ERRORS = {
    "daemon": {"error", "message", "timestamp"},
    "entity": {"error"},
    "executor": {"error"},
    "polling": {"detail"},
    "tracking": {"error"},
}


@pytest.mark.parametrize("dialect", SUBMITS)
def test_idempotency_key_is_one_job_that_its_location_leads_to(api: Api, dialect: str) -> None:
    client, (path, body) = client_of(api, dialect), SUBMITS[dialect]
    headers = {"idempotency-key": uuid.uuid4().hex, "prefer": "respond-async"}
    first, again = (client.request("POST", path, json=body, headers=headers) for _ in range(2))
    assert (first.status_code, again.headers["idempotency-replayed"]) == (202, "true")
    assert first.headers["location"] == again.headers["location"]
    assert int(first.headers["retry-after"]) > 0
    location = str(first.url.join(first.headers["location"])).removeprefix(client.base)
    assert client.request("GET", location).status_code == 200

    others = client_of(api, dialect, "bob").request("GET", location)
    assert (others.status_code, set(others.json())) == (404, ERRORS[dialect])
    wrong = client.request("PUT", location, json={})
    assert (wrong.status_code, set(wrong.json())) == (405, ERRORS[dialect])
    assert "GET" in wrong.headers["allow"]


@pytest.mark.parametrize("dialect", SUBMITS)
def test_unknown_path_and_broken_body_are_errors_of_the_dialect(api: Api, dialect: str) -> None:
    client, (path, _) = client_of(api, dialect), SUBMITS[dialect]
    unknown = client.request("POST", "/api/v1/nothing", json={})
    broken = client.request("POST", path, content=b"{", headers={"content-type": "application/json"})
    assert [answer.status_code for answer in (unknown, broken)] == [404, 400]
    assert [set(answer.json()) for answer in (unknown, broken)] == [ERRORS[dialect]] * 2


@pytest.mark.parametrize("dialect", ["daemon", "executor", "polling"])
def test_preference_to_wait_is_applied(api: Api, dialect: str) -> None:
    client, (path, body) = client_of(api, dialect), SUBMITS[dialect]
    changed = {**body, "bid_id": random.randrange(10**9)} if dialect == "polling" else body
    answer: httpx.Response = client.request("POST", path, json=changed, headers={"prefer": "wait=1"})
    assert answer.status_code in {200, 202}
    assert answer.headers["preference-applied"] == "wait=1"
