"""Measure how soon a change reaches its watcher, and whether many watchers of another owner slow that.

The stack runs on this machine. Bob watches one job over one connection and reports its progress. Alice has many connections, of
which a hundred watch each of her jobs. In turns her jobs rest, or report, one after the other. Both kinds of turns are measured in
one run, from the write, which `at` says, to the message; and so is the floor, a ping: one message, one function, one answer.

    python -m bench.pushes [--watchers 1000] [--changes 20] [--turns 3] [--busy 1]

The local engine is one process and its stream has one shard, so all pushes take turns; on AWS, a stream has several. It ends within
a quarter of an hour, as the connections do: then fewer of them were opened, and it says how many.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from local import users
from local.process import PROJECT
from local.stack import LocalStack
from tests.support.pace import SLOWNESS

WATCHERS_OF_A_JOB = 100
PAUSE = 0.7
"""Seconds between two changes of a job: more than the half second between two messages to a connection."""
PATIENCE = 60
OPEN_WITHIN, MEASURE_WITHIN = 480, 360
"""Seconds, together less than the 15 minutes of a connection."""
AT_ONCE = 8
"""Connections that are opened at the same time: each needs three invocations."""


@dataclass
class Times:
    """Seconds of the pushes and of the pings of some turns."""

    pushes: list[float] = field(default_factory=list)
    pings: list[float] = field(default_factory=list)


class Owner:
    """A user with a client."""

    def __init__(self, api_url: str, token: str) -> None:
        self.http = httpx.AsyncClient(
            base_url=f"{api_url}/api/v1", headers={"authorization": f"Bearer {token}"}, timeout=PATIENCE, trust_env=False
        )

    async def job(self) -> str:
        """Submit a tracked job."""
        answer = await self.http.post("/jobs", json={})
        return str(answer.raise_for_status().json()["asyncJobId"])

    async def report(self, job_id: str, text: str) -> None:
        """Report a change of the job."""
        (await self.http.patch(f"/jobs/{job_id}", json={"message": text})).raise_for_status()

    async def watch(self, job_id: str) -> ClientConnection:
        """Open a connection that watches the job for as long as a connection may last."""
        answer = await self.http.post("/tickets", json={"jobs": [job_id], "use": "connect", "ttlSeconds": 900})
        connection = await connect(
            answer.raise_for_status().json()["url"], proxy=None, open_timeout=PATIENCE, ping_interval=None
        )
        await connection.send(json.dumps({"action": "watch", "asyncJobId": job_id}))
        await _received(connection, lambda message: message["type"] == "watching")
        return connection


async def _received(connection: ClientConnection, is_wanted: Callable[[Any], object]) -> Any:
    """Return the first message that is wanted."""
    async with asyncio.timeout(PATIENCE):
        while not is_wanted(message := json.loads(await connection.recv())):
            pass
        return message


async def measure_turn(owner: Owner, job_id: str, connection: ClientConnection, texts: Sequence[str], times: Times) -> None:
    """Measure a push of each text, and a ping."""
    for text in texts:
        await owner.report(job_id, text)
        message = await _received(connection, functools.partial(_times_of, text))
        times.pushes.append(time.time() - datetime.fromisoformat(_times_of(text, message)[0]).timestamp())
        began = time.time()
        await connection.send(json.dumps({"action": "ping"}))
        await _received(connection, lambda found: found["type"] == "pong")
        times.pings.append(time.time() - began)
        await asyncio.sleep(PAUSE)


def _times_of(text: str, message: Any) -> list[str]:
    """Return when the changes of the message with this text were written."""
    return [change["at"] for change in message.get("changes", ()) if change["message"] == text]


class Crowd:
    """The many connections of an owner, and what they receive."""

    def __init__(self, owner: Owner, jobs: Sequence[str]) -> None:
        self.received = 0
        self._owner = owner
        self._jobs = jobs
        self._connections: list[ClientConnection] = []
        self._listening: list[asyncio.Task[None]] = []
        self._numbers = itertools.count()

    async def open(self, count: int) -> int:
        """Open so many connections, or as many as there is time for, and return their number."""
        doors, until = asyncio.Semaphore(AT_ONCE), time.monotonic() + OPEN_WITHIN

        async def one(number: int) -> None:
            async with doors:
                if time.monotonic() < until:
                    with contextlib.suppress(OSError, WebSocketException, httpx.HTTPError, TimeoutError):
                        self._connections.append(await self._owner.watch(self._jobs[number // WATCHERS_OF_A_JOB]))

        await asyncio.gather(*map(one, range(count)))
        self._listening = [asyncio.create_task(self._listen(each)) for each in self._connections]
        return len(self._connections)

    async def _listen(self, connection: ClientConnection) -> None:
        async for _ in connection:
            self.received += 1

    @contextlib.asynccontextmanager
    async def changing(self, busy: int) -> AsyncIterator[None]:
        """Report a change of so many of the jobs in each second, in turns."""
        working = asyncio.create_task(self._work(itertools.cycle(self._jobs), busy))
        try:
            yield
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def _work(self, jobs: Iterator[str], busy: int) -> None:
        while True:
            reports = [self._owner.report(job_id, f"Step {next(self._numbers)}") for job_id in itertools.islice(jobs, busy)]
            await asyncio.gather(*reports, asyncio.sleep(1))

    async def close(self) -> None:
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        for connection in self._connections:
            connection.transport.abort()


async def measure(
    api_url: str, alice_token: str, bob_token: str, *, watchers: int, changes: int, turns: int, busy: int
) -> tuple[Times, Times]:
    """Return the times without and with changes of the other owner's jobs."""
    alice, bob = Owner(api_url, alice_token), Owner(api_url, bob_token)
    job_id = await bob.job()
    quiet, crowded = Times(), Times()
    crowd = Crowd(alice, [await alice.job() for _ in range(-(-watchers // WATCHERS_OF_A_JOB))])
    began = time.monotonic()
    opened = await crowd.open(watchers)
    print(f"{opened} of {watchers} connections of another owner opened in {time.monotonic() - began:.0f} s", flush=True)
    connection = await bob.watch(job_id)
    await measure_turn(bob, job_id, connection, [f"Cold {number}" for number in range(5)], Times())
    began = time.monotonic()
    for turn in range(turns):
        if time.monotonic() - began > MEASURE_WITHIN:
            print(f"time for {turn} of {turns} turns")
            break
        await measure_turn(bob, job_id, connection, [f"Quiet {turn}.{number}" for number in range(changes)], quiet)
        async with crowd.changing(busy):
            await measure_turn(bob, job_id, connection, [f"Busy {turn}.{number}" for number in range(changes)], crowded)
        await asyncio.sleep(3)
    print(f"{crowd.received} messages to the other owner")
    await crowd.close()
    await connection.close()
    for owner in (alice, bob):
        await owner.http.aclose()
    return quiet, crowded


def report(quiet: Times, crowded: Times) -> None:
    """Print the figures."""
    rows = {
        "ping: the floor": quiet.pings,
        "push, the other owner's jobs rest": quiet.pushes,
        "ping, they change": crowded.pings,
        "push, they change": crowded.pushes,
    }
    for name, found in rows.items():
        ordered = sorted(found)
        print(
            f"{name:34} p50 {statistics.median(found) * 1000:6.0f} ms   p95 {ordered[int(0.95 * len(ordered))] * 1000:6.0f} ms"
        )
    to_floor = statistics.median(quiet.pushes) / statistics.median(quiet.pings)
    slower = statistics.median(crowded.pushes) / statistics.median(quiet.pushes)
    print(f"ratio of a push to the floor {to_floor:.2f}; of pushes beside the other owner's to those without {slower:.2f}")
    print(f"budget: p50 300 ms without them; this machine takes {SLOWNESS:.1f} times as long as a quiet one")


def main() -> int:
    """Start the stack, and measure. Returns 1 if there was no time for it."""
    arguments = argparse.ArgumentParser(prog="python -m bench.pushes", description=__doc__.partition("\n")[0])
    arguments.add_argument("--watchers", type=int, default=1000, help="connections of the other owner")
    arguments.add_argument("--changes", type=int, default=20, help="changes that are measured in a turn")
    arguments.add_argument("--turns", type=int, default=3)
    arguments.add_argument("--busy", type=int, default=1, help="how many of the other owner's jobs change in a second")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder, LocalStack(PROJECT, Path(folder)) as stack:
        outputs = stack.deploy({})
        tokens = [users.token(outputs, stack.session, name) for name in ("alice", "bob")]
        try:
            report(*asyncio.run(measure(outputs.api_url, *tokens, **vars(options))))
        except TimeoutError:
            print(f"No answer within {PATIENCE} s: this machine is too busy, or too many jobs change.")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
