"""The soak's watchers: they follow jobs over the WebSocket API, while each few seconds a connection is cut.

Each does what docs/notifications.md says of a client: it connects with a ticket, watches from the last number that it has, drops
what it had, pings, watches again what a ping shows to be newer, and connects again after a lost connection. A message that was on
its way is lost with its connection; the snapshot of the next watch has what it said.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from tests.proof.crash.history import FINISHED
from tests.proof.crash.stage import Caller
from tests.support.pace import SLOWNESS

LIVE_JOBS = 20
"""An owner's unfinished jobs, at most."""
HELD_JOBS = 15
"""Those of them that stay unfinished for a while, and are watched."""
JOBS_EACH = 10
"""Jobs that a connection watches at the same time, of the 20 that it may."""
_PING_EVERY = 20.0
_ANSWER_WITHIN = min(15.0 * SLOWNESS, 60)
_OPEN_WITHIN = min(30.0 * SLOWNESS, 60)
_GONE = "GONE"


@dataclass
class Watch:
    """A watcher: one job that one connection follows until it has the end."""

    job_id: str
    seen: int = 0
    end: str | None = None
    """The job's status in the end, or `_GONE` for a deleted one."""
    is_watched: bool = False
    """Whether the present connection has the answer that it watches the job."""
    asked_at: float = 0.0
    """When the present connection got the request to watch it."""

    def __str__(self) -> str:
        state = "is watched" if self.is_watched else "waits for the answer to a watch" if self.asked_at else "is not watched"
        return f"{self.job_id} {state}, has number {self.seen} and {self.end or 'no end'}"


@dataclass
class _Owner:
    name: str
    caller: Caller
    known: set[str] = field(default_factory=set)
    waiting: deque[Watch] = field(default_factory=deque)
    """Those that wait for a place at a connection."""


