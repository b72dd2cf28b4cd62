"""The cached durations: how often the table is read, and what happens while it is unavailable."""

from __future__ import annotations

import pytest

from asyncjobs.core.durations import Durations
from asyncjobs.estimates.history import FRESH, CachedHistory
from tests.support.fakes import FakeHistory

KNOWN = Durations.of([60.0] * 100)


class Time:
    """A monotonic clock that moves only when a test sets it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def history() -> FakeHistory:
    return FakeHistory(known={"a": KNOWN})


@pytest.fixture
def cached(history: FakeHistory, time: Time) -> CachedHistory:
    return CachedHistory(history, time)


def test_fresh_durations_are_not_read_again(cached: CachedHistory, history: FakeHistory, time: Time) -> None:
    first = cached.of("a")
    time.now += FRESH - 1
    assert cached.of("a") is first is not None
    assert history.reads == 1


def test_stale_durations_are_read_again(cached: CachedHistory, history: FakeHistory, time: Time) -> None:
    assert cached.of("a") == KNOWN
    history.known["a"] = Durations.of([5.0] * 100)
    time.now += FRESH
    assert cached.of("a") == history.known["a"] != KNOWN
    assert history.reads == 2


def test_each_type_is_read_separately(cached: CachedHistory, history: FakeHistory) -> None:
    assert cached.of("a") == KNOWN
    assert cached.of("b") == Durations()
    assert history.reads == 2


def test_unavailable_table_is_not_read_again_for_a_while(cached: CachedHistory, history: FakeHistory, time: Time) -> None:
    history.is_down = True
    assert cached.of("a") is None
    history.is_down = False
    time.now += FRESH - 1
    assert cached.of("a") is None
    assert history.reads == 1
    time.now += 1
    assert cached.of("a") is not None
