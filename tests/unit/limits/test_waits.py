"""Waiting requests: each owner has a few slots for them, so that no owner holds every execution of an account."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.core.clock import utc_now
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import AsyncJob
from asyncjobs.http.api import Api
from asyncjobs.http.query_routes import query_handlers
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.limits.waits import WaitSlots
from asyncjobs.service.long_poll import LongPoll
from asyncjobs.service.queries import Queries
from tests.support.factories import NOW, OWNER, new_job
from tests.support.fakes import FakeClock, FakeObjects, FakeStore
from tests.support.http_events import JOB, Answer, http_event

TWENTY = NOW + timedelta(seconds=20)


@pytest.fixture
def two_slots(store: FakeStore, clock: FakeClock) -> WaitSlots:
    return WaitSlots(store=store, clock=clock, slots=2)


@contextmanager
def waiting(slots: WaitSlots, *, count: int, owner: str = OWNER) -> Iterator[list[bool]]:
    """Hold as many slots as there are, and return which of the requests got one."""
    if count == 0:
        yield []
        return
    with slots.taken(owner, TWENTY) as is_taken, waiting(slots, count=count - 1, owner=owner) as others:
        yield [is_taken, *others]


def test_slots_of_an_owner_are_taken_until_the_waits_end(two_slots: WaitSlots) -> None:
    for _ in range(2):
        with waiting(two_slots, count=4) as taken:
            assert taken == [True, True, False, False]


def test_each_owner_has_its_own_slots(two_slots: WaitSlots) -> None:
    with waiting(two_slots, count=9), two_slots.taken("bob", TWENTY) as is_taken:
        assert is_taken


def test_slot_of_a_function_that_died_is_free_when_its_time_is_up(
    two_slots: WaitSlots, store: FakeStore, clock: FakeClock
) -> None:
    store.wait_slots = {(OWNER, slot): TWENTY for slot in range(2)}
    with two_slots.taken(OWNER, TWENTY) as is_taken:
        assert not is_taken
    clock.advance(seconds=20)
    with two_slots.taken(OWNER, TWENTY + timedelta(seconds=20)) as is_taken:
        assert is_taken


def test_full_wait_costs_one_write_and_a_shorter_one_two(two_slots: WaitSlots, store: FakeStore, clock: FakeClock) -> None:
    with two_slots.taken(OWNER, TWENTY):
        pass
    assert store.writes == 2
    with two_slots.taken(OWNER, TWENTY):
        clock.advance(seconds=20)
    assert store.writes == 3


def test_unavailable_table_refuses_the_wait_and_nothing_else(two_slots: WaitSlots, store: FakeStore) -> None:
    store.failures.append(Unavailable("throttled"))
    with two_slots.taken(OWNER, TWENTY) as is_taken:
        assert not is_taken
    with two_slots.taken(OWNER, TWENTY):
        store.failures.append(Unavailable("throttled"))


# ── An account with ten executions ─────────────────────────────────────────────────────────────────


@dataclass
class Account:
    """Runs each request in one of an account's executions, as Lambda does. A request without one is throttled."""

    handle: Callable[[dict[str, Any]], dict[str, Any]]
    executions: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(10))

    def call(self, async_job_id: str, owner: str, **query: str) -> Answer | None:
        """Return the answer; None if the request was throttled."""
        if not self.executions.acquire(blocking=False):
            return None
        try:
            return Answer.of(self.handle(http_event(JOB, owner, async_job_id=async_job_id, query=query)))
        finally:
            self.executions.release()


class Sleepers:
    """Requests that sleep until the test has seen them."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = threading.Condition()
        self._released = False

    def sleep(self, _seconds: float) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._released, timeout=60)

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.count >= count, timeout=60)

    def release(self) -> None:
        with self._changed:
            self._released = True
            self._changed.notify_all()


def flooded(slots: int | None) -> tuple[int, Answer | None]:
    """Let 200 requests of alice wait. Return how many do so, and the answer to bob meanwhile."""
    sleepers, store, jobs = Sleepers(), FakeStore(), [new_job(owner=owner, now=utc_now()) for owner in ("alice", "bob")]
    store.jobs = {job.key: job for job in jobs}
    limit = None if slots is None else lambda: WaitSlots(store=store, clock=utc_now, slots=slots)
    long_poll = LongPoll(utc_now, sleepers.sleep, slots=limit)
    queries = Queries(store=store, objects=FakeObjects(), catalog=Catalog({}), clock=utc_now, long_poll=long_poll)
    account = Account(Api(query_handlers(queries, clock=utc_now)).handle)

    def wait(job: AsyncJob) -> Answer | None:
        return account.call(job.async_job_id, job.owner, wait="20")

    with ThreadPoolExecutor(200) as pool:
        answers: list[Future[Answer | None]] = [pool.submit(wait, jobs[0]) for _ in range(200)]
        try:
            sleepers.wait_for(10 if slots is None else slots)
            for _ in range(200 - sleepers.count):
                next_answered(answers)
            return sleepers.count, account.call(jobs[1].async_job_id, "bob")
        finally:
            store.jobs[jobs[0].key] = jobs[0].cancelled(now=utc_now())
            sleepers.release()


def next_answered(answers: list[Future[Answer | None]]) -> None:
    """Remove one of the requests that have been answered."""
    done = threading.Event()
    for answer in answers:
        answer.add_done_callback(lambda _: done.set())
    assert done.wait(60)
    answers.remove(next(answer for answer in answers if answer.done()))


def test_200_waiting_requests_of_one_owner_leave_another_owners_request_served() -> None:
    waiting, answer = flooded(slots=5)
    assert waiting == 5
    assert answer is not None
    assert answer.status == 200


def test_without_slots_one_owner_holds_every_execution_of_a_new_account() -> None:
    waiting, answer = flooded(slots=None)
    assert (waiting, answer) == (10, None)
