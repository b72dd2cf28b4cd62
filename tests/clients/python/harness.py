"""Use both Python clients by one code: calls that need `await` in one of them are awaited if they can be."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx2

import asyncjobs_client
from asyncjobs_client._async.runtime import Clock as AsyncClock
from asyncjobs_client._sync.runtime import Clock
from tests.support.deployed import TLS


class FakeClock(Clock):
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.slept = 0.0
        self._seen = 0.0

    def now(self) -> float:
        return self.slept

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept += seconds

    def paused(self) -> str:
        """Return how long the client has slept since the last call."""
        since, self._seen = self.slept - self._seen, self.slept
        return f"{since:.6f}"


class FakeAsyncClock(AsyncClock):
    """The same for asyncio."""

    def __init__(self) -> None:
        self.fake = FakeClock()

    def now(self) -> float:
        return self.fake.now()

    async def sleep(self, seconds: float) -> None:
        self.fake.sleep(seconds)


@dataclass(frozen=True)
class Flavor:
    """One of the two clients."""

    name: str
    jobs: Callable[..., Any]
    worker: Callable[..., Any]
    clock: Callable[[], Any]

    def http(self, clock: Any) -> Any:
        """Return an HTTP client whose requests say how long the client has slept before."""
        fake = clock if isinstance(clock, FakeClock) else clock.fake

        def add(request: httpx2.Request) -> None:
            request.headers["contract-paused"] = fake.paused()

        async def add_async(request: httpx2.Request) -> None:
            add(request)

        if self.name == "sync":
            return httpx2.Client(event_hooks={"request": [add]}, trust_env=False, verify=TLS)
        return httpx2.AsyncClient(event_hooks={"request": [add_async]}, trust_env=False, verify=TLS)

    async def close(self, http: Any) -> None:
        await value_of(http.close() if self.name == "sync" else http.aclose())


SYNC = Flavor("sync", asyncjobs_client.Jobs, asyncjobs_client.Worker, FakeClock)
ASYNC = Flavor("async", asyncjobs_client.AsyncJobs, asyncjobs_client.AsyncWorker, FakeAsyncClock)
FLAVORS = (SYNC, ASYNC)


async def value_of(value: Any) -> Any:
    """Return what a method of either client returns."""
    return await value if inspect.isawaitable(value) else value


async def items_of(iterator: Any) -> list[Any]:
    """Return what an iterator of either client yields."""
    return [item async for item in iterator] if hasattr(iterator, "__aiter__") else list(iterator)
