"""Run invocations one at a time, each in its own thread, and decide the outcome of every AWS call.

A thread has the baton from one yield point to the next; all others pause. So a run is a sequence of decisions, and the same
decisions give the same run. A killed invocation never gets the baton again: no `finally`, no `except`, no clean-up write. Its
thread is unwound only after the last check, when its actions no longer count.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from functools import partial
from queue import SimpleQueue
from typing import Any, ClassVar

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from asyncjobs.core.errors import JobInterrupted, TimeLimitExceeded

SDK_TRIES = 4
"""The number of tries of boto3, as `asyncjobs.aws` sets it."""


_READS = frozenset({"dynamodb.query", "dynamodb.get_item", "dynamodb.batch_get_item", "s3.get_object"})


class Decision(Enum):
    """The outcome of a yield point."""

    PROCEED = auto()
    FAIL = auto()
    """The call is not applied; after the SDK's retries the code gets a connection error."""
    THROTTLE = auto()
    """The call is not applied; after the SDK's retries the code gets AWS's error."""
    LOSE_ANSWER = auto()
    """The call is applied, but the answer is lost: the SDK repeats the call at another yield point."""
    PARTLY = auto()
    """The index lags behind, or part of the batch fails."""
    RING = auto()
    """The attempt's timeout is raised here."""
    KILL = auto()


class Kind(Enum):
    """The reason for a pause."""

    CALL = auto()
    PAUSE = auto()
    """In a job's own code, or between tries."""
    JOIN = auto()
    """Until its heartbeat's write ends."""
    END = auto()
    """Its answer is on the way to its caller."""


@dataclass(frozen=True, slots=True)
class YieldPoint:
    """The place where an invocation pauses."""

    kind: Kind
    name: str


class Unwound(BaseException):
    """Ends the thread of a paused invocation after the last check."""


def _go_on() -> None:
    """Hand the baton to an invocation that pauses."""


class Invocation:
    """An invocation of a function, or the heartbeat thread of one."""

    def __init__(
        self, number: int, role: str, work: Callable[[], Any], *, started_at: datetime, timeout: timedelta, skew: timedelta
    ) -> None:
        self.number = number
        self.role = role
        self.request_id = f"{role}-{number}"
        self.started_at = started_at
        self.timeout = timeout
        self.skew = skew
        self.parent: Invocation | None = None
        self.children: list[Invocation] = []
        """The heartbeat writes of the same process."""
        self.at: YieldPoint | None = None
        self.plan: deque[Decision] = deque()
        self.is_unhindered = False
        self.passes_reads = False
        """Whether reads succeed without a yield point, so that the plan's decisions apply to writes."""
        self.has_time_limit = False
        self.interruption: JobInterrupted | None = None
        """What a heartbeat has found, to be raised in the job."""
        self.killed = False
        self.done = False
        self.answer: Any = None
        self.error: BaseException | None = None
        self.failed_calls = 0
        """Calls whose failure the code got: they may be the cause of unfinished work."""
        self.partial_calls = 0
        self.began_after = 0
        """The number of writes to the table before its start."""
        self._work = work

    def __repr__(self) -> str:
        return self.request_id

    @property
    def process(self) -> Invocation:
        """Return the invocation of the same process."""
        return self.parent or self

    @property
    def is_live(self) -> bool:
        """Return whether it continues when it gets the baton."""
        return not self.done and not self.killed

    def run(self) -> None:
        try:
            self.answer = self._work()
        except Unwound:
            pass
        except BaseException as error:  # noqa: BLE001 - judged afterwards
            self.error = error
        self.done = True


