"""Hosts that a job may reach, and secrets that it may send to them."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from asyncjobs import Fatal, Retry
from jobs.mysql_import_access import Database, Hosts, Secret, Secrets, Way, connected
from tests.support.mysql_server import MySql, SignIn, mysql


def hosts(*addresses: str, listed: Sequence[str] = ()) -> Hosts:
    return Hosts(frozenset(listed), resolve=lambda *_: addresses)


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "::1", "fd00::1", "::ffff:127.0.0.1"]
)
def test_host_with_a_private_address_is_refused(address: str) -> None:
    with pytest.raises(Fatal) as refused:
        hosts(address).connect("db.example.com", 3306)
    assert refused.value.code == "HOST_REFUSED"
    assert "MysqlHosts" in refused.value.message
    assert address not in refused.value.message


def test_host_with_a_public_and_a_private_address_is_refused() -> None:
    with pytest.raises(Fatal, match="private"):
        hosts("93.184.215.14", "10.1.2.3").connect("db.example.com", 3306)


def test_listed_host_may_have_a_private_address(port: int) -> None:
    with hosts("127.0.0.1", listed=["db.internal"]).connect("DB.internal", port) as connection:
        assert connection.getpeername() == ("127.0.0.1", port)


@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "fe80::1"])
def test_address_of_a_clouds_metadata_is_refused_also_for_a_listed_host(address: str) -> None:
    with pytest.raises(Fatal) as refused:
        hosts(address, listed=["db.internal"]).connect("db.internal", 80)
    assert refused.value.code == "HOST_REFUSED"


def test_name_is_resolved_once(port: int) -> None:
    answers = iter([["127.0.0.1"]])
    Hosts(frozenset({"db.internal"}), resolve=lambda *_: next(answers)).connect("db.internal", port).close()
    assert list(answers) == []


def test_next_address_is_used_when_one_does_not_answer(port: int) -> None:
    # The second one is of the same machine, and nothing listens there.
    with hosts("127.0.0.9", "127.0.0.1", listed=["db.internal"]).connect("db.internal", port) as connection:
        assert connection.getpeername()[0] == "127.0.0.1"


def test_host_that_cannot_be_resolved_or_reached_is_tried_again(port: int) -> None:
    def unknown(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror

    for found in (Hosts(frozenset(), resolve=unknown), hosts("127.0.0.9", listed=["db.internal"])):
        with pytest.raises(Retry) as failed:
            found.connect("db.internal", port)
        assert failed.value.code == "HOST_UNREACHABLE"


def test_list_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYSQL_HOSTS", "DB.internal, 10.1.2.3,")
    assert Hosts.of_environment().listed == {"db.internal", "10.1.2.3"}
    monkeypatch.delenv("MYSQL_HOSTS")
    assert Hosts.of_environment().listed == frozenset()


# ── Secrets ────────────────────────────────────────────────────────────────────────────────────────

WAY = Way("db.example.com", 3306)
KEY, OTHER_KEY = "SHA256:" + "A" * 43, "SHA256:" + "B" * 43
HELD: dict[str, Any] = {"owners": ["alice"], "host": "db.example.com", "username": "reader", "password": "canary"}
BEHIND_SSH = {"sshHost": "ssh.example.com", "sshHostKey": KEY}
THROUGH_SSH = Way("db.example.com", 3306, ssh_host="ssh.example.com", ssh_host_key=KEY)


def found(text: str | None, way: Way = WAY, *, owner: str = "alice") -> Secret:
    """Return the secret with this text, as the owner's job gets it."""
    return Secrets(lambda _: text, owner).secret("shop", way)


def refused(text: str | None, way: Way = WAY, *, owner: str = "alice") -> Fatal:
    with pytest.raises(Fatal) as raised:
        found(text, way, owner=owner)
    assert "canary" not in raised.value.message
    # The log has the text of causes, too.
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None or raised.value.__suppress_context__
    return raised.value


def test_secret_in_the_form_of_rds_is_read() -> None:
    rds = {**HELD, "engine": "mysql", "port": 3307, "dbname": "shop"}
    secret = found(json.dumps(rds), Way("DB.example.com", 3307))
    assert secret == Secret(host="db.example.com", port=3307, username="reader", password="canary")
    assert "canary" not in repr(secret)


