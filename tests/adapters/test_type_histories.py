"""The histories of several job types, as the stream function writes them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from asyncjobs.aws.dynamodb_history import HOURS_KEPT, DynamoHistory
from asyncjobs.aws.dynamodb_type_histories import DynamoTypeHistories
from asyncjobs.core.administration import TypeHistory
from asyncjobs.core.clock import rfc3339
from asyncjobs.core.durations import Durations
from tests.support.factories import NOW
from tests.support.fakes import FakeHistory

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

HOUR = "2026-11-21T12"


@pytest.fixture(params=["fake", "moto"])
def history(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """Return what writes histories and what reads them."""
    if request.param == "fake":
        fake = FakeHistory()
        return fake, fake
    table = request.getfixturevalue("empty_table")
    return DynamoHistory(*table), DynamoTypeHistories(*table)


def test_type_without_a_history_is_left_out(history: tuple[Any, Any]) -> None:
    assert history[1].of_all(["a", "b"]) == {}
    assert history[1].of_all([]) == {}


def test_histories_have_durations_and_the_ends_of_each_hour(history: tuple[Any, Any]) -> None:
    write, read = history
    write.add("a", Durations.of([3]), NOW, {HOUR: (1, 0)})
    write.add("a", Durations.of([8]), NOW, {HOUR: (2, 1), "2026-11-21T13": (0, 4)})
    write.add("b", Durations.of([5]), NOW)
    found = read.of_all(["a", "b", "c"])
    assert found == {
        "a": TypeHistory(Durations.of([3, 8]), {HOUR: (3, 1), "2026-11-21T13": (0, 4)}),
        "b": TypeHistory(Durations.of([5]), {}),
    }


def test_only_the_last_hours_are_kept(history: tuple[Any, Any]) -> None:
    write, read = history
    hours = [rfc3339(NOW + timedelta(hours=number))[: len(HOUR)] for number in range(30)]
    for hour in hours:
        write.add("a", Durations.of([1]), NOW, {hour: (1, 1)})
    assert list(read.of_all(["a"])["a"].hours) == hours[-HOURS_KEPT:]


def test_more_types_than_a_call_takes_are_read(history: tuple[Any, Any]) -> None:
    write, read = history
    names = [f"t{number}" for number in range(130)]
    for name in names[::40]:
        write.add(name, Durations.of([1]), NOW)
    assert sorted(read.of_all(names)) == sorted(names[::40])


def test_damaged_hours_are_none(empty_table: tuple[str, DynamoDBClient]) -> None:
    name, client = empty_table
    DynamoHistory(name, client).add("a", Durations.of([1]), NOW, {HOUR: (1, 0)})
    (item,) = client.scan(TableName=name)["Items"]
    for damaged in ("[]", "{", '{"x": 1}', '{"x": ["a", 1]}'):
        client.put_item(TableName=name, Item={**item, "hours": {"S": damaged}})
        assert DynamoTypeHistories(name, client).of_all(["a"])["a"].hours == {}
