"""Ablations of the features: each without one of its safeguards."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from asyncjobs.aws import clients
from asyncjobs.aws.dynamodb_jobs import DynamoStore
from asyncjobs.aws.items import primary_key, seconds_value
from asyncjobs.aws.s3 import S3Objects
from asyncjobs.core import job
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import FENCE, FENCE_AND_PROGRESS, AsyncJob, LockOwner, Status
from asyncjobs.core.ports import Lost
from asyncjobs.core.rate import SubmitRate
from asyncjobs.jobtypes.decorator import Exclusive
from asyncjobs.limits.locks import Locks
from asyncjobs.service import commands
from asyncjobs.service.sender import Sender
from asyncjobs.tracking import reports
from asyncjobs.tracking.worker_token import WorkerToken
from asyncjobs.worker.executor import Executor
from tests.proof.stateful.ablations import Ablation, caught, store_with
from tests.proof.stateful.features import Features
from tests.proof.stateful.world import Parts

# ── Quick jobs ─────────────────────────────────────────────────────────────────────────────────────


class PutsWithoutClaim(DynamoStore):
    """A store where the submit function runs a job that its put did not claim."""

    def add_if_absent(self, job: AsyncJob, now: datetime) -> AsyncJob | None:
        unclaimed = replace(job, status=Status.PENDING, attempt=0, claimed_by=None, lease_until=None, started_at=None)
        return super().add_if_absent(unclaimed, now)


_send = Sender.send


def _send_only_what_was_never_begun(self: Sender, job: AsyncJob) -> None:
    if not job.attempt:
        _send(self, job)


def _record_as_if_nothing_could_fail(self: Executor, held: AsyncJob, ended: AsyncJob) -> AsyncJob:
    with suppress(Unavailable):
        self._swap_persistently(held, ended)
    return ended


# ── Deletions ──────────────────────────────────────────────────────────────────────────────────────


class ForgetsWhateverStands(DynamoStore):
    """A store where a deletion lets the record expire without a condition."""

    def swap_if_unchanged(self, old: AsyncJob, new: AsyncJob, unchanged: Sequence[str] = FENCE) -> AsyncJob | Lost:
        if new != replace(old, record_expires_at=new.record_expires_at):
            return super().swap_if_unchanged(old, new, unchanged)
        try:
            with clients.translated("The table"):
                self._client.update_item(
                    TableName=self._table_name,
                    Key=primary_key(old.key),
                    UpdateExpression="SET recordExpiresAt = :expiry",
                    ConditionExpression="attribute_exists(pk)",
                    ExpressionAttributeValues={":expiry": seconds_value(new.record_expires_at)},
                )
        except ClientError:
            return Lost(None)
        return new


class RemovesWhateverStands(DynamoStore):
    """A store where a deletion removes the record without a condition."""

    def remove_if_unchanged(self, job: AsyncJob) -> None:
        with clients.translated("The table"):
            self._client.delete_item(TableName=self._table_name, Key=primary_key(job.key))


class InputsNamedByTheirJob(S3Objects):
    """Objects where successive jobs of one key share the location of their input."""

    def put_input(self, job: AsyncJob, data: bytes) -> str:
        return super().put_input(replace(job, generation="any"), data)


# ── Limits ─────────────────────────────────────────────────────────────────────────────────────────


class CountsNoJob(DynamoStore):
    """A store that finds no unfinished job of an owner."""

    def count_live(self, owner: str, *, at_most: int) -> int:
        return 0


class HasNoToken(DynamoStore):
    """A store that finds every bucket of tokens empty."""

    def take_token_if_any(self, owner: str, rate: SubmitRate, now: datetime) -> tuple[bool, datetime]:
        return False, now + rate.burst * rate.interval


# ── Locks ──────────────────────────────────────────────────────────────────────────────────────────


def _take_the_first(_self: Locks, lock_owners: Mapping[str, LockOwner | None]) -> tuple[str | None, Sequence[AsyncJob]]:
    return next(iter(lock_owners)), ()


class TrustsTheSubmit(Locks):
    """Locks of a worker that neither takes nor wakes."""

    def take(self, exclusive_key: str, lock_owner: LockOwner) -> None:
        return None

    def wake(self, ended: AsyncJob) -> None: ...


def _lock_whatever_it_names(parameters: dict[str, Any]) -> dict[str, Any]:
    if not parameters.get("Key", {}).get("pk", {}).get("S", "").startswith("L#") or "UpdateExpression" not in parameters:
        return parameters
    values = {name: value for name, value in parameters["ExpressionAttributeValues"].items() if name != ":seen"}
    kept = {name: value for name, value in parameters.items() if name != "ConditionExpression"}
    return {**kept, "ExpressionAttributeValues": values}


def _is_over_in_every_generation(_self: LockOwner, job: AsyncJob | None, now: datetime) -> bool:
    return job is None or job.is_finished or job.is_expired(now)


_exclusive_key = Locks.exclusive_key


def _key_without_input(exclusive: Exclusive, owner: str, _input_json: bytes) -> str:
    return _exclusive_key(exclusive, owner, b"")


def _key_without_owner(exclusive: Exclusive, _owner: str, input_json: bytes) -> str:
    return _exclusive_key(exclusive, "anybody", input_json)


def _key_of_one_request(exclusive: Exclusive, owner: str, input_json: bytes) -> str:
    return _exclusive_key(exclusive, owner, f"{input_json!r}{uuid.uuid4()}".encode())


# ── Inputs that name their job ─────────────────────────────────────────────────────────────────────


def _name_whatever_stands(parameters: dict[str, Any]) -> dict[str, Any]:
    if not parameters.get("Item", {}).get("pk", {}).get("S", "").startswith("N#"):
        return parameters
    return {"TableName": parameters["TableName"], "Item": parameters["Item"]}


# ── Tracked jobs ───────────────────────────────────────────────────────────────────────────────────

_ended_by_time = AsyncJob.ended_by_time


def _ended_by_time_unless_tracked(self: AsyncJob, now: datetime) -> AsyncJob | None:
    return None if self.is_tracked else _ended_by_time(self, now)


_WITHOUT_TOKEN = tuple(field for field in FENCE_AND_PROGRESS if field != "token_hash")

FEATURE_ABLATIONS = {
    "quick jobs put without a claim": Ablation(
        machine=Features, parts=Parts(store=PutsWithoutClaim), caught_as=caught("I7"), job_types=("play.quick",)
    ),
    "quick jobs handed over without a message": Ablation(
        machine=Features,
        parts=Parts(patches=((Sender, "send", _send_only_what_was_never_begun),)),
        caught_as=caught("F30"),
        job_types=("play.quick", "play.quick_raises"),
    ),
    "quick jobs answered whether or not their end was recorded": Ablation(
        machine=Features,
        parts=Parts(patches=((Executor, "_record", _record_as_if_nothing_could_fail),)),
        caught_as=caught("told"),
        job_types=("play.quick",),
    ),
    "deletions without condition": Ablation(
        machine=Features,
        parts=Parts(store=ForgetsWhateverStands),
        caught_as=caught("I5"),
        job_types=("play.quick_fails",),
        rules=("delete", "retry", "overtake"),
    ),
    "records removed without condition": Ablation(
        machine=Features,
        parts=Parts(store=RemovesWhateverStands),
        caught_as=caught("I5"),
        job_types=("play.quick", "play.quick_raises"),
        rules=("delete", "submit_again", "overtake"),
    ),
    "inputs named without their generation": Ablation(
        machine=Features,
        parts=Parts(objects=InputsNamedByTheirJob),
        caught_as=caught("bytes", "wrong"),
        job_types=("play.quick", "play.quick_raises"),
        rules=("delete", "submit_again", "overtake"),
    ),
    "locks taken without looking at who holds them": Ablation(
        machine=Features,
        parts=Parts(patches=((Locks, "_look", _take_the_first),)),
        caught_as=caught("lock"),
        job_types=("play.alone", "play.alone_waits"),
    ),
    "claims that do not ask for the lock": Ablation(
        machine=Features,
        parts=Parts(worker_locks=TrustsTheSubmit),
        caught_as=caught("lock"),
        job_types=("play.pair",),
    ),
    "locks taken without comparing who was seen": Ablation(
        machine=Features,
        parts=Parts(store=store_with(_lock_whatever_it_names)),
        caught_as=caught("lock"),
        job_types=("play.alone_waits",),
        rules=("deliver", "go_on", "overtake"),
    ),
    "locks that name no generation": Ablation(
        machine=Features,
        parts=Parts(patches=((LockOwner, "is_over", _is_over_in_every_generation),)),
        caught_as=caught("lock", "L2"),
        job_types=("play.alone_waits",),
        rules=("deliver", "cancel", "retry"),
    ),
    "those who wait for a lock looked after ever more seldom": Ablation(
        machine=Features,
        # The first wait is longer too, or it takes four sweeps to pass the maximum. The product's maximum bounds it as well.
        parts=Parts(
            patches=((job, "MAX_LOCK_BACKOFF", timedelta(hours=1)), (job, "SWEEP_INTERVAL", timedelta(minutes=3))),
        ),
        caught_as=caught("L2"),
        job_types=("play.alone_waits",),
        rules=("deliver", "sweep", "advance_past"),
    ),
    "locks by owner that do not compare the owner": Ablation(
        machine=Features,
        parts=Parts(patches=((Locks, "exclusive_key", staticmethod(_key_without_owner)),)),
        caught_as=caught("lock"),
        job_types=("play.mine_alone",),
    ),
    "locks by input that do not compare the input": Ablation(
        machine=Features,
        parts=Parts(patches=((Locks, "exclusive_key", staticmethod(_key_without_input)),)),
        caught_as=caught("lock"),
        job_types=("play.same_alone",),
    ),
    "locks by input that differ for one input": Ablation(
        machine=Features,
        parts=Parts(patches=((Locks, "exclusive_key", staticmethod(_key_of_one_request)),)),
        caught_as=caught("lock"),
        job_types=("play.same",),
    ),
    "limits that count no job": Ablation(
        machine=Features,
        parts=Parts(store=CountsNoJob),
        caught_as=caught("limit"),
        job_types=("play.alone_waits", "play.elsewhere"),
    ),
    "rates that reject without a reason": Ablation(
        machine=Features,
        parts=Parts(store=HasNoToken),
        caught_as=caught("limit"),
        job_types=("play.alone_waits", "play.elsewhere"),
    ),
    "inputs named without condition": Ablation(
        machine=Features,
        parts=Parts(store=store_with(_name_whatever_stands)),
        caught_as=caught("dedupe"),
        job_types=("play.once",),
    ),
    "reports without fence": Ablation(
        machine=Features,
        parts=Parts(patches=((reports, "FENCE_AND_PROGRESS", ("generation",)),)),
        caught_as=caught("I1", "I5", "I8", "I10", "I11", "I16", "told"),
        job_types=("play.elsewhere",),
    ),
    "reports that do not compare each other": Ablation(
        machine=Features,
        parts=Parts(patches=((reports, "FENCE_AND_PROGRESS", FENCE),)),
        caught_as=caught("I10", "I16", "told"),
        job_types=("play.elsewhere",),
        rules=("report", "report_by_token", "overtake"),
    ),
    "tokens that match every issue": Ablation(
        machine=Features,
        parts=Parts(patches=((WorkerToken, "matches", lambda _self, job: job.is_tracked),)),
        caught_as=caught("I8", "F46"),
        job_types=("play.elsewhere",),
        rules=("report_by_token", "reissue", "cancel", "retry"),
    ),
    "reports that do not compare the token": Ablation(
        machine=Features,
        parts=Parts(patches=((reports, "FENCE_AND_PROGRESS", _WITHOUT_TOKEN),)),
        caught_as=caught("I8"),
        job_types=("play.elsewhere",),
        rules=("report_by_token", "reissue", "overtake"),
    ),
    "new tokens that do not compare the earlier one": Ablation(
        machine=Features,
        parts=Parts(patches=((reports, "FENCE_AND_TOKEN", FENCE),)),
        caught_as=caught("I8"),
        job_types=("play.elsewhere",),
        rules=("reissue", "overtake"),
    ),
    "reports after the deadline": Ablation(
        machine=Features,
        parts=Parts(patches=((AsyncJob, "ended_by_time", _ended_by_time_unless_tracked),)),
        caught_as=caught("deadline", "stuck"),
        job_types=("play.elsewhere",),
    ),
    "retries that overlook a deletion": Ablation(
        machine=Features,
        parts=Parts(patches=((commands, "FENCE_AND_EXPIRY", FENCE),)),
        caught_as=caught("I1"),
        job_types=("play.quick_fails",),
        rules=("delete", "retry", "overtake"),
    ),
}
