"""Every state of every job, from the table's stream."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from asyncjobs.core.job import Status

State = Mapping[str, Any]
"""An item's attributes without their types, and the `EPOCH` of the engine that wrote it."""
EPOCH = "~epoch"
JOB = "J#"
"""The prefix of the keys of jobs. The table has other items too."""

FINISHED = frozenset(status.value for status in Status if status.is_finished)
_STARTS = (Status.PENDING.value, Status.IN_PROGRESS.value)


@dataclass
class Life:
    """The states of one job, in order."""

    states: list[State] = field(default_factory=list)

    @property
    def last(self) -> State | None:
        return self.states[-1] if self.states else None

    @property
    def is_over(self) -> bool:
        return self.last is not None and self.last["status"] in FINISHED

    def generations(self) -> list[list[State]]:
        """Return the states of each generation: a retry, or a submit after a deletion, begins another one."""
        return [list(states) for _, states in itertools.groupby(self.states, key=lambda state: state["gen"])]

    def endings(self) -> int:
        """Return the largest number of times that one generation changed into a finished status."""
        return max(map(_endings, self.generations()), default=0)

    def faults(self) -> list[str]:
        """Return the violations of the protocol: I1, I3, I5, I6, I10, I11, I12 and I14 to I16."""
        found = [f"{_short(state)}: {fault}" for state in self.states for fault in _wrong_in(state)]
        for generation in self.generations():
            for old, new in itertools.pairwise(generation):
                found += [f"{_short(old)} -> {_short(new)}: {fault}" for fault in _wrong_between(old, new)]
        for before, after in itertools.pairwise(self.generations()):
            if before[-1]["status"] not in FINISHED or after[0]["status"] not in _STARTS:
                found.append(f"I5: {_short(before[-1])} gave way to {_short(after[0])}")
        if self.states and self.states[0]["status"] not in _STARTS and not self.states[0][EPOCH]:
            found.append(f"I5: it began as {_short(self.states[0])}")
        if self.endings() > 1:
            found.append(f"I6: it ended {self.endings()} times")
        return found

    def __str__(self) -> str:
        return " -> ".join(map(_short, self.states))


class History:
    """The lives of all jobs by their ids. A thread follows the stream."""

    def __init__(self, session: boto3.Session, endpoint_url: str, table_name: str) -> None:
        self.lives: dict[str, Life] = {}
        # A position in the stream is invalid for the next engine: no call may outlast this one.
        once = Config(proxies={}, retries={"total_max_attempts": 1})
        self._client: Any = session.client("dynamodbstreams", endpoint_url=endpoint_url, config=once)
        self._epoch = 0
        self._last = ""
        """The number of the last record. Numbers rise, and have as many digits."""
        self._table_name = table_name
        self._news = threading.Condition()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="history", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stopping.set()
        self._thread.join()

    def wait(self, job_id: str, until: Callable[[Life], bool], *, seconds: float) -> Life:
        """Return the job's life when `until` is true of it, or after these seconds."""
        deadline = time.monotonic() + seconds
        with self._news:
            while not until(life := self.lives.setdefault(job_id, Life())) and time.monotonic() < deadline:
                self._news.wait(0.5)
        return life

    def _follow(self) -> None:
        while not self._stopping.is_set():
            try:
                self._read_to_the_end()
            except (BotoCoreError, ClientError):
                # The engine restarts, and its stream starts again.
                self._epoch += 1
                self._stopping.wait(0.2)

    def _read_to_the_end(self) -> None:
        stream = self._client.list_streams(TableName=self._table_name)["Streams"][0]["StreamArn"]
        shard = self._client.describe_stream(StreamArn=stream)["StreamDescription"]["Shards"][0]["ShardId"]
        iterator = self._client.get_shard_iterator(StreamArn=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
        position = iterator["ShardIterator"]
        while position and not self._stopping.is_set():
            page = self._client.get_records(ShardIterator=position, Limit=1000)
            position = page.get("NextShardIterator")
            if page["Records"]:
                self._add(page["Records"])
            else:
                self._stopping.wait(0.05)

    def _add(self, records: list[Any]) -> None:
        with self._news:
            for record in records:
                image, number = record["dynamodb"].get("NewImage"), record["dynamodb"]["SequenceNumber"]
                if number <= self._last:
                    # From before a restart, which keeps what the stream has still to deliver.
                    continue
                self._last = number
                if image is not None and image["pk"]["S"].startswith(JOB):
                    state = {name: next(iter(value.values())) for name, value in image.items()} | {EPOCH: self._epoch}
                    job_id = state["pk"].rsplit("#", 1)[1]
                    self.lives.setdefault(job_id, Life()).states.append(state)
            self._news.notify_all()


def _endings(generation: list[State]) -> int:
    before = [None, *(state["status"] for state in generation)]
    after = [state["status"] for state in generation]
    return sum(1 for old, new in zip(before, after, strict=False) if new in FINISHED and old != new)


def _wrong_in(state: State) -> Iterator[str]:
    if (state["status"] in FINISHED) == ("dueAt" in state):
        yield "I11: due exactly while it is not finished"
    if int(state["attempt"]) > int(state["maxAttempts"]):
        yield "I12: more attempts than it has"
    if state["status"] in FINISHED and "liveOwner" in state:
        yield "I14: counted as live, and finished"
    if state["status"] != "PENDING" and "waitsSince" in state:
        yield "I15: waits for its lock, and has begun or ended"


def _wrong_between(old: State, new: State) -> Iterator[str]:
    if old["status"] in FINISHED and _permanent(old) != _permanent(new):
        yield "I1: a finished job changed"
    if old[EPOCH] != new[EPOCH]:
        # A stopped engine loses its stream, with the writes of its last moments.
        return
    is_claim = "claimedBy" in new and new["claimedBy"] != old.get("claimedBy")
    if int(new["attempt"]) != int(old["attempt"]) + is_claim:
        yield "I3: only a claim counts attempts, by one"
    if not is_claim and int(new["progress"]) < int(old["progress"]):
        yield "I10: progress went back"
    if int(new["seq"]) != int(old["seq"]) + (_shown(old) != _shown(new)):
        yield "I16: exactly a change that a client can see has the next number"


def _shown(state: State) -> list[Any]:
    return [state.get(name) for name in ("status", "attempt", "progress", "message", "resultType", "error")]


def _permanent(state: State) -> State:
    """Return the attributes of an ended job that never change; its owner may shorten its expiry."""
    return {name: value for name, value in state.items() if name not in {EPOCH, "recordExpiresAt"}}


def _short(state: State) -> str:
    error = json.loads(state["error"]) if "error" in state else {}
    return f"{state['status']}/{state['attempt']}{' ' if error else ''}{error.get('code', '')}"
