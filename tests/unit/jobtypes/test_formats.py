"""A text has a format if the type of that format reads it. test_pydantic_schema.py has a row for each type."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from asyncjobs.jobtypes.formats import FORMATS
from asyncjobs.jobtypes.pydantic_schema import describe
from tests.unit.jobtypes.test_pydantic_schema import TABLE, TEXTS, definition


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("date-time", "2026-01-02t03:04:05z"),
        ("date-time", "2026-01-02 03:04"),
        ("date-time", "2026-01-02T03:04:05.123456789+0530"),
        ("time", "23:59:59.999Z"),
        ("uuid7", "01890A5D-AC96-774B-BCCE-B302099A8057"),
        ("base64url", "YQ"),
        ("ipvanyaddress", "::1"),
    ],
)
def test_text_that_the_type_reads_is_valid(name: str, text: str) -> None:
    assert FORMATS[name](text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("date-time", "2026-01-02T03:04:05+24:00"),
        ("date-time", "2026-01-02T03:04:05Z\n"),
        ("date", "٢٠٢٦-01-02"),
        ("time", "24:00"),
        ("regex", "(" * 10_000),
        ("fraction", "1/0"),
        ("zoneinfo", "/etc/passwd"),
        ("zoneinfo", "a\0b"),
        ("ipv4network", "10.0.0.0/8/8"),
        ("uuid4", "3f2b8c1e4d5a4b6c8d7e9f0a1b2c3d4e"),
    ],
)
def test_text_that_the_type_does_not_read_is_invalid(name: str, text: str) -> None:
    assert not FORMATS[name](text)


@pytest.mark.parametrize("annotation", [row[0] for row in TABLE if row[0] is not None], ids=str)
def test_no_format_accepts_what_its_type_rejects(annotation: object) -> None:
    schema = describe(definition(annotation)).input_schema
    check = FORMATS.get(str(schema.get("format")))
    if check is None or "pattern" in schema or schema["format"] == "base64url":
        # The padding of base64url is optional, and one of the types that have it requires it.
        return
    for text in TEXTS:
        if check(text):
            try:
                TypeAdapter(annotation).validate_python(text)
            except ValidationError as error:
                raise AssertionError(text) from error
