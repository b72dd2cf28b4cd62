"""An OpenSSH server on loopback that admits one key. Debian's package is enough; nothing of the system's is used."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.process import free_port
from tests.support.pace import SLOWNESS

_PATH = "/usr/sbin:/usr/local/sbin"
_CONFIGURATION = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
AllowTcpForwarding local
"""


@dataclass(frozen=True)
class SshServer:
    """A running server."""

    port: int
    host_key: str
    """The fingerprint of its key."""
    user: str
    private_key: str


@contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """Start a server, which ends with the block. Skip the test if OpenSSH's server is not installed."""
    program = shutil.which("sshd", path=_PATH)
    if program is None or shutil.which("ssh-keygen") is None:
        pytest.skip("This test needs an SSH server: apt-get install openssh-server")
    for key in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    printed = subprocess.run(["ssh-keygen", "-lf", folder / "host_key.pub"], check=True, capture_output=True, text=True).stdout
    port = free_port()
    (folder / "configuration").write_text(_CONFIGURATION.format(port=port, folder=folder))
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where root's server locks its children in
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([program, "-D", "-e", "-f", folder / "configuration"], stderr=log)
    try:
        _wait(port, process, folder / "log")
        yield SshServer(port, printed.split()[1], getpass.getuser(), (folder / "user_key").read_text())
    finally:
        process.terminate()
        process.wait()


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 10 * SLOWNESS
    while True:
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        else:
            return
