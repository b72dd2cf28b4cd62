"""What becomes of dead letters: messages that no worker could handle in twenty deliveries.

A message is only a hint, and the table has the job. So a dead letter is not moved back as it is: the record says whether there is
anything left to do, and a job that may run gets a new message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from asyncjobs.core.administration import DeadLetter, DeadLetters
from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import MalformedMessage, Unavailable, Unreadable
from asyncjobs.core.job import AsyncJob, JobKey
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import Queue, Store


class Fate(StrEnum):
    """What became of a dead letter."""

    SENT = "SENT"
    """Its job may run, and has a new message."""
    SETTLED = "SETTLED"
    """Its job has ended, is deleted, runs, or is not due yet: there was nothing to send."""
    MALFORMED = "MALFORMED"
    """It is not a message of a job, or is one of a later release. It stays."""
    UNREADABLE = "UNREADABLE"
    """The record of its job cannot be read. It stays."""
    DISCARDED = "DISCARDED"
    """It was malformed, and is deleted."""


_STAY = frozenset({Fate.MALFORMED, Fate.UNREADABLE})


class Redriven(NamedTuple):
    """A dead letter's job, if it names one, and what became of the letter."""

    message: JobMessage | None
    fate: Fate


class DeadLetterOffice:
    """Redrives dead letters by the records of their jobs."""

    def __init__(self, *, letters: DeadLetters, store: Store, queue: Queue, clock: Clock) -> None:
        self._letters = letters
        self._store = store
        self._queue = queue
        self._clock = clock

    def receive(self, *, at_most: int) -> Sequence[DeadLetter]:
        """Take letters from the queue, which hides them for 20 seconds. Raises `Unavailable`."""
        return self._letters.receive(at_most=at_most)

    def redrive(self, letters: Sequence[DeadLetter], *, discards_malformed: bool) -> Sequence[Redriven]:
        """Send a new message for each job that may run, then delete the letters that do not stay.

        A crash in between leaves letters whose job is sent twice, and a claim decides. Raises `Unavailable`: then no letter is
        deleted.
        """
        messages = [_message_in(letter) for letter in letters]
        keys = dict.fromkeys(message.key for message in messages if message is not None)
        jobs, now = self._store.get_all(list(keys)), self._clock()
        redriven = [_redriven(message, jobs, now, discards_malformed=discards_malformed) for message in messages]
        sent = {each.message.key for each in redriven if each.message is not None and each.fate is Fate.SENT}
        new = [JobMessage.of(job) for key in sent if isinstance(job := jobs[key], AsyncJob)]
        if new and self._queue.send_all(new):
            raise Unavailable("A queue refuses messages.")
        self._letters.delete([letter for letter, each in zip(letters, redriven, strict=True) if each.fate not in _STAY])
        return redriven


def _message_in(letter: DeadLetter) -> JobMessage | None:
    try:
        return JobMessage.parse(letter.body)
    except MalformedMessage:
        return None


def _redriven(
    message: JobMessage | None,
    jobs: Mapping[JobKey, AsyncJob | Unreadable],
    now: datetime,
    *,
    discards_malformed: bool,
) -> Redriven:
    if message is None:
        return Redriven(None, Fate.DISCARDED if discards_malformed else Fate.MALFORMED)
    job = jobs.get(message.key)
    if isinstance(job, Unreadable):
        return Redriven(message, Fate.UNREADABLE)
    may_run = job is not None and not job.is_tracked and job.is_claimable(now)
    return Redriven(message, Fate.SENT if may_run else Fate.SETTLED)
