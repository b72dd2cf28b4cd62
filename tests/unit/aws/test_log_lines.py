"""Log lines: the same few keys, metrics in CloudWatch's format, and no payload."""

from __future__ import annotations

import asyncio
import io
import logging
import traceback
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from aws_lambda_powertools.metrics import MetricUnit

from asyncjobs import log
from asyncjobs.aws import log_lines
from asyncjobs.core.errors import Fatal, InvocationFailed
from asyncjobs.log import METRICS, log_event
from tests.support.events import LambdaContext
from tests.support.factories import JOB_ID, NOW, new_job, running_job
from tests.support.lines import Written, unconfigured_logger, written_lines

GATEWAY_ID = "JKJaXmPLvHcESHA="
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=557abcec3ee5a047;Sampled="
COUNTED = {
    "JOB_ACCEPTED": {"JobsAccepted"},
    "JOB_REFUSED": {"JobsRefused"},
    "JOB_ENQUEUE_DEFERRED": {"EnqueuesDeferred"},
    "JOB_COMPLETED": {"JobsCompleted", "durationMs"},
    "JOB_FAILED": {"JobsFailed"},
    "JOB_RETRIED": {"JobsRetried"},
    "JOB_CANCELLED": {"JobsCancelled"},
    "JOB_FENCED": {"AttemptsFenced"},
    "WEBHOOK_DISABLED": {"WebhooksDisabled"},
    "REQUEST_FAILED": {"RequestsFailed"},
    "CHANGE_SKIPPED": {"ChangesSkipped"},
}
"""The metrics of operators' dashboards and alarms: rename one only with a line in the changelog."""


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    monkeypatch.delenv("_X_AMZN_TRACE_ID", raising=False)
    with written_lines() as written:
        yield written


def raise_canary() -> None:
    raise KeyError("canary")


def log_raised(raise_error: Callable[[], None]) -> None:
    try:
        raise_error()
    except Exception as raised:  # noqa: BLE001 - as the worker does
        log_event("DELIVERY_FAILED", exception=raised)


# ── Failed invocations ────────────────────────────────────────────────────────────────────────────────


def test_failed_invocation_is_logged_and_raised_without_its_text(written: Written) -> None:
    """Lambda writes an error that it catches into the log, with its text."""

    @log_lines.failures_without_text
    def handler(_event: Any, _context: Any) -> None:
        raise_canary()

    with pytest.raises(InvocationFailed) as raised:
        handler({}, LambdaContext())
    assert "canary" not in "".join(traceback.format_exception(raised.value))
    assert str(raised.value) == "KeyError"
    (line,) = written.lines()
    assert (line["message"], line["level"], line["errorType"]) == ("INVOCATION_FAILED", "ERROR", "KeyError")
    assert line["traceback"].pop().endswith("raise_canary")
    assert "canary" not in str(line)


def test_successful_invocation_returns_its_answer(written: Written) -> None:
    assert log_lines.failures_without_text(lambda event, _: event)({"a": 1}, None) == {"a": 1}
    assert written.lines() == []


# ── Events ───────────────────────────────────────────────────────────────────────────────────────────


def test_line_has_time_level_event_and_job(written: Written) -> None:
    log_event("JOB_STARTED", running_job())
    (line,) = written.lines()
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo is not None
    assert line == {
        "level": "INFO",
        "message": "JOB_STARTED",
        "asyncJobId": JOB_ID,
        "jobType": "sample.returns",
        "attempt": 1,
    }


@pytest.mark.parametrize(("name", "level"), [("SWEPT", "INFO"), ("JOB_RETRIED", "WARNING"), ("JOB_FAILED", "ERROR")])
def test_line_has_its_events_level(written: Written, name: str, level: str) -> None:
    log_event(name)
    (line,) = written.lines()
    assert line["level"] == level


def test_event_is_always_one_line(written: Written) -> None:
    log_event("MESSAGE_MALFORMED", reason="two\nlines\r\nand “quotes”")
    (line,) = written.lines()
    assert line["reason"] == "two\nlines\r\nand “quotes”"


