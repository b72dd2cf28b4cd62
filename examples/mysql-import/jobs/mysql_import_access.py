"""The way to a database: the addresses that may be reached, the secret for it, and a connection, perhaps through an SSH tunnel.

The host and the name of the secret are a caller's text, and the connection comes from inside the deployment. So a name is
resolved once, each of its addresses is checked, and the connection goes to a checked one. And a secret says who may use it,
which server it is for, and how it is protected on the way: a caller who chose one of these could have it given away.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import StringIO
from typing import Any

import paramiko
import pymysql
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pymysql.constants import CR, ER

from asyncjobs import Fatal, Retry
from asyncjobs.push.webhook_url import is_allowed

logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it logs each error that it raises, too

CONNECT_SECONDS = 10
READ_SECONDS = 60
"""How long the server may be silent."""

_METADATA = tuple(map(ipaddress.ip_network, ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32")))
"""Addresses at which a cloud gives credentials to its machines. No list allows them."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]
ReadSecret = Callable[[str], str | None]
"""Returns the text of a secret, by its name."""

EVERYBODY = "*"
"""The member of `owners` for every caller of the API."""

_MYSQL_PORT, _SSH_PORT = 3306, 22


# ── Hosts ──────────────────────────────────────────────────────────────────────────────────────────


def resolved(host: str, port: int) -> Sequence[str]:
    """Return the addresses of the host, best first."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


@dataclass(frozen=True)
class Hosts:
    """The hosts that a job may reach: those of a list, and all with public addresses."""

    listed: frozenset[str]
    """Names and addresses, in lower case."""
    resolve: Resolve = resolved

    @classmethod
    def of_environment(cls) -> Hosts:
        """Read the list: names and addresses, separated by commas."""
        listed = os.environ.get("MYSQL_HOSTS", "").lower().split(",")
        return cls(frozenset(name.strip() for name in listed if name.strip()))

    def connect(self, host: str, port: int) -> socket.socket:
        """Connect to the host. Raises `Fatal` for one that may not be reached, and `Retry` for one that cannot be."""
        addresses = self._addresses(host, port)
        for number, address in enumerate(addresses, start=1):
            try:
                return socket.create_connection((str(address), port), timeout=CONNECT_SECONDS)
            except OSError as error:
                if number == len(addresses):
                    raise Retry(f"{host} cannot be reached at port {port}.", code="HOST_UNREACHABLE") from error
        raise AssertionError("a host has an address")

    def _addresses(self, host: str, port: int) -> Sequence[Address]:
        try:
            addresses = [ipaddress.ip_address(text) for text in self.resolve(host, port)]
        except (OSError, ValueError) as error:
            raise Retry(f"{host} cannot be resolved.", code="HOST_UNREACHABLE") from error
        is_listed = host.lower() in self.listed
        # Of a mixture, somebody else could choose the address to use.
        if not addresses or not all(map(_is_no_metadata if is_listed else is_allowed, addresses)):
            raise Fatal(
                f"{host} has a private, local or special address. If it is meant, add its name to the stack's MysqlHosts.",
                code="HOST_REFUSED",
            )
        return addresses


def _is_no_metadata(address: Address) -> bool:
    plain = getattr(address, "ipv4_mapped", None) or address
    return not any(plain in network for network in _METADATA if network.version == plain.version)


# ── Secrets ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Way:
    """Where a secret is sent, and how: to a database, perhaps behind an SSH server, or to an SSH server."""

    host: str
    port: int
    ssh_host: str | None = None
    """The SSH server in front of the database."""
    ssh_host_key: str | None = None
    """The fingerprint of that server's key."""
    tls: bool = True
    """Whether nobody between gets it: by TLS, or by SSH."""
    host_key: str | None = None
    """The fingerprint of the SSH server's key. None for a database."""


