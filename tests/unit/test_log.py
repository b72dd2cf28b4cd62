"""Events: each has a level and metrics, is documented, and holds none of a job's contents."""

from __future__ import annotations

import ast
import json
import logging
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest

from asyncjobs import log
from asyncjobs.core.job import JobFailure, Result
from asyncjobs.log import LEVELS, METRICS, log_event
from asyncjobs.service import submit
from tests.support.factories import JOB_ID, new_job, running_job
from tests.support.lines import written_lines
from tests.unit.conftest import Lines

ROOT = Path(__file__).parents[2]
SOURCES = [*(ROOT / "layers/asyncjobs/asyncjobs").rglob("*.py"), *(ROOT / "functions").rglob("*.py")]
ERRORS = {name for name in LEVELS if name.endswith(("_FAILED", "_MALFORMED", "_UNREADABLE", "_SKIPPED", "LOCATION_REFUSED"))}
WARNINGS = {
    name
    for name in LEVELS
    if name.endswith(("_RETRIED", "_FENCED", "_DEFERRED", "_REPLACED", "_UNAVAILABLE", "_DISABLED", "_DROPPED"))
}


@cache
def calls() -> Sequence[tuple[ast.FunctionDef | ast.AsyncFunctionDef, ast.Call]]:
    """Return each call of `log_event` in the source, with the function that makes it."""
    return [
        (function, node)
        for path in SOURCES
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "log_event"
    ]


def names_in_source() -> set[str]:
    """Return the names that are logged: those in the calls, and where a call chooses one, those in the function that chooses."""
    names = set[str]()
    for function, call in calls():
        place = call.args[0] if isinstance(call.args[0], ast.Constant) else function
        constants = {node.value for node in ast.walk(place) if isinstance(node, ast.Constant)}
        names |= {name for name in constants if isinstance(name, str) and re.fullmatch("[A-Z]+(_[A-Z]+)*", name)}
    return names


def fields_in_source() -> set[str]:
    return {str(keyword.arg) for _, call in calls() for keyword in call.keywords} - {"exception", "level"}


def documented() -> dict[str, dict[str, str]]:
    """Return each row of the table of events in the operator's guide, by the event's name."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([A-Z]+) \|(.*?)\|(.*)\|$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    return {name: {"level": level, "metrics": metrics, "meaning": meaning} for name, level, metrics, meaning in rows}


# ── Levels, metrics and documents of events ──────────────────────────────────────────────────────────


def test_every_event_in_the_source_has_a_level_and_no_other_has() -> None:
    assert names_in_source() == LEVELS.keys()


def test_every_event_is_documented_and_no_other_is() -> None:
    assert documented().keys() == LEVELS.keys()


@pytest.mark.parametrize("name", LEVELS)
def test_document_has_the_level_metrics_and_meaning_of_each_event(name: str) -> None:
    row = documented()[name]
    assert row["level"] == logging.getLevelName(LEVELS[name])
    assert set(re.findall(r"`(\w+)`", row["metrics"])) == METRICS.get(name, {}).keys()
    assert len(row["meaning"]) > 10


def test_every_field_is_documented() -> None:
    section = (ROOT / "docs/operations.md").read_text().partition("## Log events")[2].partition("\n## ")[0]
    assert fields_in_source() <= set(re.findall(r"`(\w+)`", section))


def kinds(error: type[Exception]) -> set[str]:
    """Return the errors that are raised as this one: itself, or those that it is the root of."""
    return {name for each in error.__subclasses__() for name in kinds(each)} or {error.__name__}


def test_document_has_every_reason_of_a_refused_submit() -> None:
    reasons = {name for error in get_args(submit._Refusal) for name in kinds(error)}
    assert set(re.findall("`([A-Z][A-Za-z]+)`", documented()["JOB_REFUSED"]["meaning"])) == reasons


def test_failures_are_errors_and_retries_are_warnings() -> None:
    assert {name for name, level in LEVELS.items() if level == logging.ERROR} == ERRORS
    assert {name for name, level in LEVELS.items() if level == logging.WARNING} == WARNINGS
    assert set(LEVELS.values()) == {logging.INFO, logging.WARNING, logging.ERROR}


def test_only_events_are_counted() -> None:
    assert METRICS.keys() <= LEVELS.keys()


# ── Fields ───────────────────────────────────────────────────────────────────────────────────────────


def test_event_about_a_job_has_its_id_type_and_attempt(lines: Lines) -> None:
    log_event("JOB_STARTED", running_job())
    assert lines.events == [{"message": "JOB_STARTED", "asyncJobId": JOB_ID, "jobType": "sample.returns", "attempt": 1}]


def test_event_before_the_first_attempt_has_no_attempt(lines: Lines) -> None:
    log_event("JOB_ACCEPTED", new_job())
    assert lines.events == [{"message": "JOB_ACCEPTED", "asyncJobId": JOB_ID, "jobType": "sample.returns"}]


def test_event_adds_its_own_fields(lines: Lines) -> None:
    log_event("CLAIM_DEFERRED", asyncJobId="x", reason="UNAVAILABLE")
    assert lines.events == [{"message": "CLAIM_DEFERRED", "asyncJobId": "x", "reason": "UNAVAILABLE"}]


def test_exception_is_logged_with_its_type_and_place_but_not_its_text(lines: Lines) -> None:
    try:
        int("canary")
    except ValueError as error:
        log_event("DELIVERY_FAILED", exception=error)
    (event,) = lines.events
    assert event["errorType"] == "ValueError"
    (frame,) = event["traceback"]
    assert re.fullmatch(rf"{re.escape(__file__)}:\d+ test_exception_is_logged_with_its_type_and_place_but_not_its_text", frame)
    assert "canary" not in lines.text()


@pytest.mark.parametrize("name", LEVELS)
def test_event_has_none_of_the_jobs_contents(lines: Lines, name: str) -> None:
    contents: dict[str, Any] = dict.fromkeys(("input", "input_location", "metadata", "message", "owner"), "canary")
    error = JobFailure(code="CANARY", message="canary", type="canary", retryable=True)
    log_event(name, new_job(**contents, result=Result("canary"), error=error))
    assert lines.names() == [name]
    assert "canary" not in json.dumps(lines.events).lower()


# ── Levels ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", LEVELS)
def test_event_below_the_level_is_left_out_unless_it_has_a_metric(lines: Lines, name: str) -> None:
    logging.getLogger("asyncjobs").setLevel(logging.CRITICAL)
    log_event(name)
    assert lines.names() == ([name] if name in METRICS else [])


def test_event_has_a_level_that_its_call_gives() -> None:
    with written_lines("WARNING") as written:
        log_event("PROBLEM_ANSWERED", errorCode="JOB_NOT_FOUND")
        log_event("PROBLEM_ANSWERED", level=logging.WARNING, errorCode="UNAVAILABLE")
        assert [(line["level"], line["errorCode"]) for line in written.lines()] == [("WARNING", "UNAVAILABLE")]


def test_jobs_own_lines_have_its_id_type_and_attempt(lines: Lines) -> None:
    job = running_job()
    log.for_job(job).info("Read %d pages.", 9)
    assert lines.events == [{"message": "Read 9 pages.", **log.job_fields(job)}]
