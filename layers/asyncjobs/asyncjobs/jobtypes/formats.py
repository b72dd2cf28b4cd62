"""The formats of texts that pydantic's types have, as far as JSON Schema does not define them or Python reads them otherwise.

A text is valid if the type reads it. So a date-time or a time may lack the offset, which Python's types do not require, and
no year or second is valid that they do not have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date

_OFFSET = "([Zz]|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?"
_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]+)?)?"
_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = _CLOCK + _OFFSET
_DATE_TIME = f"({_DATE})[Tt ]{_TIME}"
_BASE64 = "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
_BASE64URL = "([A-Za-z0-9_-]{4})*([A-Za-z0-9_-]{2}(==)?|[A-Za-z0-9_-]{3}=?)?"
_HOSTS = r"[A-Za-z][A-Za-z0-9+.-]*://[^\s]+"
_UUID = "(?i:[0-9a-f]{{8}}-[0-9a-f]{{4}}-{}[0-9a-f]{{3}}-[89ab][0-9a-f]{{3}}-[0-9a-f]{{12}})"


def _date(text: str) -> bool:
    return re.fullmatch(_DATE, text) is not None and _is_read(date.fromisoformat, text)


def _date_time(text: str) -> bool:
    match = re.fullmatch(_DATE_TIME, text)
    return match is not None and _is_read(date.fromisoformat, match[1])


def _network(kind: str) -> Callable[[str], bool]:
    """Return a check by one of the functions and classes of `ipaddress`, which few types need."""

    def check(text: str) -> bool:
        import ipaddress  # noqa: PLC0415

        return _is_read(getattr(ipaddress, kind), text)

    return check


def _fraction(text: str) -> bool:
    from fractions import Fraction  # noqa: PLC0415

    return _is_read(Fraction, text)


def _time_zone(text: str) -> bool:
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    return _is_read(ZoneInfo, text)


def _is_read(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except Exception:  # noqa: BLE001 - a text that the reader cannot read for whatever reason
        return False
    return True


def _matches(pattern: str) -> Callable[[str], bool]:
    """Return a check by a pattern, which is compiled when a value of the format comes: that takes more than all imports here."""
    return lambda text: re.fullmatch(pattern, text) is not None


FORMATS: Mapping[str, Callable[[str], bool]] = {
    "date": _date,
    "time": _matches(_TIME),
    "date-time": _date_time,
    "regex": lambda text: _is_read(re.compile, text),
    "base64": _matches(_BASE64),
    "base64url": _matches(_BASE64URL),
    "multi-host-uri": _matches(_HOSTS),
    "fraction": _fraction,
    "zoneinfo": _time_zone,
    "ipv4network": _network("IPv4Network"),
    "ipv6network": _network("IPv6Network"),
    "ipv4interface": _network("IPv4Interface"),
    "ipv6interface": _network("IPv6Interface"),
    "ipvanyaddress": _network("ip_address"),
    "ipvanynetwork": _network("ip_network"),
    "ipvanyinterface": _network("ip_interface"),
    **{f"uuid{version}": _matches(_UUID.format(version)) for version in range(1, 9)},
}