class Watchers:
    """Watchers of the jobs that are added, in a thread of their own, from entry to exit."""

    def __init__(
        self,
        names: Sequence[str],
        *,
        sign_in: Callable[[str], Caller],
        watchers: int,
        cut_every: float,
        chance: random.Random,
    ) -> None:
        """So many watchers, by a tenth as many connections.

        They are more than the jobs that are held, so several of them watch the same job.
        """
        self.happened: Counter[str] = Counter()
        self.watches: list[Watch] = []
        self.most = 0
        """The largest number of watches at the same time."""
        self._owners = {name: _Owner(name, sign_in(name)) for name in names}
        connections = max(1, watchers // JOBS_EACH // len(names))
        self._watchers_of_a_job = min(connections, math.ceil(watchers / HELD_JOBS / len(names)))
        self._followers = [
            _Follower(owner, self.happened, sign_in=sign_in, cut_every=cut_every, chance=chance)
            for owner in self._owners.values()
            for _ in range(connections)
        ]
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="watchers", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for follower in self._followers:
            follower.is_stopping = True
        self._thread.join(2 * _OPEN_WITHIN)
        for owner in self._owners.values():
            owner.caller.close()

    def wait_for_connections(self, seconds: float) -> None:
        """Wait until each connection was opened once, or for these seconds: most take a cold start."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not all(follower.has_connected for follower in self._followers):
            time.sleep(0.2)

    def add(self, name: str, job_id: str) -> None:
        """Watch the job of this owner."""
        owner = self._owners[name]
        if job_id not in owner.known:
            owner.known.add(job_id)
            watches = [Watch(job_id) for _ in range(self._watchers_of_a_job)]
            self.watches += watches
            owner.waiting += watches

    def calm(self) -> None:
        """Cut no connection any more."""
        for follower in self._followers:
            follower.is_calm = True

    def count_waiting(self) -> int:
        """Return how many do not have the end yet."""
        return sum(watch.end is None for watch in self.watches)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for follower in self._followers:
                group.create_task(follower.run())
            while not all(follower.is_stopping for follower in self._followers):
                self.most = max(self.most, sum(follower.count() for follower in self._followers))
                await asyncio.sleep(0.2)


class _Follower:
    """Follows jobs of an owner over one connection after the other."""

    def __init__(
        self,
        owner: _Owner,
        happened: Counter[str],
        *,
        sign_in: Callable[[str], Caller],
        cut_every: float,
        chance: random.Random,
    ) -> None:
        self.is_stopping = False
        self.has_connected = False
        self.is_calm = False
        self._owner = owner
        self._happened = happened
        self._sign_in = sign_in
        self._cut_every = cut_every
        self._chance = chance
        self._followed: dict[str, Watch] = {}

    def count(self) -> int:
        """Return how many jobs it watches now."""
        return sum(watch.is_watched for watch in self._followed.values())

    async def run(self) -> None:
        """Connect, and connect again after each end of the connection, until it has to stop."""
        while not self.is_stopping:
            await asyncio.sleep(self._chance.uniform(0.2, 1))
            try:
                url = await asyncio.to_thread(self._ticket)
                async with connect(url, proxy=None, open_timeout=_OPEN_WITHIN, ping_interval=None) as connection:
                    self.has_connected = True
                    await self._talk(connection)
            except (OSError, WebSocketException, httpx.HTTPError, TimeoutError) as error:
                self._happened[type(error).__name__] += 1
            for watch in self._followed.values():
                watch.is_watched, watch.asked_at = False, 0.0

    def _ticket(self) -> str:
        answer = self._owner.caller.issue_connect_ticket()
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._owner.caller = self._sign_in(self._owner.name)
        return str(answer.raise_for_status().json()["url"])

    async def _talk(self, connection: ClientConnection) -> None:
        lasts, cut_at = self._chance.uniform(0.5, 1.5) * self._cut_every, math.inf
        ping_at = time.monotonic() + self._chance.uniform(0.5, 1) * _PING_EVERY
        while not self.is_stopping:
            now = time.monotonic()
            if now > cut_at and not self.is_calm:
                self._happened["cuts"] += 1
                # As a lost network does: without a closing handshake.
                connection.transport.abort()
                return
            self._take_more()
            for watch in self._followed.values():
                if not watch.is_watched and now - watch.asked_at > _ANSWER_WITHIN:
                    watch.asked_at = now
                    await _send(connection, action="watch", asyncJobId=watch.job_id, after=watch.seen, id=watch.job_id)
            if now > ping_at:
                ping_at = now + _PING_EVERY
                await _send(connection, action="ping")
            try:
                text = await asyncio.wait_for(connection.recv(), 0.5)
            except TimeoutError:
                continue
            # From its first message on: on a slow machine it would get none otherwise.
            cut_at = min(cut_at, time.monotonic() + lasts)
            self._read(text)
            for watch in [watch for watch in self._followed.values() if watch.end is not None]:
                del self._followed[watch.job_id]
                await _send(connection, action="unwatch", asyncJobId=watch.job_id)

    def _take_more(self) -> None:
        """Give free places to those that wait, and each job one place at this connection.

        The last ones go first: on a busy machine, the jobs of the others have ended.
        """
        waiting = self._owner.waiting
        for _ in range(len(waiting)):
            if len(self._followed) >= JOBS_EACH:
                return
            watch = waiting.pop()
            if watch.job_id in self._followed:
                waiting.appendleft(watch)
            else:
                self._followed[watch.job_id] = watch

    def _read(self, text: str | bytes) -> None:
        message = _message(text)
        match message["type"]:
            case "watching":
                if watch := self._followed.get(message["asyncJobId"]):
                    watch.is_watched = True
                    if message["snapshot"]:
                        self._learn(watch, message["snapshot"], "snapshots")
            case "changes":
                for change in message["changes"]:
                    if watch := self._followed.get(change["asyncJobId"]):
                        self._learn(watch, change, "pushes")
            case "pong":
                self._compare(message["seqs"])
            case "problem":
                self._take_problem(message["problem"]["code"], self._followed.get(message.get("id", "")))
            case "failed":
                self._happened["failed answers"] += 1

    def _take_problem(self, code: str, watch: Watch | None) -> None:
        self._happened[code] += 1
        if code == "JOB_NOT_FOUND" and watch is not None:
            watch.end = _GONE

    def _compare(self, seqs: Mapping[str, int]) -> None:
        """Watch again what has news that no message has brought yet, or was deleted."""
        for watch in self._followed.values():
            if watch.is_watched and seqs.get(watch.job_id) != watch.seen:
                self._happened["found by a ping"] += 1
                watch.is_watched, watch.asked_at = False, 0.0

    def _learn(self, watch: Watch, state: Mapping[str, Any], how: str) -> None:
        if state["seq"] <= watch.seen:
            return
        watch.seen = state["seq"]
        self._happened[how] += 1
        if state["status"] in FINISHED:
            watch.end = state["status"]


def _message(text: str | bytes) -> Mapping[str, Any]:
    """Return the message, of the type `failed` if it is not from the function, but of the gateway about it."""
    try:
        message: Mapping[str, Any] = json.loads(text)
    except ValueError:
        return {"type": "failed"}
    return message if "type" in message else {"type": "failed"}


async def _send(connection: ClientConnection, **message: Any) -> None:
    await connection.send(json.dumps(message))


def missed(watches: Iterable[Watch], statuses: Mapping[str, str]) -> list[str]:
    """Describe the watches whose job has ended otherwise than they know. A deleted job has no status."""
    return [
        f"{watch}; it is {statuses[watch.job_id]}"
        for watch in watches
        if watch.job_id in statuses and watch.end != statuses[watch.job_id]
    ]
