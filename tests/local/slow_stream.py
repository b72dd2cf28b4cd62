"""Print how often queues were polled while a function handled changes of a table, as JSON.

Runs in .venv-aws, inside the emulator. `patched` applies the patch first.
"""

import json
import sys
import threading

from local.emulator_patches import mappings
from local.emulator_patches.emulator import module

ENOUGH = 3


def main() -> None:
    functions = module("services.lambda_svc")
    polls, is_handling, have_polled = [], threading.Event(), threading.Event()

    def handle_changes() -> bool:
        is_handling.set()
        have_polled.wait(3)
        return False

    def poll_queues() -> bool:
        if is_handling.is_set():
            polls.append("poll")
        if len(polls) == ENOUGH:
            have_polled.set()
        return len(polls) < ENOUGH

    functions._poll_dynamodb_streams, functions._poll_sqs = handle_changes, poll_queues
    if "patched" in sys.argv:
        mappings.read_streams_apart()
    functions._ensure_poller()
    have_polled.wait(2)
    sys.stdout.write(json.dumps(len(polls)))


if __name__ == "__main__":
    main()
