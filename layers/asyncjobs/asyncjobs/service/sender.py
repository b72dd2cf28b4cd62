"""Send a job's message, as soon as its queue can hold it for long enough."""

from __future__ import annotations

from datetime import timedelta

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import MAX_QUEUE_DELAY, AsyncJob
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import Queue
from asyncjobs.log import log_event


class Sender:
    """Sends messages of jobs that are stored. A message that is not sent costs time only: the sweeper sends it later."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock

    def send(self, job: AsyncJob) -> None:
        """Send the job's message, to be delivered when the job may start. Does nothing for a start beyond the queue's delay."""
        delay = timedelta(0) if job.not_before is None else max(job.not_before - self._clock(), timedelta(0))
        if delay > MAX_QUEUE_DELAY:
            return
        try:
            self._queue.send(JobMessage.of(job), delay=delay)
        except Unavailable as error:
            log_event("JOB_ENQUEUE_DEFERRED", job, reason=str(error))
