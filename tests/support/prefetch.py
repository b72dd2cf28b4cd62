"""What takes its time on the deployed stack is begun before the first test of its folder, so that hardly anybody waits for it."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import httpx

from tests.support.deployed import Api

T = TypeVar("T")


@dataclass(frozen=True)
class Timed:
    """An answer, and the seconds that it took."""

    answer: httpx.Response
    took: float

    @classmethod
    def of(cls, ask: Callable[[], httpx.Response]) -> Timed:
        """Ask now."""
        began = time.monotonic()
        answer = ask()
        return cls(answer, time.monotonic() - began)


class Ahead(Generic[T]):
    """What will mostly have come about by the time that somebody looks."""

    def __init__(self, ask: Callable[[Api], T]) -> None:
        self._ask = ask
        self._future: Future[T] | None = None

    def begin(self, pool: ThreadPoolExecutor, api: Api) -> None:
        """Once."""
        self._future = pool.submit(self._ask, api)

    def look(self) -> T:
        """It, or what was raised. Waits for it for ten minutes at most."""
        assert self._future is not None
        return self._future.result(timeout=600)


_begun_ahead: list[tuple[Path, Ahead[Any]]] = []


def ahead(ask: Callable[[Api], T]) -> Ahead[T]:
    """Have it begun when the tests of its folder are."""
    begun = Ahead(ask)
    _begun_ahead.append((Path(inspect.getfile(ask)).parent, begun))
    return begun


def begin_all(pool: ThreadPoolExecutor, api: Api, folder: Path) -> None:
    """Those of the folder's modules that were collected."""
    for place, begun in _begun_ahead:
        if place == folder:
            begun.begin(pool, api)
