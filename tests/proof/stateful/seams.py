"""Replacements for the product's real time, threads and randomness.

Timeouts and other interruptions use a signal, which only a main thread receives: here a timeout fires when the scheduler
decides, and another interruption is raised at the attempt's next yield point. A heartbeat has a thread that
waits in real time: here each `beat()` is a separate step. Ids are random: here they are the same in every run. Parts of a
streamed result are 8 MB: here they are small, so that there are several. The due index has many partitions: here it has few, so
that a sweep has few yield points.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import TypeVar
from unittest.mock import patch

from asyncjobs.aws import s3
from asyncjobs.core import job
from asyncjobs.core.errors import JobInterrupted, TimeLimitExceeded
from asyncjobs.core.job import DuePart
from asyncjobs.tracking import worker_token
from asyncjobs.worker import event_loop, executor, heartbeat, immediate, process_state, sqs_batch, timeouts
from asyncjobs.worker.heartbeat import Heartbeat
from tests.proof.stateful.scheduler import Invocation, Scheduler

T = TypeVar("T")


class Pulse:
    """Replaces the thread of a heartbeat."""

    def __init__(self, beats_of: Heartbeat, scheduler: Scheduler) -> None:
        self.heartbeat = beats_of
        self.under_way: Invocation | None = None
        self._scheduler = scheduler

    @property
    def may_beat(self) -> bool:
        """Return whether the real thread would still loop."""
        is_idle = self.under_way is None or not self.under_way.is_live
        return is_idle and not self.heartbeat._is_stopping and self.heartbeat.interruption is None

    def join(self) -> None:
        """Wait for the present write."""
        self._scheduler.join(self.under_way)


class _Watch:
    """Replaces the thread that starts the threads of heartbeats. Here an attempt that renews its lease has one from its start."""

    def add(self, heartbeat: Heartbeat) -> None:
        if heartbeat._renews_lease:
            heartbeat.start_thread()

    def remove(self, heartbeat: Heartbeat) -> None:
        pass


class _SameEachTime:
    """Replaces `uuid` and `secrets`."""

    UUID = uuid.UUID

    def __init__(self) -> None:
        self._random = random.Random(7)

    def uuid4(self) -> uuid.UUID:
        return uuid.UUID(int=self._random.getrandbits(128), version=4)

    def token_bytes(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def token_hex(self, size: int) -> str:
        return self._random.randbytes(size).hex()


@contextmanager
def replaced_seams(scheduler: Scheduler, begun: Callable[[Invocation, Pulse], None]) -> Iterator[None]:
    """Replace the product's timeouts, heartbeats and ids. `begun` is called with each heartbeat that starts."""

    def call_with_timeout(function: Callable[[], T], limit: timedelta) -> T:
        invocation = scheduler.current
        if invocation is None:
            raise AssertionError("An attempt runs outside an invocation.")
        if limit <= timedelta(0):
            raise TimeLimitExceeded("The timeout ended before the job began.")
        invocation.interruption, invocation.has_time_limit = None, True
        try:
            return function()
        finally:
            invocation.has_time_limit = False

    def interrupt_call(reason: JobInterrupted) -> None:
        if scheduler.current is not None:
            scheduler.current.process.interruption = reason

    def start(self: Heartbeat) -> None:
        if self._thread is None and scheduler.current is not None:
            pulse = Pulse(self, scheduler)
            self._thread = pulse  # type: ignore[assignment]  # it is only joined
            begun(scheduler.current, pulse)

    same = _SameEachTime()
    with ExitStack() as stack:
        for place, name, stand_in in (
            (executor, "call_with_timeout", call_with_timeout),
            (executor, "interrupt_call", interrupt_call),
            (executor, "prepare_interruptions", lambda: None),
            (event_loop, "call_with_timeout", call_with_timeout),
            (event_loop, "interrupt_call", interrupt_call),
            (timeouts.ProcessEnd, "within", lambda _self, _limit: None),
            (timeouts.ProcessEnd, "cancel", lambda _self: None),
            # It is this process's, and its signals need the main thread.
            (process_state.ProcessState, "__enter__", lambda self: self),
            (process_state.ProcessState, "__exit__", lambda *_: None),
            (process_state.ProcessState, "note_imports", lambda _self: None),
            (event_loop, "_thread_pool", lambda _steps: None),
            (heartbeat, "_watch", _Watch()),
            (heartbeat.Heartbeat, "start_thread", start),
            (job, "uuid", same),
            (sqs_batch, "secrets", same),
            (immediate, "secrets", same),
            (worker_token, "secrets", same),
            (s3, "_PART", 4000),
            (job, "DUE_SHARDS", {DuePart.RUNNING: 1, DuePart.NEW: 2, DuePart.WAITING: 1}),
        ):
            stack.enter_context(patch.object(place, name, stand_in))
        yield
