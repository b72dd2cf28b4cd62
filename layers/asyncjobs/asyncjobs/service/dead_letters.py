"""What becomes of dead letters: messages that no worker could handle in twenty deliveries.

A message is only a hint, and the table has the job. So a dead letter is not moved back as it is: the record says whether there is
anything left to do, and a job that may run gets a new message.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from asyncjobs.core.administration import DeadLetter, DeadLetters
from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import MalformedMessage, Unavailable, Unreadable
from asyncjobs.core.job import AsyncJob, JobKey
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import Queue, Store


class LetterOutcome(StrEnum):
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

    @property
    def stays(self) -> bool:
        """Whether the letter stays in the queue."""
        return self in {LetterOutcome.MALFORMED, LetterOutcome.UNREADABLE}


class Redriven(NamedTuple):
    """A dead letter's job, if it names one, and what became of the letter."""

    message: JobMessage | None
    outcome: LetterOutcome


class DeadLetterRedrive:
    """Redrives dead letters by the records of their jobs."""

    def __init__(self, *, letters: DeadLetters, store: Store, queue: Queue, clock: Clock) -> None:
        self._letters = letters
        self._store = store
        self._queue = queue
        self._clock = clock

    def receive(self, *, at_most: int) -> Sequence[DeadLetter]:
        """Take letters from the queue, which hides them for 30 seconds. Raises `Unavailable`."""
        return self._letters.receive(at_most=at_most)

    def redrive(self, letters: Sequence[DeadLetter], *, discards_malformed: bool) -> Sequence[Redriven]:
        """Send a new message for each job that may run, then delete the letters that do not stay.

        A crash in between leaves letters whose job is sent twice, and a claim decides. Raises `Unavailable`: then no letter is
        deleted.
        """
        messages = [_message_in(letter) for letter in letters]
        keys = dict.fromkeys(message.key for message in messages if message is not None)
        jobs, now = self._store.get_all(list(keys)), self._clock()
        new = {key: JobMessage.of(job) for key, job in jobs.items() if isinstance(job, AsyncJob) and _may_run(job, now)}
        if new and self._queue.send_all(list(new.values())):
            raise Unavailable("A queue refuses messages.")
        malformed = LetterOutcome.DISCARDED if discards_malformed else LetterOutcome.MALFORMED
        redriven = [Redriven(each, malformed if each is None else _outcome(each.key, jobs, new)) for each in messages]
        self._letters.delete([letter for letter, each in zip(letters, redriven, strict=True) if not each.outcome.stays])
        return redriven


def _message_in(letter: DeadLetter) -> JobMessage | None:
    try:
        return JobMessage.parse(letter.body)
    except MalformedMessage:
        return None


def _may_run(job: AsyncJob, now: datetime) -> bool:
    return not job.is_tracked and job.is_claimable(now)


def _outcome(key: JobKey, jobs: Mapping[JobKey, AsyncJob | Unreadable], sent: Collection[JobKey]) -> LetterOutcome:
    if isinstance(jobs.get(key), Unreadable):
        return LetterOutcome.UNREADABLE
    return LetterOutcome.SENT if key in sent else LetterOutcome.SETTLED
