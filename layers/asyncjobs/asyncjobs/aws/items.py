"""Convert jobs to DynamoDB items and back."""

from __future__ import annotations

import json
import string
from dataclasses import asdict
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from asyncjobs.core.clock import epoch_milliseconds, from_epoch_milliseconds, from_rfc3339, rfc3339, to_whole_seconds
from asyncjobs.core.errors import Unreadable
from asyncjobs.core.job import (
    AsyncJob,
    DuePart,
    JobFailure,
    JobKey,
    LockOwner,
    Priority,
    Result,
    ResultType,
    RetentionFrom,
    Status,
    due_shard,
    list_name,
    owner_of_part,
    owner_part,
)

Item = dict[str, Any]
_Word = TypeVar("_Word", bound=StrEnum)

# Fields that a swap can compare, with their attributes.
GUARD_ATTRIBUTES = {
    "generation": "gen",
    "status": "status",
    "seq": "seq",
    "attempt": "attempt",
    "claimed_by": "claimedBy",
    "lease_until": "leaseUntil",
    "due_at": "dueAt",
    "updated_at": "updatedAt",
    "progress": "progress",
    "message": "message",
    "record_expires_at": "recordExpiresAt",
    "token_hash": "tokenHash",  # the name of an attribute # nosec B105
}


def to_item(job: AsyncJob) -> Item:
    """Return the job's item. Empty fields have no attribute, since each write pays for each byte."""
    attributes: dict[str, Any] = {
        "pk": {"S": pk(job.key)},
        "owner": {"S": list_name(job.owner, deliveries=job.is_delivery)},
        "jobType": {"S": job.job_type},
        "status": {"S": job.status.value},
        "gen": {"S": job.generation},
        "requestHash": {"B": job.request_hash},
        "priority": None if job.priority is Priority.STANDARD else {"S": job.priority.value},
        "seq": {"N": str(job.seq)} if job.seq else None,
        "attempt": {"N": str(job.attempt)},
        "maxAttempts": {"N": str(job.max_attempts)},
        "createdAt": {"S": rfc3339(job.created_at)},
        "updatedAt": {"S": rfc3339(job.updated_at)},
        "startedAt": job.started_at and {"S": rfc3339(job.started_at)},
        "endedAt": job.ended_at and {"S": rfc3339(job.ended_at)},
        "deadlineAt": milliseconds_value(job.deadline_at),
        "recordExpiresAt": seconds_value(job.record_expires_at),
        "retentionSeconds": {"N": str(int(job.retention.total_seconds()))},
        "retentionFrom": None if job.retention_from is RetentionFrom.END else {"S": job.retention_from.value},
        "notBefore": job.not_before and milliseconds_value(job.not_before),
        "dueAt": job.due_at and milliseconds_value(job.due_at),
        "dueShard": job.due_at and {"S": due_shard(job.async_job_id, job.due_part)},
        "sweeps": {"N": str(job.sweeps)} if job.sweeps else None,
        "claimedBy": job.claimed_by and {"S": job.claimed_by},
        "leaseUntil": job.lease_until and milliseconds_value(job.lease_until),
        "progress": {"N": str(job.progress)},
        "progressAt": job.progress_at and milliseconds_value(job.progress_at),
        "message": None if job.message is None else {"S": job.message},
        "input": None if job.input is None else {"S": job.input},
        "inputLocation": job.input_location and {"S": job.input_location},
        "metadata": None if job.metadata is None else {"S": job.metadata},
        "resultType": job.result_type and {"S": job.result_type.value},
        "result": {"S": job.result.text} if job.result and job.result.text is not None else None,
        "resultLocation": {"S": location} if job.result and (location := job.result.location or job.result.url) else None,
        "error": {"S": json.dumps(asdict(job.error), ensure_ascii=False)} if job.error else None,
        "liveOwner": job.live_owner and {"S": job.live_owner},
        "exclusiveKey": job.exclusive_key and {"S": job.exclusive_key},
        "waitsSince": job.waits_since and milliseconds_value(job.waits_since),
        "tokenHash": job.token_hash and {"B": job.token_hash},
        "webhook": job.webhook and {"S": job.webhook},
        "sizeClass": None if job.size_class is None else {"N": str(job.size_class)},
        "event": job.named_event and {"S": job.named_event},
        **_failed_group(job),
    }
    return {name: value for name, value in attributes.items() if value}