class Scheduler:
    """Gives the baton to one invocation at a time."""

    def __init__(self) -> None:
        self.current: Invocation | None = None
        self.faults = 0
        self.calm = False
        """Whether each invocation runs to its end, without faults and pauses."""
        self._closing = False
        self._threads: dict[Invocation, _Thread] = {}
        self._back = SimpleQueue[None]()

    # ── Called by the world ────────────────────────────────────────────────────────────────────────

    def start(self, invocation: Invocation) -> None:
        """Run it to its first yield point, or to its end when calm."""
        if self.calm:
            self.run_here(invocation)
            return
        self._threads[invocation] = _Thread.idle.pop() if _Thread.idle else _Thread()
        self._hand_over(invocation, partial(Context().run, self._in_thread, invocation))

    def run_here(self, invocation: Invocation) -> None:
        """Run it to its end, without faults and without other actions."""
        invocation.is_unhindered = True
        before, self.current = self.current, invocation
        invocation.run()
        self.current = before

    def go_on(self, invocation: Invocation, plan: Iterable[Decision]) -> None:
        """Let it pass as many yield points as the plan has decisions, then pause at the next."""
        invocation.plan = deque(plan)
        if invocation.plan and invocation.is_live:
            self._hand_over(invocation)

    def finish(self, invocation: Invocation) -> None:
        """Run it to its end without faults."""
        invocation.is_unhindered = True
        while invocation.is_live:
            for child in invocation.children:
                self.finish(child)
            self._hand_over(invocation)

    def kill(self, invocation: Invocation) -> None:
        """Kill it and everything in the same process."""
        process = invocation.process
        for victim in (process, *process.children):
            if victim.is_live:
                victim.killed = True
        self.faults += 1

    def close(self) -> None:
        """Unwind all paused invocations."""
        self._closing = True
        for invocation in self._threads:
            if not invocation.done:
                self._hand_over(invocation)

    # ── Called inside an invocation ────────────────────────────────────────────────────────────────

    def pause(self, name: str, kind: Kind = Kind.PAUSE) -> None:
        """Pause at a yield point where the code can only time out or be killed."""
        self._stand(YieldPoint(kind, name))

    def join(self, other: Invocation | None) -> None:
        """Pause until the other invocation has ended."""
        while other is not None and other.is_live:
            self._stand(YieldPoint(Kind.JOIN, repr(other)))

    def call(self, name: str, operation: Callable[..., Any], partly: dict[str, Any] | None = None) -> Any:
        """Make an AWS call as the SDK does: repeat it when its answer is lost."""
        for _ in range(SDK_TRIES):
            decision = self._stand(YieldPoint(Kind.CALL, name))
            invocation = self._invocation
            if decision in {Decision.FAIL, Decision.THROTTLE}:
                self.faults += 1
                invocation.failed_calls += 1
                raise _error(decision, name)
            if decision is Decision.PARTLY and partly is not None:
                self.faults += 1
                invocation.partial_calls += 1
                return operation(**partly)
            if decision is not Decision.LOSE_ANSWER:
                return operation()
            self.faults += 1
            # AWS's refusal is also an answer that can be lost.
            with suppress(ClientError):
                operation()
        self._invocation.failed_calls += 1
        raise ReadTimeoutError(endpoint_url="https://memory")

    # ── The baton ──────────────────────────────────────────────────────────────────────────────────

    @property
    def _invocation(self) -> Invocation:
        if self.current is None:
            raise AssertionError("An AWS call outside of any invocation.")
        return self.current

    def _stand(self, point: YieldPoint) -> Decision:
        """Return the baton unless a decision is left, and continue with the next decision."""
        if self._closing:
            raise Unwound
        invocation = self._invocation
        if invocation.passes_reads and point.name in _READS:
            return Decision.PROCEED
        invocation.at = point
        if not invocation.plan:
            if invocation.is_unhindered and point.kind is not Kind.JOIN:
                return Decision.PROCEED
            self._give_back(invocation)
        decision = invocation.plan.popleft() if invocation.plan else Decision.PROCEED
        if decision is Decision.KILL:
            self.kill(invocation)
            self._give_back(invocation)
        if decision is Decision.RING and invocation.has_time_limit:
            self.faults += 1
            raise TimeLimitExceeded("The timeout has ended.")
        if invocation.interruption is not None and invocation.has_time_limit:
            reason, invocation.interruption = invocation.interruption, None
            raise reason
        return decision

    def _hand_over(self, invocation: Invocation, work: Callable[[], object] = _go_on) -> None:
        before, self.current = self.current, invocation
        self._threads[invocation].inbox.put(work)
        self._back.get()
        self.current = before

    def _give_back(self, invocation: Invocation) -> None:
        self._back.put(None)
        self._threads[invocation].inbox.get()
        if self._closing:
            self.current = invocation
            raise Unwound

    def _in_thread(self, invocation: Invocation) -> None:
        invocation.run()
        _Thread.idle.append(self._threads[invocation])
        self._back.put(None)


class _Thread(threading.Thread):
    """Runs one invocation after the other, since starting a thread takes longer than most invocations."""

    idle: ClassVar[list[_Thread]] = []

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.inbox = SimpleQueue[Callable[[], object]]()
        self.start()

    def run(self) -> None:
        while True:
            self.inbox.get()()  # keeps nothing of an ended run


def _error(decision: Decision, name: str) -> Exception:
    if decision is Decision.FAIL:
        return EndpointConnectionError(endpoint_url="https://memory")
    code = "ProvisionedThroughputExceededException" if name.startswith("dynamodb") else "ThrottlingException"
    response: Any = {"Error": {"Code": code, "Message": "Slow down"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(response, name)
