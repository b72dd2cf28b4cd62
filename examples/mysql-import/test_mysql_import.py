"""`mysql.import` with a real MariaDB, and through a real SSH server."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from asyncjobs import Fatal, JobCancelled, Retry
from asyncjobs.core.errors import InvalidInput
from asyncjobs.jobtypes import json_schema
from asyncjobs.testing import FakeContext
from jobs import mysql_import_access
from jobs.mysql_import import ImportInput, Ssh, import_schema
from jobs.mysql_import_access import Hosts, Secrets
from jobs.mysql_import_schema import Imported
from local.process import free_port
from tests.support.mariadb import MariaDb, mariadb
from tests.support.ssh_server import SshServer, ssh_server

HOST = "127.0.0.1"
READER = "SELECT, SHOW VIEW, TRIGGER, EVENT ON *.*"
SHOP = (
    (
        "CREATE TABLE customers (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, email VARCHAR(200) NOT NULL UNIQUE COMMENT 'lower case',"
        " city VARCHAR(40) DEFAULT 'Rome') COMMENT 'people'"
    ),
    (
        "CREATE TABLE orders (id INT UNSIGNED PRIMARY KEY, customer INT UNSIGNED NOT NULL, placed DATETIME NOT NULL DEFAULT NOW(),"
        " total DECIMAL(8,2), vat DECIMAL(8,2) AS (total * 0.2), KEY by_day (placed, customer),"
        " CONSTRAINT whose FOREIGN KEY (customer) REFERENCES customers (id) ON DELETE CASCADE)"
    ),
    (
        "CREATE TABLE items (shop INT, number INT, order_id INT UNSIGNED, text TEXT, PRIMARY KEY (shop, number),"
        " FOREIGN KEY (order_id) REFERENCES orders (id))"
    ),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    with mariadb(tmp_path_factory.mktemp("mariadb")) as server:
        server.create("shop", *SHOP)
        yield server


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("ssh")) as server:
        yield server


@dataclass
class Importer:
    """Imports from the server by a user of its own."""

    server: MariaDb
    user: str
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)

    def run(self, database: str = "shop", *, context: FakeContext | None = None, **changes: Any) -> Imported:
        secret = "behind_ssh" if "ssh" in changes else "db"
        given = {"host": HOST, "port": self.server.port, "database": database, "secret": secret, "tls": False, **changes}
        context = context or FakeContext()
        secrets = Secrets(lambda name: json.dumps({"owners": [context.owner], **self.secrets[name]}), context.owner)
        return import_schema(ImportInput(**given), context, Hosts(frozenset({HOST})), secrets)

    def fails(self, database: str = "shop", **changes: Any) -> Fatal | Retry:
        with pytest.raises((Fatal, Retry)) as failed:
            self.run(database, **changes)
        assert isinstance(failed.value, Fatal | Retry)
        return failed.value


@pytest.fixture
def importer(server: MariaDb, request: pytest.FixtureRequest) -> Iterator[Importer]:
    user = f"u{abs(hash(request.node.name))}"
    password = server.user(user, READER)
    yield Importer(
        server, user, {"db": {"host": HOST, "port": server.port, "tls": False, "username": user, "password": password}}
    )
    assert server.connections_of(user) == [], "each test leaves no connection"
    assert [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()] == []


def nodes(found: Imported) -> dict[str, Any]:
    return {node["id"]: node for node in found.model_dump(by_alias=True)["schema"]["nodes"]}


def edges(found: Imported) -> list[tuple[str, str, str]]:
    return [(edge.id, edge.source, edge.target) for edge in found.schema_.edges]


# ── Schemas ────────────────────────────────────────────────────────────────────────────────────────


def test_tables_columns_keys_and_indexes_are_imported(importer: Importer) -> None:
    found = importer.run()
    assert list(nodes(found)) == ["customers", "items", "orders"]
    assert nodes(found)["customers"] == {
        "id": "customers",
        "kind": "TABLE",
        "comment": "people",
        "columns": [
            _column("id", "int(10) unsigned", autoIncrement=True),
            _column("email", "varchar(200)", comment="lower case"),
            _column("city", "varchar(40)", nullable=True, default="'Rome'"),
        ],
        "primaryKey": ["id"],
        "indexes": [{"name": "email", "columns": ["email"], "unique": True}],
    }
    orders = nodes(found)["orders"]
    assert orders["columns"][2]["default"] == "current_timestamp()"
    assert orders["columns"][4] == _column("vat", "decimal(8,2)", nullable=True, generated="`total` * 0.2")
    assert {"name": "by_day", "columns": ["placed", "customer"], "unique": False} in orders["indexes"]
    assert nodes(found)["items"]["primaryKey"] == ["shop", "number"]
    assert (found.warnings, found.unsupported_features) == ([], [])


def _column(name: str, type_: str, **changes: Any) -> dict[str, Any]:
    plain = {"nullable": False, "default": None, "autoIncrement": False, "generated": None, "comment": ""}
    return {"name": name, "type": type_, **plain, **changes}


def test_default_with_a_backslash_and_a_quote_keeps_its_value(importer: Importer) -> None:
    importer.server.create("escapes", r"CREATE TABLE a (id INT PRIMARY KEY, path VARCHAR(9) DEFAULT 'a\\b''c')")
    default = nodes(importer.run("escapes"))["a"]["columns"][1]["default"]
    assert importer.server.run(f"SELECT {default}")[0][0] == r"a\b'c"


def test_foreign_keys_are_edges(importer: Importer) -> None:
    found = importer.run().model_dump(by_alias=True)["schema"]["edges"]
    assert found[1] == {
        "id": "orders.whose",
        "source": "orders",
        "target": "customers",
        "sourceColumns": ["customer"],
        "targetColumns": ["id"],
        "onUpdate": "RESTRICT",
        "onDelete": "CASCADE",
    }
    assert [(edge["source"], edge["target"]) for edge in found] == [("items", "orders"), ("orders", "customers")]


@pytest.mark.parametrize("count", [90, 400])
def test_many_tables_take_as_many_queries_as_three(importer: Importer, count: int) -> None:
    database = f"many_{count}"
    importer.server.create(
        database,
        "CREATE TABLE t0 (id INT PRIMARY KEY, a VARCHAR(9), b DATE, KEY (a))",
        *(
            f"CREATE TABLE t{n} (id INT PRIMARY KEY, a VARCHAR(9), b DATE, parent INT, KEY (a),"
            f" FOREIGN KEY (parent) REFERENCES t{n // 2} (id))"
            for n in range(1, count)
        ),
    )
    questions = {name: _questions(importer, name) for name in ("shop", database)}
    found = importer.run(database)
    assert (len(found.schema_.nodes), len(found.schema_.edges)) == (count, count - 1)
    assert all(len(node.columns) >= 3 for node in found.schema_.nodes)
    assert questions["shop"] == questions[database]


def _questions(importer: Importer, database: str) -> int:
    """Return how many statements an import sends."""
    count = "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'questions'"
    before = int(importer.server.run(count)[0][0])
    importer.run(database)
    return int(importer.server.run(count)[0][0]) - before


ODD = (
    "a`b",
    "it's",
    'say "x"',
    "per%cent %s",
    "<b>bold</b>",
    "Stra\u00dfe",
    "\u9867\u5ba2",
    "with space",
    "dot.ted",
    "select",
    "-- x",
    "a\\b",
)


def test_odd_names_are_imported_as_they_are(importer: Importer) -> None:
    quoted = [name.replace("`", "``") for name in ODD]
    tables = [f"CREATE TABLE `{name}` (`{name}` INT PRIMARY KEY, KEY `{name}` (`{name}`))" for name in quoted]
    importer.server.create("odd `names`", *tables)
    found = nodes(importer.run("odd `names`"))
    assert set(found) == set(ODD)
    assert {name: (node["columns"][0]["name"], node["primaryKey"]) for name, node in found.items()} == {
        name: (name, [name]) for name in ODD
    }


def test_cycles_and_keys_of_several_columns_are_imported(importer: Importer) -> None:
    importer.server.create(
        "cycles",
        "CREATE TABLE a (x INT, y INT, b INT, boss INT, PRIMARY KEY (x, y), KEY (b), KEY (boss), UNIQUE (x))",
        "CREATE TABLE b (id INT PRIMARY KEY, ax INT, ay INT, CONSTRAINT to_a FOREIGN KEY (ax, ay) REFERENCES a (x, y))",
        "ALTER TABLE a ADD CONSTRAINT to_b FOREIGN KEY (b) REFERENCES b (id), ADD CONSTRAINT to_itself FOREIGN KEY (boss) REFERENCES a (x)",
    )
    found = importer.run("cycles")
    assert edges(found) == [("a.to_b", "a", "b"), ("a.to_itself", "a", "a"), ("b.to_a", "b", "a")]
    assert (found.schema_.edges[2].source_columns, found.schema_.edges[2].target_columns) == (["ax", "ay"], ["x", "y"])


def test_foreign_key_to_another_database_is_a_warning(importer: Importer) -> None:
    importer.server.create(
        "outside",
        "CREATE TABLE a (id INT UNSIGNED PRIMARY KEY, CONSTRAINT out_there FOREIGN KEY (id) REFERENCES shop.customers (id))",
    )
    found = importer.run("outside")
    assert edges(found) == [("a.out_there", "a", "shop.customers")]
    assert [(each.code, each.name) for each in found.warnings] == [("TARGET_OUTSIDE", "a.out_there")]


def test_features_that_cannot_be_represented_are_named(importer: Importer) -> None:
    importer.server.create(
        "features",
        "CREATE TABLE plain (id INT PRIMARY KEY, text TEXT, FULLTEXT words (text), KEY beginning (text(9)))",
        "CREATE TABLE heap (a INT)",
        "CREATE TABLE checked (id INT PRIMARY KEY, CONSTRAINT positive CHECK (id > 0))",
        "CREATE TABLE parts (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2",
        "CREATE TABLE history (id INT PRIMARY KEY) WITH SYSTEM VERSIONING",
        "CREATE SEQUENCE numbers",
        "CREATE VIEW seen AS SELECT id FROM plain",
        "CREATE TRIGGER watch BEFORE INSERT ON plain FOR EACH ROW SET NEW.id = 1",
        "CREATE PROCEDURE act() SELECT 1",
        "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DO SELECT 1",
    )
    importer.server.run(f"GRANT EXECUTE ON PROCEDURE features.act TO {importer.user}")
    found = importer.run("features")
    assert {(each.code, each.name) for each in found.unsupported_features} == {
        ("VIEW_DEFINITION", "seen"),
        ("TRIGGER", "watch"),
        ("ROUTINE", "act"),
        ("EVENT", "nightly"),
        ("CHECK", "positive"),
        ("PARTITIONS", "parts"),
        ("SYSTEM_VERSIONING", "history"),
        ("OTHER_OBJECT", "numbers"),
        ("INDEX_SIMPLIFIED", "plain.words"),
        ("INDEX_SIMPLIFIED", "plain.beginning"),
    }
    assert [(each.code, each.name) for each in found.warnings] == [("NO_PRIMARY_KEY", "heap")]
    assert nodes(found)["seen"]["kind"] == "VIEW"
    assert [column["name"] for column in nodes(found)["seen"]["columns"]] == ["id"]
    assert "numbers" not in nodes(found)


# ── Rights ─────────────────────────────────────────────────────────────────────────────────────────


def test_user_with_the_right_to_one_table_imports_that_table(server: MariaDb, importer: Importer) -> None:
    password = server.user("one_table", "SELECT ON shop.orders")
    importer.secrets["db"].update(username="one_table", password=password)
    found = importer.run()
    assert list(nodes(found)) == ["orders"]
    assert [each.code for each in found.warnings] in ([], ["TARGET_OUTSIDE"])


def test_user_without_rights_is_refused(server: MariaDb, importer: Importer) -> None:
    importer.secrets["db"].update(username="nobody_here", password=server.user("nobody_here"))
    failed = importer.fails()
    assert (type(failed), failed.code) == (Fatal, "ACCESS_DENIED")
    assert "'shop'" in failed.message


def test_wrong_password_fails_without_a_retry(importer: Importer) -> None:
    importer.secrets["db"]["password"] = "canary"
    failed = importer.fails()
    assert (type(failed), failed.code) == (Fatal, "ACCESS_DENIED")
    assert "canary" not in failed.message


@pytest.mark.parametrize(
    ("change", "word"), [("ACCOUNT LOCK", "locked"), ("PASSWORD EXPIRE", "expired")], ids=["locked", "expired"]
)
def test_user_who_may_not_sign_in_fails_with_what_to_do(importer: Importer, change: str, word: str) -> None:
    importer.server.run(f"ALTER USER {importer.user} {change}")
    failed = importer.fails()
    assert (type(failed), failed.code) == (Fatal, "ACCESS_DENIED")
    assert word in failed.message


def test_unknown_database_fails_without_a_retry(importer: Importer) -> None:
    failed = importer.fails("missing")
    assert (type(failed), failed.code) == (Fatal, "DATABASE_MISSING")


def test_server_without_tls_gets_no_password_if_tls_is_required(importer: Importer) -> None:
    failed = importer.fails(tls=True)
    assert (type(failed), failed.code) == (Fatal, "TLS_REFUSED")


# ── Lost connections ───────────────────────────────────────────────────────────────────────────────


def test_server_that_does_not_run_is_tried_again(importer: Importer) -> None:
    port = importer.secrets["db"]["port"] = free_port()
    failed = importer.fails(port=port)
    assert (type(failed), failed.code) == (Retry, "HOST_UNREACHABLE")


def test_silent_server_is_given_up(importer: Importer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mysql_import_access, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(mysql_import_access, "READ_SECONDS", 0.3)
    with socket.create_server((HOST, 0)) as silent:
        port = importer.secrets["db"]["port"] = silent.getsockname()[1]
        failed = importer.fails(port=port)
    assert (type(failed), failed.code) == (Retry, "CONNECTION_LOST")


@dataclass
class Interrupting(FakeContext):
    """Does something at a step of the import."""

    step: str = ""
    act: Any = None

    def progress(self, percent: float, message: str | None = None) -> None:
        if self.step and (message or "").startswith(self.step):
            self.act()
        super().progress(percent, message)


def kill(importer: Importer) -> None:
    """End the import's connection, as an administrator does."""
    (connection,) = importer.server.connections_of(importer.user)
    importer.server.run(f"KILL {connection}")