class Secret(BaseModel):
    """What a secret holds, as JSON. RDS writes its secrets in this form, with more members and without `owners`.

    It is for a database, or, with `host_key`, for an SSH server.
    """

    model_config = ConfigDict(alias_generator=to_camel, frozen=True)

    host: str
    """The only host that it is sent to."""
    port: int | None = None
    """The only port. Without it, the usual one: 3306, or 22 for SSH."""
    ssh_host: str | None = None
    """The only SSH server through which it is sent. Without it, it is sent directly: behind an SSH server, `host` is another one."""
    ssh_host_key: str | None = None
    """The fingerprint of that server's key: the database is whatever that server connects to, and behind SSH there is no TLS."""
    host_key: str | None = None
    """The fingerprint of the SSH server's key. Without it, no SSH server gets the secret."""
    tls: bool = True
    """Whether a database's server gets it by TLS only. Behind an SSH server, SSH takes its place."""
    username: str
    password: str | None = Field(default=None, repr=False)
    private_key: str | None = Field(default=None, repr=False)
    """In OpenSSH's form, for SSH."""

    def refusal(self, way: Way) -> str | None:
        """Return why it may not be sent this way, and what its operator may change. None: it may."""
        if reason := self._misuse(way):
            return reason
        hosts = [(self.host, way.host), (self.ssh_host or "", way.ssh_host or "")]
        port = self.port or (_MYSQL_PORT if self.host_key is None else _SSH_PORT)
        if port != way.port or any(own.lower() != other.lower() for own, other in hosts):
            return f"is for another `host` or `port` than {way.host}:{way.port}, or for another `sshHost`: its operator must change it"
        for name, own, other in (("hostKey", self.host_key, way.host_key), ("sshHostKey", self.ssh_host_key, way.ssh_host_key)):
            if own != other:
                return f"names another `{name}`: its operator must change it if the server has a new key"
        if self.tls and not way.tls:
            return 'requires TLS: leave `tls` out, or its operator must add `"tls": false`'
        return None

    def _misuse(self, way: Way) -> str | None:
        """Return why it is not for this kind of server."""
        if way.host_key is not None and self.host_key is None:
            return "is not for an SSH server: its operator must add `hostKey`, the fingerprint of the server's key"
        if way.host_key is None and self.host_key is not None:
            return "is for an SSH server, not for a database, since it has a `hostKey`"
        if bool(self.ssh_host) != bool(self.ssh_host_key):
            return "names only one of `sshHost` and `sshHostKey`, the fingerprint of that server's key: its operator must add the other"
        return None


class Secrets:
    """Reads the secrets that one owner of jobs may use."""

    def __init__(self, read: ReadSecret, owner: str) -> None:
        self._read = read
        self._owner = owner

    @classmethod
    def of_secrets_manager(cls, owner: str) -> Secrets:
        """Read from AWS Secrets Manager: the secrets whose names begin with `MYSQL_SECRETS`."""
        return cls(_secrets_manager, owner)

    def secret(self, name: str, way: Way) -> Secret:
        """Return the secret for this way. Raises `Fatal`, without a word of the secret.

        A caller who may not use it gets the same answer as for one that does not exist, so names cannot be tried out.
        """
        text = self._read(name)
        if text is None or not _may_use(text, self._owner):
            raise Fatal(
                f"There is no secret {name!r} for you. Its `owners` must have the `sub` of your token.", code="SECRET_MISSING"
            )
        try:
            secret = Secret.model_validate_json(text)
        except ValueError:  # pydantic's quotes the secret: no log may have it as a cause
            raise Fatal(
                f"The secret {name!r} has no `host` and `username`, or an invalid value.", code="SECRET_INVALID"
            ) from None
        if reason := secret.refusal(way):
            raise Fatal(f"The secret {name!r} {reason}.", code="SECRET_REFUSED")
        return secret


def _may_use(text: str, owner: str) -> bool:
    """Return whether the secret names the owner, or everybody. One that names nobody is nobody's."""
    try:
        owners = json.loads(text).get("owners")
    except (ValueError, AttributeError):
        return False
    return isinstance(owners, list) and (owner in owners or EVERYBODY in owners)


def _secrets_manager(name: str) -> str | None:
    import boto3  # noqa: PLC0415 - takes longer than the rest of the module
    from botocore.exceptions import ClientError  # noqa: PLC0415

    try:
        found = boto3.client("secretsmanager").get_secret_value(SecretId=os.environ["MYSQL_SECRETS"] + name)
    except ClientError as error:
        if error.response["Error"]["Code"] in {"ResourceNotFoundException", "AccessDeniedException"}:
            return None
        raise
    text: str | None = found.get("SecretString")  # another form is of bytes
    return text


