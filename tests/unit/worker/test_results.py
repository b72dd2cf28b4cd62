"""What a job returns is JSON of its declared type, or an error that says what is wrong."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections import deque
from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from decimal import Decimal
from enum import Enum
from typing import Any, TypedDict

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from asyncjobs import Fatal, JobContext, ResultStream
from asyncjobs.core.job import AsyncJob, Status
from tests.unit.worker.conftest import RunFunction


class Limit(Enum):
    NONE = float("nan")


class Color(enum.Enum):
    """A color."""

    RED = "red"


class Amount(BaseModel):
    """An amount."""

    model_config = ConfigDict(extra="allow")

    amount: Decimal = Decimal("12345678901234567.89")


@dataclasses.dataclass
class Pair:
    """Two values."""

    one: Any
    other: Any


class Lazy(BaseModel):
    """Items that are computed while they are read."""

    items: Iterable[int]


def result(ended: AsyncJob) -> Any:
    assert ended.status is Status.COMPLETED, ended.error
    assert ended.result is not None
    assert ended.result.text is not None
    return json.loads(ended.result.text)


def code(ended: AsyncJob) -> str:
    assert ended.status is Status.FAILED
    assert ended.error is not None
    return ended.error.code


def returning(value: Any, annotation: Any = Any) -> Any:
    def returns(_input: None, _context: JobContext) -> Any:
        return value

    returns.__annotations__["return"] = annotation
    return returns


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        ({1: "a", 2: "b"}, dict[int, str], {"1": "a", "2": "b"}),
        ({Color.RED: 1}, dict[Color, int], {"red": 1}),
        ({(1, 2): 3}, Any, {"1,2": 3}),
        ({1, 2}, set[int], [1, 2]),
        (b"text", bytes, "text"),
        (2**80, int, 2**80),
        (Amount(), Amount, {"amount": "12345678901234567.89"}),
        ([Decimal("0.1234567890123456789012345678901234567")], Any, ["0.1234567890123456789012345678901234567"]),
        (Pair(1, {2: 3}), Pair, {"one": 1, "other": {"2": 3}}),
        (range(3), Any, [0, 1, 2]),
        (map(str, [1, 2]), list[str], ["1", "2"]),
        ({"a": (n for n in [1]), "b": ((n for n in [2]),)}, Any, {"a": [1], "b": [[2]]}),
        (Lazy(items=iter([1, 2])), Lazy, {"items": [1, 2]}),
        (-0.0, float, 0),
        ("a\0b", str, "a\0b"),
    ],
    ids=repr,
)
def test_value_is_json_of_its_type(run_function: RunFunction, value: Any, annotation: Any, expected: Any) -> None:
    if annotation is Any and value == range(3):
        value = iter(value)
    assert result(run_function(returning(value, annotation))) == expected


@pytest.mark.parametrize(
    "value",
    [
        {1: "int", "1": "str"},
        {"a": [{1: "int", "1": "str"}]},
        {True: "bool", "true": "str"},
        {None: 1, "None": 2},
        {1.5: 1, "1.5": 2},
        {Color.RED: 1, "red": 2},
        {(1, 2): 1, "1,2": 2},
        Pair({1: 1, "1": 2}, None),
        Amount.model_validate({"more": {1: 1, "1": 2}}),
        {float("nan"): 1},
        float("nan"),
        [float("-inf")],
        {"a": (1.0, float("inf"))},
        deque([float("nan")]),
        [Limit.NONE],
        Decimal("NaN"),
        Pair(float("nan"), None),
        b"\xff",
        "caf\udce9.pdf",
        {"a": ValueError("canary")},
        len,
        10**5000,
    ],
    ids=lambda value: type(value).__name__,
)
def test_value_without_json_of_its_own_fails_the_job(run_function: RunFunction, value: Any) -> None:
    ended = run_function(returning(value))
    assert code(ended) == "RESULT_NOT_SERIALIZABLE"
    assert "canary" not in str(ended.error)


@pytest.mark.parametrize("annotation", [dict[int, str], dict[str, dict[int, str]], dict[int | str, str]], ids=str)
def test_keys_that_the_declared_type_would_make_one_fail_the_job(run_function: RunFunction, annotation: Any) -> None:
    value: Any = {1: "int", "1": "str"}
    if annotation == dict[str, dict[int, str]]:
        value = {"a": value}
    assert code(run_function(returning(value, annotation))) == "RESULT_NOT_SERIALIZABLE"


def test_value_that_holds_itself_fails_the_job(run_function: RunFunction) -> None:
    circle: list[Any] = []
    circle.append(circle)

    class Circle(list[Any]):
        pass

    other = Circle()
    other.append(other)
    for value in (circle, other):
        assert code(run_function(returning(value))) == "RESULT_NOT_SERIALIZABLE"


def test_value_of_another_type_names_its_place_and_quotes_no_exception(run_function: RunFunction) -> None:
    class Output(BaseModel):
        numbers: list[int]

        @field_validator("numbers")
        @classmethod
        def refuse(cls, _value: list[int]) -> list[int]:
            raise ValueError("canary")

    ended = run_function(returning({"numbers": [1]}, Output))
    assert code(ended) == "RESULT_NOT_SERIALIZABLE"
    assert ended.error is not None
    assert "/numbers: a validator raised ValueError" in ended.error.message
    ended = run_function(returning({"numbers": ["x"]}, Output))
    assert ended.error is not None
    assert "/numbers/0: Input should be a valid integer" in ended.error.message


class Row(TypedDict):
    """A row."""

    number: int


def yields_ints(_input: None, _context: JobContext) -> Iterator[int]:
    """Yield numbers."""
    yield from (1, 2)


def yields_rows(_input: None, _context: JobContext) -> Generator[Row, None, None]:
    """Yield rows."""
    yield {"number": 1}


def yields_a_list(_input: None, _context: JobContext) -> list[int]:  # type: ignore[misc]  # as authors write it
    """Yield the items of a list."""
    yield 1


async def yields_later(_input: None, _context: JobContext) -> AsyncIterator[int]:
    """Yield numbers in a coroutine."""
    yield 1
    yield 2


@pytest.mark.parametrize(
    ("function", "expected"),
    [(yields_ints, [1, 2]), (yields_rows, [{"number": 1}]), (yields_a_list, [1]), (yields_later, [1, 2])],
)
def test_yielded_items_are_the_result(run_function: RunFunction, function: Any, expected: Any) -> None:
    assert result(run_function(function)) == expected


def test_yielded_item_of_another_type_fails_the_job(run_function: RunFunction) -> None:
    def yields(_input: None, _context: JobContext) -> Iterator[int]:
        yield "x"  # type: ignore[misc]  # the test's subject

    assert code(run_function(yields)) == "RESULT_NOT_SERIALIZABLE"


# ── Size ─────────────────────────────────────────────────────────────────────────────────────────────


def streaming(size: int, *, goes_on: bool = False) -> Any:
    def streams(_input: None, context: JobContext) -> ResultStream:
        with context.stream_result("text/plain") as out:
            for _ in range(size // 1000):
                try:
                    out.write(b"x" * 1000)
                except Fatal:
                    if not goes_on:
                        raise
        return out

    return streams


@pytest.mark.parametrize("function", [returning("x" * 49_998), streaming(50_000)], ids=["returned", "streamed"])
def test_result_of_the_largest_size_is_stored(run_function: RunFunction, function: Any) -> None:
    ended = run_function(function, max_result=50_000)
    assert (ended.status, ended.result and ended.result.location is not None) == (Status.COMPLETED, True)


@pytest.mark.parametrize(
    "function",
    [returning("x" * 49_999), streaming(51_000), streaming(60_000, goes_on=True)],
    ids=["returned", "streamed", "streamed on"],
)
def test_larger_result_fails_the_job_and_stores_nothing(run_function: RunFunction, function: Any) -> None:
    ended = run_function(function, max_result=50_000)
    assert code(ended) == "RESULT_TOO_LARGE"
    assert ended.error is not None
    assert "MaxResultMegabytes" in ended.error.message
    assert run_function.objects.stored == {}


def test_small_result_is_limited_too(run_function: RunFunction) -> None:
    assert code(run_function(returning("xx"), max_result=3)) == "RESULT_TOO_LARGE"


# ── Numbers of the input ─────────────────────────────────────────────────────────────────────────────


class Invoice(BaseModel):
    """Amounts of several types."""

    model_config = ConfigDict(strict=True)

    amount: Decimal = Field(ge=0)
    ratio: float = 0
    whole: int = 0
    anything: Any = None
    positions: list[tuple[str, Decimal]] = []


@dataclasses.dataclass
class Plain:
    """The same as a dataclass."""

    amount: Decimal


@pytest.mark.parametrize(
    "digits", ["12345678901234567.89", "0.1234567890123456789012345678901234567", "9" * 38, "1e-7", "2.5", "-0", "1e300"]
)
@pytest.mark.parametrize("annotation", [Invoice, Plain, Decimal])
def test_decimal_gets_all_digits(run_function: RunFunction, digits: str, annotation: Any) -> None:
    def takes(input: Any, _context: JobContext) -> str:
        return str(input if annotation is Decimal else input.amount)

    takes.__annotations__["input"] = annotation
    text = digits if annotation is Decimal else f'{{"amount": {digits}}}'
    assert Decimal(result(run_function(takes, text))) == Decimal(digits)


def test_other_numbers_beside_a_long_decimal_are_what_they_were(run_function: RunFunction) -> None:
    long = "12345678901234567.89"

    def takes(input: Invoice, _context: JobContext) -> list[Any]:
        return [input.ratio, input.anything, input.whole, [(name, str(amount)) for name, amount in input.positions]]

    text = f'{{"amount": {long}, "ratio": {long}, "anything": {long}, "whole": 7, "positions": [["a", {long}], ["b", 0.1]]}}'
    assert result(run_function(takes, text)) == [float(long), float(long), 7, [["a", long], ["b", "0.1"]]]
