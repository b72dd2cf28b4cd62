"""A background writer beside the job: it sends the newest progress, renews the lease, and notices when the job must stop."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Self

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import JobCancelled, JobInterrupted, LeaseLost
from asyncjobs.core.job import FENCE_AND_REPORT, GRACE, HEARTBEAT, MAX_MESSAGE_LENGTH, SHORT_LEASE, AsyncJob, Status
from asyncjobs.core.named_events import MAX_EVENTS, NamedEvent, too_many_events
from asyncjobs.core.ports import Store
from asyncjobs.log import log_event
from asyncjobs.worker.timeouts import ProcessEnd

LEAST_PAUSE = timedelta(seconds=1)
FIRST_READ = timedelta(seconds=2)
"""After this time, an attempt reads for the first time whether the job is still its own. Each pause until the next read is as
long as the attempt has taken, up to `HEARTBEAT`. So after a cancel, a job runs on for no longer than it had run before."""

LONGEST_SILENCE = SHORT_LEASE + GRACE
"""How long a job's foreign code may hold the interpreter's lock, so that the thread of an attempt that renews its lease cannot
run. Then the process ends."""

Interrupt = Callable[[JobInterrupted], None]
_making = threading.Lock()


class Heartbeat:
    """Reports for one attempt, from its own thread, so that `progress` never makes the job wait.

    A heartbeat and a progress report are the same write. An attempt that renews no lease and reports nothing reads the job
    instead; one that ends before the first read starts no thread and makes no call. When the job no longer belongs to this
    attempt, `interruption` says why, and `interrupt` gets it. When the thread cannot run until the lease is over, nothing in
    this process can learn that, and the process ends.
    """

    def __init__(self, store: Store, job: AsyncJob, clock: Clock, *, renews_lease: bool, interrupt: Interrupt) -> None:
        self.job = job
        """The job as it was last written."""
        self.interruption: JobInterrupted | None = None
        self._store = store
        self._clock = clock
        self._renews_lease = renews_lease
        self._interrupt = interrupt
        self._news: threading.Condition | None = None
        """Made for the thread, so most attempts need none. Without it there is no thread, and no lock is needed."""
        self._progress = job.progress
        self._message: str | None = None
        self._has_news = False
        self._events: deque[NamedEvent] = deque()
        """Events of the job's code that are not written yet. Each is a write of its own, so that it has a number of its own."""
        self._events_sent = 0
        self._is_stopping = False
        self._thread: threading.Thread | None = None
        self._began = self._beaten = time.monotonic()
        self._silence = ProcessEnd() if renews_lease else None

    def __enter__(self) -> Self:
        self._break_silence()
        _watch.add(self)
        return self

    def __exit__(self, *exception: object) -> None:
        if not self._is_stopping:
            self.stop()

    def stop(self) -> None:
        """Stop, and wait for a call in progress: after this, `job` does not change any more."""
        _watch.remove(self)
        self._is_stopping = True
        if self._news is not None:
            with self._news:
                self._news.notify()
        if self._thread is not None:
            self._thread.join()
        if self._silence is not None:
            self._silence.cancel()

    def report(self, percent: float = 0, message: str | None = None) -> None:
        """Note the newest progress, which is sent soon. Raises the interruption, if there is one by now."""
        news = self._condition()
        with news:
            if math.isfinite(percent):
                self._progress = max(self._progress, round(min(max(percent, 0), 100)))
            if message is not None:
                self._message = storable(message)[:MAX_MESSAGE_LENGTH]
            self._has_news = True
            news.notify()
        self.start_thread()
        self.raise_interruption()

    def send(self, event: NamedEvent) -> None:
        """Note an event of the job's code, which is written soon. Raises `Fatal`, or the interruption, if there is one by now."""
        news = self._condition()
        with news:
            if self._events_sent == MAX_EVENTS:
                raise too_many_events()
            self._events_sent += 1
            self._events.append(event)
            news.notify()
        self.start_thread()
        self.raise_interruption()

    def raise_interruption(self) -> None:
        """Raise the interruption, if there is one by now."""
        if self.interruption is not None:
            raise self.interruption

    def beat(self) -> bool:
        """Write the newest progress, the next event and the renewed lease, or note that the job was taken over.

        Returns False if the table did not answer.
        """
        reported = self.newest()
        try:
            outcome = self._store.swap_if_unchanged(self.job, reported, FENCE_AND_REPORT)
        except Exception as error:  # noqa: BLE001 - the thread must go on after any error of AWS
            # The next write may succeed before the lease ends; if none does, the fence rejects this attempt's writes.
            log_event("HEARTBEAT_DEFERRED", self.job, errorType=type(error).__name__)
            return False
        if isinstance(outcome, AsyncJob):
            self.job = outcome
        elif outcome.current is not None and outcome.current.is_same_attempt(self.job):
            # An earlier report that seemed lost was recorded after all: this report goes on top of it.
            self.job = outcome.current
            self._has_news = True
        else:
            self._stop_job(outcome.current)
        if reported.named_event is not None and self.job.named_event == reported.named_event:
            # Also one that seemed lost: its number distinguishes it from an equal event.
            self._events.popleft()
        return True

    def read(self) -> None:
        """Read the job, and note when it was taken over."""
        try:
            current = self._store.get(self.job.key)
        except Exception as error:  # noqa: BLE001 - see above
            log_event("HEARTBEAT_DEFERRED", self.job, errorType=type(error).__name__)
            return
        if current is None or not current.is_same_attempt(self.job):
            self._stop_job(current)

    def newest(self) -> AsyncJob:
        """Return the job with the newest progress, the next event and a renewed lease, for the next write."""
        with self._condition():
            progress, message, self._has_news = self._progress, self._message, False
        now = self._clock()
        lease_until = now + SHORT_LEASE if self._renews_lease else now
        event = self._events[0].as_change(self.job.seq + 1) if self._events else None
        return self.job.reported(now=now, progress=progress, message=message, lease_until=lease_until, named_event=event)

    def with_last_progress(self) -> AsyncJob:
        """Return the job with progress that is not written yet, for the write that ends the attempt: after `stop`."""
        if self._progress <= self.job.progress and self._message is None:
            return self.job
        return self.job.progressed(now=self._clock(), progress=self._progress, message=self._message)

    def start_thread(self) -> None:
        """Start the thread, unless it runs."""
        with self._condition():
            # `stop` sets this before it looks for a thread to wait for.
            if self._thread is None and not self._is_stopping:
                self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        news = self._condition()
        while not self._is_stopping and self.interruption is None:
            self._break_silence()
            if self._must_beat():
                self._beaten = time.monotonic()
                self._wait_after_write(is_written=self.beat())
            else:
                self.read()
            with news:
                news.wait_for(lambda: self._has_news or self._events or self._is_stopping, timeout=self._seconds_to_wait())
        self._send_remaining_events()

    def _wait_after_write(self, *, is_written: bool) -> None:
        """Wait between two writes. The next event need not wait, unless the table does not answer."""
        news = self._condition()
        with news:
            news.wait_for(lambda: self._is_stopping or (is_written and self._events), timeout=LEAST_PAUSE.total_seconds())

    def _send_remaining_events(self) -> None:
        """Write the events that the job sent last, before the write that ends its attempt."""
        while self._events and self.interruption is None:
            if not self.beat():
                # The end of the work must not wait for them.
                log_event("EVENTS_DROPPED", self.job, count=len(self._events))
                return

    def _condition(self) -> threading.Condition:
        with _making:
            if self._news is None:
                self._news = threading.Condition()
            return self._news

    def _break_silence(self) -> None:
        if self._silence is not None:
            self._silence.within(LONGEST_SILENCE)

    def _must_beat(self) -> bool:
        return self._has_news or bool(self._events) or (self._renews_lease and self._seconds_until_beat() <= 0)

    def _seconds_until_beat(self) -> float:
        return self._beaten + HEARTBEAT.total_seconds() - LEAST_PAUSE.total_seconds() - time.monotonic()

    def _seconds_to_wait(self) -> float:
        """Return how long to wait for progress until the next read or the next renewal of the lease."""
        longest = self._seconds_until_beat() if self._renews_lease else HEARTBEAT.total_seconds()
        return max(min(time.monotonic() - self._began, longest), 0)

    def _stop_job(self, current: AsyncJob | None) -> None:
        self.interruption = why_lost(self.job, current)
        self._interrupt(self.interruption)


