"""The local engine's process: the patched emulator, on this machine's loopback interface only.

Runs in .venv-aws, and its functions in .venv-lambda. While it runs it holds a lock on its claim file, which contains its process id, port and credentials.
The operating system releases the lock however the process ends, so a claim cannot be stale.
"""

import argparse
import fcntl
import json
import os
import sys
import time
import uuid
from importlib import metadata
from pathlib import Path
from typing import TextIO

from local import emulator_patches
from local.emulator_patches import emulator

EMULATOR_VERSION = "1.5.33"


def main() -> None:
    """Run until a signal stops it."""
    arguments = argparse.ArgumentParser(prog="python -m local.engine")
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--claim", type=Path, required=True)
    arguments.add_argument("--lambda-python", type=Path, required=True, help="the interpreter of the functions")
    arguments.add_argument("--as-released", action="store_true", help="leave the emulator's gaps open")
    options = arguments.parse_args()

    _refuse_other_versions(metadata.version("ministack"))
    # Never closed: once the lock is free, the process has ended.
    claim = open(options.claim, "a+", opener=_readable_by_this_user_only)  # noqa: SIM115
    _take(claim, options.port)
    _listen_on_loopback_only(options.port)
    if not options.as_released:
        emulator_patches.close_all(options.lambda_python)
    sys.argv = sys.argv[:1]  # the emulator parses the command line, too
    emulator.module("app").main()


def _refuse_other_versions(found: str) -> None:
    if found != EMULATOR_VERSION:
        sys.exit(
            f"The local engine is made for ministack {EMULATOR_VERSION} and found {found}: local/emulator_patches depends on that"
            f" version's internals. Put ministack=={EMULATOR_VERSION} back into requirements/engine.in, or adapt local/emulator_patches and its tests."
        )


def _take(claim: TextIO, port: int) -> None:
    deadline = time.monotonic() + 2  # another process may test the lock for a moment
    while True:
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                sys.exit(f"Another engine already holds {claim.name}.")
            time.sleep(0.05)
    claim.truncate(0)
    credentials = {name: os.environ[f"AWS_{name.upper()}"] for name in ("access_key_id", "secret_access_key")}
    json.dump({"pid": os.getpid(), "port": port, "instance": uuid.uuid4().hex, **credentials}, claim)
    claim.flush()


def _readable_by_this_user_only(path: str, flags: int) -> int:
    descriptor = os.open(path, flags, 0o600)
    os.fchmod(descriptor, 0o600)  # an earlier release created it readable by everybody
    return descriptor


def _listen_on_loopback_only(port: int) -> None:
    """Bind to loopback, without MQTT and SFTP. By default the emulator serves all interfaces and both protocols.

    Call this before the emulator is imported, because it reads its environment then.
    """
    os.environ.update(GATEWAY_PORT=str(port), BIND_HOST="127.0.0.1", IOT_MTLS_ENABLED="0", SFTP_ENABLED="0")


if __name__ == "__main__":
    main()
