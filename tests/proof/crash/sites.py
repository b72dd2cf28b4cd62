"""The AWS calls in the library's source, so that none can be added without a row in the matrix."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

LIBRARY = Path(__file__).parents[3] / "layers/asyncjobs/asyncjobs"
ADAPTERS = ("dynamodb_jobs", "dynamodb_events", "sqs", "s3", "eventbridge")
APART = {
    "dynamodb_history": "tests/unit/estimates/test_history.py and tests/unit/push/test_durations.py",
    "dynamodb_tickets": "tests/unit/push/test_tickets.py",
    "dynamodb_watchers": "tests/proof/stateful/stream",
    "websocket": "tests/proof/stateful/stream",
    "dynamodb_webhooks": "tests/proof/stateful/stream and tests/unit/push/test_delivery.py",
    "dynamodb_audit": "tests/unit/service/test_administration.py",
    "dynamodb_bulk_parts": "tests/unit/service/test_bulk_actions.py and tests/deployed/operations/test_bulk_actions.py",
    "dynamodb_indexes": "tests/adapters/test_indexes.py",
    "dynamodb_type_histories": "tests/adapters/test_type_histories.py",
    "lambda_continuations": "tests/unit/service/test_bulk_actions.py and tests/adapters/test_continuations.py",
    "lambda_pollers": "tests/adapters/test_pollers.py",
    "sqs_dead_letters": "tests/unit/service/test_dead_letters.py",
    "sqs_queue_depths": "tests/adapters/test_queue_depths.py",
}
"""Also send requests, but no accepted job is lost with one. The tests cover what happens when they fail."""
NO_REQUEST = frozenset({"GeneratePresignedUrl"})
"""Client methods that send nothing: signing is arithmetic."""
_PORTS = frozenset({"self._store", "self._queue", "self._objects", "self._writer", "self._log", "self._bus"})


def call_sites() -> frozenset[str]:
    """Return each place in an adapter that sends a request: `dynamodb_jobs.DynamoStore.get:GetItem`."""
    return frozenset(
        f"{module}.{function}:{operation}"
        for module in ADAPTERS
        for function, call in _calls(LIBRARY / f"aws/{module}.py")
        if ast.unparse(call.value) == "self._client" and (operation := _operation(call.attr)) not in NO_REQUEST
    )


def modules_with_calls() -> frozenset[str]:
    """Return the library's modules that send requests."""
    return frozenset(
        path.stem
        for path in LIBRARY.rglob("*.py")
        if any(ast.unparse(call.value) == "self._client" for _, call in _calls(path))
    )


def uses() -> frozenset[str]:
    """Return each place outside the adapters that uses one, which is its purpose: `get < Queries.job`."""
    return frozenset(
        f"{call.attr} < {function}"
        for path in sorted(LIBRARY.rglob("*.py"))
        if path.stem not in ADAPTERS
        for function, call in _calls(path)
        if ast.unparse(call.value) in _PORTS
    )


def _calls(module: Path) -> Iterator[tuple[str, ast.Attribute]]:
    """Yield every `x.y` of the module with its method: called, or handed to what calls it."""
    for definition in ast.parse(module.read_text()).body:
        if not isinstance(definition, ast.ClassDef):
            continue
        for function in definition.body:
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Attribute):
                    yield f"{definition.name}.{function.name}", node


def _operation(method: str) -> str:
    """Return AWS's name of a boto3 method."""
    return "".join(word.capitalize() for word in method.split("_"))
