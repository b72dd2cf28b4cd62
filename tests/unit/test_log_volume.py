"""The bytes that a job logs, of which both price tables are made: measured here, and read in the documents."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from asyncjobs.log import log_event
from tests.support.factories import new_job, running_job
from tests.support.lines import unconfigured_logger, written_lines
from tests.template.source import resource

ROOT = Path(__file__).parents[2]
PER_EVENT = 26
"""Bytes that CloudWatch Logs adds to each line of a batch."""
BEFORE = 1_172
"""Bytes of the same lines, without the former, when the library's own formatter wrote them (docs/decisions.md)."""
USD_PER_GB = 0.50
REQUEST_ID = "8f5f5f6e-1c2d-4e3f-9a0b-1c2d3e4f5a6b"
LAMBDA = (
    f"START RequestId: {REQUEST_ID} Version: $LATEST\n",
    f"END RequestId: {REQUEST_ID}\n",
    f"REPORT RequestId: {REQUEST_ID}\tDuration: 12.34 ms\tBilled Duration: 13 ms\tMemory Size: 512 MB\tMax Memory Used: 110 MB\t\n",
)
"""What Lambda writes about an invocation, in its documented format."""
ACCESS = {
    "requestId": "JKJaXmPLvHcESHA=",
    "requestTime": "26/Nov/2026:12:00:00 +0000",
    "status": "200",
    "identity.sourceIp": "203.0.113.195",
    "responseLatency": "25",
    "responseLength": "1024",
    "integrationErrorMessage": "-",
    "authorizer.error": "-",
}
SUBMIT, POLL = "POST /api/v1/jobs", "GET /api/v1/jobs/{asyncJobId}"


def access_line(route: str) -> str:
    line: str = resource("Api")["Properties"]["AccessLogSettings"]["Format"]
    for name, value in {**ACCESS, "routeKey": route}.items():
        line = line.replace(f"$context.{name}", value)
    assert "$" not in line
    return f"{line}\n"


def size(*lines: str) -> int:
    return sum(len(line) + PER_EVENT for line in lines)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Sequence[str]:
    """Return the library's lines about a job that is submitted, run and polled."""
    monkeypatch.setattr("aws_lambda_powertools.logging.logger.is_cold_start", False)
    monkeypatch.delenv("_X_AMZN_TRACE_ID", raising=False)
    with written_lines() as submit:
        submit.invoke(lambda: log_event("JOB_ACCEPTED", new_job()), correlation_id=ACCESS["requestId"])

    def work() -> None:
        log_event("JOB_STARTED", running_job())
        log_event("JOB_COMPLETED", running_job(), durationMs=123)

    with unconfigured_logger(), written_lines() as worker:
        worker.invoke(work)
    return [*submit.text.splitlines(keepends=True), *worker.text.splitlines(keepends=True)]


@pytest.fixture
def library(lines: Sequence[str]) -> int:
    """Return the size of the library's lines about a job."""
    return size(*lines)


def rounded(amount: int) -> int:
    return round(amount, -1)


def test_short_job_logs_no_more_than_before_powertools(lines: Sequence[str]) -> None:
    """The documents have what is measured, so they would follow a growth. This bound does not."""
    assert sum(map(len, lines)) <= BEFORE
    sentence = " ".join((ROOT / "docs/decisions.md").read_text().split())
    assert f"({BEFORE:,} before, {sum(map(len, lines)):,} now; a test counts them)" in sentence


def test_table_of_log_volume_is_measured(library: int) -> None:
    text = (ROOT / "docs/operations.md").read_text()
    invocation, access = size(*LAMBDA), size(access_line(SUBMIT), access_line(POLL))
    rows = {
        "asyncjobs": rounded(library),
        f"Lambda, with `SystemLogLevel: INFO` (three invocations of {rounded(invocation)})": rounded(3 * invocation),
        "the API's access log (two requests)": rounded(access),
    }
    for what, amount in rows.items():
        assert f"| {what} | {amount:,} | {amount / 1000 * USD_PER_GB:.2f} |" in text, (what, amount)
    total = sum(rows.values())
    saved = rounded(3 * invocation)
    sentence = " ".join(text.split())
    assert f"`WARN` saves {saved:,} of {total:,} bytes per job, which is {saved / total:.0%}".replace("%", " %") in sentence
    poll = rounded(invocation), rounded(size(access_line(POLL)))
    assert f"Each further poll writes {poll[0]} bytes of Lambda's lines and {poll[1]} of the access log" in sentence


def test_price_table_has_the_same_log_volume(library: int) -> None:
    # A million jobs, each submitted, run and polled three times.
    total = library + 5 * size(*LAMBDA) + size(access_line(SUBMIT)) + 3 * size(access_line(POLL))
    gigabytes = round(total / 1000, 1)
    row = re.search(r"\| CloudWatch: logs of functions and API \| (.*?) GB \| (.*?) \|", (ROOT / "README.md").read_text())
    assert row is not None
    assert row.groups() == (f"{gigabytes}", f"{gigabytes * USD_PER_GB:.2f}")


def test_total_of_the_price_table_is_the_sum_of_its_rows() -> None:
    table = (ROOT / "README.md").read_text().partition("| service | quantity | USD |")[2].partition("**total**")
    rows = [float(each) for each in re.findall(r"\| (\d+\.\d\d) \|$", table[0], re.MULTILINE)]
    (total,) = re.findall(r"\*\*(\d+\.\d\d)\*\*", table[2].partition("\n")[0])
    assert len(rows) > 4
    assert round(sum(rows), 2) == float(total)
