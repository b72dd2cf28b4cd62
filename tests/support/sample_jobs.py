"""Small sample jobs, one for each way of ending. Unit tests run them in process; the deployed tests deploy them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from asyncjobs import Exclusive, Fatal, JobContext, ResultStream, Retry, job


class Nothing(BaseModel):
    """No input."""

    model_config = ConfigDict(extra="forbid")


class Seconds(BaseModel):
    """A duration."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(default=0, ge=0, le=600)


class Number(BaseModel):
    """A number that must be even, which pydantic's JSON Schema does not express."""

    model_config = ConfigDict(extra="forbid", strict=True)

    number: int

    def model_post_init(self, _context: object) -> None:
        """Reject an odd number."""
        if self.number % 2:
            raise ValueError("must be even")


class Size(BaseModel):
    """A number of bytes."""

    size: int = Field(ge=0)


@job("sample.returns", expected_seconds=1)
def returns(input: Nothing, context: JobContext) -> dict[str, str]:
    """Return the effect key and the attempt."""
    return {"effectKey": context.effect_key, "attempt": str(context.attempt)}


@job("sample.returns_async", expected_seconds=1)
async def returns_async(input: Seconds, context: JobContext) -> dict[str, float]:
    """Wait without blocking other jobs, and return."""
    await asyncio.sleep(input.seconds)
    return {"seconds": input.seconds}


class Turn(BaseModel):
    """How a quick job ends."""

    model_config = ConfigDict(extra="forbid")

    turn: Literal["returns", "raises", "gives up", "dawdles", "hangs", "leaves a thread", "dies"] = "returns"


@job("sample.is_quick", expected_seconds=0.1, timeout_seconds=30)
def is_quick(input: Turn, context: JobContext) -> int:
    """Return immediately, as its type declares, or end as `turn` says in the first attempt."""
    if context.attempt == 1:
        match input.turn:
            case "raises":
                raise ValueError("canary-secret")
            case "dawdles":
                time.sleep(20)
            case "hangs":
                signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
                signal.pause()
            case "dies":
                os._exit(9)
    if input.turn == "gives up":
        raise Fatal("This will never work: change the input.", code="HOPELESS")
    return context.attempt


@job("sample.is_quick_async", expected_seconds=0.1, timeout_seconds=30, retry_timeouts=False)
async def is_quick_async(input: Turn, context: JobContext) -> int:
    """Do the same in a coroutine, of a type whose timeouts are not retried."""
    if input.turn == "dawdles" and context.attempt == 1:
        await asyncio.sleep(20)
    if input.turn == "leaves a thread":
        asyncio.get_running_loop().run_in_executor(None, time.sleep, 8)
        await asyncio.sleep(0.05)
    return context.attempt


@job("sample.is_quick_elsewhere", expected_seconds=0.1, immediate=False)
def is_quick_elsewhere(input: Turn, context: JobContext) -> int:
    """Return immediately, but never in the submit function."""
    return context.attempt


@job("sample.proves_quick", expected_seconds=5, immediate=True)
def proves_quick(input: Nothing, context: JobContext) -> int:
    """Return immediately, although its type declares five seconds."""
    return context.attempt


class Rows(BaseModel):
    """How many rows there are, if the caller says it."""

    rows: int | None = None


@job("sample.grows", expected_seconds=0.1, size="rows")
def grows(input: Rows, context: JobContext) -> int:
    """Take longer for more rows: a second for a thousand."""
    time.sleep((input.rows or 0) / 1000)
    return context.attempt


@job("sample.proves_slow", expected_seconds=0.1)
def proves_slow(input: Nothing, context: JobContext) -> int:
    """Take longer than its type declares."""
    time.sleep(0.7)
    return context.attempt


@job("sample.halves", expected_seconds=1)
def halves(input: Number, context: JobContext) -> int:
    """Halve an even number."""
    return input.number // 2


@job("sample.returns_much", expected_seconds=1)
def returns_much(input: Size, context: JobContext) -> str:
    """Return a text of the given size."""
    return "x" * input.size


