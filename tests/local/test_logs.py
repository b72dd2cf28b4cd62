"""Log lines in a readable form."""

import json
from typing import Any

import pytest

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


def test_value_of_several_words_is_quoted() -> None:
    message = {"timestamp": "2026-01-02T03:04:05Z", "level": "INFO", "message": "X", "jobType": "a attempt=9", "empty": ""}
    assert shown(json.dumps(message)).endswith('X jobType="a attempt=9" empty=""')


FORGED = "05:00:00.000  worker   INFO    JOB_COMPLETED"


@pytest.mark.parametrize(
    "text",
    [
        "\x1b]0;a title\x07",
        "\x1b[2J",
        "\x9b31m",  # the same in one character of C1
        "\r\x7f\b",
        "\u202etxt.exe",  # right to left
        "\u2066x\u2069\u200b",
        "\ud800",
    ],
    ids=ascii,
)
@pytest.mark.parametrize("place", ["message", "level", "jobType", "key", "plain", "traceback"])
def test_no_text_reaches_the_terminal_as_a_command(text: str, place: str) -> None:
    assert shown(line_with(text, place)).replace("\n", "").isprintable()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"], ids=ascii)
@pytest.mark.parametrize("place", ["message", "level", "jobType", "key", "plain", "traceback"])
def test_no_text_can_look_like_a_line(end: str, place: str) -> None:
    first, *others = shown(line_with(f"x{end}{FORGED}", place)).splitlines()
    assert first[8] == "."
    assert all(line.startswith(" ") for line in others)


def test_text_in_other_scripts_is_shown_unchanged() -> None:
    assert shown("Größe 大きさ गुण\n").endswith("Größe 大きさ गुण")


def line_with(text: str, place: str) -> str:
    if place == "plain":
        return text
    line: dict[str, Any] = {"timestamp": "2026-01-02T03:04:05Z", "level": "INFO", "message": "X"}
    match place:
        case "key":
            line[text] = 1
        case "traceback":
            line["traceback"] = [text, {text: text}]
        case _:
            line[place] = text
    return json.dumps(line)


def test_lambdas_own_lines_are_left_out() -> None:
    assert readable(GROUP, 0, "REPORT RequestId: 1 Duration: 2 ms") is None


def shown(message: str) -> str:
    line = readable(GROUP, 0, message)
    assert line is not None
    return line[1]