def test_killed_connection_is_tried_again_and_closed(importer: Importer) -> None:
    failed = importer.fails(context=Interrupting(step="Reading indexes", act=lambda: kill(importer)))
    assert (type(failed), failed.code) == (Retry, "CONNECTION_LOST")


def cancel() -> None:
    raise JobCancelled


def test_canceled_import_closes_its_connection(importer: Importer) -> None:
    with pytest.raises(JobCancelled):
        importer.run(context=Interrupting(step="Reading foreign keys", act=cancel))


# ── SSH ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def through(ssh: SshServer, importer: Importer) -> Ssh:
    importer.secrets["ssh"] = {
        "host": HOST, "port": ssh.port, "hostKey": ssh.host_key, "username": ssh.user, "privateKey": ssh.private_key
    }  # fmt: skip
    importer.secrets["behind_ssh"] = {**importer.secrets["db"], "sshHost": HOST, "sshHostKey": ssh.host_key}
    return Ssh(host=HOST, port=ssh.port, host_key=ssh.host_key, secret="ssh")


def test_import_through_ssh_is_the_same(importer: Importer, through: Ssh) -> None:
    assert importer.run(ssh=through) == importer.run()


def test_name_of_the_database_is_resolved_by_the_ssh_server(importer: Importer, through: Ssh) -> None:
    # Not in the list of hosts: it is the SSH server's network.
    direct = importer.run()
    importer.secrets["behind_ssh"]["host"] = "localhost"
    assert importer.run(ssh=through, host="localhost") == direct


