"""JSON whose numbers keep their value: a number that a float cannot hold is a `Decimal`."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

MAX_DIGITS = 38
"""The most digits of a number: the precision of DynamoDB's numbers, and about that of clients in other languages."""
INTEGER_LIMIT = 10**MAX_DIGITS
"""An integer is smaller than this, however it is written: 1e38 has 39 digits."""

_SURE_LENGTH = 16
"""A number of 15 digits and a point is the same after a float has held it."""


def exact_number(text: str) -> float | Decimal:
    """Return the value of a JSON number: a float if that is written as the same number again, otherwise a `Decimal`.

    A number whose exponent even a decimal cannot hold is infinite or 0.
    """
    value = float(text)
    if (len(text) <= _SURE_LENGTH and "e" not in text and "E" not in text) or repr(value) == text:
        return value
    try:
        exact = Decimal(text)
    except InvalidOperation:
        return value
    return value if Decimal(repr(value)) == exact else exact


def significant_digits(text: str) -> str:
    """Return the digits of a JSON number without the zeros at its ends, its sign, its point and its exponent."""
    return text.lower().partition("e")[0].lstrip("-").replace(".", "").strip("0")


def read_json(text: str) -> Any:
    """Return the value of a JSON text that this library has stored."""
    return _decode(text)


def write_json(value: Any) -> str:
    """Return the value as JSON. Raises `ValueError` for NaN and infinities, `TypeError` for what is not JSON."""
    try:
        return _encode(value)
    except TypeError:
        # The encoder does not support decimals, and few values have one.
        return _written(value)


class DuplicateName(ValueError):
    """An object has two members of one name. Programs disagree about which of them counts."""


def distinct_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members of an object that `json.loads` reads. Raises `DuplicateName`."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise DuplicateName("An object has the same name twice.")
    return members


class _Encoder(json.JSONEncoder):
    """The standard library's encoder as it is now: programs replace its methods to have values of their own written."""

    default, encode, iterencode = json.JSONEncoder.default, json.JSONEncoder.encode, json.JSONEncoder.iterencode


_decode = json.JSONDecoder(parse_float=exact_number).decode
_encode = _Encoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def _written(value: Any) -> str:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{value} is not JSON.")
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_name(name)}:{_written(member)}" for name, member in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_written, value)) + "]"
    return _encode(value)


def _name(name: Any) -> str:
    """Return the name of a member as the encoder writes it."""
    return _encode(name) if isinstance(name, str) else _encode({name: 0}).removeprefix("{").removesuffix(":0}")
