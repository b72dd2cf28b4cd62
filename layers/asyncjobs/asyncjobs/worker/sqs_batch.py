"""A batch of queue messages: each is run, and each that must come back is named to Lambda."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from asyncjobs.core.errors import MalformedMessage
from asyncjobs.core.job import GRACE
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import Queue
from asyncjobs.log import log_event
from asyncjobs.worker.executor import TRY_LATER, Executor
from asyncjobs.worker.timeouts import exit_after

Record = Mapping[str, Any]


class BatchWorker:
    """Takes SQS events. Coroutine jobs of a batch run side by side, then plain ones one after the other."""

    def __init__(self, executor: Executor, queue: Queue) -> None:
        self._executor = executor
        self._queue = queue

    def handle(self, event: Mapping[str, Any], *, request_id: str, remaining: Callable[[], timedelta]) -> dict[str, Any]:
        """Run the batch. The answer names the messages that come back; Lambda deletes the others.

        Nothing is raised: that would bring the whole batch back. A message that no job can be made of comes back too, at
        once, until the queue moves it to the dead-letter queue.
        """
        answers: dict[str, timedelta | None] = {}
        side_by_side: list[tuple[Record, JobMessage]] = []
        one_by_one: list[tuple[Record, JobMessage]] = []
        for record in event["Records"]:
            try:
                message = JobMessage.parse(record["body"])
            except MalformedMessage as error:
                log_event("MESSAGE_MALFORMED", messageId=record["messageId"], reason=str(error))
                answers[record["messageId"]] = timedelta(0)
            else:
                (side_by_side if self._executor.is_async(message.job_type) else one_by_one).append((record, message))
        if side_by_side:
            limit = max(self._executor.timeout(message.job_type) for _, message in side_by_side)
            # Around the loop, since closing it waits for threads that a coroutine may have left behind. Twice the grace, since
            # the slowest of them also records its end in here; still sooner than its lease ends.
            with exit_after(limit + GRACE):
                answers |= asyncio.run(self._run_side_by_side(side_by_side, request_id, remaining))
        for record, message in one_by_one:
            with _isolated(record, answers):
                answers[record["messageId"]] = self._executor.run(
                    message, claimant=_claimant(request_id), remaining=remaining()
                )
        return {"batchItemFailures": self._return(event["Records"], answers)}

    async def _run_side_by_side(
        self, deliveries: Sequence[tuple[Record, JobMessage]], request_id: str, remaining: Callable[[], timedelta]
    ) -> dict[str, timedelta | None]:
        answers: dict[str, timedelta | None] = {}

        async def run(record: Record, message: JobMessage) -> None:
            with _isolated(record, answers):
                answers[record["messageId"]] = await self._executor.run_async(
                    message, claimant=_claimant(request_id), remaining=remaining()
                )

        await asyncio.gather(*(run(record, message) for record, message in deliveries))
        return answers

    def _return(self, records: Sequence[Record], answers: Mapping[str, timedelta | None]) -> list[dict[str, str]]:
        """Name what comes back, and when. Without the second, it would take the queue's whole visibility timeout."""
        failures = []
        for record in records:
            delay = answers[record["messageId"]]
            if delay is None:
                continue
            failures.append({"itemIdentifier": record["messageId"]})
            try:
                # Not by the job's priority: somebody may have moved the message, and only its own queue knows the handle.
                self._queue.return_after(record["receiptHandle"], delay, source=record["eventSourceARN"])
            except Exception as error:  # noqa: BLE001 - it comes back all the same, only later
                log_event("RETURN_DEFERRED", messageId=record["messageId"], errorType=type(error).__name__)
        return failures


def _claimant(request_id: str) -> str:
    """Who claims: the invocation, to be found in the logs, and a number of its own for each message and delivery."""
    return f"{request_id}/{secrets.token_hex(4)}"


@contextmanager
def _isolated(record: Record, answers: dict[str, timedelta | None]) -> Iterator[None]:
    """What goes wrong with one message, unforeseen, brings that one back and lets the others be."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - Lambda would bring back the others too, and make them run again
        log_event("DELIVERY_FAILED", messageId=record["messageId"], exception=error)
        answers[record["messageId"]] = TRY_LATER
