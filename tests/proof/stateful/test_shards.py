"""The stream's event source mapping delivers as Lambda does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.proof.stateful.memory.dynamodb import Write
from tests.proof.stateful.stream.shards import StreamBatch, StreamMapping
from tests.proof.stateful.world import START
from tests.template.source import resource


def write(number: int, pk: str = "J#alice#1", **attributes: Any) -> Write:
    item = {"pk": {"S": pk}, "jobType": {"S": "a.b"}, "seq": {"N": str(number)}, "gen": {"B": b"x"}, **attributes}
    return Write(number, "UpdateItem", START, None, item, item)


def mapping(count: int = 5) -> StreamMapping:
    return StreamMapping([write(number) for number in range(count)], 1)


def numbers(batch: StreamBatch | None) -> Sequence[str]:
    return [] if batch is None else [record["dynamodb"]["SequenceNumber"] for record in batch.records]


def polled(found: StreamMapping, size: int = 3) -> StreamBatch:
    batch = found.poll(0, size)
    assert batch is not None
    return batch


def failing(*names: str) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": name} for name in names]}


@pytest.mark.parametrize(
    ("answer", "following"),
    [
        (failing(), "3"),
        (None, "3"),
        (failing("1"), "1"),
        (failing("2", "1"), "1"),
        (failing("0"), "0"),
        (failing("unknown"), "0"),
    ],
    ids=["success", "nothing", "one failure", "several failures", "the first one", "an unknown number"],
)
def test_next_batch_begins_where_the_answer_says(answer: Any, following: str) -> None:
    found = mapping()
    found.conclude(polled(found), answer)
    assert numbers(polled(found))[0] == following


def test_batch_without_an_answer_arrives_again() -> None:
    found = mapping()
    first = polled(found)
    assert numbers(polled(found, 2)) == numbers(first)[:2]


def test_answer_to_an_earlier_batch_of_the_shard_counts_for_nothing() -> None:
    found = mapping()
    late, present = polled(found), polled(found, 1)
    found.conclude(late, failing())
    assert found.is_under_way(present)
    found.conclude(present, failing())
    assert numbers(polled(found))[0] == "1"


def test_shard_that_goes_back_delivers_again() -> None:
    found = mapping()
    found.conclude(polled(found), failing())
    found.go_back(0, 2)
    assert numbers(polled(found))[0] == "1"
    found.go_back(0, 99)
    assert numbers(polled(found))[0] == "0"


def test_writes_of_an_item_are_in_one_shard_in_their_order() -> None:
    writes = [write(number, f"J#alice#{number % 7}") for number in range(70)]
    found = StreamMapping(writes, 3)
    shards = [[record["dynamodb"] for record in polled_all(found, shard)] for shard in range(3)]
    assert sum(map(len, shards)) == 70
    for shard in shards:
        for pk in {record["Keys"]["pk"]["S"] for record in shard}:
            own = [int(record["SequenceNumber"]) for record in shard if record["Keys"]["pk"]["S"] == pk]
            assert own == [each.number for each in writes if each.pk == pk]


def polled_all(found: StreamMapping, shard: int) -> Sequence[Any]:
    batch = found.poll(shard, 100)
    return batch.records if batch else []


def test_records_pass_that_the_template_lets_pass() -> None:
    passing = write(0)
    others = [
        write(1, jobType={"S": "webhook.deliver"}),
        Write(2, "DeleteItem", START, None, passing.new, None),
        Write(3, "PutItem", START, None, None, {"pk": {"S": "E#alice#1"}}),
    ]
    found = StreamMapping([passing, *others], 1)
    assert numbers(found.poll(0, 9)) == ["0"]
    filters = json.dumps(resource("StreamFunction")["Properties"]["Events"]["Changes"]["Properties"]["FilterCriteria"])
    pattern = '{"dynamodb":{"NewImage":{"seq":{"N":[{"exists":true}]},"jobType":{"S":[{"anything-but":["webhook.deliver"]}]}}}}'
    assert json.dumps(pattern)[1:-1] in filters