def failed_group(job_type: str) -> str:
    """Return the name of the group of a type's failed jobs, in the index that only failures pay for."""
    return f"F#{job_type}"


def _failed_group(job: AsyncJob) -> Item:
    """Return the place of a failed job among those of its type: by the code of its error, then by its end."""
    if job.status is not Status.FAILED or job.error is None or job.ended_at is None:
        return {}
    return {
        "groupName": {"S": failed_group(job.job_type)},
        "groupKey": {"S": f"{job.error.code}#{rfc3339(job.ended_at)}"},
    }


def from_item(item: Item) -> AsyncJob:
    """Read the output of `to_item`, also that of a newer release. Raises `Unreadable`.

    Unknown attributes are ignored, and stay as they are: a swap writes only what it changes. An unknown priority or
    retention counts as the default, so that the job runs. An unknown status is unreadable: this release must neither run
    such a job nor end it.
    """
    try:
        return _job(item)
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise Unreadable("A record that this release cannot read.") from error


def _job(item: Item) -> AsyncJob:
    def text(name: str) -> str | None:
        return item[name]["S"] if name in item else None

    def instant(name: str) -> datetime | None:
        return from_rfc3339(item[name]["S"]) if name in item else None

    def milliseconds(name: str) -> datetime | None:
        return from_epoch_milliseconds(int(item[name]["N"])) if name in item else None

    key = parse_pk(item["pk"]["S"])
    return AsyncJob(
        owner=key.owner,
        async_job_id=key.async_job_id,
        job_type=item["jobType"]["S"],
        status=Status(item["status"]["S"]),
        generation=item["gen"]["S"],
        request_hash=bytes(item["requestHash"]["B"]),
        priority=_known(Priority, text("priority"), Priority.STANDARD),
        seq=int(item["seq"]["N"]) if "seq" in item else 0,
        attempt=int(item["attempt"]["N"]),
        max_attempts=int(item["maxAttempts"]["N"]),
        created_at=from_rfc3339(item["createdAt"]["S"]),
        updated_at=from_rfc3339(item["updatedAt"]["S"]),
        started_at=instant("startedAt"),
        ended_at=instant("endedAt"),
        deadline_at=from_epoch_milliseconds(int(item["deadlineAt"]["N"])),
        record_expires_at=from_epoch_milliseconds(int(item["recordExpiresAt"]["N"]) * 1000),
        retention=timedelta(seconds=int(item["retentionSeconds"]["N"])),
        retention_from=_known(RetentionFrom, text("retentionFrom"), RetentionFrom.END),
        not_before=milliseconds("notBefore"),
        due_at=milliseconds("dueAt"),
        due_part=_known(DuePart, (text("dueShard") or "").rstrip(string.digits), DuePart.NEW),
        sweeps=int(item["sweeps"]["N"]) if "sweeps" in item else 0,
        claimed_by=text("claimedBy"),
        lease_until=milliseconds("leaseUntil"),
        progress=int(item["progress"]["N"]),
        progress_at=milliseconds("progressAt"),
        message=text("message"),
        input=text("input"),
        input_location=text("inputLocation"),
        metadata=text("metadata"),
        result=_result(item) if "resultType" in item else None,
        error=_failure(json.loads(item["error"]["S"])) if "error" in item else None,
        live_owner=text("liveOwner"),
        exclusive_key=text("exclusiveKey"),
        waits_since=milliseconds("waitsSince"),
        token_hash=bytes(item["tokenHash"]["B"]) if "tokenHash" in item else None,
        webhook=text("webhook"),
        size_class=int(item["sizeClass"]["N"]) if "sizeClass" in item else None,
        named_event=text("event"),
    )


