"""Durations of jobs that have ended are added to their types."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from asyncjobs.core.durations import Durations
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import DEADLINE_EXCEEDED, AsyncJob, Result, Status
from asyncjobs.estimates.poll_schedule import retry_after
from asyncjobs.push.changes import Change
from asyncjobs.push.durations import ALONE, MAX_WAITING, DurationAggregator
from tests.support.factories import NOW, new_job, running_job
from tests.support.fakes import FakeClock, FakeHistory
from tests.support.stream import change_of
from tests.unit.conftest import Lines


def completed(seconds: float, **changes: Any) -> AsyncJob:
    return running_job(**changes).completed(now=NOW + timedelta(seconds=seconds), result=Result(text="1"))


def changes(*jobs: AsyncJob) -> list[Change]:
    """Return the changes by which these jobs ended, as a batch that has not arrived before."""
    return [change_of(replace(job, status=Status.IN_PROGRESS), job) for job in jobs]


@pytest.fixture
def history() -> FakeHistory:
    return FakeHistory()


@pytest.fixture
def aggregator(history: FakeHistory) -> DurationAggregator:
    return DurationAggregator(history, clock=FakeClock(NOW))


def test_ended_jobs_are_added_to_their_types(aggregator: DurationAggregator, history: FakeHistory) -> None:
    aggregator.consume(changes(completed(3, job_type="a"), completed(8, job_type="b"), completed(4, job_type="a")))
    assert history.known == {"a": Durations.of([3, 4]), "b": Durations.of([8])}


def test_duration_is_from_the_first_start_to_the_end(aggregator: DurationAggregator, history: FakeHistory) -> None:
    waited = new_job(now=NOW - timedelta(minutes=5)).claimed(by="w", now=NOW, lease_until=NOW + timedelta(minutes=1))
    aggregator.consume(changes(waited.completed(now=NOW + timedelta(seconds=7), result=Result(text="1"))))
    assert history.known == {"sample.returns": Durations.of([7])}


def test_failed_jobs_count(aggregator: DurationAggregator, history: FakeHistory) -> None:
    aggregator.consume(changes(running_job().failed(now=NOW + timedelta(seconds=90), error=DEADLINE_EXCEEDED)))
    assert history.known == {"sample.returns": Durations.of([90])}


def test_tracked_job_does_not_count(aggregator: DurationAggregator, history: FakeHistory) -> None:
    done = replace(completed(53), max_attempts=0)
    aggregator.consume(changes(done, completed(3)))
    assert history.known == {"sample.returns": Durations.of([3])}


def test_job_that_never_started_does_not_count(aggregator: DurationAggregator, history: FakeHistory) -> None:
    aggregator.consume(changes(new_job().failed(now=NOW + timedelta(days=1), error=DEADLINE_EXCEEDED)))
    assert history.known == {}


def test_cancelled_job_does_not_count(aggregator: DurationAggregator, history: FakeHistory) -> None:
    aggregator.consume(changes(running_job().cancelled(now=NOW + timedelta(seconds=3))))
    assert history.known == {}


def test_changes_of_running_and_of_ended_jobs_do_not_count(
    aggregator: DurationAggregator, history: FakeHistory, lines: Lines
) -> None:
    ended = completed(3)
    aggregator.consume([change_of(None, new_job()), change_of(new_job(), running_job()), change_of(ended, ended)])
    assert history.known == {}
    assert lines.events == []


def test_batch_that_arrives_again_counts_once(aggregator: DurationAggregator, history: FakeHistory) -> None:
    batch = changes(completed(3), completed(8))
    aggregator.consume(batch)
    aggregator.consume([*batch[1:], *changes(completed(5))])
    assert history.known == {"sample.returns": Durations.of([3, 8, 5])}


def test_batch_that_failed_counts_when_it_arrives_again(aggregator: DurationAggregator, history: FakeHistory) -> None:
    batch = changes(completed(3))
    history.is_down = True
    with pytest.raises(Unavailable):
        aggregator.consume(batch)
    history.is_down = False
    aggregator.consume(batch)
    assert history.known == {"sample.returns": Durations.of([3])}


def test_job_type_that_was_written_before_a_failure_counts_once(history: FakeHistory) -> None:
    class Failing(FakeHistory):
        def add(self, job_type: str, durations: Durations, now: datetime, hours: Any = None) -> None:
            if job_type == "b" and self.is_down:
                raise Unavailable("The table is down.")
            super().add(job_type, durations, now, hours)

    history = Failing()
    aggregator = DurationAggregator(history, clock=FakeClock(NOW))
    batch = changes(completed(3, job_type="a"), completed(8, job_type="b"))
    history.is_down = True
    with pytest.raises(Unavailable):
        aggregator.consume(batch)
    history.is_down = False
    aggregator.consume(batch)
    assert history.known == {"a": Durations.of([3]), "b": Durations.of([8])}


def test_differing_clocks_give_no_negative_duration(aggregator: DurationAggregator, history: FakeHistory) -> None:
    aggregator.consume(changes(completed(-0.2)))
    assert history.known == {"sample.returns": Durations.of([0])}


def test_unavailable_table_is_raised_so_that_lambda_retries_the_batch(
    aggregator: DurationAggregator, history: FakeHistory
) -> None:
    history.is_down = True
    with pytest.raises(Unavailable):
        aggregator.consume(changes(completed(3)))


def test_unavailable_table_holds_up_no_batch_if_durations_are_gathered(history: FakeHistory, lines: Lines) -> None:
    clock = FakeClock(NOW)
    aggregator = DurationAggregator(history, clock=clock, pause=timedelta(minutes=1))
    history.is_down = True
    assert aggregator.consume(changes(*(completed(3) for _ in range(MAX_WAITING + 5)))) == ()
    assert [(event["message"], event["count"]) for event in lines.events] == [("DURATIONS_DEFERRED", MAX_WAITING + 5)]
    history.is_down = False
    clock.advance(seconds=60)
    aggregator.consume(changes(completed(8, job_type="b")))
    # Of one owner alone, a few count.
    assert history.known == {"sample.returns": Durations.of([3] * ALONE), "b": Durations.of([8])}


# ── Owners ─────────────────────────────────────────────────────────────────────────────────────────


def test_owner_of_nearly_all_jobs_delays_nobodys_poll(aggregator: DurationAggregator, history: FakeHistory) -> None:
    honest = [completed(2, owner=f"user-{number}") for number in range(10)]
    for _ in range(20):
        aggregator.consume(changes(*(completed(45, owner="carol") for _ in range(200)), *honest))
    past = history.known["sample.returns"]
    assert past.total > 200
    assert retry_after(running_job(), NOW, past) == retry_after(running_job(), NOW, Durations.of([2] * 20)) <= 3


def test_owner_counts_as_much_as_all_others_in_the_batch(aggregator: DurationAggregator, history: FakeHistory) -> None:
    aggregator.consume(
        changes(*(completed(45, owner="carol") for _ in range(50)), *(completed(2, owner="bob") for _ in range(8)))
    )
    assert history.known["sample.returns"] == Durations.of([45] * 8 + [2] * 8)


def test_owners_of_equal_weight_all_count(aggregator: DurationAggregator, history: FakeHistory) -> None:
    aggregator.consume(changes(*(completed(3, owner=owner) for owner in ("bob", "carol") for _ in range(9))))
    assert history.known["sample.returns"].total == 18


def test_batch_of_one_owner_counts_a_few_of_its_jobs(aggregator: DurationAggregator, history: FakeHistory) -> None:
    aggregator.consume(changes(*(completed(seconds, owner="carol") for seconds in range(1, 101))))
    # Short, middle and long ones: those that ended first would be the shortest.
    assert history.known["sample.returns"] == Durations.of(range(6, 100, 10))


def test_owner_is_limited_for_each_type(aggregator: DurationAggregator, history: FakeHistory) -> None:
    jobs = [completed(45, owner="carol", job_type="a") for _ in range(30)]
    aggregator.consume(changes(*jobs, *(completed(2, owner="bob", job_type="b") for _ in range(30))))
    assert {name: past.total for name, past in history.known.items()} == {"a": ALONE, "b": ALONE}


# ── A pause between writes ─────────────────────────────────────────────────────────────────────────


class Gathering(FakeHistory):
    """A history, its aggregator with a pause of a minute, and the sizes of the writes."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock(NOW)
        self.aggregator = DurationAggregator(self, clock=self.clock, pause=timedelta(minutes=1))
        self.writes: list[int] = []

    def add(self, job_type: str, durations: Durations, now: datetime, hours: Any = None) -> None:
        self.writes.append(durations.total)

    def end(self, jobs: int) -> None:
        """End jobs of as many owners, each in a batch of its own."""
        for number in range(jobs):
            self.aggregator.consume(changes(completed(3, owner=f"user-{number}")))