def test_value_that_is_not_json_is_written_as_text(written: Written) -> None:
    log_event("SEND_DEFERRED", at=NOW)
    (line,) = written.lines()
    assert line["at"] == str(NOW)


def test_lambdas_own_handler_does_not_print_the_line_again(written: Written) -> None:
    lambdas = io.StringIO()
    handler = logging.StreamHandler(lambdas)
    logging.getLogger().addHandler(handler)
    log_event("JOB_STARTED", running_job())
    logging.getLogger().removeHandler(handler)
    assert len(written.lines()) == 1
    assert lambdas.getvalue() == ""


@pytest.mark.parametrize(
    ("level", "shown"), [("DEBUG", ["d", "i", "w"]), ("INFO", ["i", "w"]), ("WARNING", ["w"]), ("ERROR", [])]
)
def test_jobs_lines_below_the_level_are_left_out(level: str, shown: list[str]) -> None:
    with written_lines(level) as written:
        logger = log.for_job(running_job())
        logger.debug("d")
        logger.info("i")
        logger.warning("w")
        assert [line["message"] for line in written.lines()] == shown


def test_configured_level_overrides_lambdas(monkeypatch: pytest.MonkeyPatch) -> None:
    # Lambda sets it to INFO where it filters the platform's lines.
    monkeypatch.setenv("AWS_LAMBDA_LOG_LEVEL", "INFO")
    with written_lines("ERROR") as written:
        log.for_job(running_job()).warning("too low")
        assert written.text == ""


# ── Request and trace ids ────────────────────────────────────────────────────────────────────────────


def test_line_of_an_api_function_has_the_request_id_of_a_problem(written: Written) -> None:
    written.invoke(lambda: log_event("JOB_STARTED", running_job()), correlation_id=GATEWAY_ID)
    (line,) = written.lines()
    assert line["requestId"] == GATEWAY_ID


def test_line_of_another_function_has_lambdas_request_id(written: Written) -> None:
    written.invoke(lambda: log_event("JOB_STARTED", running_job()))
    (line,) = written.lines()
    assert line["requestId"] == LambdaContext.aws_request_id


def test_jobs_own_line_has_the_request_id(written: Written) -> None:
    written.invoke(lambda: log.for_job(running_job()).info("Halfway."))
    (line,) = written.lines()
    assert line["requestId"] == LambdaContext.aws_request_id


def test_only_lines_of_a_cold_start_say_so(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aws_lambda_powertools.logging.logger.is_cold_start", True)
    for _ in range(2):
        written.invoke(lambda: log_event("JOB_STARTED", running_job()))
    cold, warm = written.lines()
    assert cold["coldStart"] is True
    assert "coldStart" not in warm


@pytest.mark.parametrize("sampled", ["1", "1;Lineage=25:a:1"])
def test_line_has_the_id_of_a_sampled_trace(written: Written, monkeypatch: pytest.MonkeyPatch, sampled: str) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", TRACE + sampled)
    log_event("JOB_STARTED", running_job())
    (line,) = written.lines()
    assert line["traceId"] == "1-5759e988-bd862e3fe1be46a994272793"


@pytest.mark.parametrize("trace", ["", TRACE + "0"])
def test_line_has_no_id_of_an_unsampled_trace(written: Written, monkeypatch: pytest.MonkeyPatch, trace: str) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)
    log_event("JOB_STARTED", running_job())
    (line,) = written.lines()
    assert "traceId" not in line


# ── Metrics ────────────────────────────────────────────────────────────────────────────────────────


def test_metrics_keep_their_published_names() -> None:
    assert {name: set(metrics) for name, metrics in METRICS.items()} == {
        **COUNTED,
        "SWEPT": {"oldestDueAgeMs", "sweepFailures"},
    }
    assert {unit for metrics in METRICS.values() for unit in metrics.values()} <= {unit.value for unit in MetricUnit}


@pytest.mark.parametrize("name", COUNTED)
def test_counted_event_has_its_metric_on_the_same_line(written: Written, name: str) -> None:
    log_event(name, running_job(), durationMs=12)
    (line,) = written.lines()
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "asyncjobs"
    assert {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]} == METRICS[name]
    assert all(type(line[metric["Name"]]) is int for metric in directive["Metrics"])
    assert abs(line["_aws"]["Timestamp"] - datetime.fromisoformat(line["timestamp"]).timestamp() * 1000) < 60_000


