"""Runs invocations one at a time, each in a thread of its own, and decides at every AWS call what becomes of it.

A thread has the baton from one yield point to the next; all others stand still. So a run is a sequence of decisions, and
the same decisions make the same run. An invocation that is killed never gets the baton again: no `finally`, no `except`, no
clean-up write. Only when the world has been judged and is thrown away, its thread is unwound, and nothing it does then counts.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from asyncjobs.core.errors import TimeLimitExceeded

SDK_TRIES = 4
"""How often boto3 makes a call in all, as `asyncjobs.aws` sets it."""


_READS = frozenset({"dynamodb.query", "dynamodb.get_item", "s3.get_object"})


class Decision(Enum):
    """What happens at a yield point."""

    PROCEED = auto()
    FAIL = auto()
    """Nothing is applied; the SDK's retries are used up, the code sees a connection error."""
    THROTTLE = auto()
    """The same, but AWS says why."""
    LOSE_ANSWER = auto()
    """It is applied, but the answer is lost: the SDK repeats the call, at a yield point of its own."""
    PARTLY = auto()
    """An index that lags behind, a batch that is taken in part."""
    RING = auto()
    """The attempt's time limit is raised here."""
    KILL = auto()


class Kind(Enum):
    """Why an invocation stands still."""

    CALL = auto()
    PAUSE = auto()
    """In a job's own code, or asleep between tries."""
    JOIN = auto()
    """Waiting for the end of its heartbeat's write."""
    END = auto()
    """Its answer is on the way to whoever invoked it."""


@dataclass(frozen=True, slots=True)
class YieldPoint:
    """Where an invocation stands."""

    kind: Kind
    name: str


class Unwound(BaseException):
    """Ends the thread of an invocation that was left standing, after the world has been judged."""


class Invocation:
    """One invocation of a function, or the heartbeat that runs beside one."""

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
        """The heartbeats' writes of the same process."""
        self.at: YieldPoint | None = None
        self.plan: deque[Decision] = deque()
        self.is_unhindered = False
        self.passes_reads = False
        """Whether reads go well and at once, so that the plan's decisions fall on what changes something."""
        self.has_time_limit = False
        self.killed = False
        self.done = False
        self.answer: Any = None
        self.error: BaseException | None = None
        self.failed_calls = 0
        """Calls that the code saw fail: what it left undone may be their fault."""
        self.partial_calls = 0
        self.began_after = 0
        """How many writes the table had seen when it began."""
        self._work = work

    def __repr__(self) -> str:
        return self.request_id

    @property
    def process(self) -> Invocation:
        """The invocation whose process this runs in."""
        return self.parent or self

    @property
    def is_live(self) -> bool:
        """Whether it will go on when it gets the baton."""
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
    """Hands the baton to one invocation at a time."""

    def __init__(self) -> None:
        self.current: Invocation | None = None
        self.faults = 0
        self.calm = False
        """No faults any more, and no standing still: each invocation runs to its end."""
        self._closing = False
        self._threads: list[tuple[Invocation, threading.Thread, threading.Semaphore]] = []
        self._back = threading.Semaphore(0)
        self._standing: dict[Invocation, threading.Semaphore] = {}

    # ── Asked by the world ─────────────────────────────────────────────────────────────────────────

    def start(self, invocation: Invocation) -> None:
        """Run it up to its first yield point; in calm, to its end."""
        if self.calm:
            self.run_here(invocation)
            return
        go = threading.Semaphore(0)
        thread = threading.Thread(target=self._in_thread, args=(invocation, go), name=invocation.request_id, daemon=True)
        self._standing[invocation] = go
        self._threads.append((invocation, thread, go))
        thread.start()
        self._hand_over(invocation)

    def run_here(self, invocation: Invocation) -> None:
        """Run it to its end, without faults and with nothing in between."""
        invocation.is_unhindered = True
        before, self.current = self.current, invocation
        invocation.run()
        self.current = before

    def go_on(self, invocation: Invocation, plan: Iterable[Decision]) -> None:
        """Let it pass as many yield points as the plan has decisions, then stand still at the next."""
        invocation.plan = deque(plan)
        if invocation.plan and invocation.is_live:
            self._hand_over(invocation)

    def finish(self, invocation: Invocation) -> None:
        """Let it run to its end, without faults."""
        invocation.is_unhindered = True
        while invocation.is_live:
            for child in invocation.children:
                self.finish(child)
            self._hand_over(invocation)

    def kill(self, invocation: Invocation) -> None:
        """It, and what runs in the same process, never runs again."""
        process = invocation.process
        for victim in (process, *process.children):
            if victim.is_live:
                victim.killed = True
        self.faults += 1

    def close(self) -> None:
        """Unwind what was left standing."""
        self._closing = True
        for invocation, thread, go in self._threads:
            if not invocation.done:
                go.release()
                self._back.acquire()
            thread.join()

    # ── Asked from inside an invocation ────────────────────────────────────────────────────────────

    def pause(self, name: str, kind: Kind = Kind.PAUSE) -> None:
        """A yield point at which nothing can happen to the code but to be rung at or killed."""
        self._stand(YieldPoint(kind, name))

    def join(self, other: Invocation | None) -> None:
        """Stand still until the other one has ended."""
        while other is not None and other.is_live:
            self._stand(YieldPoint(Kind.JOIN, repr(other)))

    def call(self, name: str, operation: Callable[..., Any], partly: dict[str, Any] | None = None) -> Any:
        """Make an AWS call, as the SDK makes it: repeated when its answer gets lost."""
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
            # AWS's refusal is an answer too, and gets lost like any other.
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
        """Give the baton back unless there is a decision already; go on with the next one."""
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
            raise TimeLimitExceeded("The time limit is over.")
        return decision

    def _hand_over(self, invocation: Invocation) -> None:
        before, self.current = self.current, invocation
        self._standing[invocation].release()
        self._back.acquire()
        self.current = before

    def _give_back(self, invocation: Invocation) -> None:
        self._back.release()
        self._standing[invocation].acquire()
        if self._closing:
            self.current = invocation
            raise Unwound

    def _in_thread(self, invocation: Invocation, go: threading.Semaphore) -> None:
        go.acquire()
        if not self._closing:
            invocation.run()
        invocation.done = True
        self._back.release()


def _error(decision: Decision, name: str) -> Exception:
    if decision is Decision.FAIL:
        return EndpointConnectionError(endpoint_url="https://memory")
    code = "ProvisionedThroughputExceededException" if name.startswith("dynamodb") else "ThrottlingException"
    response: Any = {"Error": {"Code": code, "Message": "Slow down"}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(response, name)
