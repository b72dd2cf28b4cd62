"""Whatever the JSON Schema of an input's type says, a submit checks; and what it accepts, the worker reads.

A row has a type, an input that fits, and inputs that do not with the place that is named.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import fractions
import ipaddress
import json
import pathlib
import re
import uuid
import zoneinfo
from collections import deque
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    UUID4,
    AnyUrl,
    AwareDatetime,
    Base64Bytes,
    Base64UrlStr,
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    Json,
    JsonValue,
    NaiveDatetime,
    PostgresDsn,
    WithJsonSchema,
)

from asyncjobs import JobContext, job
from asyncjobs.core.canonical_json import canonical_json
from asyncjobs.core.errors import InvalidInput
from asyncjobs.core.exact_json import read_json
from asyncjobs.jobtypes import json_schema
from asyncjobs.jobtypes.decorator import JobDefinition, definition_of
from asyncjobs.jobtypes.pydantic_schema import describe


class Size(enum.Enum):
    """A size."""

    SMALL = "small"
    LARGE = 2


class Page(BaseModel):
    """A page."""

    model_config = ConfigDict(extra="forbid")

    number: int = Field(ge=1, lt=1000, multiple_of=2)
    title: str = Field(default="", max_length=5, pattern="^[a-z]*$")


class Tree(BaseModel):
    """A recursive model."""

    name: str
    children: list[Tree] = []


class Cat(BaseModel):
    """A variant."""

    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    """Another variant."""

    kind: Literal["dog"]
    barks: bool


class Owner(BaseModel):
    """A discriminated union."""

    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


class Address(BaseModel):
    """A model whose schema has a rule of its own."""

    model_config = ConfigDict(json_schema_extra={"dependentRequired": {"street": ["city"]}})

    street: str | None = None
    city: str | None = None


@dataclasses.dataclass
class Point:
    """A dataclass."""

    x: int
    y: Annotated[float, Field(gt=0)] = 1


class Row(TypedDict):
    """A typed dictionary."""

    number: int
    note: NotRequired[str]


class Pair(NamedTuple):
    """A named tuple."""

    left: int
    right: str


class Embedded(BaseModel):
    """A text that holds a page."""

    page: Json[Page]


Even = Annotated[int, WithJsonSchema({"type": "integer", "multipleOf": 2})]

TABLE: list[tuple[Any, str, dict[str, str]]] = [
    (int, "7", {"7.5": "", '"7"': "", "true": "", "null": "", "1e38": "", "1e300": "", "-1e38": ""}),
    (float, "7.5", {'"7"': "", "false": ""}),
    (Annotated[float, Field(gt=0, le=1)], "0.5", {"0": "", "1.0000000000000000001": ""}),
    (bool, "true", {"1": "", '"yes"': ""}),
    (str, '"a"', {"1": "", "null": ""}),
    (None, "null", {"0": "", "{}": ""}),
    (int | None, "null", {'"x"': ""}),
    (int | list[str], '["a"]', {"[1]": "/0", '"a"': ""}),
    (Literal[1, "a"], '"a"', {"2": "", '"1"': "", "true": ""}),
    (Literal["only"], '"only"', {'"other"': ""}),
    (Size, "2", {'"medium"': "", '"2"': ""}),
    (Decimal, "12345678901234567.89", {'"1e5"': "", '"NaN"': "", "null": ""}),
    (Annotated[Decimal, Field(ge=0, max_digits=5, decimal_places=2)], '"123.45"', {"-0.01": "", '"1234.5678"': "", '"x"': ""}),
    (Annotated[str, Field(min_length=2, max_length=3)], '"👩👩"', {'"a"': "", '"abcd"': ""}),
    (Annotated[str, Field(pattern="^(a+)+$")], '"aaa"', {'"b"': "", f'"{"a" * 50}!"': ""}),
    (bytes, '"x"', {"1": ""}),
    (Base64Bytes, '"YQ=="', {'"YQ="': "", '"a?=="': ""}),
    (Base64UrlStr, '"YWI_"', {'"+/8="': ""}),
    (ByteSize, '"1 MB"', {"-1": "", '"many"': ""}),
    (dt.datetime, '"2026-01-02T03:04:05.678Z"', {'"2026-02-30T00:00:00Z"': "", '"2026-01-02T24:00:00Z"': "", '"tomorrow"': ""}),
    (
        dt.datetime,
        '"2026-01-02T03:04:05"',
        {'"0000-01-02T03:04:05"': "", '"2026-01-02T03:04:60Z"': "", '"2026-W01-1T00:00"': ""},
    ),
    (AwareDatetime, '"2026-01-02T03:04:05+01:00"', {'"2026-01-02T03:04:05"': ""}),
    (NaiveDatetime, '"2026-01-02T03:04:05"', {'"2026-01-02T03:04:05Z"': "", '"2026-01-02"': ""}),
    (dt.date, '"2024-02-29"', {'"2026-02-29"': "", '"20260102"': "", '"2026-1-2"': ""}),
    (dt.time, '"10:00:00"', {'"25:00:00"': "", '"10"': ""}),
    (dt.timedelta, '"P1DT2H"', {'"1 day"': "", '"P"': ""}),
    (uuid.UUID, '"3f2b8c1e-4d5a-4b6c-8d7e-9f0a1b2c3d4e"', {'"3f2b8c1e"': ""}),
    (UUID4, '"3f2b8c1e-4d5a-4b6c-8d7e-9f0a1b2c3d4e"', {'"3f2b8c1e-4d5a-1b6c-8d7e-9f0a1b2c3d4e"': ""}),
    (AnyUrl, '"https://example.com/a?b#c"', {'"example"': "", '"a b"': "", '""': ""}),
    (PostgresDsn, '"postgres://u:p@one,two/db"', {'"postgres"': ""}),
    (ipaddress.IPv4Address, '"127.0.0.1"', {'"127.0.0.256"': ""}),
    (ipaddress.IPv6Address, '"::1"', {'"127.0.0.1"': ""}),
    (ipaddress.IPv4Network, '"10.0.0.0/8"', {'"10.0.0.1/8"': "", '"10.0.0.0/33"': ""}),
    (ipaddress.IPv6Interface, '"fe80::1/64"', {'"fe80::1/129"': ""}),
    (IPvAnyNetwork, '"10.0.0.0/8"', {'"ten"': ""}),
    (pathlib.PurePosixPath, '"/tmp/x"', {"1": ""}),
    (re.Pattern[str], '"a+"', {'"a("': "", '"*"': ""}),
    (fractions.Fraction, '"1/3"', {'"1/0"': "", '"one"': ""}),
    (zoneinfo.ZoneInfo, '"UTC"', {'"Mars/Olympus"': "", '"../../etc/passwd"': ""}),
    (Json[int], '"[1]"'.replace("[1]", "1"), {'"{"': "", '"[]"': "", "1": ""}),
    (Embedded, json.dumps({"page": '{"number": 2}'}), {json.dumps({"page": '{"number": 3}'}): "/page"}),
    (list[int], "[1, 2]", {"[1, 2.5]": "/1", "{}": ""}),
    (Annotated[list[int], Field(min_length=1, max_length=2)], "[1]", {"[]": "", "[1, 2, 3]": ""}),
    (set[int], "[1, 2]", {"[1, 1.0]": ""}),
    (frozenset[Literal["a", "b"]], '["a"]', {'["c"]': "/0"}),
    (deque[int], "[1]", {'["x"]': "/0"}),
    (tuple[int, str], '[1, "a"]', {"[1]": "", '["a", 1]': "/0", '[1, "a", 2]': ""}),
    (tuple[int, ...], "[1, 2]", {'[1, "a"]': "/1"}),
    (Pair, '[1, "a"]', {'[1, "a", 2]': ""}),
    (dict[str, int], '{"a": 1}', {'{"a": "x"}': "/a", "[]": ""}),
    (dict[Literal["a", "b"], int], '{"a": 1}', {'{"c": 1}': ""}),
    (dict[Annotated[str, Field(pattern="^x-")], int], '{"x-a": 1}', {'{"a": 1}': "/a", '{"x-a": "1"}': "/x-a"}),
    (dict[Annotated[str, Field(max_length=2)], int], '{"ab": 1}', {'{"abc": 1}': ""}),
    (Annotated[dict[str, Any], Field(min_length=1)], '{"a": 1}', {"{}": ""}),
    (JsonValue, '{"a": [null, 1.5]}', {}),
    (Page, '{"number": 2}', {'{"number": 0}': "/number", '{"number": 3}': "/number", '{"number": 1000}': "/number"}),
    (Page, '{"number": 2, "title": "abc"}', {"{}": "/number", '{"number": 2, "size": 1}': "/size", "null": ""}),
    (Page, '{"number": 2.0}', {'{"number": 2, "title": "ABC"}': "/title", '{"number": 2, "title": "abcdef"}': "/title"}),
    (Tree, '{"name": "a", "children": [{"name": "b"}]}', {'{"name": "a", "children": [{"children": []}]}': "/children/0/name"}),
    (Owner, '{"pet": {"kind": "cat", "lives": 9}}', {'{"pet": {"kind": "dog", "lives": 9}}': "/pet", '{"pet": {}}': "/pet"}),
    (Address, '{"street": "a", "city": "b"}', {'{"street": "a"}': "/city"}),
    (Point, '{"x": 1}', {'{"x": 1, "y": 0}': "/y", '{"y": 1}': "/x"}),
    (Row, '{"number": 1}', {'{"number": 1, "note": 2}': "/note", "{}": "/number"}),
    (Even, "2", {"3": ""}),
    (list[Annotated[Page | None, Field(description="One page.")]], '[{"number": 2}, null]', {'[{"number": 1}]': "/0/number"}),
]


def definition(annotation: Any) -> JobDefinition:
    def takes(_input: Any, _context: JobContext) -> None:
        pass

    takes.__annotations__["_input"] = annotation
    found = definition_of(job("test.takes")(takes))
    assert found is not None
    return found


@pytest.mark.parametrize(("annotation", "valid", "invalid"), TABLE, ids=[f"{row[0]}"[:60] for row in TABLE])
def test_input_is_checked_by_all_that_its_schema_says(annotation: Any, valid: str, invalid: dict[str, str]) -> None:
    found = definition(annotation)
    schema = describe(found).input_schema
    json_schema.check(schema, read_json(valid))
    found.read_input(valid)
    for text, place in invalid.items():
        with pytest.raises(InvalidInput) as raised:
            json_schema.check(schema, read_json(text))
        assert place in {problem.pointer for problem in raised.value.problems}, text


GENERATED = [
    int,
    list[float],
    Decimal,
    AwareDatetime,
    dt.date,
    dt.timedelta,
    uuid.UUID,
    ipaddress.IPv4Address,
    Page,
    Tree,
    Owner,
    Point,
    Row,
    tuple[int, str],
    set[int],
    dict[Annotated[str, Field(pattern="^x-")], int],
    int | list[str] | None,
]


NAMES = ["number", "title", "name", "children", "pet", "kind", "lives", "barks", "x", "y", "note", "x-a", "a"]
TEXTS = [
    "cat",
    "dog",
    "abc",
    "1",
    "-1.50",
    "P1D",
    "P1Y2M",
    "P2W",
    "PT0.5S",
    "1.2.3.4",
    "2026-01-02",
    "2026-01-02T03:04:05.1234567Z",
]
TEXTS += ["3f2b8c1e-4d5a-4b6c-8d7e-9f0a1b2c3d4e", "2026-01-02t03:04z", "2026-01-02 03:04:05-2359", "9999-12-31T23:59:59+23:59"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 1000) | st.sampled_from([0.5, 2.0, 1e25, 1e300, -0.0]) | st.sampled_from(TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("annotation", GENERATED, ids=str)
def test_worker_reads_every_input_that_the_schema_allows(annotation: Any) -> None:
    found = definition(annotation)
    schema = describe(found).input_schema

    @settings(max_examples=60, deadline=None, database=None)
    @given(JSON)
    def check(value: Any) -> None:
        try:
            json_schema.check(schema, value)
        except InvalidInput:
            return
        found.read_input(canonical_json(value))

    check()
