"""Durations of ended jobs are read from the table's stream and added to their types."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.aws.items import to_item
from asyncjobs.core.durations import Durations
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import DEADLINE_EXCEEDED, AsyncJob, Result
from asyncjobs.estimates.aggregator import ALONE, DurationAggregator
from asyncjobs.estimates.poll_schedule import retry_after
from tests.support.factories import NOW, new_job, running_job
from tests.support.fakes import FakeClock, FakeHistory


def completed(seconds: float, **changes: Any) -> AsyncJob:
    return running_job(**changes).completed(now=NOW + timedelta(seconds=seconds), result=Result(text="1"))


def stream_event(*jobs: AsyncJob) -> dict[str, Any]:
    """Return a batch of the table's stream as Lambda delivers it."""
    return {"Records": [{"eventName": "MODIFY", "dynamodb": {"NewImage": to_item(job)}} for job in jobs]}


@pytest.fixture
def history() -> FakeHistory:
    return FakeHistory()


@pytest.fixture
def aggregator(history: FakeHistory) -> DurationAggregator:
    return DurationAggregator(history, clock=FakeClock(NOW))


def test_ended_jobs_are_added_to_their_types(aggregator: DurationAggregator, history: FakeHistory) -> None:
    aggregator.add(stream_event(completed(3, job_type="a"), completed(8, job_type="b"), completed(4, job_type="a")))
    assert history.known == {"a": Durations.of([3, 4]), "b": Durations.of([8])}


def test_duration_is_from_the_first_start_to_the_end(aggregator: DurationAggregator, history: FakeHistory) -> None:
    waited = new_job(now=NOW - timedelta(minutes=5)).claimed(by="w", now=NOW, lease_until=NOW + timedelta(minutes=1))
    aggregator.add(stream_event(waited.completed(now=NOW + timedelta(seconds=7), result=Result(text="1"))))
    assert history.known == {"sample.returns": Durations.of([7])}


def test_failed_jobs_count(aggregator: DurationAggregator, history: FakeHistory) -> None:
    aggregator.add(stream_event(running_job().failed(now=NOW + timedelta(seconds=90), error=DEADLINE_EXCEEDED)))
    assert history.known == {"sample.returns": Durations.of([90])}


def test_tracked_job_does_not_count(aggregator: DurationAggregator, history: FakeHistory) -> None:
    done = replace(completed(53), max_attempts=0)
    aggregator.add(stream_event(done, completed(3)))
    assert history.known == {"sample.returns": Durations.of([3])}


def test_job_that_never_started_does_not_count(aggregator: DurationAggregator, history: FakeHistory) -> None:
    aggregator.add(stream_event(new_job().failed(now=NOW + timedelta(days=1), error=DEADLINE_EXCEEDED)))
    assert history.known == {}


def test_differing_clocks_give_no_negative_duration(aggregator: DurationAggregator, history: FakeHistory) -> None:
    aggregator.add(stream_event(completed(-0.2)))
    assert history.known == {"sample.returns": Durations.of([0])}


def test_unavailable_table_is_raised_so_that_lambda_retries_the_batch(
    aggregator: DurationAggregator, history: FakeHistory
) -> None:
    history.is_down = True
    with pytest.raises(Unavailable):
        aggregator.add(stream_event(completed(3)))


# ── Owners ─────────────────────────────────────────────────────────────────────────────────────────


def test_owner_of_nearly_all_jobs_delays_nobodys_poll(aggregator: DurationAggregator, history: FakeHistory) -> None:
    honest = [completed(2, owner=f"user-{number}") for number in range(10)]
    for _ in range(20):
        aggregator.add(stream_event(*(completed(45, owner="carol") for _ in range(200)), *honest))
    past = history.known["sample.returns"]
    assert past.total > 200
    assert retry_after(running_job(), NOW, past) == retry_after(running_job(), NOW, Durations.of([2] * 20)) <= 3


def test_owner_counts_as_much_as_all_others_in_the_batch(aggregator: DurationAggregator, history: FakeHistory) -> None:
    aggregator.add(
        stream_event(*(completed(45, owner="carol") for _ in range(50)), *(completed(2, owner="bob") for _ in range(8)))
    )
    assert history.known["sample.returns"] == Durations.of([45] * 8 + [2] * 8)


def test_owners_of_equal_weight_all_count(aggregator: DurationAggregator, history: FakeHistory) -> None:
    aggregator.add(stream_event(*(completed(3, owner=owner) for owner in ("bob", "carol") for _ in range(9))))
    assert history.known["sample.returns"].total == 18


def test_batch_of_one_owner_counts_a_few_of_its_jobs(aggregator: DurationAggregator, history: FakeHistory) -> None:
    aggregator.add(stream_event(*(completed(seconds, owner="carol") for seconds in range(1, 101))))
    # Short, middle and long ones: those that ended first would be the shortest.
    assert history.known["sample.returns"] == Durations.of(range(6, 100, 10))


def test_owner_is_limited_for_each_type(aggregator: DurationAggregator, history: FakeHistory) -> None:
    jobs = [completed(45, owner="carol", job_type="a") for _ in range(30)]
    aggregator.add(stream_event(*jobs, *(completed(2, owner="bob", job_type="b") for _ in range(30))))
    assert {name: past.total for name, past in history.known.items()} == {"a": ALONE, "b": ALONE}