@job("sample.streams", expected_seconds=1)
def streams(input: Size, context: JobContext) -> ResultStream:
    """Stream a JSON text of about the given size."""
    with context.stream_result() as out:
        out.write(b'"')
        for _ in range(input.size // 1000):
            out.write(b"x" * 1000)
        out.write(b'"')
    return out


class Files(BaseModel):
    """The sizes of files, and what the job does after them."""

    model_config = ConfigDict(extra="forbid")

    sizes: list[int] = Field(default=[3], max_length=20)
    size: int = Field(default=0, ge=0, description="The size of the result.")
    then: Literal["returns", "gives up", "leaves one open"] = "returns"


@job("sample.attaches", expected_seconds=0.1, timeout_seconds=30)
def attaches(input: Files, context: JobContext) -> dict[str, Any]:
    """Write files that belong to the result."""
    files = []
    for number, size in enumerate(input.sizes, start=1):
        file = context.open_artifact(f"file {number}.csv", "text/csv")
        files.append(file.reference)
        if input.then == "leaves one open":
            file.write(b"x" * size)
            continue
        with file:
            file.write(b"x" * size)
            if input.then == "gives up":
                raise Fatal("This will never work: change the input.", code="HOPELESS")
    return {"files": files, "text": "x" * input.size}


@job("sample.streams_no_json", expected_seconds=1)
def streams_no_json(input: Nothing, context: JobContext) -> ResultStream:
    """Stream invalid JSON."""
    with context.stream_result() as out:
        out.write(b'{"rows":[')
    return out


class Events(BaseModel):
    """How many events, and the length of a text in their data."""

    model_config = ConfigDict(extra="forbid", strict=True)

    size: int
    data: int = 0


@job("sample.sends_events", expected_seconds=1)
def sends_events(input: Events, context: JobContext) -> None:
    """Send so many events."""
    for number in range(input.size):
        text = {"text": "x" * input.data} if input.data else {}
        context.event("rows_loaded", {"table": "orders", "number": number, **text})


@job("sample.raises", expected_seconds=1)
def raises(input: Nothing, context: JobContext) -> None:
    """Raise an unforeseen exception whose text holds a secret."""
    raise ValueError("canary-secret")


@job("sample.gives_up", expected_seconds=1)
def gives_up(input: Nothing, context: JobContext) -> None:
    """Fail without a retry."""
    raise Fatal("This will never work: change the input.", code="HOPELESS")


class Import(BaseModel):
    """The fault of a source, until the file `fixed` exists."""

    model_config = ConfigDict(extra="forbid")

    fault: Literal["closed", "missing", "slow"]
    fixed: str


@job("sample.imports", expected_seconds=1, timeout_seconds=6, max_attempts=1)
def imports(input: Import, context: JobContext) -> str:
    """Fail for one of three reasons, until its source is fixed."""
    if os.path.exists(input.fixed):  # noqa: PTH110 - a job of few imports
        return "imported"
    if input.fault == "closed":
        raise Retry("The source refuses connections: nothing listens on db.example:5432.", code="SOURCE_CLOSED")
    if input.fault == "missing":
        raise Fatal("There is no table 'orders_2025': correct the input.", code="NO_SUCH_TABLE")
    time.sleep(30)
    return "late"


@job("sample.succeeds_at_last", expected_seconds=1)
def succeeds_at_last(input: Nothing, context: JobContext) -> int:
    """Raise Retry until the last attempt."""
    if context.attempt < context.max_attempts:
        raise Retry("Not yet.", after=1)
    return context.attempt


@job("sample.exits", expected_seconds=1, max_attempts=1)
def exits(input: Nothing, context: JobContext) -> None:
    """Call sys.exit, as scripts do."""
    sys.exit(3)


@job("sample.returns_unserialisable", expected_seconds=1)
def returns_unserialisable(input: Nothing, context: JobContext) -> Any:
    """Return a value that JSON cannot hold."""
    return float("nan")


@job("sample.returns_wrong_type", expected_seconds=1)
def returns_wrong_type(input: Nothing, context: JobContext) -> int:
    """Return a value of another type than declared."""
    return "seven"  # type: ignore[return-value]


@job("sample.is_asked_again", expected_seconds=1, dedupe_seconds=3600)
def is_asked_again(input: Any, context: JobContext) -> int:
    """Return; the same input is the same job for an hour."""
    return 1


@job("sample.works", expected_seconds=5, timeout_seconds=660)
def works(input: Seconds, context: JobContext) -> str:
    """Work and report progress. The timeout is long enough for heartbeats; the message holds the process id."""
    started = time.monotonic()
    while (spent := time.monotonic() - started) < input.seconds:
        context.progress(100 * spent / input.seconds, f"pid {os.getpid()} attempt {context.attempt}")
        time.sleep(0.05)
    return f"attempt {context.attempt}"


@job("sample.sleeps", timeout_seconds=5, max_attempts=1)  # on a busy machine, a job may begin seconds after its claim
def sleeps(input: Seconds, context: JobContext) -> str:
    """Sleep, perhaps beyond the timeout."""
    try:
        time.sleep(input.seconds)
    finally:
        context.logger.info("cleaned up")
    return "rested"


@job("sample.sleeps_async", timeout_seconds=1, max_attempts=1)
async def sleeps_async(input: Seconds, context: JobContext) -> str:
    """Sleep in a coroutine."""
    try:
        await asyncio.sleep(input.seconds)
    finally:
        context.logger.info("cleaned up")
    return "rested"


@job("sample.sleeps_too_long", timeout_seconds=1, retry_timeouts=False)
def sleeps_too_long(input: Seconds, context: JobContext) -> str:
    """Sleep, of a type whose timeouts are not retried."""
    time.sleep(input.seconds)
    return "rested"


@job("sample.holds_memory", max_attempts=1)
def holds_memory(input: Size, context: JobContext) -> int:
    """Hold this many bytes of memory."""
    return len(bytearray(input.size))


class Silence(BaseModel):
    """How long a job reports nothing, and whether it then suppresses an interruption and goes on for as long again."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(default=0, ge=0, le=600)
    is_stubborn: bool = False


def _silent(input: Silence, context: JobContext) -> str:
    try:
        context.logger.info("began")
        time.sleep(input.seconds)
    except BaseException:
        if not input.is_stubborn:
            raise
        time.sleep(input.seconds)
    finally:
        context.logger.info("cleaned up")
    return "rested"


async def _silent_async(input: Silence, context: JobContext) -> str:
    try:
        context.logger.info("began")
        await asyncio.sleep(input.seconds)
    except BaseException:
        if not input.is_stubborn:
            raise
        await asyncio.sleep(input.seconds)
    finally:
        context.logger.info("cleaned up")
    return "rested"


@job("sample.is_silent", timeout_seconds=50)
def is_silent(input: Silence, context: JobContext) -> str:
    """Report nothing, on one lease."""
    return _silent(input, context)


@job("sample.is_silent_for_long", timeout_seconds=600)
def is_silent_for_long(input: Silence, context: JobContext) -> str:
    """Report nothing, on leases that are renewed."""
    return _silent(input, context)


@job("sample.is_silent_async", timeout_seconds=50)
async def is_silent_async(input: Silence, context: JobContext) -> str:
    """Report nothing in a coroutine, on one lease."""
    return await _silent_async(input, context)


@job("sample.is_silent_for_long_async", timeout_seconds=600)
async def is_silent_for_long_async(input: Silence, context: JobContext) -> str:
    """Report nothing in a coroutine, on leases that are renewed."""
    return await _silent_async(input, context)


@job("sample.dies_once", timeout_seconds=300)
def dies_once(input: Nothing, context: JobContext) -> str:
    """Kill the own process in the first attempt, as the kernel does when memory runs out."""
    if context.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return f"attempt {context.attempt}"


class Ran(BaseModel):
    """When an attempt began and ended, in seconds since 1970. All attempts run on one machine."""

    began: float
    ended: float


@job("sample.takes_turns", timeout_seconds=300, exclusive=Exclusive("sample.turns", scope="OWNER", policy="QUEUE"))
def takes_turns(input: Seconds, context: JobContext) -> Ran:
    """Work; one job of an owner runs at a time. The message holds the process id."""
    return _ran(input, context)


@job(
    "sample.takes_turns_of_two",
    timeout_seconds=300,
    exclusive=Exclusive("sample.pairs", scope="OWNER", policy="QUEUE", limit=2),
)
def takes_turns_of_two(input: Seconds, context: JobContext) -> Ran:
    """Work; two jobs of an owner run at a time."""
    return _ran(input, context)


@job("sample.is_alone", timeout_seconds=300, exclusive=Exclusive("sample.alone"))
def is_alone(input: Seconds, context: JobContext) -> Ran:
    """Work; one job of all owners runs at a time, and a second submit is rejected."""
    return _ran(input, context)


@job("sample.is_joined", timeout_seconds=300, exclusive=Exclusive("sample.joined", scope="INPUT", policy="JOIN"))
def is_joined(input: Seconds, context: JobContext) -> Ran:
    """Work; a second submit of the same input returns the running job."""
    return _ran(input, context)


def _ran(input: Seconds, context: JobContext) -> Ran:
    began, started = time.time(), time.monotonic()
    while (spent := time.monotonic() - started) < input.seconds:
        context.progress(100 * spent / input.seconds, f"pid {os.getpid()} attempt {context.attempt}")
        time.sleep(0.05)
    return Ran(began=began, ended=time.time())
