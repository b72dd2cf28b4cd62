"""JSON with one text for each value, for fingerprints and storage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_LEAST_WITH_EXPONENT = 1e21
"""From here on the canonical form writes numbers with an exponent, so they stay floats."""


def canonical_json(value: Any) -> bytes:
    """Return the value as JSON: the same bytes for the same value, whether written as 44 or 44.0 (RFC 8785, 3.2.2.3)."""
    return _encode(_canonical(value)).encode()


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode


def _canonical(value: Any) -> Any:
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _LEAST_WITH_EXPONENT else value
    if isinstance(value, Mapping):
        return {name: _canonical(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(member) for member in value]
    return value
