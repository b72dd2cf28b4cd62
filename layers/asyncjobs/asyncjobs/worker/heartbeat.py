"""A background writer beside the job: it sends the newest progress, at most once a second, and renews the lease."""

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
    """Reports for one attempt, from its own thread, so that `progress` never makes the job wait.

    A heartbeat and a progress report are the same write. An attempt that renews no lease and reports no progress starts no
    thread and writes nothing. When a write is refused, the job no longer belongs to this attempt: `interruption` says why.
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
        """Stop, and wait for a write in progress: after this, `job` does not change any more."""
        self._stopping.set()
        with self._news:
            self._news.notify()
        if self._thread is not None:
            self._thread.join()

    def report(self, percent: float = 0, message: str | None = None) -> None:
        """Note the newest progress, which is sent soon. Raises the interruption, if there is one by now."""
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
        """Write the newest progress and the renewed lease, or note that the job was taken over."""
        reported = self.newest()
        try:
            lost = self._store.swap_if_unchanged(self.job, reported, FENCE_AND_REPORT)
        except Exception as error:  # noqa: BLE001 - the thread must go on after any error of AWS
            # The next write may succeed before the lease ends; if none does, the fence rejects this attempt's writes.
            log_event("HEARTBEAT_DEFERRED", self.job, errorType=type(error).__name__)
            return
        if lost is None:
            self.job = reported
        elif lost.current is not None and lost.current.is_same_attempt(self.job):
            # An earlier report that seemed lost was recorded after all: this report goes on top of it.
            self.job = lost.current
            self._has_news = True
        else:
            self.interruption = why_lost(self.job, lost.current)

    def newest(self) -> AsyncJob:
        """Return the job with the newest progress and a renewed lease, for the next write."""
        with self._news:
            progress, message, self._has_news = self._progress, self._message, False
        now = self._clock()
        lease_until = now + SHORT_LEASE if self._renews_lease else now
        return self.job.reported(now=now, progress=progress, message=message, lease_until=lease_until)

    def with_last_progress(self) -> AsyncJob:
        """Return the job with progress that is not written yet, for the write that ends the attempt."""
        with self._news:
            progress, message = self._progress, self._message
        return self.job.progressed(now=self._clock(), progress=progress, message=message)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while self._wait_for_news() and self.interruption is None:
            self.beat()
            self._stopping.wait(LEAST_PAUSE.total_seconds())

    def _wait_for_news(self) -> bool:
        """Wait for progress to send, or the time to renew the lease. Return False when the attempt is over."""
        pause = (HEARTBEAT - LEAST_PAUSE).total_seconds() if self._renews_lease else None
        with self._news:
            self._news.wait_for(lambda: self._has_news or self._stopping.is_set(), timeout=pause)
        return not self._stopping.is_set()


def storable(text: str) -> str:
    """Remove lone surrogates: UTF-8 cannot encode them, and the table would refuse the whole write."""
    return text.encode(errors="replace").decode()


def why_lost(held: AsyncJob, current: AsyncJob | None) -> JobInterrupted:
    """Return the interruption for an attempt whose write was refused."""
    if current is not None and current.generation == held.generation and current.status is Status.CANCELLED:
        return JobCancelled("The job was cancelled.")
    return LeaseLost("The job is no longer this attempt's.")
