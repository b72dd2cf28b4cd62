"""Numbers in JSON keep their value."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs.core.exact_json import exact_number, read_json, write_json


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,25})\.[0-9]{1,25}([eE][+-]?[0-9]{1,2})?", fullmatch=True))
def test_number_is_written_as_the_number_that_was_read(text: str) -> None:
    assert Decimal(write_json(read_json(text))) == Decimal(text)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_number_that_a_float_holds_is_a_float(value: float) -> None:
    number = exact_number(repr(value))
    assert type(number) is float
    assert number == value


@pytest.mark.parametrize("text", ["12345678901234567.89", "1e400", "1e-400", "0.1000000000000000055511151231257827"])
def test_number_that_no_float_holds_is_a_decimal(text: str) -> None:
    assert exact_number(text) == Decimal(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            {"a": [Decimal("12345678901234567.89"), "x\0", None, True, {}]},
            '{"a":[12345678901234567.89,"x\\u0000",null,true,{}]}',
        ),
        ([Decimal("1E-7")], "[1E-7]"),
        ({'ü"': (Decimal("2.5"), 1e22)}, '{"ü\\"":[2.5,1e+22]}'),
    ],
)
def test_value_with_decimals_is_written_as_json(value: Any, text: str) -> None:
    assert write_json(value) == text
    assert json.loads(text)


def test_keys_are_written_alike_with_and_without_decimals() -> None:
    names = {1: 0, None: 0, False: 0, 0.5: 0}
    assert write_json({**names, "d": Decimal("0.5")}) == write_json({**names, "d": 0.5})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN"), [Decimal("-Infinity")]])
def test_number_without_json_is_rejected(value: Any) -> None:
    with pytest.raises(ValueError, match=r"Out of range|is not JSON"):
        write_json(value)


def test_value_that_is_not_json_is_rejected() -> None:
    with pytest.raises(TypeError):
        write_json({"a": Decimal(1), "b": {1}})


@pytest.mark.parametrize("method", ["default", "encode", "iterencode", "__init__"])
def test_encoder_that_a_program_has_patched_changes_nothing(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setattr(json.JSONEncoder, method, lambda *_: '"patched"')
    assert write_json({"amount": Decimal("12345678901234567.89")}) == '{"amount":12345678901234567.89}'
    with pytest.raises(TypeError):
        write_json(object())
