"""Log lines in a readable form."""

import json

from local.logs import readable

GROUP = "/aws/cloudformation/asyncjobs/WorkerLog"


def test_line_begins_with_time_function_and_level() -> None:
    message = json.dumps({"timestamp": "2026-01-02T03:04:05.678Z", "level": "INFO", "message": "JOB_STARTED", "attempt": 1})
    assert shown(message)[5:] == ":05.678  worker   INFO    JOB_STARTED attempt=1"


def test_metric_definitions_are_not_shown() -> None:
    message = {"timestamp": "2026-01-02T03:04:05Z", "level": "INFO", "message": "X", "_aws": {"CloudWatchMetrics": []}}
    assert "CloudWatchMetrics" not in shown(json.dumps(message))


def test_other_text_is_shown_unchanged() -> None:
    assert shown("Traceback: [oh]\n").endswith("worker   Traceback: [oh]")


def test_lambdas_own_lines_are_left_out() -> None:
    assert readable(GROUP, 0, "REPORT RequestId: 1 Duration: 2 ms") is None


def shown(message: str) -> str:
    line = readable(GROUP, 0, message)
    assert line is not None
    return line[1]
