"""The contract of every history, and the behavior of the one in DynamoDB."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from asyncjobs.aws.dynamodb_history import KEPT, DynamoHistory
from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.core.durations import MEMORY, Durations
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.ports import History
from tests.support.factories import NOW, OWNER, new_job
from tests.support.fakes import FakeHistory
from tests.support.parts import all_due

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def in_table(table: tuple[str, DynamoDBClient]) -> DynamoHistory:
    return DynamoHistory(*table)


@pytest.fixture(params=["fake", "moto"])
def history(request: pytest.FixtureRequest) -> History:
    if request.param == "fake":
        return FakeHistory()
    found: DynamoHistory = request.getfixturevalue("in_table")
    return found


@pytest.fixture
def job_type() -> str:
    """Return a job type that no other test uses."""
    return f"sample.t{uuid.uuid4().hex}"


def test_type_that_never_ran_has_no_durations(history: History, job_type: str) -> None:
    assert history.get(job_type) == Durations()


def test_added_durations_are_merged(history: History, job_type: str) -> None:
    history.add(job_type, Durations.of([3, 3, 120]), NOW)
    history.add(job_type, Durations.of([3, 8]), NOW)
    assert history.get(job_type) == Durations.of([3, 3, 3, 8, 120])


def test_types_are_separate(history: History, job_type: str) -> None:
    history.add(job_type, Durations.of([3]), NOW)
    history.add(f"{job_type}.other", Durations.of([8]), NOW)
    assert history.get(job_type) == Durations.of([3])


def test_redelivered_batch_counts_twice(history: History, job_type: str) -> None:
    for _ in range(2):
        history.add(job_type, Durations.of([3, 8]), NOW)
    assert history.get(job_type) == Durations.of([3, 3, 8, 8])


def test_old_durations_fade_as_new_ones_arrive(history: History, job_type: str) -> None:
    for _ in range(20):
        history.add(job_type, Durations.of([3.0] * 100), NOW)
    assert MEMORY <= history.get(job_type).total <= 2 * MEMORY


# ── DynamoDB ─────────────────────────────────────────────────────────────────────────────────────────


class Interrupted:
    """A client in which other writers come first, between a read and the following write."""

    def __init__(self, client: Any, others: list[Any]) -> None:
        self._client = client
        self._others = others
        self.writes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def put_item(self, **arguments: Any) -> Any:
        self.writes += 1
        if self._others:
            self._others.pop(0)()
        return self._client.put_item(**arguments)


def test_write_that_loses_a_race_adds_to_the_other_one(
    table: tuple[str, DynamoDBClient], in_table: DynamoHistory, job_type: str
) -> None:
    name, client = table
    in_table.add(job_type, Durations.of([1]), NOW)
    others = [lambda: in_table.add(job_type, Durations.of([3]), NOW), lambda: in_table.add(job_type, Durations.of([8]), NOW)]
    interrupted: Any = Interrupted(client, others)
    DynamoHistory(name, interrupted).add(job_type, Durations.of([120]), NOW)
    assert interrupted.writes == 3, "the other writer did not come first"
    assert in_table.get(job_type) == Durations.of([1, 3, 8, 120])


def test_write_with_a_lost_answer_counts_once(
    table: tuple[str, DynamoDBClient], in_table: DynamoHistory, job_type: str
) -> None:
    class LostAnswer(Interrupted):
        def put_item(self, **arguments: Any) -> Any:
            # As the SDK does: the answer of the first try is lost, and the second one finds the first one's write.
            self._client.put_item(**arguments)
            return super().put_item(**arguments)

    deaf: Any = LostAnswer(table[1], [])
    DynamoHistory(table[0], deaf).add(job_type, Durations.of([3]), NOW)
    assert deaf.writes == 1
    assert in_table.get(job_type) == Durations.of([3])


def test_write_that_loses_repeatedly_is_unavailable(
    table: tuple[str, DynamoDBClient], in_table: DynamoHistory, job_type: str
) -> None:
    others = [lambda: in_table.add(job_type, Durations.of([3]), NOW)] * 5
    busy: Any = Interrupted(table[1], others)
    with pytest.raises(Unavailable):
        DynamoHistory(table[0], busy).add(job_type, Durations.of([8]), NOW)
    assert in_table.get(job_type) == Durations.of([3] * 5)


@pytest.mark.parametrize("written", [{"durations": {"S": "[1, 2]"}}, {}], ids=["in another form", "elsewhere"])
def test_unreadable_item_is_replaced(
    table: tuple[str, DynamoDBClient], in_table: DynamoHistory, job_type: str, written: Any
) -> None:
    table[1].put_item(TableName=table[0], Item={"pk": {"S": f"D#{job_type}"}, "revision": {"N": "7"}, **written})
    assert in_table.get(job_type) == Durations()
    in_table.add(job_type, Durations.of([3]), NOW)
    assert in_table.get(job_type) == Durations.of([3])


def test_item_is_in_no_index_and_no_list_of_jobs(
    table: tuple[str, DynamoDBClient], in_table: DynamoHistory, job_type: str
) -> None:
    name, client = table
    store = DynamoStore(name, client)
    job = new_job(job_type=job_type)
    store.add_if_absent(job, NOW)
    in_table.add(job_type, Durations.of([3]), NOW)
    for index in ("byOwner", "due"):
        found = client.scan(TableName=name, IndexName=index)["Items"]
        assert [item["pk"]["S"][:2] for item in found] == ["J#"]
    assert [entry.key for entry in all_due(store, NOW + timedelta(days=1))] == [job.key]
    assert list(store.list_by_owner(OWNER, limit=10)[0]) == [job]


def test_item_expires_when_its_type_is_no_longer_used(
    table: tuple[str, DynamoDBClient], in_table: DynamoHistory, job_type: str
) -> None:
    in_table.add(job_type, Durations.of([3]), NOW)
    item = table[1].get_item(TableName=table[0], Key={"pk": {"S": f"D#{job_type}"}})["Item"]
    assert int(item["recordExpiresAt"]["N"]) == int((NOW + KEPT).timestamp())


def test_item_stays_small(table: tuple[str, DynamoDBClient], in_table: DynamoHistory, job_type: str) -> None:
    in_table.add(job_type, Durations.of(0.5 * 1.03**step for step in range(410)), NOW)
    item = table[1].get_item(TableName=table[0], Key={"pk": {"S": f"D#{job_type}"}})["Item"]
    assert len(item["durations"]["S"]) < 2000