# ── Connections ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Tunnel:
    """An SSH server from which the database can be reached."""

    host: str
    port: int
    host_key: str
    """The fingerprint of its key, `SHA256:...`."""
    secret: Secret


@dataclass(frozen=True)
class Database:
    """A database and the secret for it."""

    host: str
    port: int
    name: str
    tls: bool
    secret: Secret


@contextmanager
def connected(database: Database, tunnel: Tunnel | None, hosts: Hosts) -> Iterator[pymysql.Connection]:
    """Connect to the database, and close everything in the end. Raises `Fatal` and `Retry`."""
    with ExitStack() as opened, _explained(database):
        if tunnel is None:
            to_server: Any = hosts.connect(database.host, database.port)
        else:
            to_server = opened.enter_context(_tunneled(database, tunnel, hosts))
        opened.callback(to_server.close)
        with_tls = database.tls and tunnel is None  # over SSH the connection is encrypted already
        connection = pymysql.Connection(
            host=database.host,
            user=database.secret.username,
            password=database.secret.password or "",
            database=database.name,
            charset="utf8mb4",
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            write_timeout=READ_SECONDS,
            ssl=ssl.create_default_context() if with_tls else None,  # then a server without TLS is an error
            ssl_disabled=not with_tls,
            local_infile=False,
            auth_plugin_map=None if with_tls else dict.fromkeys(_SENT_AS_IT_IS, _Unsent),
            defer_connect=True,
        )
        to_server.settimeout(CONNECT_SECONDS)
        connection.connect(to_server)
        opened.callback(connection.close)
        yield connection


_SENT_AS_IT_IS = ("mysql_clear_password", "dialog")


class _Unsent:
    """In place of a method by which the server gets the password as it is. Any program between could request it."""

    def __init__(self, _connection: pymysql.Connection) -> None: ...

    def authenticate(self, _packet: object) -> None:
        raise pymysql.OperationalError(CR.CR_AUTH_PLUGIN_ERR)


@contextmanager
def _tunneled(database: Database, tunnel: Tunnel, hosts: Hosts) -> Iterator[paramiko.Channel]:
    """Open a channel to the database by the SSH server. Its end of the channel resolves the database's name."""
    with ExitStack() as opened:
        to_server = hosts.connect(tunnel.host, tunnel.port)
        opened.callback(to_server.close)
        try:
            transport = paramiko.Transport(to_server)
            opened.callback(_end, transport)
            transport.start_client(timeout=CONNECT_SECONDS)
            # Before anything is sent that another server could use.
            if transport.get_remote_server_key().fingerprint != tunnel.host_key:
                raise Fatal(f"The SSH server {tunnel.host} has another host key than `hostKey`.", code="SSH_HOST_KEY_DIFFERS")
            _sign_in(transport, tunnel)
            channel = transport.open_channel(
                "direct-tcpip", (database.host, database.port), ("127.0.0.1", 0), timeout=CONNECT_SECONDS
            )
        except paramiko.AuthenticationException as error:
            raise Fatal(f"The SSH server {tunnel.host} refuses the secret.", code="SSH_ACCESS_DENIED") from error
        except paramiko.ChannelException as error:
            raise Retry(
                f"The SSH server {tunnel.host} cannot reach {database.host} at port {database.port}.", code="HOST_UNREACHABLE"
            ) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise Retry(f"The SSH server {tunnel.host} ended the connection.", code="CONNECTION_LOST") from error
        opened.callback(channel.close)
        yield channel


def _end(transport: paramiko.Transport) -> None:
    """Close the transport and wait for its thread, which a transport that the server has closed leaves behind."""
    transport.close()
    transport.join(CONNECT_SECONDS)


def _sign_in(transport: paramiko.Transport, tunnel: Tunnel) -> None:
    secret = tunnel.secret
    if secret.private_key is None:
        transport.auth_password(secret.username, secret.password or "")
        return
    try:
        key = paramiko.Ed25519Key.from_private_key(StringIO(secret.private_key))
    except (paramiko.SSHException, ValueError):
        raise Fatal(
            "The private key for the SSH server is not an Ed25519 key without a passphrase.", code="SECRET_INVALID"
        ) from None
    transport.auth_publickey(secret.username, key)


