"""Hosts that a job may reach, and secrets that it may send to them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence

import pytest

from asyncjobs import Fatal, Retry
from jobs.mysql_import_access import Hosts, Secret, Secrets


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


def test_secret_in_the_form_of_rds_is_read() -> None:
    text = json.dumps(
        {
            "engine": "mysql",
            "host": "db.example.com",
            "port": 3306,
            "username": "reader",
            "password": "canary",
            "dbname": "shop",
        }
    )
    secret = Secrets(lambda _: text).secret("shop", host="DB.example.com")
    assert secret == Secret(host="db.example.com", username="reader", password="canary")
    assert "canary" not in repr(secret)


def test_secret_is_not_sent_to_another_host() -> None:
    text = json.dumps({"host": "db.example.com", "username": "reader", "password": "canary"})
    with pytest.raises(Fatal) as refused:
        Secrets(lambda _: text).secret("shop", host="thief.example.com")
    assert refused.value.code == "SECRET_REFUSED"


@pytest.mark.parametrize(
    "text", ["canary", '{"host": "h", "password": "canary"}', '{"username": "u", "password": "canary"}', '["canary"]']
)
def test_malformed_secret_is_named_and_never_quoted(text: str) -> None:
    with pytest.raises(Fatal) as refused:
        Secrets(lambda _: text).secret("shop", host="h")
    assert refused.value.code == "SECRET_INVALID"
    assert "canary" not in refused.value.message
    # The log has the text of causes, too.
    assert refused.value.__suppress_context__
    assert refused.value.__cause__ is None
