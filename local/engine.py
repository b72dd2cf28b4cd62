"""The process that plays AWS: the emulator with its gaps closed, on this machine's loopback interface and nowhere else.

Runs in .venv-aws. For as long as it lives it holds a lock on its claim file, which says who and where it is; the lock
goes with the process, however that ends, so a claim cannot be stale.
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
    """Until it is told to stop."""
    arguments = argparse.ArgumentParser(prog="python -m local.engine")
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--claim", type=Path, required=True)
    arguments.add_argument("--as-released", action="store_true", help="leave the emulator's gaps open")
    options = arguments.parse_args()

    _refuse_other_versions(metadata.version("ministack"))
    claim = options.claim.open("a+")  # never closed: who sees the lock gone may count on the process being gone
    _take(claim, options.port)
    _listen_on_loopback_only(options.port)
    if not options.as_released:
        emulator_patches.close_all()
    sys.argv = sys.argv[:1]  # the emulator has a command line of its own
    emulator.module("app").main()


def _refuse_other_versions(found: str) -> None:
    if found != EMULATOR_VERSION:
        sys.exit(
            f"The local engine is made for ministack {EMULATOR_VERSION} and found {found}: local/emulator_patches changes that version's"
            f" inside. Put ministack=={EMULATOR_VERSION} back into requirements/engine.in, or adapt local/emulator_patches and its tests."
        )


def _take(claim: TextIO, port: int) -> None:
    deadline = time.monotonic() + 2  # somebody may be looking at the lock for a moment
    while True:
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                sys.exit(f"Another engine already holds {claim.name}.")
            time.sleep(0.05)
    claim.truncate(0)
    json.dump({"pid": os.getpid(), "port": port, "instance": uuid.uuid4().hex}, claim)
    claim.flush()


def _listen_on_loopback_only(port: int) -> None:
    """Left to itself, the emulator listens on all interfaces, and for devices (MQTT) and SFTP clients as well.

    To be called before the emulator is imported: that is when it reads its environment.
    """
    os.environ.update(GATEWAY_PORT=str(port), BIND_HOST="127.0.0.1", IOT_MTLS_ENABLED="0", SFTP_ENABLED="0")


if __name__ == "__main__":
    main()