@contextmanager
def _explained(database: Database) -> Iterator[None]:
    """Turn PyMySQL's errors into `Fatal` and `Retry`. The server's own text stays out: it may quote the database's content."""
    try:
        yield
    except pymysql.MySQLError as error:
        raise _explanation(database, error) from error
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise Retry("The connection to the database was lost.", code="CONNECTION_LOST") from error


def _explanation(database: Database, error: pymysql.MySQLError) -> Fatal | Retry:
    number = CR.CR_SSL_CONNECTION_ERROR if isinstance(error.__context__, ssl.SSLError) else error.args[0] if error.args else 0
    if number in _REFUSED:
        code, message = _REFUSED[number]
        return Fatal(message.format(host=database.host, database=repr(database.name)), code=code)
    if number in _LOST:
        return Retry("The connection to the database was lost.", code="CONNECTION_LOST")
    if number in {ER.CON_COUNT_ERROR, ER.TOO_MANY_USER_CONNECTIONS, ER.USER_LIMIT_REACHED}:
        return Retry("The database's server has too many connections.", after=30, code="TOO_MANY_CONNECTIONS")
    if not isinstance(number, int):  # PyMySQL's own words, which may quote the server's
        return Retry("The host answered, but not as a MySQL or MariaDB server does.", code="DATABASE_ERROR")
    return Retry(f"The database's server answered with error {number}.", code="DATABASE_ERROR")


_NO_RIGHT = ("ACCESS_DENIED", "The secret's user has no right to read {database}.")
_DENIED = ("ACCESS_DENIED", "The database's server refuses the user or the password of the secret.")
_LOCKED = ("ACCESS_DENIED", "The secret's user is locked. Unlock it with ALTER USER.")
_EXPIRED = ("ACCESS_DENIED", "The password of the secret's user has expired. Set a new one in the database and in the secret.")
_OTHER_METHOD = (
    "SIGN_IN_UNSUPPORTED",
    "The secret's user cannot sign in with a password over this connection. Use caching_sha2_password, mysql_native_password or ed25519.",
)
_REFUSED = {
    **dict.fromkeys((ER.ACCESS_DENIED_ERROR, 1698), _DENIED),
    **dict.fromkeys((3118, 3955, 4151), _LOCKED),  # MySQL; MySQL, after wrong passwords; MariaDB
    **dict.fromkeys((1820, 1862), _EXPIRED),
    **dict.fromkeys((ER.NOT_SUPPORTED_AUTH_MODE, ER.SERVER_IS_IN_SECURE_AUTH_MODE, 1524), _OTHER_METHOD),
    **dict.fromkeys((CR.CR_AUTH_PLUGIN_CANNOT_LOAD, CR.CR_AUTH_PLUGIN_ERR), _OTHER_METHOD),
    ER.HOST_NOT_PRIVILEGED: ("ACCESS_DENIED", "The database's server takes no connections from this deployment's address."),
    ER.HOST_IS_BLOCKED: (
        "ACCESS_DENIED",
        "The database's server blocks this deployment's address after failed connections. Unblock it there with FLUSH HOSTS.",
    ),
    3159: ("TLS_REQUIRED", "The database's server requires an encrypted connection. Leave `tls` out, or set it to true."),
    ER.DBACCESS_DENIED_ERROR: _NO_RIGHT,
    ER.TABLEACCESS_DENIED_ERROR: _NO_RIGHT,
    ER.BAD_DB_ERROR: ("DATABASE_MISSING", "There is no database {database} that the secret's user may see."),
    CR.CR_SSL_CONNECTION_ERROR: (
        "TLS_REFUSED",
        "The server offers no TLS with a valid certificate for {host}. If the network is trusted, set `tls` to false, also in the secret.",
    ),
}
_LOST = frozenset(
    {
        *(CR.CR_CONN_HOST_ERROR, CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST),
        *(ER.SERVER_SHUTDOWN, ER.NORMAL_SHUTDOWN, ER.QUERY_INTERRUPTED),
        *(1927, 4031),  # the connection was killed (MariaDB), or was idle for too long (MySQL)
    }
)
