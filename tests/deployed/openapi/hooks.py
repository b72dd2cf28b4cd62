# ruff: noqa: ARG001 - schemathesis finds hooks by the names of their arguments
"""Hooks for schemathesis: rules that no schema can express, and a count of the answers."""

from __future__ import annotations

import atexit
import json
import os
import threading
import uuid
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis.errors import Flaky
from hypothesis.internal import lambda_sources
from schemathesis.engine.errors import is_inconsistent_replay
from schemathesis.engine.run.stateful import _executor as stateful
from schemathesis.engine.run.stateful.context import StatefulContext
from schemathesis.generation.meta import TestPhase

from asyncjobs.core.canonical_json import canonical_json
from asyncjobs.http.bodies import MAX_METADATA
from asyncjobs.http.problems import Problem
from asyncjobs.http.strict_json import parse_json

_answers: Counter[str] = Counter()


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    """Leave out bodies that are rejected for their bytes, digits or depth: tests/unit and tests/deployed/security have those."""
    try:
        parse_json(json.dumps(body).encode())
        return not isinstance(body, dict) or len(canonical_json(body.get("metadata"))) <= MAX_METADATA
    except (Problem, TypeError, ValueError):
        return False


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Keep deletions from the jobs that other requests name, and give some of them a job that nothing else names."""
    if case.operation.definition.raw["operationId"] != "deleteJob":
        return
    meta = case.meta
    if meta.phase.name is TestPhase.FUZZING and meta.generation.mode.is_positive and _spare():
        case.path_parameters["asyncJobId"] = _spare().pop()
    elif case.path_parameters.get("asyncJobId") in _seeded():
        case.path_parameters["asyncJobId"] = str(uuid.uuid4())


@cache
def _seeded() -> list[str]:
    return [json.loads(line) for line in Path("jobs.txt").read_text().splitlines()]


@cache
def _spare() -> list[str]:
    return [json.loads(line) for line in Path("spare.txt").read_text().splitlines()]


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Count the answer."""
    _answers[f"{case.operation.definition.raw['operationId']} {response.status_code}"] += 1


@atexit.register
def _write() -> None:
    Path(os.environ["ASYNCJOBS_ANSWERS"]).write_text(json.dumps(_answers))


_classify = stateful._classify_suite_error


class _Context(StatefulContext):
    """Counts the scenarios that sent a request: one of four sends none."""

    sent = 0

    def reset_scenario(self) -> None:
        self.sent += self.current_step_status is not None
        super().reset_scenario()


def _go_on(exc: Any, *, ctx: Any, settings: Any, **rest: Any) -> Any:
    """Start again with another seed until the requested number of scenarios is reached.

    Two scenarios may begin with the same requests and get different answers, since jobs end meanwhile. Hypothesis stops there,
    and schemathesis ends without a message.
    """
    status, again, reported = _classify(exc, ctx=ctx, settings=settings, **rest)
    is_unlike = (isinstance(exc, Flaky) or is_inconsistent_replay(exc)) and not reported
    return status, again or (is_unlike and ctx.sent < settings.max_examples), reported


_describe: Any = lambda_sources._lambda_description
_describing = threading.RLock()


def _describe_alone(*arguments: Any, **options: Any) -> Any:
    """Describe a lambda in one thread at a time. Two together ended a run: a dictionary changed while one of them read it."""
    with _describing:
        return _describe(*arguments, **options)


lambda_sources._lambda_description = _describe_alone
stateful.StatefulContext = _Context  # type: ignore[attr-defined]  # its user looks it up there
stateful._classify_suite_error = _go_on
