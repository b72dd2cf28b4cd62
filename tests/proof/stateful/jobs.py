"""A troupe of small jobs for the stateful test, one for each way of running and ending.

Each notes on the stage when it starts, and stands still there between its steps, so that anything may happen meanwhile.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from asyncjobs import Exclusive, Fatal, JobContext, ResultStream, Retry, job, tracked_job

LARGE = 9 * 1024
"""More than fits into a record."""

Output = dict[str, Any]


class Part(BaseModel):
    """A number to tell one request from another, and something to make it large."""

    model_config = ConfigDict(extra="forbid")

    number: int
    padding: str = ""


class Stage(Protocol):
    """Where jobs are watched: the world."""

    def enter(self, context: JobContext, number: int) -> None:
        """Note that a job's code starts."""
        ...

    def stand(self, step: str) -> None:
        """Stand still."""
        ...

    def will_retry(self, context: JobContext, after: float) -> None:
        """Note when a job wants to be tried again."""
        ...


class _Curtain:
    stage: Stage | None = None


def take_stage(stage: Stage | None) -> None:
    """Have the jobs play there."""
    _Curtain.stage = stage


def _stage() -> Stage:
    if _Curtain.stage is None:
        raise AssertionError("There is no stage.")
    return _Curtain.stage


def output(kind: str, number: int, *, effect_key: str, attempt: int) -> Output:
    """What a job of this kind returns: the oracle, too. It tells by which attempt, for which generation."""
    padding = "x" * LARGE if kind in {"large", "quick_large", "streams"} else ""
    return {"kind": kind, "number": number, "effectKey": effect_key, "attempt": attempt, "padding": padding}


def _output(kind: str, part: Part, context: JobContext) -> Output:
    return output(kind, part.number, effect_key=context.effect_key, attempt=context.attempt)


_ODD: dict[str, Any] = {"deadline_seconds": 1200, "retention_seconds": 300, "expected_seconds": 1}


@job("play.returns", max_attempts=2, **_ODD)
def returns(part: Part, context: JobContext) -> Output:
    """Return at once."""
    _stage().enter(context, part.number)
    return _output("returns", part, context)


@job("play.large", max_attempts=2, **_ODD)
def large(part: Part, context: JobContext) -> Output:
    """Return more than fits into a record."""
    _stage().enter(context, part.number)
    return _output("large", part, context)


@job("play.streams", **_ODD)
def streams(part: Part, context: JobContext) -> Output | ResultStream:
    """Stream a result, in parts."""
    _stage().enter(context, part.number)
    data = json.dumps(_output("streams", part, context)).encode()
    with context.stream_result() as out:
        for start in range(0, len(data), 1000):
            out.write(data[start : start + 1000])
    return out


@job("play.works", timeout_seconds=300, max_attempts=2, **_ODD)
def works(part: Part, context: JobContext) -> Output:
    """Work for long, on short leases, and tell of it."""
    return _work("works", part, context)


@job("play.works_once", timeout_seconds=300, max_attempts=1, **_ODD)
def works_once(part: Part, context: JobContext) -> Output:
    """The same, with one attempt only: whoever takes it for dead ends it."""
    return _work("works_once", part, context)


def _work(kind: str, part: Part, context: JobContext) -> Output:
    _stage().enter(context, part.number)
    for done in (20, 60, 40, 90):
        context.progress(done, f"{done} of 100")
        _stage().stand("working")
    return _output(kind, part, context)


@job("play.tells", **_ODD)
def tells(part: Part, context: JobContext) -> Output:
    """Work on one lease, and tell of it."""
    _stage().enter(context, part.number)
    for done in (30, 70):
        context.progress(done)
        _stage().stand("telling")
    return _output("tells", part, context)


@job("play.raises", max_attempts=2, **_ODD)
def raises(part: Part, context: JobContext) -> Output:
    """Raise, each time."""
    _stage().enter(context, part.number)
    raise ValueError("canary")


@job("play.retries", **_ODD)
def retries(part: Part, context: JobContext) -> Output:
    """Ask to be tried again, until the last attempt."""
    _stage().enter(context, part.number)
    if context.attempt < context.max_attempts:
        after = 30.0 * context.attempt
        _stage().will_retry(context, after)
        raise Retry("Not yet.", after=after)
    return _output("retries", part, context)


@job("play.gives_up", **_ODD)
def gives_up(part: Part, context: JobContext) -> Output:
    """Fail for good."""
    _stage().enter(context, part.number)
    raise Fatal("Never.", code="HOPELESS")


