"""The events that a job's code sends: what they may be, and whose change they are."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from asyncjobs.core.errors import Fatal
from asyncjobs.core.named_events import MAX_DATA, MAX_NAME, NamedEvent, checked_event, event_brought_to
from tests.support.factories import running_job


@pytest.mark.parametrize("name", ["rows_loaded", "x", "import.rows_2", "x" * MAX_NAME])
def test_name_is_words_in_lower_case(name: str) -> None:
    assert checked_event(name, {}) == NamedEvent(name, "{}")


@pytest.mark.parametrize("name", ["", "Rows", "rows loaded", "rows-loaded", "_x", "x.", "x" * (MAX_NAME + 1), "a\n", None, 7])
def test_other_name_is_fatal(name: Any) -> None:
    with pytest.raises(Fatal, match="rows_loaded") as raised:
        checked_event(name, {})
    assert raised.value.code == "INVALID_EVENT"


def test_data_keep_their_value() -> None:
    amount = Decimal("12345678901234567890.123456789")
    assert checked_event("x", {"amount": amount, "name": "ü", "rows": [1, None]}).data == (
        '{"amount":12345678901234567890.123456789,"name":"ü","rows":[1,null]}'
    )


@pytest.mark.parametrize(
    "data",
    [[], "text", None, {"x": float("nan")}, {"x": object()}, {"x": b"bytes"}, {"x": "\ud800"}, {1: "a", "1": "b"}, {(1,): 2}],
)
def test_data_that_are_no_json_object_are_fatal(data: Any) -> None:
    with pytest.raises(Fatal) as raised:
        checked_event("x", data)
    assert raised.value.code == "INVALID_EVENT"


def test_data_that_contain_themselves_are_fatal() -> None:
    data: dict[str, Any] = {}
    data["x"] = data
    with pytest.raises(Fatal):
        checked_event("x", data)


def test_data_have_a_kilobyte_at_most() -> None:
    frame = len('{"x":""}')
    assert len(checked_event("x", {"x": "a" * (MAX_DATA - frame)}).data) == MAX_DATA
    for text in ("a" * (MAX_DATA - frame + 1), "ü" * (MAX_DATA // 2)):
        with pytest.raises(Fatal, match="maximum is 1024"):
            checked_event("x", {"x": text})


def test_event_belongs_to_the_change_with_its_number_only() -> None:
    event = NamedEvent("rows_loaded", '{"table":"of orders","rows":7}')
    job = replace(running_job(), named_event=event.as_change(5))
    assert event_brought_to(replace(job, seq=5)) == event
    assert [event_brought_to(replace(job, seq=seq)) for seq in (4, 6, 55)] == [None] * 3


@pytest.mark.parametrize("text", [None, "", "5", "5 name", "x name {}", "5  "])
def test_record_that_something_else_wrote_has_no_event(text: str | None) -> None:
    assert event_brought_to(replace(running_job(), seq=5, named_event=text)) is None
