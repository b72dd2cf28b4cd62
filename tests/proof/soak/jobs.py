"""The soak's jobs, and the oracle with the required outcome of each. The deployed soak copies this file to jobs/soak.py."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from enum import StrEnum
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from asyncjobs import Exclusive, Fatal, JobContext, ResultStream, Retry, job, tracked_job


class Kind(StrEnum):
    """The behavior of a job."""

    RETURNS = "returns"
    WORKS = "works"
    RETRIES = "retries"
    RAISES = "raises"
    GIVES_UP = "gives_up"
    RETURNS_MUCH = "returns_much"
    STREAMS = "streams"
    IS_QUICK = "is_quick"
    TAKES_TURNS = "takes_turns"
    SHARES_INPUT = "shares_input"
    IS_URGENT = "is_urgent"
    WAITS = "waits"
    IS_TRACKED = "is_tracked"


class Task(BaseModel):
    """A behavior. `padding` only makes the input large."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    number: int
    seconds: float = 0
    padding: str = ""


class Surroundings(Protocol):
    """The surroundings of a job: the record of its starts, and time."""

    def note_start(self, context: JobContext) -> None:
        """Record the start of an attempt outside the system under test."""
        ...

    def work(self, context: JobContext, seconds: float) -> None:
        """Work for these seconds."""
        ...


class Deployed:
    """The surroundings in a function: a file that is flushed to the disk, and real time."""

    def note_start(self, context: JobContext) -> None:
        log = os.open(os.environ["STARTS_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(log, f"{context.effect_key} {context.attempt} {os.getpid()}\n".encode())
            os.fsync(log)
        finally:
            os.close(log)

    def work(self, context: JobContext, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            context.progress(100 * (1 - left / seconds))
            time.sleep(min(left, 0.1))


surroundings: Surroundings = Deployed()


@job("soak.short", max_attempts=10)
def short(input: Task, context: JobContext) -> Any:
    """Run a task on one lease."""
    return _do(input, context)


@job("soak.long", timeout_seconds=300, max_attempts=10)
def long(input: Task, context: JobContext) -> Any:
    """Run a task on short leases that are renewed."""
    return _do(input, context)


@job("soak.streams", timeout_seconds=300, max_attempts=10)
def streams(input: Task, context: JobContext) -> ResultStream:
    """Run a task whose result is streamed."""
    surroundings.note_start(context)
    surroundings.work(context, input.seconds)
    with context.stream_result("text/plain") as out:
        out.write(text(input).encode())
    return out


@job("soak.is_quick", expected_seconds=0.1, max_attempts=10)
def is_quick(input: Task, context: JobContext) -> Any:
    """Run a task in the submit function."""
    return _do(input, context)


@job("soak.takes_turns", timeout_seconds=300, max_attempts=10, exclusive=Exclusive("soak.turns", scope="OWNER", policy="QUEUE"))
def takes_turns(input: Task, context: JobContext) -> Any:
    """Run a task under its owner's lock."""
    return _do(input, context)


@job("soak.shares_input", timeout_seconds=300, max_attempts=10, exclusive=Exclusive("soak.same", scope="INPUT", policy="QUEUE"))
def shares_input(input: Task, context: JobContext) -> Any:
    """Run a task under the lock of its owner and input."""
    return _do(input, context)


@job("soak.is_urgent", max_attempts=10, priority="high")
def is_urgent(input: Task, context: JobContext) -> Any:
    """Run a task from the queue of high priority."""
    return _do(input, context)


@job("soak.waits", max_attempts=10)
async def waits(input: Task, context: JobContext) -> Any:
    """Run a task side by side with the other coroutines of its batch."""
    await asyncio.sleep(0)
    return _do(input, context)


ELSEWHERE = tracked_job("soak.elsewhere", deadline_seconds=120, retention_seconds=86_400)
"""The tracked job type, on whose jobs the clients report. Its jobs stay until they are counted: by default they expire after
five minutes, which a soak takes longer than, and look lost."""

_JOB_TYPES = {
    Kind.WORKS: "soak.long",
    Kind.STREAMS: "soak.streams",
    Kind.IS_QUICK: "soak.is_quick",
    Kind.TAKES_TURNS: "soak.takes_turns",
    Kind.SHARES_INPUT: "soak.shares_input",
    Kind.IS_URGENT: "soak.is_urgent",
    Kind.WAITS: "soak.waits",
    Kind.IS_TRACKED: ELSEWHERE.name,
}


def text(task: Task) -> str:
    """Return the content of the task's result."""
    once = hashlib.sha256(f"{task.number}{task.padding}".encode()).hexdigest()
    return once * 200 if task.kind in {Kind.RETURNS_MUCH, Kind.STREAMS} else once


def job_type(task: Task) -> str:
    """Return the job type of a task."""
    return _JOB_TYPES.get(task.kind, "soak.short")


def input_of(task: Task) -> dict[str, Any]:
    """Return the input of a submit. A tracked job takes none here."""
    return {} if task.kind is Kind.IS_TRACKED else task.model_dump(mode="json")


def _do(task: Task, context: JobContext) -> str:
    surroundings.note_start(context)
    surroundings.work(context, task.seconds)
    if task.kind is Kind.GIVES_UP:
        raise Fatal("Never.", code="HOPELESS")
    if context.attempt == 1 and task.kind is Kind.RETRIES:
        raise Retry("Not yet.", after=0.5)
    if context.attempt == 1 and task.kind is Kind.RAISES:
        raise ValueError("not yet")
    return text(task)
