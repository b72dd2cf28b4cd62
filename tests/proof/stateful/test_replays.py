"""What the machine once found, step by step. The steps are what hypothesis printed, shortened by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from asyncjobs.core.errors import IdempotencyKeyReused, JobNotFound
from asyncjobs.core.job import Status
from asyncjobs.tracking.reports import Report
from tests.proof.stateful.features import Features
from tests.proof.stateful.machine import Plan, machine_with
from tests.proof.stateful.scheduler import Decision


@contextmanager
def replay(*job_types: str, jobs: int = 1) -> Iterator[Features]:
    """A machine with one job, or none, of the first kind accepted and sent; judged, and brought to quiet, at the end."""
    machine = machine_with(Features, job_types=job_types)()
    try:
        machine.begin(passes_reads=True, troupe=(), jobs=jobs)
        yield machine
        machine.judge()
    except BaseException:
        machine.is_broken = True
        raise
    finally:
        machine.teardown()


def test_a_message_that_is_gone_does_not_bring_the_batch_back() -> None:
    # F18: SQS refuses to return what was deleted meanwhile; the worker raised that, and Lambda returned the whole batch.
    with replay("play.raises") as state:
        state.deliver(size=1, skew=0, plan=Plan(calls=2))
        state.suffer(mishap="lose", which=0)
        state.finish(which=0)


def test_a_release_whose_answer_got_lost_hands_its_message_back() -> None:
    # F30: the delay was drawn in microseconds, the record holds milliseconds; so the write did not recognise itself, the
    # message was deleted, and the next attempt waited for the sweeper.
    with replay("play.raises") as state:
        state.deliver(size=1, skew=0, plan=Plan(calls=2, then=Decision.LOSE_ANSWER))
        state.finish(which=0)
        (message,) = state.world.queue.messages.values()
        (job,) = state.world.jobs()
        assert job.status is Status.PENDING
        assert job.not_before is not None
        assert message.visible_at >= job.not_before


def test_a_due_job_that_is_cancelled_while_a_sweep_writes_is_not_sent() -> None:
    # Not a flaw: the sweep's own write was followed by another one, and so it takes it for somebody else's. Rightly.
    with replay("play.returns") as state:
        state.advance(seconds=61)
        state.sweep(skew=0, plan=Plan(calls=0, then=Decision.LOSE_ANSWER))
        state.cancel(which=0, plan=Plan(calls=3))
        state.finish(which=0)


def test_a_submit_that_stands_still_until_its_job_has_expired_may_find_another_in_its_place() -> None:
    # Not a flaw: its client was gone five minutes before. Found in some 17,000 runs.
    asked = {"owner": "alice", "key": "k1", "is_large": False, "delay": 0}
    with replay("play.returns", jobs=0) as state:
        state.submit(asked=asked, kind=0, plan=Plan(calls=0, then=Decision.LOSE_ANSWER))
        (late,) = state.world.notes.asked
        state.cancel(which=0, plan=Plan(calls=9))
        state.advance(seconds=301)
        state.submit(asked=asked, kind=0, plan=Plan(calls=9))
        state.finish(which=0)
        assert isinstance(late.invocation.error, IdempotencyKeyReused)


def test_a_job_is_not_retried_that_was_deleted_while_the_retry_was_on_its_way() -> None:
    # The retry had read the job, the deletion had it expire, and the retry's write brought it back: without its input, which
    # the deletion took next.
    asked = {"owner": "alice", "key": None, "is_large": True, "delay": 0}
    with replay("play.quick_fails", jobs=0) as state:
        state.submit(asked=asked, kind=0, plan=Plan(calls=9))
        state.retry(which=0, plan=Plan(calls=0))
        state.delete(which=0, plan=Plan(calls=1))
        state.finish(which=1)
        state.finish(which=0)
        _, retried, deleted = state.world.notes.asked
        assert isinstance(retried.invocation.error, JobNotFound)
        assert (deleted.invocation.error, state.world.jobs()) == (None, [])


def test_a_job_is_not_retried_that_expired_and_was_deleted_while_the_retry_was_on_its_way() -> None:
    # The deletion found it expired, and took its input without a word to the retry. Found in some 20,000 runs.
    asked = {"owner": "alice", "key": None, "is_large": True, "delay": 0}
    with replay("play.returns", jobs=0) as state:
        state.submit(asked=asked, kind=0, plan=Plan(calls=9))
        state.cancel(which=0, plan=Plan(calls=9))
        state.retry(which=0, plan=Plan(calls=0))
        state.advance(seconds=301)
        state.delete(which=0, plan=Plan(calls=1))
        state.finish(which=1)
        state.finish(which=0)
        retried = state.world.notes.asked[2]
        assert isinstance(retried.invocation.error, JobNotFound)


def test_a_job_that_was_deleted_before_its_submit_was_answered_may_be_put_once_more() -> None:
    # Not a flaw: nobody had been told of it yet. The put's answer got lost, and the SDK repeats it; a key is free again then.
    asked = {"owner": "alice", "key": "k1", "is_large": False, "delay": 0}
    with replay("play.returns", jobs=0) as state:
        state.submit(asked=asked, kind=0, plan=Plan(calls=0, then=Decision.LOSE_ANSWER))
        state.cancel(which=0, plan=Plan(calls=9))
        state.delete(which=0, plan=Plan(calls=9))
        assert state.world.jobs() == []
        state.finish(which=0)
        (job,) = state.world.jobs()
        assert job.status is Status.PENDING


def test_the_same_holds_for_one_that_was_retried_before_it_was_deleted() -> None:
    asked = {"owner": "alice", "key": None, "is_large": True, "delay": 0}
    with replay("play.quick", jobs=0) as state:
        state.submit(asked=asked, kind=0, plan=Plan(calls=1, then=Decision.LOSE_ANSWER))
        state.cancel(which=0, plan=Plan(calls=9))
        state.retry(which=0, plan=Plan(calls=9))
        state.cancel(which=0, plan=Plan(calls=9))
        state.delete(which=0, plan=Plan(calls=9))
        assert state.world.jobs() == []
        state.finish(which=0)
        assert len(state.world.jobs()) == 1


def test_a_job_that_a_sweep_has_looked_at_is_rolled_back_all_the_same() -> None:
    # Not a flaw: the harness took the sweep's write for the end.
    asked = {"owner": "alice", "key": None, "is_large": False, "delay": 0}
    with replay("play.alone", "play.alone_waits", jobs=2) as state:
        state.advance(seconds=61)
        state.cancel(which=0, plan=Plan(calls=0))
        state.cancel(which=0, plan=Plan(calls=0, then=Decision.LOSE_ANSWER))
        state.submit(asked=asked, kind=0, plan=Plan(calls=0, then=Decision.LOSE_ANSWER))
        state.overtake(which=0)
        state.deliver_again(which=0, plan=Plan(calls=0, then=Decision.LOSE_ANSWER))
        state.sweep(skew=600, plan=Plan(calls=0, then=Decision.LOSE_ANSWER))
        state.finish(which=2)
        assert [job.status for job in state.world.jobs()] == [Status.CANCELLED, Status.PENDING, Status.CANCELLED]


def test_a_job_may_wait_for_a_lock_until_its_own_deadline() -> None:
    # Not a flaw: workers whose clock is ten minutes fast put both holders' second attempts off for as long.
    asked = {"owner": "alice", "key": None, "is_large": False, "delay": 0}
    with replay("play.pair", "play.pair_raises", jobs=1) as state:
        state.suffer(mishap="lose", which=0)
        state.advance(seconds=550)
        for _ in range(2):
            state.submit(asked=asked, kind=1, plan=Plan(calls=9))
            state.deliver(size=1, skew=600, plan=Plan(calls=99))
    waited, *held = state.world.jobs()
    assert waited.error is not None
    assert waited.error.code == "DEADLINE_EXCEEDED"
    assert waited.ended_at is not None
    assert all(job.ended_at is not None and job.ended_at > waited.ended_at for job in held)


def test_who_takes_over_from_a_slow_clock_has_a_reason_to_start_again() -> None:
    # Not a flaw: the first worker's clock is ten minutes slow, and so its lease is over for all others as soon as it is taken.
    with replay("play.gives_up") as state:
        state.deliver(size=1, skew=-600, plan=Plan(calls=1, then=Decision.PARTLY))
        state.cancel(which=0, plan=Plan(calls=0))
        state.deliver_again(which=0, plan=Plan(calls=0, then=Decision.PARTLY))


def test_who_cancels_is_told_how_the_job_stood_when_another_cancelled_it() -> None:
    # One cancel reads, a report begins the job, another cancel ends it: all within a millisecond. The first took the end for
    # its own, and answered with a job that had never begun.
    asked = {"owner": "alice", "key": None, "is_large": False, "delay": 0}
    report = Report(status=Status.IN_PROGRESS, progress=20)
    with replay("play.elsewhere", jobs=0) as state:
        state.submit(asked=asked, kind=0, plan=Plan(calls=9))
        state.cancel(which=0, plan=Plan(calls=0))
        state.report(which=0, report=report, plan=Plan(calls=9))
        state.cancel(which=0, plan=Plan(calls=9))
        state.finish(which=0)
        first, second = (asked.invocation for asked in state.world.notes.asked if asked.invocation.role == "cancel")
        assert first.answer == second.answer == state.world.jobs()[0]
        assert state.world.jobs()[0].started_at is not None
