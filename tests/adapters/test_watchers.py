"""The contract of every storage of watchers, and the behavior of the one in DynamoDB."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from asyncjobs.aws.dynamodb_watchers import GROUPS, DynamoWatchers, _group
from asyncjobs.core.ports import Watchers
from asyncjobs.core.watch import MAX_WATCHERS, Connection, Topic
from tests.adapters.conftest import create_table
from tests.support.factories import JOB_ID, NOW
from tests.support.fakes import FakeWatchers

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

END = NOW + timedelta(minutes=15)


@pytest.fixture(params=["fake", "moto"])
def watchers(request: pytest.FixtureRequest) -> Watchers:
    if request.param == "fake":
        return FakeWatchers()
    return DynamoWatchers(*request.getfixturevalue("table"))


@pytest.fixture
def topic() -> Topic:
    """Return the topic of a job that no other test uses, of an owner with a sign that separates parts of keys."""
    return Topic("alice#1", str(uuid.uuid4()), NOW)


def opened(watchers: Watchers, *, owner: str = "alice#1", ends_at: datetime = END, **changes: Any) -> Connection:
    """Open a connection with an id as API Gateway's."""
    connection = Connection(f"{uuid.uuid4().hex[:15]}=", owner, changes.get("jobs"), ends_at)
    watchers.open(connection)
    return connection


def present(watchers: Watchers, connection: Connection) -> Connection:
    """Return the connection as it is stored."""
    found = watchers.connection(connection.connection_id)
    assert found is not None
    return found


@pytest.mark.parametrize("jobs", [None, {}, {JOB_ID: NOW}], ids=["all", "none", "one"])
def test_opened_connection_is_returned_until_it_is_closed(watchers: Watchers, jobs: Any) -> None:
    connection = opened(watchers, jobs=jobs)
    assert present(watchers, connection) == connection
    watchers.close(connection.connection_id)
    assert watchers.connection(connection.connection_id) is None
    watchers.close(connection.connection_id)


def test_topic_has_its_watchers_until_they_end(watchers: Watchers, topic: Topic) -> None:
    early, late = opened(watchers, ends_at=NOW + timedelta(minutes=1)), opened(watchers)
    assert all(watchers.watch(each, topic, NOW) for each in (early, late))
    assert set(watchers.of([topic], NOW)[topic]) == {early.connection_id, late.connection_id}
    assert set(watchers.of([topic], early.ends_at)[topic]) == {late.connection_id}
    assert watchers.of([topic], END) == {}


def test_watch_is_part_of_its_connection(watchers: Watchers, topic: Topic) -> None:
    connection = opened(watchers)
    watchers.watch(connection, topic, NOW)
    watchers.watch(present(watchers, connection), Topic("alice#1"), NOW)
    assert set(map(Topic.parse, present(watchers, connection).watches)) == {topic, Topic("alice#1")}


def test_topics_are_separate(watchers: Watchers, topic: Topic) -> None:
    watchers.watch(opened(watchers), topic, NOW)
    others = [
        topic._replace(owner="alice"),
        topic._replace(async_job_id=str(uuid.uuid4())),
        topic._replace(created_at=NOW + timedelta(milliseconds=1)),
        Topic(f"{topic.owner}#{topic.async_job_id}"),
    ]
    assert watchers.of(others, NOW) == {}
    assert watchers.of([topic, *others], NOW).keys() == {topic}


def test_second_watch_of_a_topic_is_one(watchers: Watchers, topic: Topic) -> None:
    connection = opened(watchers)
    for _ in range(2):
        assert watchers.watch(present(watchers, connection), topic, NOW)
    assert list(watchers.of([topic], NOW)[topic]) == [connection.connection_id]


def test_closed_connection_watches_nothing(watchers: Watchers, topic: Topic) -> None:
    connection, other = opened(watchers), opened(watchers)
    for each in (connection, other):
        watchers.watch(each, topic, NOW)
    watchers.close(connection.connection_id)
    assert list(watchers.of([topic], NOW)[topic]) == [other.connection_id]


def test_unwatched_topic_is_left_and_others_stay(watchers: Watchers, topic: Topic) -> None:
    connection, other = opened(watchers), Topic("alice#1", str(uuid.uuid4()), NOW)
    for each in (topic, other):
        watchers.watch(connection, each, NOW)
    for _ in range(2):
        watchers.unwatch(present(watchers, connection), topic)
    assert watchers.of([topic, other], NOW) == {other: [connection.connection_id]}
    assert present(watchers, connection).watches == {other.text}


def test_forgotten_connection_is_out_of_the_topic(watchers: Watchers, topic: Topic) -> None:
    connection = opened(watchers)
    watchers.watch(connection, topic, NOW)
    for _ in range(2):
        watchers.forget(connection.connection_id, topic)
    assert watchers.of([topic], NOW) == {}


def test_watch_of_a_closed_connection_leaves_nothing(watchers: Watchers, topic: Topic) -> None:
    connection = opened(watchers)
    watchers.close(connection.connection_id)
    watchers.watch(connection, topic, NOW)
    assert watchers.connection(connection.connection_id) is None
    assert watchers.of([topic], NOW) == {}


