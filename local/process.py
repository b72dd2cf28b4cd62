"""The engine as seen from outside: find it, start it, stop it."""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from local.errors import EngineDiedError, LocalError, PortTakenError

PROJECT = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
REGION = "us-east-1"
# The emulator's own root key. It opens nothing but the emulator.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}

# Those that this process is the parent of, by their state folders: it has to wait for them when they end.
_children: dict[Path, "subprocess.Popen[bytes]"] = {}


@dataclass(frozen=True)
class Engine:
    """One that runs."""

    pid: int
    port: int
    instance: str  # new with each start, as what the engine holds is lost with each stop

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"


def find(state: Path) -> Engine | None:
    """The engine that lives in this state folder. Asks the lock and not the pid, which may by now be somebody else's."""
    try:
        with (state / "engine.claim").open() as claim:
            if _is_held(claim.fileno()):
                return Engine(**json.load(claim))
    except (FileNotFoundError, ValueError):
        pass
    return None


def start(state: Path, *, python: Path, port: int, extra: Mapping[str, str], as_released: bool = False) -> Engine:
    """A new engine, answering. `extra` goes into its environment, and from there into that of each function."""
    if find(state):
        raise LocalError(f"An engine already runs in {state}.")
    _reap(state)
    require_free(port)
    if not python.exists():
        raise LocalError(f"{python} is missing. Make it with: make environments")
    temporary = _fresh(state / "tmp")
    command = [str(python), "-m", "local.engine", "--port", str(port), "--claim", str(state / "engine.claim")]
    log = state / "engine.log"
    with log.open("w") as output:
        child = subprocess.Popen(
            [*command, *(["--as-released"] if as_released else [])],
            cwd=PROJECT,
            env={**_bare_environment(temporary), **extra},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # neither Ctrl-C nor a closing terminal is meant for it
        )
    _children[state] = child
    try:
        _wait_until_it_answers(child, port, log)
    except BaseException:
        _signal(child.pid, signal.SIGKILL)
        _reap(state)
        raise
    engine = find(state)
    if engine is None:
        raise EngineDiedError(log, last_lines(log))
    return engine


def stop(state: Path) -> bool:
    """Whether there was an engine to stop. Its workers and temporary files go with it."""
    engine = find(state)
    if engine is not None:
        _signal(engine.pid, signal.SIGTERM)
        if not _gone_within(state, seconds=5):
            _signal(engine.pid, signal.SIGKILL)
            _gone_within(state, seconds=5)
    _reap(state)
    shutil.rmtree(state / "tmp", ignore_errors=True)
    return engine is not None


def require_free(port: int) -> None:
    """Raises `PortTakenError`."""
    if _is_taken(port):
        raise PortTakenError(port)


def free_port() -> int:
    """Free now, at least."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def last_lines(log: Path, count: int = 25) -> str:
    """To be shown to a person."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(f"  {line}" for line in lines[-count:])


def _bare_environment(temporary: Path) -> dict[str, str]:
    """All that the functions may see of this machine: nothing out of the user's shell, which may hold secrets."""
    return {
        **CREDENTIALS,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(temporary),
        "TMPDIR": str(temporary),
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "TZ": "UTC",
    }


def _is_held(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        if probe.connect_ex((LOOPBACK, port)) == 0:
            return True
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that are still being forgotten do not count
        try:
            probe.bind((LOOPBACK, port))
        except PermissionError as refusal:
            raise LocalError(f"Port {port} may not be used by you. Try: make run PORT=4566") from refusal
        except OSError:
            return True
    return False


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _wait_until_it_answers(child: subprocess.Popen[bytes], port: int, log: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and child.poll() is None:
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                f"http://{LOOPBACK}:{port}/_ministack/health", timeout=5
            ):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise EngineDiedError(log, last_lines(log))


def _gone_within(state: Path, *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while find(state) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _signal(pid: int, signal_number: signal.Signals) -> None:
    """The engine leads a process group, in which its workers are."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal_number)


def _reap(state: Path) -> None:
    """Wait for the engine of this state folder, if it was our child and has ended, or it stays behind as a zombie."""
    child = _children.pop(state, None)
    if child is not None:
        child.wait(5)
