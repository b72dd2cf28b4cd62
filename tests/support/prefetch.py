"""Slow requests to the deployed stack, started before the first test of their folder so that the tests rarely wait for them."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import httpx
import pytest

from tests.support.deployed import Api

T = TypeVar("T")


@dataclass(frozen=True)
class Timed:
    """An answer and the seconds until it arrived."""

    answer: httpx.Response
    seconds: float

    @classmethod
    def call(cls, send: Callable[[], httpx.Response]) -> Timed:
        """Send the request and measure it."""
        began = time.monotonic()
        answer = send()
        return cls(answer, time.monotonic() - began)


class Prefetch(Generic[T]):
    """The outcome of a function that runs in the background."""

    def __init__(self, fetch: Callable[[Api], T]) -> None:
        self._fetch = fetch
        self._future: Future[T] | None = None
        self._again: Callable[[], T] | None = None

    def start(self, pool: ThreadPoolExecutor, api: Api) -> None:
        """Start the request."""
        self._again = partial(self._fetch, api)
        self._future = pool.submit(self._again)

    def result(self) -> T:
        """Return what the function returned, or raise what it raised. Wait for it for at most ten minutes."""
        assert self._future is not None
        return self._future.result(timeout=600)

    def again(self) -> T:
        """Call the function once more, in the foreground."""
        assert self._again is not None
        return self._again()


def answered_within(seconds: float, polled: Prefetch[Timed]) -> Timed:
    """Return an answer that took less than that, or the third one: on a busy machine, an answer may be late."""
    timed = polled.result()
    for _ in range(2):
        if timed.seconds >= seconds:
            timed = polled.again()
    return timed


def collected(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """Return the parameters of the module's tests that use the requesting fixture, so that it begins no others."""
    assert request.fixturename
    return [
        item.callspec.params
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path and request.fixturename in item.fixturenames
    ]


_prefetches: list[tuple[Path, Prefetch[Any]]] = []


def prefetch(fetch: Callable[[Api], T]) -> Prefetch[T]:
    """Register the function to be started before the tests of its folder."""
    registered = Prefetch(fetch)
    _prefetches.append((Path(inspect.getfile(fetch)).parent, registered))
    return registered


def start_all(pool: ThreadPoolExecutor, api: Api, folder: Path) -> None:
    """Start every registered function of the folder's collected modules."""
    for place, registered in _prefetches:
        if place == folder:
            registered.start(pool, api)
