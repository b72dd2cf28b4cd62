# ruff: noqa: SLF001 - gaps are closed inside the emulator
"""Event source mappings, which carry messages of a queue, or records of a table's stream, to a function."""

import json
import logging
import threading
from typing import Any

from local.emulator_patches.emulator import Properties, before_provisioning, module

_IDLE_SECONDS = 1  # as the emulator's own


def read_numbers() -> None:
    """Convert a mapping's numbers, because a template parameter is text.

    The emulator compares the text of MaximumConcurrency with a number, fails, and polls no queue any more.
    """
    before_provisioning("AWS::Lambda::EventSourceMapping", _read_numbers)


def deliver_failed_changes_again() -> None:
    """Deliver a stream's batch again, after a second, if the function reports failures. The emulator goes on to the next one.

    AWS begins with the first record that failed, this patch with the first of the batch.
    """
    functions = module("services.lambda_svc")
    execute = functions._execute_function

    def execute_and_read(function: Any, event: Any) -> Any:
        result = execute(function, event)
        return {**result, "error": True} if _is_of_a_stream(event) and _names_failures(result.get("body")) else result

    functions._execute_function = execute_and_read


def read_streams_apart() -> None:
    """Read the streams of tables in a thread of their own. The emulator polls no queue while a function handles changes.

    On AWS a slow reader of a stream delays no queue.
    """
    functions, tables = module("services.lambda_svc"), module("services.dynamodb")
    poll, start_poller = functions._poll_dynamodb_streams, functions._ensure_poller
    news = threading.Event()
    thread = threading.Thread(target=_follow, args=(poll, news), name="dynamodb-streams", daemon=True)
    starting = threading.Lock()

    def start_both() -> None:
        start_poller()
        with starting:
            if thread.ident is None:
                thread.start()

    functions._poll_dynamodb_streams = lambda: False
    functions._ensure_poller = start_both
    tables.esm_wake = news


def _follow(poll: Any, news: threading.Event) -> None:
    while True:
        news.clear()
        try:
            has_more = poll()
        except Exception:
            logging.getLogger("lambda").exception("The reader of streams failed.")
            has_more = False
        if not has_more:
            news.wait(_IDLE_SECONDS)


def _is_of_a_stream(event: Any) -> bool:
    records = event.get("Records") if isinstance(event, dict) else None
    return isinstance(records, list) and bool(records) and records[0].get("eventSource") == "aws:dynamodb"


def _names_failures(body: Any) -> bool:
    answer = json.loads(body) if isinstance(body, str) and body.startswith("{") else body
    return isinstance(answer, dict) and bool(answer.get("batchItemFailures"))


def _read_numbers(properties: Properties) -> Properties:
    numbers: Properties = {
        name: int(properties[name]) for name in ("BatchSize", "MaximumBatchingWindowInSeconds") if name in properties
    }
    if scaling := properties.get("ScalingConfig"):
        numbers["ScalingConfig"] = {name: int(value) for name, value in scaling.items()}
    return {**properties, **numbers}
