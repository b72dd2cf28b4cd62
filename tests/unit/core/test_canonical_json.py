"""One value has one canonical text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asyncjobs.core.canonical_json import canonical_json


@pytest.mark.parametrize(
    ("one", "other"), [(44.0, 44), ({"b": [1.0], "a": -0.0}, {"a": 0, "b": [1]}), (1e20, 10**20), ("1.0", "1.0")]
)
def test_equal_values_have_one_text(one: Any, other: Any) -> None:
    assert canonical_json(one) == canonical_json(other)


@pytest.mark.parametrize("value", [0.5, 1e21, 1e300, True, None])
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