def test_ssh_server_with_another_host_key_gets_no_secret(importer: Importer, through: Ssh) -> None:
    other = "SHA256:" + "A" * 43
    importer.secrets["ssh"]["hostKey"] = importer.secrets["behind_ssh"]["sshHostKey"] = other
    failed = importer.fails(ssh=through.model_copy(update={"host_key": other}))
    assert (type(failed), failed.code) == (Fatal, "SSH_HOST_KEY_DIFFERS")


def test_caller_chooses_no_host_key_for_a_secret(importer: Importer, through: Ssh) -> None:
    failed = importer.fails(ssh=through.model_copy(update={"host_key": "SHA256:" + "A" * 43}))
    assert (type(failed), failed.code) == (Fatal, "SECRET_REFUSED")


@pytest.mark.parametrize("pinned", ["SHA256:" + "A" * 43, None], ids=["another key", "no key"])
def test_stranger_at_the_address_of_the_ssh_server_gets_no_password(
    importer: Importer, through: Ssh, pinned: str | None
) -> None:
    # The caller's own secret and request name the key of the server that answers: the database's secret does not.
    importer.secrets["behind_ssh"]["sshHostKey"] = pinned
    failed = importer.fails(ssh=through)
    assert (type(failed), failed.code) == (Fatal, "SECRET_REFUSED")
    assert "`sshHostKey`" in failed.message


