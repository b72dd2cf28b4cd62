# ruff: noqa: ARG001 - schemathesis knows hooks by the names of their arguments
"""What schemathesis is told besides the document: what no schema can say, and to note what was answered."""

from __future__ import annotations

import atexit
import json
import os
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import schemathesis

from asyncjobs.http import Problem, parse_json
from asyncjobs.parsing import MAX_METADATA
from asyncjobs.service import canonical_json

_answers: Counter[str] = Counter()


@schemathesis.hook
def filter_body(context: Any, body: Any) -> bool:
    """Leave out what is refused for its bytes, digits or depth: tests/unit and tests/security send that."""
    try:
        parse_json(json.dumps(body).encode())
        return not isinstance(body, dict) or len(canonical_json(body.get("metadata"))) <= MAX_METADATA
    except (Problem, TypeError, ValueError):
        return False


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Let no deletion take the jobs that the others ask for."""
    seeded = Path("jobs.txt").read_text()
    if case.operation.definition.raw["operationId"] == "deleteJob" and case.path_parameters.get("asyncJobId", "") in seeded:
        case.path_parameters["asyncJobId"] = str(uuid.uuid4())


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Count the answer."""
    _answers[f"{case.operation.definition.raw['operationId']} {response.status_code}"] += 1


@atexit.register
def _write() -> None:
    Path(os.environ["ASYNCJOBS_ANSWERS"]).write_text(json.dumps(_answers))
