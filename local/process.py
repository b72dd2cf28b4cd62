"""Find, start and stop the local engine, a process of its own."""

import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from local.errors import EngineDiedError, LocalError, PortTakenError
from local.terminal import one_line

PROJECT = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
LAST_PORT = 65535
REGION = "us-east-1"
# Child processes, by their state folders: their parent has to wait for them when they end.
_children: dict[Path, "subprocess.Popen[bytes]"] = {}


@dataclass(frozen=True)
class Engine:
    """A running engine."""

    pid: int
    port: int
    instance: str  # new with each start, because an engine loses its data when it stops
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)  # an engine of an earlier release has none, and answers everybody

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which AWS's tools call this engine, and nothing else."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
        }


def find(state: Path) -> Engine | None:
    """Return the engine of this state folder. Its lock decides, because a process id may belong to another process by now."""
    try:
        with (state / "engine.claim").open() as claim:
            if _is_held(claim.fileno()):
                return Engine(**json.load(claim))
    except (FileNotFoundError, ValueError):
        pass
    return None


def start(
    state: Path, *, python: Path, lambda_python: Path, port: int, extra: Mapping[str, str], as_released: bool = False
) -> Engine:
    """Start an engine on `python`, which runs the functions on `lambda_python`, and wait until it answers.

    `extra` goes into its environment, and from there into that of each function.

    Only this user may read the state folder: it holds the engine's credentials.
    """
    if find(state):
        raise LocalError(f"An engine already runs in {state}.")
    state.chmod(0o700)
    _reap(state)
    require_free(port)
    for program in (python, lambda_python):
        if not program.exists():
            raise LocalError(f"{program} is missing. Make it with: make environments")
    temporary = _fresh(state / "tmp")
    options = {"--port": str(port), "--claim": str(state / "engine.claim"), "--lambda-python": str(lambda_python)}
    command = [str(python), "-m", "local.engine", *chain.from_iterable(options.items())]
    log = state / "engine.log"
    with log.open("w") as output:
        child = subprocess.Popen(
            [*command, *(["--as-released"] if as_released else [])],
            cwd=PROJECT,
            env={**_bare_environment(temporary), **extra},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C and a closing terminal must not stop it
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
    """Stop the engine with its workers, and delete its temporary files. Returns whether there was one."""
    engine = find(state)
    if engine is not None:
        _signal(engine.pid, signal.SIGTERM)
        if not _gone_within(state, seconds=5):
            _signal(engine.pid, signal.SIGKILL)
            _gone_within(state, seconds=5)
    _reap(state)
    shutil.rmtree(state / "tmp", ignore_errors=True)
    return engine is not None


def port_number(text: str) -> int:
    """Read a port. Raises `LocalError` if there is none of this number."""
    port = int(text) if text.isdecimal() else 0
    if not 0 < port <= LAST_PORT:
        raise LocalError(f"There is no port {text}. Try: make run PORT=4566")
    return port


def require_free(port: int) -> None:
    """Raise `PortTakenError` if another program uses the port."""
    if _is_taken(port):
        raise PortTakenError(port)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def last_lines(log: Path) -> str:
    """Return the end of a log, for people."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(f"  {one_line(line)}" for line in lines[-25:])


def _bare_environment(temporary: Path) -> dict[str, str]:
    """Return the engine's whole environment: nothing of the user's shell, which may contain secrets.

    AUTH enforces permissions: functions get credentials of their roles instead of these, which are the account's own.
    """
    return {
        "AWS_ACCESS_KEY_ID": f"LOCAL{secrets.token_hex(8).upper()}",
        "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(30),
        "AUTH": "true",
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
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # closed connections do not count
        try:
            probe.bind((LOOPBACK, port))
        except PermissionError as refusal:
            raise LocalError(f"You may not use port {port}. Try: make run PORT=4566") from refusal
        except OSError:
            return True
    return False


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _wait_until_it_answers(child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
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
    """Signal the engine and its workers, which are in its process group."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal_number)


def _reap(state: Path) -> None:
    """Wait for the engine of this state folder if it is a child of this process, so that it does not stay as a zombie.

    One that does not end, since its folder was deleted with its claim, is killed.
    """
    child = _children.pop(state, None)
    if child is None:
        return
    try:
        child.wait(5)
    except subprocess.TimeoutExpired:
        _signal(child.pid, signal.SIGKILL)
        child.wait()