def test_secret_of_a_database_is_not_sent_to_an_ssh_server(importer: Importer, through: Ssh) -> None:
    importer.secrets["db"]["port"] = through.port
    failed = importer.fails(ssh=through.model_copy(update={"secret": "db"}))
    assert (type(failed), failed.code) == (Fatal, "SECRET_REFUSED")


def test_caller_turns_tls_off_only_where_the_secret_allows_it(importer: Importer) -> None:
    del importer.secrets["db"]["tls"]
    failed = importer.fails(tls=False)
    assert (type(failed), failed.code) == (Fatal, "SECRET_REFUSED")
    assert '"tls": false' in failed.message


def test_secret_that_requires_tls_is_sent_through_ssh(importer: Importer, through: Ssh) -> None:
    del importer.secrets["behind_ssh"]["tls"]
    assert importer.run(ssh=through) == importer.run()


def test_secret_of_a_direct_connection_is_not_sent_through_ssh(importer: Importer, through: Ssh) -> None:
    failed = importer.fails(ssh=through, secret="db")
    assert (type(failed), failed.code) == (Fatal, "SECRET_REFUSED")


def test_ssh_server_that_refuses_the_key_fails_without_a_retry(importer: Importer, through: Ssh, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    importer.secrets["ssh"]["privateKey"] = (tmp_path / "other").read_text()
    failed = importer.fails(ssh=through)
    assert (type(failed), failed.code) == (Fatal, "SSH_ACCESS_DENIED")


def test_malformed_key_is_named_and_never_quoted(importer: Importer, through: Ssh) -> None:
    importer.secrets["ssh"]["privateKey"] = "canary"
    failed = importer.fails(ssh=through)
    assert (type(failed), failed.code) == (Fatal, "SECRET_INVALID")
    assert "canary" not in f"{failed.message}{failed.__cause__}"


def test_database_that_the_ssh_server_cannot_reach_is_tried_again(importer: Importer, through: Ssh) -> None:
    port = importer.secrets["behind_ssh"]["port"] = free_port()
    failed = importer.fails(ssh=through, port=port)
    assert (type(failed), failed.code) == (Retry, "HOST_UNREACHABLE")


def test_connection_killed_behind_ssh_is_tried_again_and_closed(importer: Importer, through: Ssh) -> None:
    failed = importer.fails(context=Interrupting(step="Reading indexes", act=lambda: kill(importer)), ssh=through)
    assert (type(failed), failed.code) == (Retry, "CONNECTION_LOST")


def test_canceled_import_closes_its_tunnel(importer: Importer, through: Ssh) -> None:
    with pytest.raises(JobCancelled):
        importer.run(context=Interrupting(step="Reading foreign keys", act=cancel), ssh=through)


# ── Input ──────────────────────────────────────────────────────────────────────────────────────────

GIVEN = {"host": "db.example.com", "database": "shop", "secret": "shop"}
SCHEMA = ImportInput.model_json_schema()


@pytest.mark.parametrize("member", ["password", "user", "privateKey"])
def test_plain_password_is_refused_by_the_submit_with_the_reason(member: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        json_schema.check(SCHEMA, {**GIVEN, member: "canary"})
    (problem,) = refused.value.problems
    assert problem.pointer == f"/{member}"
    assert "Secrets Manager" in problem.detail
    assert "canary" not in problem.detail


@pytest.mark.parametrize("host", ["user:canary@db.example.com", "db.example.com/x", "", "-x", "a b", "http://x", "x\n"])
def test_malformed_host_is_refused(host: str) -> None:
    with pytest.raises(InvalidInput):
        json_schema.check(SCHEMA, {**GIVEN, "host": host})


@pytest.mark.parametrize("host", ["db.example.com", "10.1.2.3", "::1", "db_1.internal", "x"])
def test_names_and_addresses_are_hosts(host: str) -> None:
    json_schema.check(SCHEMA, {**GIVEN, "host": host, "tables": 12})
    assert ImportInput.model_validate({**GIVEN, "host": host}).host == host
