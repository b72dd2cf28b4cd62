"""A MariaDB server on loopback, with a data folder of its own. Debian's package is enough; nothing of the system's is used."""

from __future__ import annotations

import getpass
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest
from pymysql.constants import CR

from local.process import free_port
from tests.support.pace import SLOWNESS

_PATH = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"


@dataclass
class MariaDb:
    """A running server and its administrator."""

    folder: Path
    port: int
    password: str
    program: str
    process: subprocess.Popen[bytes]

    def run(self, *statements: str, database: str | None = None) -> list[Any]:
        """Run the statements as administrator, and return the rows of the last one."""
        with closing(self._connect(database)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def create(self, name: str, *statements: str) -> None:
        """Create a database with these tables."""
        quoted = name.replace("`", "``")
        self.run(f"CREATE DATABASE `{quoted}` CHARACTER SET utf8mb4")
        self.run(*statements, database=name)

    def user(self, name: str, *grants: str) -> str:
        """Create a user with these rights, and return its password."""
        password = secrets.token_urlsafe(16)
        self.run(f"CREATE USER {name} IDENTIFIED BY '{password}'", *(f"GRANT {grant} TO {name}" for grant in grants))
        return password

    def connections_of(self, user: str) -> list[int]:
        """Return the connections that the user has."""
        found = self.run(f"SELECT id FROM information_schema.processlist WHERE user = '{user}'")
        return [row[0] for row in found]

    def _connect(self, database: str | None = None) -> pymysql.Connection:
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user="admin", password=self.password, database=database, autocommit=True
        )


@contextmanager
def mariadb(folder: Path) -> Iterator[MariaDb]:
    """Start a server, which ends with the block. Skip the test if MariaDB is not installed."""
    # The installer calls `my_print_defaults`, which Debian has in another package.
    program, installer, defaults = (
        shutil.which(name, path=_PATH) for name in ("mariadbd", "mariadb-install-db", "my_print_defaults")
    )
    if program is None or installer is None or defaults is None:
        pytest.skip("This test needs MariaDB: apt-get install mariadb-server-core mariadb-client-core")
    user = f"--user={getpass.getuser()}"
    data = folder / "data"
    subprocess.run(
        [installer, "--no-defaults", f"--datadir={data}", user, "--auth-root-authentication-method=normal", "--skip-test-db"],
        check=True,
        capture_output=True,
    )
    password = secrets.token_urlsafe(16)
    start = folder / "start.sql"
    start.touch(mode=0o600)
    start.write_text(  # a statement in each line
        f"CREATE USER admin@'127.0.0.1' IDENTIFIED BY '{password}';\n"
        "GRANT ALL ON *.* TO admin@'127.0.0.1' WITH GRANT OPTION;\n"
        "DROP USER root@localhost;\n"
    )
    port = free_port()
    command = [
        program, "--no-defaults", f"--datadir={data}", user, "--bind-address=127.0.0.1", f"--port={port}",
        f"--socket={folder}/socket", f"--pid-file={folder}/pid", f"--init-file={start}", f"--log-error={folder}/log.err",
        "--innodb-buffer-pool-size=32M", "--skip-name-resolve", "--debug-no-sync", "--innodb-flush-method=nosync",
    ]  # fmt: skip
    with subprocess.Popen(command) as process:
        server = MariaDb(folder, port, password, program, process)
        try:
            _wait(server)
            yield server
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
            process.kill()


def _wait(server: MariaDb) -> None:
    end = time.monotonic() + 30 * SLOWNESS
    while True:
        assert server.process.poll() is None, (server.folder / "log.err").read_text()
        try:
            server.run("SELECT 1")
        except pymysql.OperationalError as error:
            if error.args[0] != CR.CR_CONN_HOST_ERROR or time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return
