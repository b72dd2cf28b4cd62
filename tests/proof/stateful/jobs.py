"""Small jobs for the stateful test, one for each way of running and ending.

Each records its start on the stage and pauses there between its steps, so that anything may happen meanwhile.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from asyncjobs import Exclusive, Fatal, JobContext, ResultStream, Retry, job, tracked_job

LARGE = 9 * 1024
"""More characters than fit into a record."""

Output = dict[str, Any]


class Part(BaseModel):
    """A number that distinguishes requests, and padding that makes one large."""

    model_config = ConfigDict(extra="forbid")

    number: int
    padding: str = ""


class Stage(Protocol):
    """The observer of the jobs: the world."""

    def enter(self, context: JobContext, number: int) -> None:
        """Record the start of a job's code."""
        ...

    def stand(self, step: str) -> None:
        """Pause."""
        ...

    def will_retry(self, context: JobContext, after: float) -> None:
        """Record a requested retry."""
        ...


class _Curtain:
    stage: Stage | None = None


def take_stage(stage: Stage | None) -> None:
    """Set the stage of the jobs."""
    _Curtain.stage = stage


def _stage() -> Stage:
    if _Curtain.stage is None:
        raise AssertionError("There is no stage.")
    return _Curtain.stage


def output(kind: str, number: int, *, effect_key: str, attempt: int) -> Output:
    """Return the result of a job of this kind, also for the oracle. It names the attempt and the generation."""
    padding = "x" * LARGE if kind in {"large", "quick_large", "streams"} else ""
    return {"kind": kind, "number": number, "effectKey": effect_key, "attempt": attempt, "padding": padding}


def _output(kind: str, part: Part, context: JobContext) -> Output:
    return output(kind, part.number, effect_key=context.effect_key, attempt=context.attempt)


_ODD: dict[str, Any] = {"deadline_seconds": 1200, "retention_seconds": 300, "expected_seconds": 1}


@job("play.returns", max_attempts=2, **_ODD)
def returns(part: Part, context: JobContext) -> Output:
    """Return immediately."""
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
    """Work for long on short leases, and report progress."""
    return _work("works", part, context)


@job("play.works_once", timeout_seconds=300, max_attempts=1, **_ODD)
def works_once(part: Part, context: JobContext) -> Output:
    """Work for long with a single attempt, which a lost worker uses up."""
    return _work("works_once", part, context)


def _work(kind: str, part: Part, context: JobContext) -> Output:
    _stage().enter(context, part.number)
    for done in (20, 60, 40, 90):
        context.progress(done, f"{done} of 100")
        _stage().stand("working")
    return _output(kind, part, context)


@job("play.tells", **_ODD)
def tells(part: Part, context: JobContext) -> Output:
    """Work on one lease, and report progress."""
    _stage().enter(context, part.number)
    for done in (30, 70):
        context.progress(done)
        _stage().stand("telling")
    return _output("tells", part, context)


@job("play.raises", max_attempts=2, **_ODD)
def raises(part: Part, context: JobContext) -> Output:
    """Raise in every attempt."""
    _stage().enter(context, part.number)
    raise ValueError("canary")


@job("play.retries", **_ODD)
def retries(part: Part, context: JobContext) -> Output:
    """Raise Retry until the last attempt."""
    _stage().enter(context, part.number)
    if context.attempt < context.max_attempts:
        after = 30.0 * context.attempt
        _stage().will_retry(context, after)
        raise Retry("Not yet.", after=after)
    return _output("retries", part, context)


@job("play.gives_up", **_ODD)
def gives_up(part: Part, context: JobContext) -> Output:
    """Fail without a retry."""
    _stage().enter(context, part.number)
    raise Fatal("Never.", code="HOPELESS")


@job("play.waits", **_ODD)
async def waits(part: Part, context: JobContext) -> Output:
    """Wait concurrently with the other coroutines of the batch."""
    _stage().enter(context, part.number)
    await asyncio.sleep(0)
    context.progress(50)
    await asyncio.sleep(0)
    return _output("waits", part, context)


_QUICK: dict[str, Any] = {**_ODD, "expected_seconds": 0.1}


@job("play.quick", **_QUICK)
def quick(part: Part, context: JobContext) -> Output:
    """Return soon in the submit function, after a report and a pause that may take too long."""
    _stage().enter(context, part.number)
    context.progress(50)
    _stage().stand("working")
    return _output("quick", part, context)