class _Watch:
    """Starts the threads of heartbeats whose attempts reach the first read.

    It is one thread of the process, which wakes up by itself. So an attempt that ends sooner, as most do, costs neither a
    thread nor the wake-up of one.
    """

    def __init__(self) -> None:
        self._watched: dict[Heartbeat, float] = {}
        self._thread: threading.Thread | None = None

    def add(self, heartbeat: Heartbeat) -> None:
        self._watched[heartbeat] = time.monotonic() + FIRST_READ.total_seconds()
        # After a fork, the thread exists in the parent only.
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
            self._thread.start()

    def remove(self, heartbeat: Heartbeat) -> None:
        self._watched.pop(heartbeat, None)

    def _run(self) -> None:
        while True:
            time.sleep(FIRST_READ.total_seconds() / 4)
            now = time.monotonic()
            for heartbeat, due in self._watched.copy().items():
                if due <= now and self._watched.pop(heartbeat, None) is not None:
                    heartbeat.start_thread()


_watch = _Watch()


def storable(text: str) -> str:
    """Remove lone surrogates: UTF-8 cannot encode them, and the table would refuse the whole write."""
    return text.encode(errors="replace").decode()


def why_lost(held: AsyncJob, current: AsyncJob | None) -> JobInterrupted:
    """Return the interruption for an attempt whose write was refused."""
    if current is not None and current.generation == held.generation and current.status is Status.CANCELLED:
        return JobCancelled("The job was cancelled.")
    return LeaseLost("The job is no longer this attempt's.")
