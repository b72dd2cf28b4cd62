"""A batch of queue messages: run each, and report to Lambda which of them return to the queue."""

from __future__ import annotations

import os
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
from asyncjobs.worker.event_loop import run_side_by_side
from asyncjobs.worker.executor import TRY_LATER, Executor
from asyncjobs.worker.plan import Plan
from asyncjobs.worker.process_state import STATE
from asyncjobs.worker.steps import run_plain

Record = Mapping[str, Any]
Delays = dict[str, timedelta | None]
"""When each message returns to the queue, by its id; None for one that is done."""


class BatchWorker:
    """Runs SQS events. The coroutine jobs of a batch run side by side, then the plain ones one after the other."""

    def __init__(self, executor: Executor, queue: Queue) -> None:
        self._executor = executor
        self._queue = queue

    def handle(self, event: Mapping[str, Any], *, request_id: str, remaining: Callable[[], timedelta]) -> dict[str, Any]:
        """Run the batch. The answer names the messages that return; Lambda deletes the others.

        Nothing is raised: that would return the whole batch. A malformed message returns immediately, until the queue moves it
        to the dead-letter queue.
        """
        delays: Delays = {}
        coroutines: list[tuple[Record, JobMessage, Plan]] = []
        plain: list[tuple[Record, JobMessage, Plan]] = []

        async def run(record: Record, message: JobMessage, plan: Plan) -> None:
            with _isolated(record, delays):
                delays[record["messageId"]] = await self._executor.run(
                    message, plan, claimant=_claimant(request_id), remaining=remaining()
                )

        for record in event["Records"]:
            try:
                message = JobMessage.parse(record["body"])
            except MalformedMessage as error:
                log_event("MESSAGE_MALFORMED", messageId=record["messageId"], reason=str(error))
                delays[record["messageId"]] = timedelta(0)
            else:
                plan = self._executor.plan(message.job_type)
                (coroutines if plan.is_async else plain).append((record, message, plan))
        if coroutines:
            slowest = max(plan.timeout for _, _, plan in coroutines)
            # Twice, because it also records its end in here. Its lease still lasts longer.
            run_side_by_side([run(*each) for each in coroutines], slowest + 2 * GRACE)
        is_first = not coroutines
        for record, message, plan in plain:
            if is_first or remaining() - GRACE >= plan.timeout:
                run_plain(run(record, message, plan))
            else:
                # The earlier jobs have left it less than its type may take. Cut short, it would lose an attempt for nothing.
                delays[record["messageId"]] = timedelta(0)
            is_first = False
        if STATE.broken:
            self._replace_process(event["Records"], delays)
        return {"batchItemFailures": self._return(event["Records"], delays)}

    def _replace_process(self, records: Sequence[Record], delays: Delays) -> None:
        """End the process, and with it the invocation.

        Lambda deletes no message then. The message of a job that has ended comes back immediately, and is ignored.
        """
        log_event("PROCESS_REPLACED", reason=", ".join(STATE.broken))
        self._return(records, {message_id: delay or timedelta(0) for message_id, delay in delays.items()})
        os._exit(1)

    def _return(self, records: Sequence[Record], delays: Mapping[str, timedelta | None]) -> list[dict[str, str]]:
        """Name the messages that return, and set when. Without that, each would wait for the queue's visibility timeout."""
        failures = []
        for record in records:
            delay = delays[record["messageId"]]
            if delay is None:
                continue
            failures.append({"itemIdentifier": record["messageId"]})
            try:
                # By the message's own queue, not by the job's priority: only that queue has the handle, and a message may
                # have been moved.
                self._queue.return_after(record["receiptHandle"], delay, source=record["eventSourceARN"])
            except Exception as error:  # noqa: BLE001 - the message returns all the same, only later
                log_event("RETURN_DEFERRED", messageId=record["messageId"], errorType=type(error).__name__)
        return failures


def _claimant(request_id: str) -> str:
    """Return the name of a claim: the invocation, as the logs have it, and a number for this delivery of this message."""
    return f"{request_id}/{secrets.token_hex(4)}"


@contextmanager
def _isolated(record: Record, delays: Delays) -> Iterator[None]:
    """Return only this message to the queue when an unforeseen error ends its run."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - Lambda would return the other messages too, and run their jobs again
        log_event("DELIVERY_FAILED", messageId=record["messageId"], exception=error)
        delays[record["messageId"]] = TRY_LATER
