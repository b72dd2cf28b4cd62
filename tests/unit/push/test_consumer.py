"""Each consumer gets each batch, and what one of them cannot handle arrives again without harm to the others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytest

from asyncjobs.aws.stream_records import jobs_of
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import AsyncJob
from asyncjobs.push.changes import Change
from asyncjobs.push.consumer import PATIENCE, Consumers
from tests.support.factories import NOW, new_job, running_job
from tests.support.fakes import FakeClock
from tests.support.stream import record_of
from tests.unit.conftest import Lines

FIRST, SECOND, THIRD = (new_job(async_job_id=f"{number}f2b8c1e-4d5a-4b6c-8d7e-9f0a1b2c3d4e") for number in (1, 2, 3))


class Recorder:
    """A consumer that notes the batches it gets; `answer` decides what it does with them."""

    def __init__(self, answer: Callable[[Sequence[Change]], Collection[Change]] = lambda _: ()) -> None:
        self.batches: list[list[AsyncJob]] = []
        self._answer = answer

    def consume(self, changes: Sequence[Change]) -> Collection[Change]:
        self.batches.append([change.new for change in changes])
        return self._answer(changes)


def batch_of(*jobs: AsyncJob) -> list[dict[str, Any]]:
    return [record_of(None, job) for job in jobs]


def number_of(record: dict[str, Any]) -> str:
    number: str = record["dynamodb"]["SequenceNumber"]
    return number


def handle(records: Sequence[dict[str, Any]], **consumers: Recorder) -> list[str]:
    """Hand over the batch; return the numbers from which it arrives again."""
    return again(Consumers(consumers, jobs_of, clock=FakeClock(NOW)).handle({"Records": records}))


def again(answer: dict[str, Any]) -> list[str]:
    assert answer.keys() == {"batchItemFailures"}
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def fails_for(job: AsyncJob) -> Callable[[Sequence[Change]], Collection[Change]]:
    def answer(changes: Sequence[Change]) -> Collection[Change]:
        if job in [change.new for change in changes]:
            raise KeyError("poison")
        return ()

    return answer


def is_down(_: Sequence[Change]) -> Collection[Change]:
    raise Unavailable("The table is down.")


def test_each_consumer_gets_the_whole_batch_in_order() -> None:
    one, other = Recorder(), Recorder()
    assert handle(batch_of(FIRST, SECOND, FIRST), one=one, other=other) == []
    assert one.batches == other.batches == [[FIRST, SECOND, FIRST]]


def test_batch_without_a_change_of_a_job_calls_no_consumer() -> None:
    consumer = Recorder()
    removed = record_of(None, FIRST)
    del removed["dynamodb"]["NewImage"]
    assert handle([removed], consumer=consumer) == []
    assert consumer.batches == []


def test_first_change_that_was_not_handled_is_where_the_next_delivery_begins(lines: Lines) -> None:
    records = batch_of(FIRST, SECOND, THIRD)
    late = Recorder(lambda changes: [changes[2]])
    early = Recorder(lambda changes: [changes[2], changes[1]])
    assert handle(records, late=late, early=early) == [number_of(records[1])]
    assert lines.events == [
        {"message": "CHANGES_DEFERRED", "consumer": "late", "count": 1},
        {"message": "CHANGES_DEFERRED", "consumer": "early", "count": 2},
    ]


def test_unavailable_service_returns_the_whole_batch_and_the_other_consumers_get_it(lines: Lines) -> None:
    records, other = batch_of(FIRST, SECOND), Recorder()
    assert handle(records, down=Recorder(is_down), other=other) == [number_of(records[0])]
    assert other.batches == [[FIRST, SECOND]]
    assert lines.events == [
        {
            "message": "CHANGES_DEFERRED",
            "consumer": "down",
            "count": 2,
            "errorType": "Unavailable",
            "reason": "The table is down.",
        },
    ]


def test_poisoned_change_leaves_only_its_job_behind(lines: Lines) -> None:
    running = running_job(async_job_id=SECOND.async_job_id)
    records = batch_of(FIRST, SECOND, THIRD, running, FIRST)
    poisoned, other = Recorder(fails_for(running)), Recorder()
    assert handle(records, poisoned=poisoned, other=other) == [number_of(records[1])]
    assert poisoned.batches[1:] == [[FIRST, FIRST], [SECOND, running], [THIRD]]
    assert other.batches == [[FIRST, SECOND, THIRD, running, FIRST]]
    (event,) = lines.events
    assert (event["message"], event["consumer"], event["errorType"]) == ("CHANGE_FAILED", "poisoned", "KeyError")
    assert event["asyncJobId"] == SECOND.async_job_id


def test_change_that_keeps_failing_is_skipped_after_a_while(lines: Lines) -> None:
    records, clock = batch_of(FIRST, SECOND, THIRD), FakeClock(NOW)
    consumers = Consumers({"one": Recorder(fails_for(SECOND)), "other": Recorder(fails_for(SECOND))}, jobs_of, clock=clock)
    for _ in range(2):
        assert again(consumers.handle({"Records": records})) == [number_of(records[1])]
        clock.advance(seconds=PATIENCE.total_seconds() / 2)
    lines.events.clear()
    assert again(consumers.handle({"Records": records[1:]})) == []
    assert lines.names() == ["CHANGE_FAILED", "CHANGE_FAILED", "CHANGE_SKIPPED"]
    skipped = lines.events[-1]
    assert (skipped["asyncJobId"], skipped["consumer"]) == (SECOND.async_job_id, "one, other")


def test_batches_of_other_shards_take_no_patience(lines: Lines) -> None:
    records, others, clock = batch_of(FIRST), batch_of(SECOND), FakeClock(NOW)
    consumers = Consumers({"consumer": Recorder(fails_for(FIRST))}, jobs_of, clock=clock)
    for _ in range(2):
        consumers.handle({"Records": records})
        assert again(consumers.handle({"Records": others})) == []
        clock.advance(seconds=PATIENCE.total_seconds() / 2)
    assert again(consumers.handle({"Records": records})) == []
    assert lines.names()[-1] == "CHANGE_SKIPPED"


def test_change_that_failed_long_ago_gets_all_the_time_again() -> None:
    records, clock = batch_of(FIRST), FakeClock(NOW)
    consumers = Consumers({"consumer": Recorder(fails_for(FIRST))}, jobs_of, clock=clock)
    consumers.handle({"Records": records})
    clock.advance(seconds=PATIENCE.total_seconds() * 2)
    assert again(consumers.handle({"Records": records})) == [number_of(records[0])]


def test_records_that_nobody_can_read_return_nothing(lines: Lines) -> None:
    unreadable = record_of(None, FIRST)
    unreadable["dynamodb"]["NewImage"]["status"]["S"] = "PAUSED"
    consumer = Recorder()
    assert handle([unreadable, *batch_of(SECOND)], consumer=consumer) == []
    assert consumer.batches == [[SECOND]]
    assert lines.names() == ["CHANGE_SKIPPED"]


def test_record_that_lacks_its_place_ends_the_invocation() -> None:
    with pytest.raises(KeyError):
        handle([{}], consumer=Recorder())