@pytest.mark.parametrize("name", COUNTED)
def test_metric_has_application_and_job_type_as_dimensions(written: Written, name: str) -> None:
    for _ in range(2):
        log_event(name, running_job())
    first, second = written.lines()
    for line in (first, second):
        (directive,) = line["_aws"]["CloudWatchMetrics"]
        assert directive["Dimensions"] == [["application"], ["application", "jobType"]]
        assert (line["application"], line["jobType"]) == ("orders", "sample.returns")


def test_metric_without_a_job_has_no_job_type(written: Written) -> None:
    log_event("SWEPT", lookedAt=3, oldestDueAgeMs=1500, sweepFailures=2)
    (line,) = written.lines()
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [["application"]]
    assert directive["Metrics"] == [
        {"Name": "oldestDueAgeMs", "Unit": "Milliseconds"},
        {"Name": "sweepFailures", "Unit": "Count"},
    ]
    assert (line["oldestDueAgeMs"], line["sweepFailures"]) == (1500, 2)


@pytest.mark.parametrize("failures", [0, 3])
def test_count_with_a_value_is_that_value(written: Written, failures: int) -> None:
    log_event("SWEPT", oldestDueAgeMs=0, sweepFailures=failures)
    (line,) = written.lines()
    assert line["sweepFailures"] == failures


def test_metric_without_a_value_is_not_declared(written: Written) -> None:
    # CloudWatch drops a whole line that announces a metric it does not hold.
    log_event("JOB_COMPLETED", running_job())
    (line,) = written.lines()
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert [metric["Name"] for metric in directive["Metrics"]] == ["JobsCompleted"]


def test_uncounted_event_has_no_metric(written: Written) -> None:
    log_event("JOB_STARTED", running_job())
    (line,) = written.lines()
    assert "_aws" not in line


def test_metric_is_written_at_every_level() -> None:
    with written_lines("ERROR") as written:
        log_event("SWEPT", oldestDueAgeMs=0)
        assert written.names() == {"SWEPT"}


# ── Payloads ─────────────────────────────────────────────────────────────────────────────────────────


def test_line_has_no_keys_that_other_code_appends_to_the_logger(written: Written) -> None:
    logger = logging.getLogger("asyncjobs")
    logger.info("Somebody's line.", extra={"input": "canary", "fields": {"count": 1}})
    (line,) = written.lines()
    assert (line["message"], line["count"]) == ("Somebody's line.", 1)
    assert "canary" not in written.text


def test_line_has_only_the_request_id_of_lambdas_context(written: Written) -> None:
    written.invoke(lambda: log_event("JOB_STARTED", running_job()))
    (line,) = written.lines()
    assert line["requestId"] == LambdaContext.aws_request_id
    assert "function" not in written.text


def test_text_of_an_exception_is_not_logged(written: Written) -> None:
    try:
        raise_canary()
    except KeyError:
        log.for_job(running_job()).exception("It went wrong.")
    log_raised(raise_canary)
    logged, event = written.lines()
    assert (logged["message"], logged["level"], logged["errorType"]) == ("It went wrong.", "ERROR", "KeyError")
    assert [frame.rpartition(" ")[2] for frame in logged["traceback"]][-1] == "raise_canary"
    assert event["errorType"] == "KeyError"
    assert "canary" not in written.text.replace("raise_canary", "")


def test_worker_may_log_the_text_of_an_exception() -> None:
    with written_lines(with_exception_text=True) as written:
        log_raised(raise_canary)
        (line,) = written.lines()
        assert line["exceptionText"] == "'canary'"


def test_message_of_fatal_is_not_logged() -> None:
    def raise_fatal() -> None:
        raise Fatal("canary")

    with written_lines(with_exception_text=True) as written:
        log_raised(raise_fatal)
        (line,) = written.lines()
        assert "exceptionText" not in line


