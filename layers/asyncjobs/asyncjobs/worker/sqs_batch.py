"""A batch of queue messages: run each, and report to Lambda which of them return to the queue."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from asyncjobs.core.errors import MalformedMessage
from asyncjobs.core.job import GRACE
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import Queue
from asyncjobs.log import log_event
from asyncjobs.worker.event_loop import run_side_by_side
from asyncjobs.worker.executor import TRY_LATER, Delay, Executor
from asyncjobs.worker.plan import Plan
from asyncjobs.worker.process_state import STATE
from asyncjobs.worker.steps import run_plain

Received = Mapping[str, Any]
"""A message as SQS delivers it: its text, and what it takes to return it."""
Delays = dict[str, Delay]
"""By the messages' ids."""


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
        coroutines: list[tuple[Received, JobMessage, Plan]] = []
        plain: list[tuple[Received, JobMessage, Plan]] = []
        for received in event["Records"]:
            try:
                message = JobMessage.parse(received["body"])
            except MalformedMessage as error:
                log_event("MESSAGE_MALFORMED", messageId=received["messageId"], reason=str(error))
                delays[received["messageId"]] = timedelta(0)
            else:
                plan = self._executor.plan(message.job_type)
                (coroutines if plan.is_async else plain).append((received, message, plan))
        run = partial(self._run, request_id=request_id, remaining=remaining)
        if coroutines:
            slowest = max(plan.timeout for _, _, plan in coroutines)
            # Twice the grace, because each attempt also records its end in here. The slowest one's lease still lasts longer.
            ended = run_side_by_side([run(*each) for each in coroutines], slowest + 2 * GRACE)
            delays.update(zip((received["messageId"] for received, _, _ in coroutines), ended, strict=True))
        is_first = not coroutines
        for received, message, plan in plain:
            if is_first or remaining() - GRACE >= plan.timeout:
                delays[received["messageId"]] = run_plain(run(received, message, plan))
            else:
                # Earlier jobs have left this one less than its type may take. Cut short, it would lose an attempt for nothing.
                delays[received["messageId"]] = timedelta(0)
            is_first = False
        if STATE.broken:
            self._replace_process(event["Records"], delays)
        return {"batchItemFailures": self._return(event["Records"], delays)}

    async def _run(
        self, received: Received, message: JobMessage, plan: Plan, *, request_id: str, remaining: Callable[[], timedelta]
    ) -> Delay:
        """Make one attempt. An unforeseen error returns only this message to the queue."""
        try:
            return await self._executor.run(message, plan, claimant=_claimant(request_id), remaining=remaining())
        except Exception as error:  # noqa: BLE001 - Lambda would return the other messages too, and run their jobs again
            log_event("DELIVERY_FAILED", messageId=received["messageId"], exception=error)
            return TRY_LATER

    def _replace_process(self, batch: Sequence[Received], delays: Delays) -> None:
        """End the process, and with it the invocation.

        Lambda deletes no message then. The message of a job that has ended comes back immediately, and is ignored.
        """
        log_event("PROCESS_REPLACED", reason=", ".join(STATE.broken))
        self._return(batch, {message_id: delay or timedelta(0) for message_id, delay in delays.items()})
        os._exit(1)

    def _return(self, batch: Sequence[Received], delays: Delays) -> list[dict[str, str]]:
        """Name the messages that return, and set when. Without that, each would wait for the queue's visibility timeout."""
        failures = []
        for received in batch:
            delay = delays[received["messageId"]]
            if delay is None:
                continue
            failures.append({"itemIdentifier": received["messageId"]})
            try:
                # By the message's own queue, not by the job's priority: only that queue has the handle, and a message may
                # have been moved.
                self._queue.return_after(received["receiptHandle"], delay, source=received["eventSourceARN"])
            except Exception as error:  # noqa: BLE001 - the message returns all the same, only later
                log_event("RETURN_DEFERRED", messageId=received["messageId"], errorType=type(error).__name__)
        return failures


def _claimant(request_id: str) -> str:
    """Return the name of a claim: the invocation, as the logs have it, and a number for this delivery of this message."""
    return f"{request_id}/{secrets.token_hex(4)}"