def _known(kind: type[_Word], value: str | None, default: _Word) -> _Word:
    try:
        return kind(value or "")
    except ValueError:
        return default


def _failure(fields: dict[str, Any]) -> JobFailure:
    return JobFailure(**{name: value for name, value in fields.items() if name in JobFailure.__dataclass_fields__})


def _result(item: Item) -> Result:
    location = item["resultLocation"]["S"] if "resultLocation" in item else None
    if item["resultType"]["S"] == ResultType.URL:
        return Result(url=location)
    return Result(text=item["result"]["S"] if "result" in item else None, location=location)


def to_dedupe_item(owner: str, name: str, async_job_id: str, until: datetime) -> Item:
    """Return the item that assigns a name to a job. It is in no index, and the table's TTL removes it."""
    return {
        "pk": {"S": f"N#{owner_part(owner)}#{name}"},
        "asyncJobId": {"S": async_job_id},
        "recordExpiresAt": seconds_value(to_whole_seconds(until)),
    }


def pk(key: JobKey) -> str:
    """Return the primary key's text. It contains the owner, so no text is the key of two jobs."""
    return f"J#{owner_part(key.owner)}#{key.async_job_id}"


def parse_pk(text: str) -> JobKey:
    """Read the output of `pk`. Raises `Unreadable`."""
    kind, *names = text.split("#")
    if kind != "J" or len(names) != 2 or not all(names):  # noqa: PLR2004 - an owner and an id
        raise Unreadable("Not the key of a job.")
    owner, async_job_id = names
    return JobKey(owner_of_part(owner), async_job_id)


def primary_key(key: JobKey) -> dict[str, Any]:
    """Return the item's primary key."""
    return {"pk": {"S": pk(key)}}


def bucket_key(owner: str) -> dict[str, Any]:
    """Return the primary key of the owner's token bucket. Such an item has no attribute of an index, so it is in none."""
    return {"pk": {"S": f"R#{owner_part(owner)}"}}


def wait_slots_key(owner: str) -> dict[str, Any]:
    """Return the primary key of the owner's slots for waiting requests. Such an item has no attribute of an index, so it is in none."""
    return {"pk": {"S": f"W#{owner_part(owner)}"}}


def webhooks_key(owner: str) -> dict[str, Any]:
    """Return the primary key of the owner's webhooks. Such an item has no attribute of an index, so it is in none."""
    return {"pk": {"S": f"H#{owner_part(owner)}"}}


def lock_key(name: str) -> dict[str, Any]:
    """Return the primary key of a lock. Such an item has no attribute of an index, so it is in none."""
    return {"pk": {"S": f"L#{name}"}}


def lock_owner_value(lock_owner: LockOwner) -> dict[str, Any]:
    """Return the lock's attribute for this owner, which conditions compare."""
    return {"S": lock_owner.generation if lock_owner.key == _NO_JOB else f"{pk(lock_owner.key)}#{lock_owner.generation}"}


def parse_lock_owner(text: str) -> LockOwner:
    """Read the output of `lock_owner_value`. A text that names no job is an owner without a record, which is over."""
    key, _, generation = text.rpartition("#")
    try:
        return LockOwner(parse_pk(key), generation)
    except Unreadable:
        return LockOwner(_NO_JOB, text)


_NO_JOB = JobKey("", "")
"""The key of no job. The generation of such a lock owner is the whole stored text, which the next owner replaces."""


def milliseconds_value(instant: datetime) -> dict[str, Any]:
    """Return the time as a number of milliseconds, which conditions compare."""
    return {"N": str(epoch_milliseconds(instant))}


def seconds_value(instant: datetime) -> dict[str, Any]:
    """Return the time as a number of seconds, as DynamoDB's TTL requires."""
    milliseconds = epoch_milliseconds(instant)
    return {"N": str(milliseconds // 1000) if milliseconds % 1000 == 0 else f"{milliseconds / 1000:.3f}"}