def test_long_text_is_cut() -> None:
    def raise_at_length() -> None:
        raise ValueError("x" * 100_000)

    with written_lines(with_exception_text=True) as written:
        log_raised(raise_at_length)
        (line,) = written.lines()
        assert line["exceptionText"] == "x" * log_lines._MAX_TEXT


def test_texts_and_places_of_a_group_are_those_of_its_members() -> None:
    async def job() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(step())

    async def step() -> None:
        raise_canary()

    with written_lines(with_exception_text=True) as written:
        log_raised(lambda: asyncio.run(job()))
        (line,) = written.lines()
        assert (line["errorType"], line["exceptionText"]) == ("ExceptionGroup", "KeyError: 'canary'")
        assert line["traceback"][-1].endswith(" raise_canary")


def test_exception_whose_text_fails_is_logged() -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def raise_unprintable() -> None:
        raise Unprintable

    with written_lines(with_exception_text=True) as written:
        log_raised(raise_unprintable)
        (line,) = written.lines()
        assert (line["errorType"], line["exceptionText"]) == ("Unprintable", "Unprintable")


def test_lone_surrogate_is_logged(written: Written) -> None:
    log_event("MESSAGE_MALFORMED", reason="a\ud800b")
    (line,) = written.lines()
    assert line["reason"] == "a?b"


def test_exc_info_without_an_exception_changes_nothing(written: Written) -> None:
    log.for_job(running_job()).error("Nothing was raised.", exc_info=True)
    (line,) = written.lines()
    assert line["message"] == "Nothing was raised."
    assert "traceback" not in line


# ── Size ─────────────────────────────────────────────────────────────────────────────────────────────

BEFORE_POWERTOOLS = """\
{"time": "2026-11-21T12:00:00.000Z", "level": "INFO", "message": "JOB_ACCEPTED", "asyncJobId": "3f2b8c1e-4d5a-4b6c-8d7e-9f0a1b2c3d4e", "jobType": "sample.returns", "attempt": 0, "status": "PENDING", "application": "orders", "JobsAccepted": 1, "_aws": {"Timestamp": 1795673972071, "CloudWatchMetrics": [{"Namespace": "asyncjobs", "Dimensions": [["application"], ["application", "jobType"]], "Metrics": [{"Name": "JobsAccepted", "Unit": "Count"}]}]}}
{"time": "2026-11-21T12:00:00.000Z", "level": "INFO", "message": "JOB_STARTED", "asyncJobId": "3f2b8c1e-4d5a-4b6c-8d7e-9f0a1b2c3d4e", "jobType": "sample.returns", "attempt": 1, "status": "IN_PROGRESS"}
{"time": "2026-11-21T12:00:00.000Z", "level": "INFO", "message": "JOB_COMPLETED", "asyncJobId": "3f2b8c1e-4d5a-4b6c-8d7e-9f0a1b2c3d4e", "jobType": "sample.returns", "attempt": 1, "status": "COMPLETED", "durationMs": 123, "application": "orders", "JobsCompleted": 1, "_aws": {"Timestamp": 1795673972071, "CloudWatchMetrics": [{"Namespace": "asyncjobs", "Dimensions": [["application"], ["application", "jobType"]], "Metrics": [{"Name": "JobsCompleted", "Unit": "Count"}, {"Name": "durationMs", "Unit": "Milliseconds"}]}]}}
"""
"""The lines of a short job when they had no request id, and no Powertools behind them."""


def test_short_job_logs_no_more_bytes_than_before_request_ids(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aws_lambda_powertools.logging.logger.is_cold_start", False)
    monkeypatch.setenv("_X_AMZN_TRACE_ID", TRACE + "0")  # as on AWS without tracing
    written.invoke(lambda: log_event("JOB_ACCEPTED", new_job()), correlation_id=GATEWAY_ID)
    with unconfigured_logger(), written_lines() as worker:

        def work() -> None:
            log_event("JOB_STARTED", running_job())
            log_event("JOB_COMPLETED", running_job(), durationMs=123)

        worker.invoke(work)
        lines = written.text + worker.text
    assert len(lines.splitlines()) == len(BEFORE_POWERTOOLS.splitlines())
    assert len(lines) <= len(BEFORE_POWERTOOLS), lines
