# ruff: noqa: SLF001 - gaps are closed inside the emulator
"""Lambda functions: what they can import, when a call ends, and what it has logged."""

import contextlib
import hashlib
import queue
import shutil
import tempfile
import time
import zipfile
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, ClassVar, Self

from local.emulator_patches.emulator import Properties, after_provisioning, before_provisioning, module

_END = "\0end of log"
_LAST_LINE = f"{_END}\n".encode()
_CALL = "            result = handler_fn(event, context)\n"
_CALL_AND_END_THE_LOG = f"""\
            try:
                result = handler_fn(event, context)
            finally:
                sys.stderr.flush()
                os.write(2, {_LAST_LINE!r})
"""
_PATIENCE = 0.25  # s, as the emulator's own


def run_on(interpreter: Path) -> None:
    """Run Python functions on this interpreter, which has the packages of Lambda's runtime.

    The emulator runs them on its own, where they can also import its packages, which no layer takes to AWS.
    """
    runtime = module("core.lambda_runtime")
    choose = runtime._detect_runtime_binary

    def choose_for_python(name: str) -> tuple[str, str]:
        program, script = choose(name)
        return (str(interpreter) if name.startswith("python") else program), script

    runtime._detect_runtime_binary = choose_for_python


def answer_when_the_function_has() -> None:
    """End a call when its function returns, as AWS does. The emulator waits 50 ms for the log of a function that logs nothing.

    Here a Python function's process marks the end of each call's log.
    """
    runtime = module("core.lambda_runtime")
    script, choose = runtime._PYTHON_WORKER_SCRIPT, runtime._worker_class_for
    if script.count(_CALL) != 1:
        raise RuntimeError("The emulator runs Python functions in a new way: adapt local/emulator_patches/functions.py.")
    runtime._PYTHON_WORKER_SCRIPT = script.replace(_CALL, _CALL_AND_END_THE_LOG)
    reading = {"_read_stderr": _read, "_drain_stderr": _log_of_the_call, "_drain_stderr_bounded": _log_of_the_call}
    python_worker = type("PythonWorker", (runtime.Worker,), reading)

    def choose_for_python(function: Any) -> Any:
        return python_worker if function.get("Runtime", "").startswith("python") else choose(function)

    runtime._worker_class_for = choose_for_python


def unpack_once() -> None:
    """Unpack code and layers once for all processes. The emulator does it in each cold start, of which that is half the time.

    On AWS these folders are read-only, so no function changes what another one has.
    """
    runtime = module("core.lambda_runtime")
    runtime.open = _open
    runtime.zipfile = SimpleNamespace(**{**vars(zipfile), "ZipFile": _SharedArchive})


def _open(path: str, mode: str) -> IO[Any]:
    """Open a file as `open` does, but let a ZIP file stay empty: its content is unpacked from memory."""
    return _ArchiveInMemory(path) if path.endswith(".zip") else Path(path).open(mode)


class _ArchiveInMemory(BytesIO):
    """What the emulator writes into a ZIP file."""

    waiting: ClassVar[dict[str, bytes]] = {}
    """The content by path, until it is unpacked."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def write(self, content: Any) -> int:
        """Take the whole content, not a copy of it: its hash is computed once."""
        self.waiting[self._path] = content
        return len(content)


class _SharedArchive:
    """A ZIP file that becomes a link to the folder in which its content is unpacked."""

    def __init__(self, path: str) -> None:
        self._content = _ArchiveInMemory.waiting.pop(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """Close nothing: there is no file."""

    def namelist(self) -> list[str]:
        """Return no names to check for a way out of the folder: `extractall` leaves none."""
        return []

    def extractall(self, folder: str) -> None:
        """Replace the empty folder by the link."""
        Path(folder).rmdir()
        Path(folder).symlink_to(_unpacked(self._content))


@lru_cache(maxsize=32)
def _unpacked(content: bytes) -> Path:
    """Return the folder with the archive's content. `lru_cache` finds a layer by its hash, which `bytes` remember, in no time."""
    shared = Path(tempfile.gettempdir()) / f"unpacked-{hashlib.sha256(content).hexdigest()}"
    if not shared.exists():
        unpacked = tempfile.mkdtemp()
        with zipfile.ZipFile(BytesIO(content)) as archive:
            archive.extractall(unpacked)
        with contextlib.suppress(OSError):  # another process was first
            Path(unpacked).rename(shared)
        shutil.rmtree(unpacked, ignore_errors=True)
    return shared


def replace_empty_endpoint() -> None:
    """Treat an empty `AWS_ENDPOINT_URL` of a function as none, as the SDKs do.

    The emulator sets its own address only for functions that do not have the variable, so calls would go to AWS.
    """
    before_provisioning("AWS::Lambda::Function", _without_empty_endpoint)


def obey_recursive_loop() -> None:
    """Give a function its `RecursiveLoop`, which the emulator obeys, but does not read from a template."""
    functions = module("services.lambda_svc")

    def configure(name: str, properties: Properties) -> None:
        functions._functions[name]["recursive_loop"] = properties.get("RecursiveLoop", "Terminate")

    after_provisioning("AWS::Lambda::Function", configure)


def _without_empty_endpoint(properties: Properties) -> Properties:
    environment = properties.get("Environment") or {}
    variables = {
        name: value for name, value in environment.get("Variables", {}).items() if (name, value) != ("AWS_ENDPOINT_URL", "")
    }
    return {**properties, "Environment": {**environment, "Variables": variables}}


def _read(worker: Any) -> None:
    """Read a process's log until the process ends. Runs in its own thread."""
    lines = worker._stderr_queue  # the next process has another
    for line in worker._proc.stderr:
        lines.put(line.rstrip("\n"))
    lines.put(_END)


def _log_of_the_call(worker: Any) -> str:
    """Return what the call has logged, when it is over or its process has died."""
    lines, source = [], worker._stderr_queue
    # An end mark that came too late for its own call must not count for the next call.
    ends = getattr(source, "ends_due", 0) + 1
    deadline = time.monotonic() + _PATIENCE
    while ends:
        try:
            line, end, _ = source.get(timeout=max(0.0, deadline - time.monotonic())).partition(_END)
        except queue.Empty:  # a process that it has started holds the pipe open
            break
        ends -= bool(end)
        if line or not end:
            lines.append(line)
    source.ends_due = ends
    return "\n".join(lines)
