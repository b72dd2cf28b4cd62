"""One value has one canonical text."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from asyncjobs.core.canonical_json import canonical_json
from asyncjobs.core.exact_json import read_json


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (44.0, 44),
        ({"b": [1.0], "a": -0.0}, {"a": 0, "b": [1]}),
        (1e20, 10**20),
        (1e25, 10**25),
        (Decimal("12345678901234567.890"), Decimal("12345678901234567.89")),
        (Decimal("0.5"), 0.5),
        (Decimal("1E+300"), 1e300),
        ("1.0", "1.0"),
    ],
)
def test_equal_values_have_one_text(one: Any, other: Any) -> None:
    assert canonical_json(one) == canonical_json(other)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("12345678901234567.89", "12345678901234567.89"),
        ("0.1234567890123456789012345678901234567", "0.1234567890123456789012345678901234567"),
        ("12345678901234567000.0", "12345678901234567000"),
        ("9007199254740993.0", "9007199254740993"),
        ("99999999999999999999999999999999999999", "9" * 38),
        ("9.9999999999999999999999999999999999999e37", "9" * 38),
        ("1e25", "1" + "0" * 25),
        ("1e37", "1" + "0" * 37),
        ("1E38", "1e+38"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("2.50", "2.5"),
    ],
)
def test_number_keeps_its_value(text: str, canonical: str) -> None:
    assert canonical_json(read_json(text)) == canonical.encode()
    assert canonical_json([{"a": read_json(text)}]) == f'[{{"a":{canonical}}}]'.encode()


def test_numbers_that_one_float_stands_for_have_two_texts() -> None:
    one, other = "12345678901234567.89", "12345678901234567.12"
    assert float(one) == float(other)
    assert canonical_json(read_json(one)) != canonical_json(read_json(other))


@pytest.mark.parametrize("value", [0.5, 1e38, 1e300, True, None])
def test_other_values_keep_their_json(value: Any) -> None:
    assert repr(json.loads(canonical_json(value))) == repr(value)


def test_text_does_not_depend_on_the_order_of_keys() -> None:
    assert (
        canonical_json({"b": [1, "ü"], "a": None})
        == canonical_json({"a": None, "b": [1, "ü"]})
        == '{"a":null,"b":[1,"ü"]}'.encode()
    )


def test_nan_is_rejected() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json(float("nan"))
