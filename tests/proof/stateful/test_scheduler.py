"""The scheduler has the same effect on an invocation as the real fault."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from asyncjobs.core.errors import TimeLimitExceeded
from tests.proof.stateful.scheduler import Decision, Invocation, Scheduler

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    scheduler = Scheduler()
    yield scheduler
    scheduler.close()


def begun(scheduler: Scheduler, work: Callable[[], Any]) -> Invocation:
    invocation = Invocation(1, "worker", work, started_at=NOW, timeout=timedelta(seconds=10), skew=timedelta(0))
    scheduler.start(invocation)
    return invocation


def test_invocation_pauses_before_each_call(scheduler: Scheduler) -> None:
    done: list[str] = []

    def work() -> str:
        scheduler.call("dynamodb.put_item", lambda: done.append("put"))
        scheduler.call("sqs.send_message", lambda: done.append("send"))
        return "answer"

    invocation = begun(scheduler, work)
    assert (done, invocation.at and invocation.at.name) == ([], "dynamodb.put_item")
    scheduler.go_on(invocation, [Decision.PROCEED])
    assert (done, invocation.at and invocation.at.name) == (["put"], "sqs.send_message")
    scheduler.finish(invocation)
    assert (done, invocation.done, invocation.answer) == (["put", "send"], True, "answer")


@pytest.mark.parametrize(("decision", "error"), [(Decision.FAIL, EndpointConnectionError), (Decision.THROTTLE, ClientError)])
def test_failed_call_applies_nothing(scheduler: Scheduler, decision: Decision, error: type[Exception]) -> None:
    done: list[str] = []
    invocation = begun(scheduler, lambda: scheduler.call("dynamodb.put_item", lambda: done.append("put")))
    scheduler.go_on(invocation, [decision])
    assert (done, type(invocation.error), invocation.failed_calls) == ([], error, 1)


def test_call_with_a_lost_answer_is_repeated_as_by_the_sdk(scheduler: Scheduler) -> None:
    answers = iter(["first", "second", "third"])
    invocation = begun(scheduler, lambda: scheduler.call("sqs.send_message", lambda: next(answers)))
    scheduler.go_on(invocation, [Decision.LOSE_ANSWER, Decision.LOSE_ANSWER])
    assert not invocation.done
    scheduler.finish(invocation)
    assert invocation.answer == "third"


def test_call_with_every_answer_lost_is_a_connection_error(scheduler: Scheduler) -> None:
    applied: list[int] = []
    invocation = begun(scheduler, lambda: scheduler.call("sqs.send_message", lambda: applied.append(1)))
    scheduler.go_on(invocation, [Decision.LOSE_ANSWER] * 4)
    assert (len(applied), type(invocation.error)) == (4, ReadTimeoutError)


def test_killed_invocation_cleans_nothing_up(scheduler: Scheduler) -> None:
    done: list[str] = []

    def work() -> None:
        try:
            scheduler.call("dynamodb.put_item", lambda: done.append("put"))
        except BaseException:  # noqa: BLE001 - this is what must not be reached
            done.append("caught")
        finally:
            done.append("cleaned")

    invocation = begun(scheduler, work)
    scheduler.go_on(invocation, [Decision.KILL])
    scheduler.finish(invocation)
    assert (done, invocation.is_live) == ([], False)


def test_paused_invocation_is_unwound_at_the_end_and_cannot_call() -> None:
    scheduler, done = Scheduler(), list[str]()

    def work() -> None:
        try:
            scheduler.call("dynamodb.put_item", lambda: done.append("put"))
        finally:
            scheduler.call("dynamodb.update_item", lambda: done.append("update"))

    invocation = begun(scheduler, work)
    scheduler.close()
    assert (done, invocation.done) == ([], True)


def test_ended_invocation_leaves_its_thread_to_the_next_one_without_its_context(scheduler: Scheduler) -> None:
    left = ContextVar("left", default="nothing")

    def work() -> tuple[int, str]:
        found = left.get()
        left.set("something")
        scheduler.pause("within")
        return threading.get_ident(), found

    first, beside = begun(scheduler, work), begun(scheduler, work)
    scheduler.finish(first)
    second = begun(scheduler, work)
    for invocation in (beside, second):
        scheduler.finish(invocation)
    assert first.answer == second.answer != beside.answer
    assert {each.answer[1] for each in (first, beside, second)} == {"nothing"}


def test_process_dies_as_a_whole(scheduler: Scheduler) -> None:
    parent, child = (begun(scheduler, lambda: scheduler.pause("anywhere")) for _ in range(2))
    child.parent = parent
    parent.children.append(child)
    scheduler.go_on(child, [Decision.KILL])
    assert not parent.is_live


def test_timeout_fires_only_where_there_is_one(scheduler: Scheduler) -> None:
    def work() -> None:
        scheduler.pause("before")
        invocation.has_time_limit = True
        scheduler.pause("within")

    invocation = begun(scheduler, work)
    scheduler.go_on(invocation, [Decision.RING])
    assert invocation.error is None
    scheduler.go_on(invocation, [Decision.RING])
    assert isinstance(invocation.error, TimeLimitExceeded)


def test_invocation_that_waits_for_another_continues_after_it(scheduler: Scheduler) -> None:
    other = begun(scheduler, lambda: scheduler.pause("writing"))
    waiting = begun(scheduler, lambda: scheduler.join(other))
    scheduler.go_on(waiting, [Decision.PROCEED] * 3)
    assert waiting.is_live
    scheduler.finish(other)
    scheduler.go_on(waiting, [Decision.PROCEED])
    assert waiting.done


def test_calm_invocation_runs_to_its_end(scheduler: Scheduler) -> None:
    scheduler.calm = True
    assert begun(scheduler, lambda: scheduler.call("sqs.send_message", lambda: "sent")).answer == "sent"
