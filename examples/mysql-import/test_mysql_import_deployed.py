"""`POST /import/mysql` on the local stack, with a real MariaDB and a secret of the stack's own Secrets Manager."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from local.stack import LocalStack
from tests.deployed.http.dialects.examples import client_of
from tests.support.deployed import Api, Caller, followed, log_events
from tests.support.mariadb import MariaDb, mariadb

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Shop:
    """A database and the secret for it."""

    server: MariaDb
    password: str

    def input(self, **changes: Any) -> dict[str, Any]:
        return {"host": HOST, "port": self.server.port, "database": "shop", "secret": "shop", "tls": False, **changes}


@pytest.fixture(scope="module")
def shop(stack: LocalStack, alice: Caller, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with mariadb(tmp_path_factory.mktemp("mariadb")) as server:
        server.create(
            "shop",
            "CREATE TABLE customers (id INT PRIMARY KEY)",
            "CREATE TABLE orders (id INT PRIMARY KEY, customer INT, FOREIGN KEY (customer) REFERENCES customers (id))",
        )
        password = server.user("reader", "SELECT, SHOW VIEW ON *.*")
        where = {"host": HOST, "port": server.port, "tls": False}
        secret = {"owners": [alice.owner], **where, "username": "reader", "password": password}
        secrets = stack.session.client("secretsmanager", endpoint_url=stack.endpoint_url)
        secrets.create_secret(Name="asyncjobs/mysql/shop", SecretString=json.dumps(secret))
        yield Shop(server, password)
    secrets.delete_secret(SecretId="asyncjobs/mysql/shop", ForceDeleteWithoutRecovery=True)


def ids(schema: dict[str, Any]) -> tuple[list[str], list[str]]:
    return [node["id"] for node in schema["nodes"]], [edge["id"] for edge in schema["edges"]]


SCHEMA = (["customers", "orders"], ["orders.orders_ibfk_1"])


def test_small_database_is_answered_immediately(alice: Caller, shop: Shop) -> None:
    # The first one starts the function, and may be handed over to the worker.
    answers = [alice.post("/import/mysql", json=shop.input()) for _ in range(3)]
    assert httpx.codes.OK in [answer.status_code for answer in answers]
    job = answers[-1].json() if answers[-1].status_code == httpx.codes.OK else alice.wait_for(answers[-1].json())
    assert ids(job["result"]["schema"]) == SCHEMA
    assert (job["result"]["warnings"], job["result"]["unsupportedFeatures"]) == ([], [])


def test_import_in_the_background_is_the_same(alice: Caller, shop: Shop) -> None:
    answer = alice.post("/import/mysql", json=shop.input(), headers={"prefer": "respond-async"})
    assert (answer.status_code, answer.json()["status"]) == (httpx.codes.ACCEPTED, "PENDING")
    job = alice.wait_for(alice.get(followed(answer)).json())
    assert (job["status"], job["error"]) == ("COMPLETED", None)
    assert ids(job["result"]["schema"]) == SCHEMA


def test_password_is_in_no_record_and_no_log(alice: Caller, shop: Shop, api: Api) -> None:
    job = alice.wait_for(alice.submit("mysql.import", shop.input(), prefer="respond-async"))
    lines = log_events(api.stack, job, until="JOB_COMPLETED")
    table: Any = api.stack.session.client("dynamodb", endpoint_url=api.stack.endpoint_url)
    stored = [item for page in table.get_paginator("scan").paginate(TableName=api.outputs.table_name) for item in page["Items"]]
    assert any(job["asyncJobId"] in str(item) for item in stored)
    assert shop.password not in f"{stored}{lines}"


def test_plain_password_is_refused_with_the_reason_and_stores_nothing(alice: Caller, shop: Shop) -> None:
    before = alice.get("/jobs", params={"jobType": "mysql.import"}).json()["jobs"]
    answer = alice.post("/import/mysql", json=shop.input(password="canary"))
    assert (answer.status_code, answer.json()["code"]) == (httpx.codes.BAD_REQUEST, "INVALID_REQUEST")
    assert [(each["pointer"], "Secrets Manager" in each["detail"]) for each in answer.json()["errors"]] == [("/password", True)]
    assert "canary" not in answer.text
    assert alice.get("/jobs", params={"jobType": "mysql.import"}).json()["jobs"] == before


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"secret": "missing"}, "SECRET_MISSING"),
        ({"host": "127.0.0.2"}, "SECRET_REFUSED"),
        ({"ssh": {"host": HOST, "hostKey": "SHA256:" + "A" * 43, "secret": "shop"}}, "SECRET_REFUSED"),
        ({"database": "missing"}, "DATABASE_MISSING"),
        ({"tls": True}, "TLS_REFUSED"),
    ],
    ids=str,
)
def test_refused_import_fails_with_its_code(alice: Caller, shop: Shop, changes: dict[str, Any], code: str) -> None:
    job = alice.wait_for(alice.submit("mysql.import", shop.input(**changes), prefer="respond-async"))
    assert (job["status"], job["error"]["code"], job["attempt"]) == ("FAILED", code, 1)


def test_secret_of_another_owner_is_missing(bob: Caller, shop: Shop) -> None:
    for secret in ("shop", "missing"):
        job = bob.wait_for(bob.submit("mysql.import", shop.input(secret=secret), prefer="respond-async"))
        assert (job["status"], job["error"]["code"]) == ("FAILED", "SECRET_MISSING")


def test_import_in_the_words_of_the_executor_dialect(shop: Shop, api: Api) -> None:
    executor = client_of(api, "executor")
    answer = executor.request("POST", "/api/v1/import/mysql", json=shop.input())
    found = answer.json()["data"]
    if answer.status_code == httpx.codes.ACCEPTED:
        assert found["jobId"].startswith("mysql-import-")
        found = executor.poll(f"/api/v1/jobs/{found['jobId']}", lambda each: each["data"]["status"] == "COMPLETED")["data"][
            "data"
        ]
    assert ids(found["schema"]) == SCHEMA