@pytest.mark.parametrize("owners", [["alice"], ["bob", "alice"], ["*"]], ids=str)
def test_secret_is_for_the_owners_that_it_names(owners: list[str]) -> None:
    assert found(json.dumps({**HELD, "owners": owners})).username == "reader"


@pytest.mark.parametrize("owners", [[], ["bob"], ["alice2", "ali"], "alice", "*", {"alice": True}, None], ids=str)
def test_secret_of_others_is_the_same_to_a_caller_as_none(owners: object) -> None:
    others = refused(json.dumps({**HELD, "owners": owners}))
    none = refused(None)
    assert (others.code, others.message) == (none.code, none.message)
    assert none.code == "SECRET_MISSING"


def test_secret_that_names_no_owners_is_nobodys() -> None:
    text = json.dumps({name: value for name, value in HELD.items() if name != "owners"})
    assert refused(text).code == "SECRET_MISSING"
    assert refused(text, owner="*").code == "SECRET_MISSING"


@pytest.mark.parametrize(
    ("held", "way"),
    [
        ({}, Way("thief.example.com", 3306)),
        ({"port": 3306}, Way("db.example.com", 3307)),
        ({}, Way("db.example.com", 3307)),
        ({}, Way("db.example.com", 3306, ssh_host="ssh.example.com", ssh_host_key=KEY)),
        (BEHIND_SSH, Way("db.example.com", 3306)),
        (BEHIND_SSH, Way("db.example.com", 3306, ssh_host="other.example.com", ssh_host_key=KEY)),
        ({"hostKey": KEY}, Way("db.example.com", 2222, host_key=KEY)),
    ],
    ids=[
        "another host",
        "another port",
        "no port",
        "through ssh",
        "past ssh",
        "through another ssh server",
        "another ssh port",
    ],
)
def test_secret_is_sent_on_its_own_way_only(held: dict[str, object], way: Way) -> None:
    assert refused(json.dumps({**HELD, **held}), way).code == "SECRET_REFUSED"


@pytest.mark.parametrize(
    ("held", "way", "todo"),
    [
        ({}, Way("db.example.com", 3306, tls=False), '"tls": false'),
        ({"tls": True}, Way("db.example.com", 3306, tls=False), '"tls": false'),
        ({}, Way("db.example.com", 22, host_key=KEY), "`hostKey`"),
        ({"port": 22}, Way("db.example.com", 22, host_key=KEY), "`hostKey`"),
        ({"hostKey": KEY}, Way("db.example.com", 22, host_key=OTHER_KEY), "`hostKey`"),
        ({"hostKey": KEY, "port": 3306}, Way("db.example.com", 3306), "`hostKey`"),
        ({**BEHIND_SSH, "sshHostKey": OTHER_KEY}, THROUGH_SSH, "another `sshHostKey`"),
        ({"sshHost": "ssh.example.com"}, THROUGH_SSH, "only one of `sshHost` and `sshHostKey`"),
        ({"sshHostKey": KEY}, WAY, "only one of `sshHost` and `sshHostKey`"),
    ],
    ids=[
        "no tls",
        "no tls, said",
        "a database's, to ssh",
        "a database's with ssh's port",
        "another host key",
        "ssh's, to mysql",
        "through a stranger",
        "through any ssh server of that name",
        "an ssh server without its name",
    ],
)
def test_only_the_operator_allows_a_weaker_way(held: dict[str, object], way: Way, todo: str) -> None:
    refusal = refused(json.dumps({**HELD, **held}), way)
    assert refusal.code == "SECRET_REFUSED"
    assert todo in refusal.message
    assert KEY not in refusal.message


def test_secret_may_allow_a_connection_without_tls() -> None:
    plain = json.dumps({**HELD, "tls": False})
    assert found(plain, Way("db.example.com", 3306, tls=False)).username == "reader"
    assert found(plain).username == "reader"


def test_secret_for_an_ssh_server_has_its_host_key() -> None:
    assert found(json.dumps({**HELD, "hostKey": KEY}), Way("db.example.com", 22, host_key=KEY)).host_key == KEY
    elsewhere = json.dumps({**HELD, "hostKey": KEY, "port": 2222})
    assert found(elsewhere, Way("db.example.com", 2222, host_key=KEY)).host_key == KEY


