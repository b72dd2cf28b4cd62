"""The product without one of its safeguards: proof that the machine detects a mistake.

Each ablation belongs to the tests: it replaces a part or patches a name. The product has no such switches.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from asyncjobs.aws import dynamodb_jobs, sqs
from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.aws.items import milliseconds_value, primary_key
from asyncjobs.aws.s3 import S3Objects, _S3ResultWriter
from asyncjobs.aws.sqs import SqsQueue
from asyncjobs.core import job
from asyncjobs.core.errors import JobNotFound, Unavailable
from asyncjobs.core.job import FENCE, FENCE_AND_REPORT, AsyncJob, JobFailure, JobKey, Priority, Result, Status
from asyncjobs.core.message import JobMessage
from asyncjobs.core.placement import JSON
from asyncjobs.core.ports import Lost, ResultWriter
from asyncjobs.service import commands, queries
from asyncjobs.service.commands import Commands
from asyncjobs.service.submit import SubmitRequest
from asyncjobs.worker import heartbeat, sweeper
from asyncjobs.worker.sqs_batch import BatchWorker
from tests.proof.stateful.machine import Machine
from tests.proof.stateful.world import JOB_TYPES, Parts, key_of


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """A removed safeguard, the rules that may detect it, and the jobs with which it is detected soon."""

    parts: Parts
    caught_as: frozenset[str]
    machine: type[Machine] = Machine
    job_types: tuple[str, ...] = JOB_TYPES
    rules: tuple[str, ...] = ()
    """Rules that suffice to detect it, where all of them would take long. Empty means all rules."""


# ── The fence and the claim ────────────────────────────────────────────────────────────────────────


class NoFence(DynamoStore):
    """A store where any attempt may end the job."""

    def swap_if_unchanged(self, old: AsyncJob, new: AsyncJob, unchanged: Sequence[str] = FENCE) -> AsyncJob | Lost:
        return super().swap_if_unchanged(old, new, ("generation",) if unchanged is FENCE else unchanged)


class UnconditionalClaim(DynamoStore):
    """A store where every delivery runs its job."""

    def claim_if_claimable(self, message: JobMessage, *, by: str, now: datetime, lease_until: datetime) -> AsyncJob | Lost:
        job = self.get(message.key)
        if job is None or job.generation != message.generation or job.is_finished:
            return Lost(job)
        claimed = replace(
            job,
            status=Status.IN_PROGRESS,
            attempt=job.attempt + 1,
            claimed_by=by,
            lease_until=lease_until,
            updated_at=now,
            due_at=min(lease_until, job.deadline_at),
            progress=0,
        )
        self.swap_if_unchanged(job, claimed, ("generation",))
        return claimed


class UpsertingHeartbeat(DynamoStore):
    """A store that writes a report without a condition."""

    def swap_if_unchanged(self, old: AsyncJob, new: AsyncJob, unchanged: Sequence[str] = FENCE) -> AsyncJob | Lost:
        if unchanged is not FENCE_AND_REPORT:
            return super().swap_if_unchanged(old, new, unchanged)
        self._client.update_item(
            TableName=self._table_name,
            Key=primary_key(old.key),
            UpdateExpression="SET leaseUntil = :lease, progress = :progress",
            ExpressionAttributeValues={
                ":lease": milliseconds_value(new.lease_until or new.updated_at),
                ":progress": {"N": str(new.progress)},
            },
        )
        return new


class ForgetfulSwaps(DynamoStore):
    """A store that treats a refusal by its own first try as a lost race."""

    def __init__(self, table_name: str, client: Any) -> None:
        self._refusals = _Refusals(client)
        super().__init__(table_name, self._refusals)  # type: ignore[arg-type]  # a client with the needed methods

    def swap_if_unchanged(self, old: AsyncJob, new: AsyncJob, unchanged: Sequence[str] = FENCE) -> AsyncJob | Lost:
        self._refusals.here.seen = False
        outcome = super().swap_if_unchanged(old, new, unchanged)
        return Lost(outcome) if isinstance(outcome, AsyncJob) and self._refusals.here.seen else outcome


class _Refusals:
    """A client that records whether it was refused a write in this thread."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.here = threading.local()

    def __getattr__(self, operation: str) -> Any:
        call = getattr(self._client, operation)

        def send(**parameters: Any) -> Any:
            try:
                return call(**parameters)
            except ClientError:
                self.here.seen = True
                raise

        return send