def test_first_job_after_a_pause_is_written_immediately() -> None:
    gathering = Gathering()
    for _ in range(3):
        gathering.end(1)
        gathering.clock.advance(seconds=60)
    assert gathering.writes == [1, 1, 1]


def test_burst_is_written_a_few_times_and_half_of_it_at_least() -> None:
    gathering = Gathering()
    gathering.end(100)
    assert gathering.writes == [1, 1, 2, 4, 8, 16, 32]


def test_steady_load_is_written_about_once_a_minute() -> None:
    gathering = Gathering()
    for _ in range(10):
        gathering.end(100)
        gathering.clock.advance(seconds=60)
    assert sum(gathering.writes) >= 900
    assert len(gathering.writes) <= 7 + 2 * 9


def test_any_change_writes_what_has_waited() -> None:
    gathering = Gathering()
    gathering.end(3)
    assert gathering.writes == [1, 1]
    gathering.clock.advance(seconds=60)
    gathering.aggregator.consume([change_of(None, new_job())])
    assert gathering.writes == [1, 1, 1]


# ── Ends by the hour ─────────────────────────────────────────────────────────────────────────────────


def test_completed_and_failed_jobs_are_counted_by_the_hour_of_their_end(
    aggregator: DurationAggregator, history: FakeHistory
) -> None:
    failed = running_job().failed(now=NOW + timedelta(minutes=61), error=DEADLINE_EXCEEDED)
    cancelled = running_job().cancelled(now=NOW)
    aggregator.consume(changes(completed(3), completed(4), failed, cancelled))
    assert history.hours == {"sample.returns": {"2026-11-21T12": (2, 0), "2026-11-21T13": (0, 1)}}