def test_secret_may_be_for_a_database_behind_an_ssh_server() -> None:
    through = Way("db.example.com", 3306, ssh_host="SSH.example.com", ssh_host_key=KEY)
    assert found(json.dumps({**HELD, **BEHIND_SSH}), through).ssh_host == "ssh.example.com"


@pytest.mark.parametrize("missing", ["host", "username"])
def test_incomplete_secret_is_named_and_never_quoted(missing: str) -> None:
    held = {name: value for name, value in HELD.items() if name != missing}
    assert refused(json.dumps(held)).code == "SECRET_INVALID"


@pytest.mark.parametrize("text", ["canary", '["canary"]', "null", "7", ""])
def test_secret_in_another_form_is_none(text: str) -> None:
    assert refused(text).code == "SECRET_MISSING"


# ── MySQL's ways to sign in ────────────────────────────────────────────────────────────────────────


@pytest.fixture
def server() -> Iterator[MySql]:
    with mysql() as server:
        yield server


def sign_in(server: MySql, *, password: str | None = None) -> None:
    secret = Secret(host="127.0.0.1", username="reader", password=password or server.password)
    database = Database("127.0.0.1", server.port, "shop", tls=False, secret=secret)
    with connected(database, None, Hosts(frozenset({"127.0.0.1"}))):
        pass


def failed_sign_in(server: MySql, **changes: str) -> Fatal | Retry:
    with pytest.raises((Fatal, Retry)) as failed:
        sign_in(server, **changes)
    assert isinstance(failed.value, Fatal | Retry)
    assert "the words of the server" not in failed.value.message
    return failed.value


@pytest.mark.parametrize("how", [SignIn.FAST, SignIn.FULL], ids=["a password that was checked before", "another password"])
def test_user_of_mysql_signs_in_by_caching_sha2(server: MySql, how: SignIn) -> None:
    server.how = how
    sign_in(server)
    assert server.password not in str(server.received)


@pytest.mark.parametrize("how", [SignIn.FAST, SignIn.FULL], ids=["a password that was checked before", "another password"])
def test_wrong_password_for_mysql_fails_without_a_retry(server: MySql, how: SignIn) -> None:
    server.how = how
    failed = failed_sign_in(server, password="wrong")
    assert (type(failed), failed.code) == (Fatal, "ACCESS_DENIED")


def test_password_is_not_sent_as_it_is_without_tls(server: MySql) -> None:
    server.how = SignIn.CLEAR
    failed = failed_sign_in(server)
    assert (type(failed), failed.code) == (Fatal, "SIGN_IN_UNSUPPORTED")
    assert server.password not in str(server.received)


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (1045, Fatal, "ACCESS_DENIED"),
        (1129, Fatal, "ACCESS_DENIED"),
        (1130, Fatal, "ACCESS_DENIED"),
        (1251, Fatal, "SIGN_IN_UNSUPPORTED"),
        (1524, Fatal, "SIGN_IN_UNSUPPORTED"),
        (1862, Fatal, "ACCESS_DENIED"),
        (3118, Fatal, "ACCESS_DENIED"),
        (3159, Fatal, "TLS_REQUIRED"),
        (3955, Fatal, "ACCESS_DENIED"),
        (1040, Retry, "TOO_MANY_CONNECTIONS"),
        (1226, Retry, "TOO_MANY_CONNECTIONS"),
        (1053, Retry, "CONNECTION_LOST"),
        (1030, Retry, "DATABASE_ERROR"),
    ],
)
def test_error_of_mysql_has_a_code(server: MySql, number: int, kind: type[Exception], code: str) -> None:
    server.how, server.error = SignIn.ERROR, number
    failed = failed_sign_in(server)
    assert (type(failed), failed.code) == (kind, code)


def test_server_of_another_kind_is_named() -> None:
    def answers() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 9)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answers)
        thread.start()
        failed = failed_sign_in(MySql(listening.getsockname()[1]))
        thread.join()
    assert (type(failed), failed.code) == (Retry, "DATABASE_ERROR")
    assert "not as a MySQL or MariaDB server does" in failed.message
