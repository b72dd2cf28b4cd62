# ruff: noqa: ARG001 - schemathesis knows hooks by the names of their arguments
"""What schemathesis is told besides the document: what no schema can say, and to note what was answered."""

from __future__ import annotations

import atexit
import json
import os
import uuid
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis.errors import Flaky
from schemathesis.engine.errors import is_inconsistent_replay
from schemathesis.engine.run.stateful import _executor as stateful
from schemathesis.engine.run.stateful.context import StatefulContext

from asyncjobs.core.canonical_json import canonical_json
from asyncjobs.http.parse import MAX_METADATA
from asyncjobs.http.request import Problem, parse_json

_answers: Counter[str] = Counter()


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    """Leave out what is refused for its bytes, digits or depth: tests/unit and tests/deployed/security send that."""
    try:
        parse_json(json.dumps(body).encode())
        return not isinstance(body, dict) or len(canonical_json(body.get("metadata"))) <= MAX_METADATA
    except (Problem, TypeError, ValueError):
        return False


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Let no deletion take the jobs that the others ask for."""
    if case.operation.definition.raw["operationId"] == "deleteJob" and case.path_parameters.get("asyncJobId") in _seeded():
        case.path_parameters["asyncJobId"] = str(uuid.uuid4())


@cache
def _seeded() -> list[str]:
    return [json.loads(line) for line in Path("jobs.txt").read_text().splitlines()]


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Count the answer."""
    _answers[f"{case.operation.definition.raw['operationId']} {response.status_code}"] += 1


@atexit.register
def _write() -> None:
    Path(os.environ["ASYNCJOBS_ANSWERS"]).write_text(json.dumps(_answers))


_classify = stateful._classify_suite_error


class _Context(StatefulContext):
    """Counts the scenarios in which something was asked: in one of four, nothing is."""

    asked = 0

    def reset_scenario(self) -> None:
        self.asked += self.current_step_status is not None
        super().reset_scenario()


def _go_on(exc: Any, *, ctx: Any, settings: Any, **rest: Any) -> Any:
    """Begin anew, with another seed, until there were as many scenarios as asked for.

    Two scenarios may begin alike and be answered differently, since jobs end meanwhile. Hypothesis cannot go on from there, and
    schemathesis calls it a day, in silence.
    """
    status, again, told = _classify(exc, ctx=ctx, settings=settings, **rest)
    is_unlike = (isinstance(exc, Flaky) or is_inconsistent_replay(exc)) and not told
    return status, again or (is_unlike and ctx.asked < settings.max_examples), told


stateful.StatefulContext = _Context  # type: ignore[attr-defined]  # who makes one looks it up there
stateful._classify_suite_error = _go_on