def test_end_counts_also_when_the_time_says_nothing(aggregator: DurationAggregator, history: FakeHistory) -> None:
    never_started = new_job().failed(now=NOW, error=DEADLINE_EXCEEDED)
    aggregator.consume(changes(never_started, replace(completed(53), max_attempts=0)))
    assert (history.known, history.hours) == ({}, {"sample.returns": {"2026-11-21T12": (1, 1)}})


def test_every_owners_ends_count_in_full(aggregator: DurationAggregator, history: FakeHistory) -> None:
    aggregator.consume(changes(*(completed(1, owner="alice") for _ in range(50)), completed(1, owner="bob")))
    assert history.hours["sample.returns"] == {"2026-11-21T12": (51, 0)}


def test_jobs_of_a_type_with_sizes_are_added_to_their_type_and_size(
    aggregator: DurationAggregator, history: FakeHistory
) -> None:
    sized = (
        replace(completed(seconds, job_type="a"), size_class=size) for seconds, size in ((3, 0), (8, 2), (9, 2), (1, None))
    )
    aggregator.consume(changes(*sized))
    assert history.known == {"a": Durations.of([3, 8, 9, 1]), "a#0": Durations.of([3]), "a#2": Durations.of([8, 9])}
    assert {name: hours for name, hours in history.hours.items() if hours} == {"a": {"2026-11-21T12": (4, 0)}}