def test_topic_has_no_more_than_its_most_watchers(watchers: Watchers, topic: Topic) -> None:
    connections = [opened(watchers) for _ in range(MAX_WATCHERS + 1)]
    assert [watchers.watch(each, topic, NOW) for each in connections] == [True] * MAX_WATCHERS + [False]
    assert len(watchers.of([topic], NOW)[topic]) == MAX_WATCHERS
    assert present(watchers, connections[-1]).watches == set()
    # One that watches already may say so again, and the place of one that leaves is free.
    assert watchers.watch(present(watchers, connections[0]), topic, NOW)
    watchers.close(connections[0].connection_id)
    assert watchers.watch(connections[-1], topic, NOW)


def test_ended_watchers_leave_their_place(watchers: Watchers, topic: Topic) -> None:
    for _ in range(MAX_WATCHERS):
        watchers.watch(opened(watchers, ends_at=NOW + timedelta(minutes=1)), topic, NOW)
    assert watchers.watch(opened(watchers), topic, NOW + timedelta(minutes=1))


def test_many_topics_are_read_together(watchers: Watchers) -> None:
    topics = [Topic("alice#1", str(uuid.uuid4()), NOW) for _ in range(230)]
    connection = opened(watchers)
    for each in topics[::23]:
        watchers.watch(connection, each, NOW)
    assert watchers.of(topics, NOW).keys() == set(topics[::23])


# ── DynamoDB ─────────────────────────────────────────────────────────────────────────────────────────


class Counted:
    """A client that counts its calls."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def counted(**arguments: Any) -> Any:
            self.calls[name] += 1
            return method(**arguments)

        return counted


@pytest.fixture
def counted(request: pytest.FixtureRequest) -> Iterator[tuple[DynamoWatchers, Counted]]:
    """Return watchers in a table of their own, and their calls."""
    request.getfixturevalue("aws_account")
    client = boto3.client("dynamodb")
    name, calls = create_table(client), Counted(client)
    counting: Any = calls
    yield DynamoWatchers(name, counting), calls
    client.delete_table(TableName=name)


def test_changes_that_nobody_watches_share_one_read(counted: tuple[DynamoWatchers, Counted], topic: Topic) -> None:
    watchers, client = counted
    topics = [Topic("alice", str(uuid.uuid4()), NOW) for _ in range(100)]
    assert watchers.of(topics, NOW) == {}
    assert client.calls == {"batch_get_item": 1}
    connection = opened(watchers)
    watchers.watch(connection, topic, NOW)
    client.calls.clear()
    # Those of another group, although somebody watches something.
    unlike = [each for each in topics if _group(each.text) != _group(topic.text)]
    assert watchers.of(unlike, NOW) == {}
    assert client.calls == {"batch_get_item": 1}


def test_second_watch_within_minutes_does_not_write_the_filter(counted: tuple[DynamoWatchers, Counted], topic: Topic) -> None:
    watchers, client = counted
    for minute, updates in ((0, 3), (1, 2), (4, 2), (6, 3)):
        now = NOW + timedelta(minutes=minute)
        connection = opened(watchers, ends_at=now + timedelta(minutes=15))
        client.calls.clear()
        watchers.watch(connection, topic, now)
        assert client.calls == {"get_item": 1, "update_item": updates}, minute
        assert watchers.of([topic], now + timedelta(minutes=14))[topic]


def test_full_filter_costs_one_read_unit(table: tuple[str, DynamoDBClient]) -> None:
    watchers = DynamoWatchers(*table)
    watchers._extend_filter(Topic("owner"), END, NOW)
    item = table[1].get_item(TableName=table[0], Key={"pk": {"S": "F#"}})["Item"]
    ends = next(value for name, value in item.items() if name.startswith("g"))
    item |= {f"g{number:x}": ends for number in range(GROUPS)}
    # A number is half as many bytes as it has digits, and one more.
    assert sum(len(name) + len(value.get("N", "")) / 2 + 1 for name, value in item.items()) < 4096
    assert len(item) == GROUPS + 2
    table[1].delete_item(TableName=table[0], Key={"pk": {"S": "F#"}})


def test_items_expire_and_are_in_no_index(table: tuple[str, DynamoDBClient], topic: Topic) -> None:
    watchers = DynamoWatchers(*table)
    connection = opened(watchers)
    watchers.watch(connection, topic, NOW)
    for pk in (f"C#{connection.connection_id}", f"V#{topic.text}", "F#"):
        item = table[1].get_item(TableName=table[0], Key={"pk": {"S": pk}})["Item"]
        assert END < datetime.fromtimestamp(int(item["recordExpiresAt"]["N"]), NOW.tzinfo) < END + timedelta(hours=2)
    for index in ("byOwner", "due", "live", "waiting"):
        assert table[1].scan(TableName=table[0], IndexName=index)["Items"] == []
