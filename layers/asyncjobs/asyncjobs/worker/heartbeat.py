"""The one writer beside the job: sends its newest progress, at most once a second, and renews its lease."""

from __future__ import annotations

import math
import threading
from datetime import timedelta
from types import TracebackType
from typing import Self

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import JobCancelled, JobInterrupted, LeaseLost
from asyncjobs.core.job import FENCE_AND_REPORT, HEARTBEAT, MAX_MESSAGE_LENGTH, SHORT_LEASE, AsyncJob, Status
from asyncjobs.core.ports import Store
from asyncjobs.log import log_event

LEAST_PAUSE = timedelta(seconds=1)


class Heartbeat:
    """Reports for one attempt, from a thread of its own, so that `progress` never makes the job wait.

    A heartbeat and a progress report are the same write. An attempt that renews no lease and tells no progress starts no
    thread and writes nothing. When a write is refused, the job is no longer this attempt's: `interruption` says why.
    """

    def __init__(self, store: Store, job: AsyncJob, clock: Clock, *, renews_lease: bool) -> None:
        self.job = job
        """The job as it was last written."""
        self.interruption: JobInterrupted | None = None
        self._store = store
        self._clock = clock
        self._renews_lease = renews_lease
        self._news = threading.Condition()
        self._progress = job.progress
        self._message: str | None = None
        self._has_news = False
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._renews_lease:
            self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop, and wait for a write under way: after this `job` does not change any more."""
        self._stopping.set()
        with self._news:
            self._news.notify()
        if self._thread is not None:
            self._thread.join()

    def tell(self, percent: float = 0, message: str | None = None) -> None:
        """Note the newest progress; it is sent soon. Raises the interruption, if one has been found out by now."""
        with self._news:
            if math.isfinite(percent):
                self._progress = max(self._progress, round(min(max(percent, 0), 100)))
            if message is not None:
                self._message = storable(message)[:MAX_MESSAGE_LENGTH]
            self._has_news = True
            self._news.notify()
        self._start()
        if self.interruption is not None:
            raise self.interruption

    def beat(self) -> None:
        """Write the newest progress and the renewed lease, or find out that the job was taken away."""
        reported = self.newest()
        try:
            lost = self._store.swap_if_unchanged(self.job, reported, FENCE_AND_REPORT)
        except Exception as error:  # noqa: BLE001 - the thread must live on, whatever AWS says
            # The next one may get through before the lease is over; if none does, the fence settles it.
            log_event("HEARTBEAT_DEFERRED", self.job, errorType=type(error).__name__)
            return
        if lost is None:
            self.job = reported
        elif lost.current is not None and lost.current.is_same_attempt(self.job):
            # An earlier report, given up for lost, stands there after all: this one is to be told on top of it.
            self.job = lost.current
            self._has_news = True
        else:
            self.interruption = why_lost(self.job, lost.current)

    def newest(self) -> AsyncJob:
        """The job with the newest progress and a renewed lease, as the next write is to leave it."""
        with self._news:
            progress, message, self._has_news = self._progress, self._message, False
        now = self._clock()
        lease_until = now + SHORT_LEASE if self._renews_lease else now
        return self.job.reported(now=now, progress=progress, message=message, lease_until=lease_until)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while self._wait_for_news() and self.interruption is None:
            self.beat()
            self._stopping.wait(LEAST_PAUSE.total_seconds())

    def _wait_for_news(self) -> bool:
        """Wait until there is progress to send or the lease is to be renewed; False when the attempt is over."""
        pause = (HEARTBEAT - LEAST_PAUSE).total_seconds() if self._renews_lease else None
        with self._news:
            self._news.wait_for(lambda: self._has_news or self._stopping.is_set(), timeout=pause)
        return not self._stopping.is_set()


def storable(text: str) -> str:
    """The text without lone surrogates: they are no UTF-8, and the table would refuse the whole write."""
    return text.encode(errors="replace").decode()


def why_lost(held: AsyncJob, current: AsyncJob | None) -> JobInterrupted:
    """What it means for an attempt that its write was refused."""
    if current is not None and current.generation == held.generation and current.status is Status.CANCELLED:
        return JobCancelled("The job was cancelled.")
    return LeaseLost("The job is no longer this attempt's.")
