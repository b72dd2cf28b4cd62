"""A batch of the table's stream: hand it to each consumer, and report to Lambda where the next delivery begins."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import JobKey
from asyncjobs.log import log_event
from asyncjobs.push.changes import Change, JobsOf, changes_in

PATIENCE = timedelta(minutes=2)
"""How long a change that cannot be handled holds up the later changes of its shard, and so those of other jobs."""


class Consumer(Protocol):
    """Something that follows the changes of jobs.

    A batch may arrive again, in whole or from any place on, so a consumer handles a change that it has handled before.
    """

    def consume(self, changes: Sequence[Change]) -> Collection[Change]:
        """Handle the changes of many jobs, those of one job in order. Return those that have to arrive again.

        Raises `Unavailable` if all have to. Any other error is a bug: then each job's changes arrive alone, so that only the
        job that causes it is left behind.
        """
        ...


class Consumers:
    """Hands each batch to all consumers by their names. None of them keeps the batch from the others."""

    def __init__(self, consumers: Mapping[str, Consumer], jobs_of: JobsOf, *, clock: Clock) -> None:
        self._consumers = consumers
        self._jobs_of = jobs_of
        self._clock = clock
        self._failing_since: dict[str, datetime] = {}

    def handle(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Hand over a batch of the stream.

        The answer names the first change that has to arrive again. Lambda delivers it and all later ones, also those that were
        handled.
        """
        changes = list(changes_in(event["Records"], self._jobs_of))
        failed: dict[str, list[str]] = {}
        for name, consumer in self._consumers.items() if changes else ():
            for change in _unhandled(name, consumer, changes):
                failed.setdefault(change.sequence_number, []).append(name)
        skipped = self._hopeless(failed)
        again: list[dict[str, str]] = []
        for change in changes:
            number = change.sequence_number
            if number in skipped:
                log_event("CHANGE_SKIPPED", change.new, consumer=", ".join(failed[number]))
            elif number in failed and not again:
                again.append({"itemIdentifier": number})
        return {"batchItemFailures": again}

    def _hopeless(self, failed: Collection[str]) -> set[str]:
        """Return which of the failed changes have failed for too long in this process.

        After a failure Lambda most often invokes the same process. If it does not, the change gets more time, until Lambda's own
        tries end.
        """
        now = self._clock()
        # Shards take turns in a process, so those that are not in this batch are kept for a while.
        kept = {number: since for number, since in self._failing_since.items() if now - since < 2 * PATIENCE}
        self._failing_since = kept | {number: kept.get(number, now) for number in failed}
        return {number for number in failed if now - self._failing_since[number] >= PATIENCE}


def _unhandled(name: str, consumer: Consumer, changes: Sequence[Change]) -> Collection[Change]:
    """Return the changes that the consumer has to get again."""
    try:
        unhandled = consumer.consume(changes)
    except Unavailable as error:
        log_event("CHANGES_DEFERRED", consumer=name, count=len(changes), errorType=type(error).__name__, reason=str(error))
        return changes
    except Exception as error:  # noqa: BLE001 - one job must not hold up all others
        jobs = list(_by_job(changes))
        if len(jobs) > 1:
            return [change for own in jobs for change in _unhandled(name, consumer, own)]
        log_event("CHANGE_FAILED", changes[0].new, consumer=name, exception=error)
        return changes
    if unhandled:
        log_event("CHANGES_DEFERRED", consumer=name, count=len(unhandled))
    return unhandled


def _by_job(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    """Yield the changes of each job, in order."""
    of_job: dict[JobKey, list[Change]] = {}
    for change in changes:
        of_job.setdefault(change.new.key, []).append(change)
    yield from of_job.values()