@job("play.waits", **_ODD)
async def waits(part: Part, context: JobContext) -> Output:
    """Wait, beside the other coroutines of its batch."""
    _stage().enter(context, part.number)
    await asyncio.sleep(0)
    context.progress(50)
    await asyncio.sleep(0)
    return _output("waits", part, context)


_QUICK: dict[str, Any] = {**_ODD, "expected_seconds": 0.1}


@job("play.quick", **_QUICK)
def quick(part: Part, context: JobContext) -> Output:
    """Return soon, where it was submitted; tell of it, and stand still a little, so that it may take too long."""
    _stage().enter(context, part.number)
    context.progress(50)
    _stage().stand("working")
    return _output("quick", part, context)


@job("play.quick_large", max_attempts=2, **_QUICK)
def quick_large(part: Part, context: JobContext) -> Output:
    """The same, with more than fits into a record."""
    _stage().enter(context, part.number)
    return _output("quick_large", part, context)


@job("play.quick_raises", max_attempts=2, **_QUICK)
def quick_raises(part: Part, context: JobContext) -> Output:
    """Raise, first where it was submitted."""
    _stage().enter(context, part.number)
    raise ValueError("canary")


@job("play.quick_fails", **_QUICK)
def quick_fails(part: Part, context: JobContext) -> Output:
    """Fail for good, where it was submitted: its owner may try again."""
    _stage().enter(context, part.number)
    raise Fatal("Never.", code="HOPELESS")


@job("play.quick_waits", **_QUICK)
async def quick_waits(part: Part, context: JobContext) -> Output:
    """Wait a little."""
    _stage().enter(context, part.number)
    await asyncio.sleep(0)
    return _output("quick_waits", part, context)


def _alone(input_kind: str, part: Part, context: JobContext) -> Output:
    _stage().enter(context, part.number)
    _stage().stand("working")
    return _output(input_kind, part, context)


def _lock(policy: Literal["REJECT", "JOIN", "QUEUE"]) -> dict[str, Any]:
    return {**_ODD, "exclusive": Exclusive("play.alone", policy=policy)}


_PAIR: dict[str, Any] = {**_ODD, "exclusive": Exclusive("play.pair", policy="QUEUE", limit=2)}


@job("play.alone", max_attempts=2, **_lock("REJECT"))
def alone(part: Part, context: JobContext) -> Output:
    """Work for a while under a lock; who comes meanwhile is refused."""
    return _alone("alone", part, context)


@job("play.alone_joins", **_lock("JOIN"))
def alone_joins(part: Part, context: JobContext) -> Output:
    """The same, under the same lock; who comes meanwhile joins."""
    return _alone("alone_joins", part, context)


@job("play.alone_waits", max_attempts=2, **_lock("QUEUE"))
def alone_waits(part: Part, context: JobContext) -> Output:
    """The same, under the same lock; who comes meanwhile waits."""
    return _alone("alone_waits", part, context)


@job("play.alone_retries", max_attempts=2, **_lock("QUEUE"))
def alone_retries(part: Part, context: JobContext) -> Output:
    """The same, and keep the lock from one attempt to the next."""
    _stage().enter(context, part.number)
    if context.attempt == 1:
        _stage().will_retry(context, 30.0)
        raise Retry("Not yet.", after=30.0)
    return _output("alone_retries", part, context)


@job("play.pair", max_attempts=2, **_PAIR)
def pair(part: Part, context: JobContext) -> Output:
    """Work for a while under a lock that two may hold."""
    return _alone("pair", part, context)


@job("play.pair_raises", max_attempts=2, **_PAIR)
def pair_raises(part: Part, context: JobContext) -> Output:
    """Raise, under that lock."""
    _stage().enter(context, part.number)
    raise ValueError("canary")


@job("play.once", max_attempts=2, dedupe_seconds=600, **_ODD)
def once(part: Part, context: JobContext) -> Output:
    """Work for a while; the same input is the same job."""
    return _alone("once", part, context)


@job("play.once_raises", max_attempts=2, dedupe_seconds=600, **_QUICK)
def once_raises(part: Part, context: JobContext) -> Output:
    """Raise, first where it was submitted, so that the same input is another job then."""
    _stage().enter(context, part.number)
    raise ValueError("canary")


ELSEWHERE = tracked_job("play.elsewhere", expected_seconds=1, retention_seconds=300, deadline_seconds=1200)
"""Work that is done outside, and reported of."""


NEVER_COMPLETE = frozenset(
    {"play.raises", "play.quick_raises", "play.gives_up", "play.quick_fails", "play.pair_raises", "play.once_raises"}
)