class _Tampered:
    """A client with altered writes."""

    def __init__(self, client: Any, tamper: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._client = client
        self._tamper = tamper

    def __getattr__(self, operation: str) -> Any:
        call = getattr(self._client, operation)
        return lambda **parameters: call(**self._tamper(parameters))


def store_with(tamper: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[..., DynamoStore]:
    """Return a store with altered writes."""

    def make(table_name: str, client: Any) -> DynamoStore:
        return DynamoStore(table_name, _Tampered(client, tamper))  # type: ignore[arg-type]  # a client with the needed methods

    return make


def _claim_with(expression: str, old: str, new: str) -> Callable[..., DynamoStore]:
    """Return a store whose claim has another expression."""

    def tamper(parameters: dict[str, Any]) -> dict[str, Any]:
        if "attempt = attempt + :one" not in parameters.get("UpdateExpression", ""):
            return parameters
        if old not in parameters[expression]:
            raise AssertionError(f"The claim no longer contains {old!r}: adapt the ablation.")
        return {**parameters, expression: parameters[expression].replace(old, new)}

    return store_with(tamper)


def _put_unconditionally(parameters: dict[str, Any]) -> dict[str, Any]:
    if "Item" not in parameters:
        return parameters
    return {"TableName": parameters["TableName"], "Item": parameters["Item"]}


# ── Results ────────────────────────────────────────────────────────────────────────────────────────


class OneKeyForAllAttempts(S3Objects):
    """Objects where all attempts write their result to one key."""

    def open_result(self, job: AsyncJob, content_type: str = JSON) -> ResultWriter:
        return super().open_result(replace(job, attempt=0), content_type)


_finish = _S3ResultWriter._finish


def _finish_carelessly(self: _S3ResultWriter, rest: bytes) -> Result:
    try:
        return _finish(self, rest)
    except Unavailable:
        return Result(location=self._object["Key"])


# ── Queues ─────────────────────────────────────────────────────────────────────────────────────────


class ResendsToStandard(SqsQueue):
    """A queue that sends batches, as the sweeper does, to the queue of standard priority."""

    def send_all(self, messages: Sequence[JobMessage]) -> Sequence[JobMessage]:
        return super().send_all([replace(message, priority=Priority.STANDARD) for message in messages])


# ── Cancel, dead letters, release ──────────────────────────────────────────────────────────────────


class UnconditionalCancel(Commands):
    """Commands whose cancel writes without a condition."""

    def cancel(self, owner: str, async_job_id: str) -> AsyncJob:
        job = self._store.get(JobKey(owner, async_job_id))
        if job is None:
            raise JobNotFound
        if job.status is Status.CANCELLED:
            return job
        now = self._clock()
        cancelled = replace(job, status=Status.CANCELLED, ended_at=now, updated_at=now, due_at=None, lease_until=None)
        self._store.swap_if_unchanged(job, cancelled, ("generation",))
        return cancelled


def _bury(jobs: DynamoStore, body: str, now: datetime) -> None:
    key = key_of(body)
    job = None if key is None else jobs.get(key)
    if job is not None and not job.is_finished:
        error = JobFailure(code="DEAD_LETTER", message="", type="DeadLetter", retryable=False)
        jobs.swap_if_unchanged(job, job.failed(now=now, error=error))


_released = AsyncJob.released


def _return_strictly(self: BatchWorker, records: Sequence[Any], answers: dict[str, timedelta | None]) -> list[dict[str, str]]:
    returned = [(record, delay) for record in records if (delay := answers[record["messageId"]]) is not None]
    for record, delay in returned:
        self._queue.return_after(record["receiptHandle"], delay, source=record["eventSourceARN"])
    return [{"itemIdentifier": record["messageId"]} for record, _ in returned]


def _released_at_once(self: AsyncJob, **how: Any) -> AsyncJob:
    return replace(_released(self, **how), not_before=None)


def _present_even_if_expired(job: AsyncJob | None, _now: datetime) -> AsyncJob:
    if job is None:
        raise JobNotFound
    return job


def caught(*rules: str) -> frozenset[str]:
    """Return the rules that may detect the ablation."""
    return frozenset(rules)


ABLATIONS = {
    "no fence": Ablation(parts=Parts(store=NoFence), caught_as=caught("I1", "I3", "I6", "I8", "I16")),
    "claims without condition": Ablation(parts=Parts(store=UnconditionalClaim), caught_as=caught("I3", "I7", "I12", "I16")),
    "claims without a bound on attempts": Ablation(
        parts=Parts(store=_claim_with("ConditionExpression", " AND attempt < maxAttempts", "")),
        caught_as=caught("I12"),
        job_types=("play.returns", "play.large"),
        rules=("deliver", "deliver_again", "outlast", "go_on"),
    ),
    "claims past the deadline": Ablation(
        parts=Parts(store=_claim_with("ConditionExpression", "deadlineAt > :now AND ", "")), caught_as=caught("I3")
    ),
    "claims of another generation": Ablation(
        parts=Parts(store=_claim_with("ConditionExpression", "gen = :gen AND", "gen <> :gen AND")),
        caught_as=caught("L2", "I7", "F42", "wrong"),
    ),
    "heartbeats that upsert": Ablation(
        parts=Parts(store=UpsertingHeartbeat), caught_as=caught("I1", "I8", "I16"), job_types=("play.works", "play.tells")
    ),
    "takeovers that overlook a heartbeat": Ablation(
        parts=Parts(patches=((sweeper, "FENCE_AND_LEASE", FENCE),)),
        caught_as=caught("cause"),
        job_types=("play.works_once",),
        rules=("deliver", "sweep_while_they_beat", "outlast", "finish"),
    ),
    "own lost claims not recognised": Ablation(
        parts=Parts(patches=((AsyncJob, "is_claimed_by", lambda _self, _claimant: False),)), caught_as=caught("F27")
    ),
    "own lost writes not recognised": Ablation(
        parts=Parts(store=ForgetfulSwaps), caught_as=caught("F30", "L2", "F46"), job_types=("play.raises", "play.retries")
    ),
    "no sweeper": Ablation(parts=Parts(sweeps=False), caught_as=caught("stuck")),
    "due entry removed at the claim": Ablation(
        parts=Parts(store=_claim_with("UpdateExpression", "REMOVE waitsSince", "REMOVE waitsSince, dueAt, dueShard")),
        caught_as=caught("I11"),
    ),
    "claims that leave a far-off due time": Ablation(
        parts=Parts(
            store=_claim_with(
                "ConditionExpression",
                " AND dueAt <= :lease AND dueShard < :shard",
                " AND (dueShard < :shard OR dueShard >= :shard)",
            )
        ),
        caught_as=caught("L2"),
    ),
    "claims that never move a due time": Ablation(
        parts=Parts(patches=((dynamodb_jobs, "_is_only_due_late", lambda *_args, **_kwargs: False),)), caught_as=caught("L2")
    ),
    "claims that raise no number": Ablation(
        parts=Parts(store=_claim_with("UpdateExpression", ", seq = if_not_exists(seq, :zero) + :one", "")),
        caught_as=caught("I16"),
    ),
    "reports that each try numbers": Ablation(
        parts=Parts(patches=((heartbeat, "FENCE_AND_REPORT", FENCE),)),
        caught_as=caught("I16"),
        job_types=("play.works", "play.tells"),
    ),
    "put without condition": Ablation(parts=Parts(store=store_with(_put_unconditionally)), caught_as=caught("I4", "I5")),
    "requests of one key not compared": Ablation(
        parts=Parts(patches=((SubmitRequest, "fingerprint", lambda _self: b"same"),)), caught_as=caught("F8")
    ),
    "records that expire soon after the deadline": Ablation(
        parts=Parts(patches=((job, "UNFINISHED_RETENTION", timedelta(seconds=2)),)), caught_as=caught("I5")
    ),
    "expired records shown": Ablation(
        parts=Parts(
            patches=((queries, "present_job", _present_even_if_expired), (commands, "present_job", _present_even_if_expired))
        ),
        caught_as=caught("I1", "I9"),
    ),
    "one S3 key for all attempts": Ablation(
        parts=Parts(objects=OneKeyForAllAttempts),
        caught_as=caught("I2"),
        job_types=("play.large",),
        rules=("deliver", "deliver_again", "outlast", "finish", "overtake"),
    ),
    "results whose put failed": Ablation(
        parts=Parts(patches=((_S3ResultWriter, "_finish", _finish_carelessly),)),
        caught_as=caught("I2"),
        job_types=("play.large", "play.streams"),
    ),
    "cancel without condition": Ablation(
        parts=Parts(commands=UnconditionalCancel), caught_as=caught("I1", "I5", "I6", "I8", "I16", "told")
    ),
    "release without delay": Ablation(
        parts=Parts(patches=((AsyncJob, "released", _released_at_once),)),
        caught_as=caught("F30"),
        job_types=("play.raises", "play.retries"),
    ),
    "messages never handed back": Ablation(
        parts=Parts(patches=((BatchWorker, "_return", lambda _self, _records, _answers: []),)),
        caught_as=caught("F30"),
        job_types=("play.raises", "play.retries"),
    ),
    "raises when a message is gone": Ablation(
        parts=Parts(patches=((sqs, "_DELETED", frozenset[str]()), (BatchWorker, "_return", _return_strictly))),
        caught_as=caught("F18"),
        job_types=("play.raises", "play.retries"),
        rules=("deliver", "deliver_again", "go_on", "finish"),
    ),
    "one queue for the sweeper's messages of all priorities": Ablation(
        parts=Parts(queue=ResendsToStandard), caught_as=caught("priority"), rules=("advance", "sweep", "finish")
    ),
    "dead letters fail their jobs": Ablation(
        parts=Parts(bury=_bury),
        caught_as=caught("cause"),
        job_types=("play.raises",),
        rules=("deliver", "finish", "advance_past", "sweep", "bury"),
    ),
}
