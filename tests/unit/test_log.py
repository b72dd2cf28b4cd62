"""Lines for people and programs: the same few keys, metrics on them, and nothing that quotes a payload."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from asyncjobs import log
from asyncjobs.core.job import JobFailure, Result
from asyncjobs.log import log_event
from tests.support.factories import JOB_ID, NOW, new_job, running_job

Lines = Callable[[], list[dict[str, Any]]]

METRICS = {
    "JOB_ACCEPTED": {"JobsAccepted"},
    "JOB_REFUSED": {"JobsRefused"},
    "JOB_ENQUEUE_DEFERRED": {"EnqueuesDeferred"},
    "JOB_COMPLETED": {"JobsCompleted", "durationMs"},
    "JOB_FAILED": {"JobsFailed"},
    "JOB_RETRIED": {"JobsRetried"},
    "JOB_CANCELLED": {"JobsCancelled"},
    "JOB_FENCED": {"AttemptsFenced"},
}
"""What an operator's dashboards and alarms are made of: to be renamed only with a line in the changelog."""


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """The lines written so far, by a logger configured as a function configures it."""
    logger, out = logging.getLogger("asyncjobs"), io.StringIO()
    before = (logger.handlers, logger.level, logger.propagate)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        log.configure("orders")
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    logger.handlers, logger.level, logger.propagate = before


def test_a_line_says_when_what_and_about_which_job(written: Lines) -> None:
    log_event("JOB_STARTED", running_job())
    (line,) = written()
    assert datetime.fromisoformat(line.pop("time")).tzinfo is not None
    assert line == {
        "level": "INFO",
        "message": "JOB_STARTED",
        "asyncJobId": JOB_ID,
        "jobType": "sample.returns",
        "attempt": 1,
        "status": "IN_PROGRESS",
    }


def test_an_event_adds_its_own_fields(written: Lines) -> None:
    log_event("CLAIM_DEFERRED", asyncJobId="x", reason="UNAVAILABLE")
    (line,) = written()
    assert (line["asyncJobId"], line["reason"]) == ("x", "UNAVAILABLE")


def test_each_event_is_one_line_whatever_it_holds(written: Lines) -> None:
    log_event("MESSAGE_MALFORMED", reason="two\nlines\r\nand “quotes”")
    (line,) = written()
    assert line["reason"] == "two\nlines\r\nand “quotes”"


def test_what_json_does_not_know_is_written_as_text(written: Lines) -> None:
    log_event("SEND_DEFERRED", at=NOW)
    (line,) = written()
    assert line["at"] == str(NOW)


def test_a_line_is_not_printed_a_second_time_by_lambdas_own_handler(written: Lines) -> None:
    lambdas = io.StringIO()
    handler = logging.StreamHandler(lambdas)
    logging.getLogger().addHandler(handler)
    log_event("JOB_STARTED", running_job())
    logging.getLogger().removeHandler(handler)
    assert len(written()) == 1
    assert lambdas.getvalue() == ""


# ── Metrics ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", METRICS)
def test_what_is_counted_is_a_metric_in_cloudwatchs_embedded_format(written: Lines, name: str) -> None:
    log_event(name, running_job(), durationMs=12)
    (line,) = written()
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "asyncjobs"
    assert {metric["Name"] for metric in directive["Metrics"]} == METRICS[name]
    assert all(type(line[metric["Name"]]) in (int, float) for metric in directive["Metrics"])
    assert {metric["Unit"] for metric in directive["Metrics"]} <= {"Count", "Milliseconds"}
    assert abs(line["_aws"]["Timestamp"] - datetime.fromisoformat(line["time"]).timestamp() * 1000) < 60_000


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_kept_by_application_and_by_job_type(written: Lines, name: str) -> None:
    log_event(name, running_job())
    (line,) = written()
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["application"], ["application", "jobType"]]
    assert (line["application"], line["jobType"]) == ("orders", "sample.returns")


def test_a_metric_that_belongs_to_no_job_has_no_job_type(written: Lines) -> None:
    log_event("SWEPT", lookedAt=3, oldestDueAgeMs=1500)
    (line,) = written()
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["application"]]
    assert directive["Metrics"] == [{"Name": "oldestDueAgeMs", "Unit": "Milliseconds"}]
    assert line["oldestDueAgeMs"] == 1500


def test_a_metric_whose_value_is_not_known_is_not_announced(written: Lines) -> None:
    # CloudWatch drops a whole line that announces a metric it does not hold.
    log_event("JOB_COMPLETED", running_job())
    (line,) = written()
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert [metric["Name"] for metric in directive["Metrics"]] == ["JobsCompleted"]


def test_what_is_not_counted_costs_no_metric(written: Lines) -> None:
    log_event("JOB_STARTED", running_job())
    (line,) = written()
    assert "_aws" not in line


# ── Nothing that quotes a payload ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["JOB_STARTED", *METRICS])
def test_a_line_about_a_job_holds_none_of_its_contents(written: Lines, name: str) -> None:
    error = JobFailure(code="CANARY", message="canary", type="canary", retryable=True)
    job = new_job(
        input="canary", input_location="canary", metadata="canary", message="canary", result=Result("canary"), error=error
    )
    log_event(name, job)
    assert "canary" not in json.dumps(written()).lower()


def test_the_owner_is_not_in_a_line(written: Lines) -> None:
    log_event("JOB_ACCEPTED", new_job(owner="somebody@example.com"))
    assert "somebody" not in json.dumps(written())


def test_an_exception_is_named_and_placed_but_not_quoted(written: Lines) -> None:
    logger = log.for_job(running_job())
    try:
        int("canary")
    except ValueError:
        logger.exception("It went wrong.")
    (line,) = written()
    assert (line["message"], line["level"], line["errorType"]) == ("It went wrong.", "ERROR", "ValueError")
    assert [frame.rpartition(" ")[2] for frame in line["stack"]] == ["test_an_exception_is_named_and_placed_but_not_quoted"]
    assert "canary" not in json.dumps(line)


def test_an_exception_that_is_not_there_disturbs_nothing(written: Lines) -> None:
    log.for_job(running_job()).error("Nothing was raised.", exc_info=True)
    (line,) = written()
    assert line["message"] == "Nothing was raised."
    assert "stack" not in line


# ── The job's own logger ───────────────────────────────────────────────────────────────────────────


def test_a_jobs_own_lines_carry_what_ours_do(written: Lines) -> None:
    log.for_job(running_job()).info("Read %d pages.", 9)
    (line,) = written()
    assert line["message"] == "Read 9 pages."
    assert {name: line[name] for name in log.job_fields(running_job())} == log.job_fields(running_job())
