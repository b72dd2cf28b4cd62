"""JSON with one text for one value, for fingerprints and for what is stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_LEAST_WITH_EXPONENT = 1e21
"""From here on JSON's canonical form writes numbers with an exponent, so that they stay what they are."""


def canonical_json(value: Any) -> bytes:
    """The value as JSON: the same bytes for the same value, whether its author wrote 44 or 44.0, as in RFC 8785 (3.2.2.3)."""
    return json.dumps(_canonical(value), ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode()


def _canonical(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < _LEAST_WITH_EXPONENT:
        return int(value)
    if isinstance(value, Mapping):
        return {name: _canonical(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(member) for member in value]
    return value
