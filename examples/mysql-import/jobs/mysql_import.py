"""`mysql.import`: the schema of a MySQL or MariaDB database as nodes and edges, also through an SSH tunnel."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

import pymysql
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict
from pymysql.cursors import DictCursor

from asyncjobs import JobContext, job
from jobs.mysql_import_access import Database, Hosts, Secrets, Tunnel, Way, connected
from jobs.mysql_import_schema import Imported, Row, read_schema

_HOST = r"^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9])?$|^[0-9A-Fa-f:]+$"
_SECRET = r"^[A-Za-z0-9_][A-Za-z0-9/_+=.@-]*$"  # noqa: S105 - what Secrets Manager allows in a name

Host = Annotated[str, Field(max_length=253, pattern=_HOST)]
Port = Annotated[int, Field(ge=1, le=65535)]
SecretName = Annotated[
    str,
    Field(
        max_length=200, pattern=_SECRET, description="The name of a secret in Secrets Manager, after the stack's MysqlSecrets."
    ),
]


def _refused(schema: JsonDict) -> None:
    """Make the schema refuse each value, and say why: whatever a submit accepts is stored with its job."""
    schema.clear()
    schema["not"] = {"description": "must not be sent: store it in Secrets Manager, and send the secret's name as `secret`"}


Refused = Annotated[None, Field(json_schema_extra=_refused)]


class _Wire(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid", strict=True
    )

    user: Refused = None
    password: Refused = None
    private_key: Refused = None


class Ssh(_Wire):
    """An SSH server through which the database is reached."""

    host: Host
    port: Port = 22
    host_key: str = Field(
        pattern=r"^SHA256:[A-Za-z0-9+/]{43}$",
        description="The fingerprint of the server's key, as `ssh-keygen -lf` prints it. Both secrets name the same.",
        examples=["SHA256:VcAhUAn7PXJyLbLGAYzNEb4Ksn5mRUFvNIcKkHbGCbc"],
    )
    secret: SecretName


class ImportInput(_Wire):
    """A database and how to reach it. Passwords are in secrets, which say who may use them, and where and how they are sent."""

    host: Host = Field(
        description="The server's name. Through SSH, as the SSH server resolves it.", examples=["db.example.com"]
    )
    port: Port = 3306
    database: str = Field(min_length=1, max_length=64)
    secret: SecretName
    tls: bool = Field(
        default=True,
        description="Whether the connection must be encrypted. False only if the secret allows it. Through SSH it is, by SSH.",
    )
    ssh: Ssh | None = None
    tables: int | None = Field(
        default=None,
        ge=0,
        description="About how many tables it has, if you know. Large databases are then imported in the background.",
    )


@job("mysql.import", expected_seconds=0.4, timeout_seconds=300, immediate=True, size="tables", route="POST /import/mysql")
def mysql_import(input: ImportInput, context: JobContext) -> Imported:
    """Import the schema of a MySQL or MariaDB database: tables, columns, keys, indexes and views, foreign keys as edges.

    What nodes and edges cannot represent is named in `unsupportedFeatures`. Reads names and types only, never a row.
    """
    return import_schema(input, context, Hosts.of_environment(), Secrets.of_secrets_manager(context.owner))


def import_schema(input: ImportInput, context: JobContext, hosts: Hosts, secrets: Secrets) -> Imported:
    """Import with these hosts and secrets."""
    context.progress(0, "Connecting")
    ssh = input.ssh
    way, tunnel = Way(input.host, input.port, tls=input.tls), None
    if ssh is not None:
        way = Way(input.host, input.port, ssh_host=ssh.host, ssh_host_key=ssh.host_key)
        secret = secrets.secret(ssh.secret, Way(ssh.host, ssh.port, host_key=ssh.host_key))
        tunnel = Tunnel(ssh.host, ssh.port, ssh.host_key, secret)
    database = Database(input.host, input.port, input.database, input.tls, secrets.secret(input.secret, way))
    with connected(database, tunnel, hosts) as connection:
        return read_schema(partial(_rows, connection), context.progress)


def _rows(connection: pymysql.Connection, sql: str) -> Sequence[Row]:
    with connection.cursor(DictCursor) as cursor:
        cursor.execute(sql)
        return cursor.fetchall()