@job("play.quick_large", max_attempts=2, **_QUICK)
def quick_large(part: Part, context: JobContext) -> Output:
    """Return more than fits into a record, in the submit function."""
    _stage().enter(context, part.number)
    return _output("quick_large", part, context)


@job("play.quick_raises", max_attempts=2, **_QUICK)
def quick_raises(part: Part, context: JobContext) -> Output:
    """Raise, first in the submit function."""
    _stage().enter(context, part.number)
    raise ValueError("canary")


@job("play.quick_fails", **_QUICK)
def quick_fails(part: Part, context: JobContext) -> Output:
    """Fail without a retry in the submit function; its owner may retry it."""
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
    """Work under a lock that rejects other jobs."""
    return _alone("alone", part, context)


@job("play.alone_joins", **_lock("JOIN"))
def alone_joins(part: Part, context: JobContext) -> Output:
    """Work under the same lock; another submit joins."""
    return _alone("alone_joins", part, context)


@job("play.alone_waits", max_attempts=2, **_lock("QUEUE"))
def alone_waits(part: Part, context: JobContext) -> Output:
    """Work under the same lock; another job waits."""
    return _alone("alone_waits", part, context)


@job("play.alone_retries", max_attempts=2, **_lock("QUEUE"))
def alone_retries(part: Part, context: JobContext) -> Output:
    """Work under the same lock, and keep it from one attempt to the next."""
    _stage().enter(context, part.number)
    if context.attempt == 1:
        _stage().will_retry(context, 30.0)
        raise Retry("Not yet.", after=30.0)
    return _output("alone_retries", part, context)


@job("play.pair", max_attempts=2, **_PAIR)
def pair(part: Part, context: JobContext) -> Output:
    """Work under a lock that two jobs may hold."""
    return _alone("pair", part, context)


@job("play.pair_raises", max_attempts=2, **_PAIR)
def pair_raises(part: Part, context: JobContext) -> Output:
    """Raise under that lock."""
    _stage().enter(context, part.number)
    raise ValueError("canary")


@job("play.alone_works", timeout_seconds=300, max_attempts=2, **_lock("QUEUE"))
def alone_works(part: Part, context: JobContext) -> Output:
    """Work for long under the same lock, on short leases."""
    return _work("alone_works", part, context)


@job("play.mine", max_attempts=2, exclusive=Exclusive("play.mine", scope="OWNER", policy="QUEUE"), **_ODD)
def mine(part: Part, context: JobContext) -> Output:
    """Work under a lock of its owner; another job of that owner waits."""
    return _alone("mine", part, context)


@job("play.mine_alone", exclusive=Exclusive("play.mine", scope="OWNER"), **_ODD)
def mine_alone(part: Part, context: JobContext) -> Output:
    """Work under the same lock, which rejects another job of that owner."""
    return _alone("mine_alone", part, context)


@job("play.same", max_attempts=2, exclusive=Exclusive("play.same", scope="INPUT", policy="QUEUE"), **_ODD)
def same(part: Part, context: JobContext) -> Output:
    """Work under a lock of its owner and input; another job of that input waits."""
    return _alone("same", part, context)


@job("play.same_alone", exclusive=Exclusive("play.same", scope="INPUT"), **_ODD)
def same_alone(part: Part, context: JobContext) -> Output:
    """Work under the same lock, which rejects another job of that input."""
    return _alone("same_alone", part, context)


@job("play.once", max_attempts=2, dedupe_seconds=300, **_ODD)
def once(part: Part, context: JobContext) -> Output:
    """Work; the same input is the same job."""
    return _alone("once", part, context)


@job("play.once_raises", max_attempts=2, dedupe_seconds=300, **_QUICK)
def once_raises(part: Part, context: JobContext) -> Output:
    """Raise, first in the submit function; afterwards the same input is another job."""
    _stage().enter(context, part.number)
    raise ValueError("canary")


ELSEWHERE = tracked_job("play.elsewhere", expected_seconds=1, retention_seconds=300, deadline_seconds=1200)
"""The tracked job type."""


NEVER_COMPLETE = frozenset(
    {"play.raises", "play.quick_raises", "play.gives_up", "play.quick_fails", "play.pair_raises", "play.once_raises"}
)
