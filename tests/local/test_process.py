"""One engine per state folder, on loopback only, and no other process is touched."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from local import process
from local.errors import EngineDiedError, LocalError, PortTakenError
from local.process import Engine
from local.sam import Tools

LOOPBACK_HEX = "0100007F"
LISTENING = "0A"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    process.stop(tmp_path)


def start(state: Path, port: int | None = None) -> Engine:
    tools = Tools()
    port = port or process.free_port()
    return process.start(state, python=tools.engine_python, lambda_python=tools.lambda_python, port=port, extra={})


@pytest.mark.slow
def test_running_engine_is_found(state: Path) -> None:
    engine = start(state)
    assert process.find(state) == engine


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux's /proc")
def test_only_socket_of_an_engine_is_on_loopback(state: Path) -> None:
    engine = start(state)
    assert listening_addresses(engine.pid) == [f"{LOOPBACK_HEX}:{engine.port:04X}"]


@pytest.mark.slow
def test_only_this_user_can_read_the_credentials(state: Path) -> None:
    state.chmod(0o755)
    (state / "engine.claim").touch(mode=0o644)  # of an earlier release
    start(state)
    assert [path.stat().st_mode & 0o777 for path in (state, state / "engine.claim")] == [0o700, 0o600]


@pytest.mark.slow
def test_stopped_engine_leaves_nothing(state: Path) -> None:
    engine = start(state)
    assert process.stop(state)
    assert process.find(state) is None
    assert not (state / "tmp").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(engine.pid, 0)


@pytest.mark.slow
def test_engine_whose_folder_was_deleted_is_stopped_by_its_parent(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    engine = start(state)
    shutil.rmtree(state)
    assert not process.stop(state)
    with pytest.raises(ProcessLookupError):
        os.killpg(engine.pid, 0)


@pytest.mark.slow
def test_engine_starts_after_the_last_one_was_killed(state: Path) -> None:
    engine = start(state)
    os.kill(engine.pid, signal.SIGKILL)
    wait_until_gone(state)
    assert start(state, engine.port).instance != engine.instance


@pytest.mark.slow
def test_two_engines_cannot_share_a_state_folder(state: Path) -> None:
    engine = start(state)
    with pytest.raises(LocalError, match="already runs"):
        start(state)
    assert process.find(state) == engine


def test_other_process_with_the_pid_of_a_dead_engine_is_not_touched(state: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as stranger:
        try:
            (state / "engine.claim").write_text(json.dumps({"pid": stranger.pid, "port": 1, "instance": "x"}))
            assert process.find(state) is None
            assert not process.stop(state)
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_used_port_is_named_with_advice(state: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"make run PORT={port + 1}"):
            start(state, port)


@pytest.mark.parametrize("port", ["-1", "0", "65536", "abc"])
def test_port_that_does_not_exist_is_named(port: str) -> None:
    with pytest.raises(LocalError, match=f"no port {port}"):
        process.port_number(port)


def test_error_of_a_failed_start_has_the_end_of_the_log(state: Path) -> None:
    broken = state / "python"
    broken.write_text("#!/bin/sh\necho no such luck >&2\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(EngineDiedError, match="no such luck"):
        process.start(state, python=broken, lambda_python=Path(sys.executable), port=process.free_port(), extra={})


def test_missing_interpreter_of_the_functions_is_named_with_advice(state: Path) -> None:
    missing = state / "python"
    with pytest.raises(LocalError, match=f"{missing} is missing. Make it with: make environments"):
        process.start(state, python=Path(sys.executable), lambda_python=missing, port=process.free_port(), extra={})


def test_log_is_quoted_without_commands_to_the_terminal(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\x1b]0;a title\x07\ntwo\xc2\x9b2J\n")
    assert process.last_lines(log) == r"  one\x1b]0;a title\x07" + "\n" + r"  two\x9b2J"


def wait_until_gone(state: Path) -> None:
    deadline = time.monotonic() + 30
    while process.find(state):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def listening_addresses(pid: int) -> list[str]:
    inodes = set[str]()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        # The engine closes connections and files meanwhile; a socket that listens stays.
        with suppress(FileNotFoundError):
            inodes.add(str(descriptor.readlink()))
    found = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, status, *_, inode = line.split()[:10]
            if f"socket:[{inode}]" in inodes and (table.startswith("udp") or status == LISTENING):
                found.append(local)
    return found
