"""The jobs in DynamoDB: one item per job, and one conditional write per change. The store swaps, and never decides.

The items that a submit, a claim or a wait needs beside a job are here, too: deduplicated inputs, an owner's bucket of submits,
its wait slots, and locks. `aws/items.py` has the key of each.

DynamoDB orders all writes on an item, so the first write decides each race, and the losing one gets the stored item. The
SDK repeats a write whose answer was lost, and the repeated write loses against the first. Each method recognizes that by
the values that it would write.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from asyncjobs.aws import clients
from asyncjobs.aws.dynamodb_batch import read_batch
from asyncjobs.aws.items import (
    GUARD_ATTRIBUTES,
    Item,
    bucket_key,
    from_item,
    lock_key,
    lock_owner_value,
    milliseconds_value,
    parse_lock_owner,
    parse_pk,
    pk,
    primary_key,
    seconds_value,
    to_dedupe_item,
    to_item,
    wait_slots_key,
)
from asyncjobs.core.clock import epoch_milliseconds, from_epoch_milliseconds, from_rfc3339, rfc3339, to_whole_seconds
from asyncjobs.core.errors import Unavailable, Unreadable
from asyncjobs.core.job import FENCE, AsyncJob, DuePart, JobKey, LockOwner, Status, due_shard, list_name
from asyncjobs.core.ports import DueEntry, ListPosition, Lost
from asyncjobs.log import log_event

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from asyncjobs.core.message import JobMessage
    from asyncjobs.core.rate import SubmitRate


_SLOT_TRIES = 3
_DUE_PAGE = 1000
_DUE_ENTRY = ("dueAt", "dueShard", "sweeps")
_NEXT_SEQ = "seq = if_not_exists(seq, :zero) + :one"
"""Numbers a write that a client can see. A record of an earlier release has no number yet."""
_ONE_AND_ZERO = {":one": {"N": "1"}, ":zero": {"N": "0"}}
_CLAIM = (
    "SET #status = :inProgress, attempt = attempt + :one, claimedBy = :by, leaseUntil = :lease,"
    " updatedAt = :nowText, startedAt = if_not_exists(startedAt, :nowText), progress = :zero"
    f", {_NEXT_SEQ}"
)
_MOVE_DUE_ENTRY = ", dueAt = :due, dueShard = :shard, sweeps = :zero"
_END_WAIT = " REMOVE waitsSince, progressAt"
"""Most jobs do not have these attributes, and then pay nothing."""
_IS_OF_MESSAGE = "gen = :gen AND jobType = :type"
_HAS_LOCK, _HAS_NO_LOCK = " AND exclusiveKey = :lock", " AND attribute_not_exists(exclusiveKey)"
_IS_CLAIMABLE = (
    " AND recordExpiresAt > :nowSeconds AND deadlineAt > :now AND attempt < maxAttempts"
    " AND (#status = :pending AND (attribute_not_exists(notBefore) OR notBefore <= :now)"
    " OR #status = :inProgress AND leaseUntil < :now)"
)
_IS_DUE_IN_TIME = " AND dueAt <= :lease AND dueShard < :shard"
"""Of the parts' keys, only those of waiting jobs begin with `w`: all others are less than `:shard`."""
_BUCKET_RETENTION = timedelta(days=1)
"""How long a full bucket is kept, so that daily users do not recreate it."""


class DynamoStore:
    """A `Store` in a DynamoDB table of the template's shape."""

    def __init__(
        self, table_name: str, client: DynamoDBClient | None = None, *, pause: Callable[[float], object] = time.sleep
    ) -> None:
        self._table_name = table_name
        self._pause = pause
        self._client = client or clients.dynamodb()

    def add_if_absent(self, job: AsyncJob, now: datetime) -> AsyncJob | None:
        """See `Store`. Races with other submits of the same idempotency key: one of them creates the job, the others get it."""
        try:
            with clients.translated("The table"):
                self._client.put_item(
                    TableName=self._table_name,
                    Item=to_item(job),
                    ConditionExpression="attribute_not_exists(pk) OR recordExpiresAt <= :now",
                    ExpressionAttributeValues={":now": seconds_value(now)},
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except ClientError as error:
            current = _current(error)
            return None if current is None or current.is_put_of(job) else current
        return None

    def reserve_dedupe_key(
        self, owner: str, name: str, async_job_id: str, *, now: datetime, until: datetime, instead_of: str | None = None
    ) -> str:
        """See `Store`. Races with other submits of the same input: each of them gets the same job."""
        values = {":now": seconds_value(now), ":replaced": {"S": instead_of or ""}}
        try:
            with clients.translated("The table"):
                self._client.put_item(
                    TableName=self._table_name,
                    Item=to_dedupe_item(owner, name, async_job_id, until),
                    ConditionExpression="attribute_not_exists(pk) OR recordExpiresAt <= :now OR asyncJobId = :replaced",
                    ExpressionAttributeValues=values,
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except ClientError as error:
            return str(clients.conflicting_item(error)["asyncJobId"]["S"])
        return async_job_id

    def claim_if_claimable(self, message: JobMessage, *, by: str, now: datetime, lease_until: datetime) -> AsyncJob | Lost:
        """See `Store`. Races with other messages of the job, including the sweeper's, and with cancel."""
        claim = self._claim(message, by=by, now=now, lease_until=lease_until)
        current = claim.current if isinstance(claim, Lost) else None
        if current is not None and _is_only_due_late(current, message, now=now, lease_until=lease_until):
            due_at = min(lease_until, current.deadline_at)
            claim = self._claim(message, by=by, now=now, lease_until=lease_until, due_at=due_at)
        if isinstance(claim, Lost) and claim.current is not None and claim.current.is_claimed_by(by):
            return claim.current
        return claim

    def swap_if_unchanged(self, old: AsyncJob, new: AsyncJob, unchanged: Sequence[str] = FENCE) -> AsyncJob | Lost:
        """See `Store`. Only attributes that differ are written."""
        before, after = to_item(old), to_item(new)
        changed, removed = _changes(before, after)
        guards = [GUARD_ATTRIBUTES[field] for field in unchanged]
        values = {f":new_{name}": after[name] for name in changed}
        values |= {f":old_{name}": before[name] for name in guards if name in before}
        update = "SET " + ", ".join(f"#{name} = :new_{name}" for name in changed)
        if new.is_news_after(old):
            # Counted by the table: `old` may be older than the last report, which need not stop this write.
            update += f", {_NEXT_SEQ}"
            values |= _ONE_AND_ZERO
        if removed:
            update += " REMOVE " + ", ".join(f"#{name}" for name in removed)
        condition = " AND ".join(
            f"#{name} = :old_{name}" if name in before else f"attribute_not_exists(#{name})" for name in guards
        )
        try:
            with clients.translated("The table"):
                answer = self._client.update_item(
                    TableName=self._table_name,
                    Key=primary_key(old.key),
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ExpressionAttributeNames={f"#{name}": name for name in (*changed, *removed, *guards)},
                    ExpressionAttributeValues=values,
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except ClientError as error:
            current = _current(error)
            written = [attribute for attribute in (*changed, *removed, *guards) if attribute != "seq"]
            if current is not None and _same(to_item(current), after, written):
                return current
            return Lost(current)
        return from_item(answer["Attributes"])

    def remove_if_unchanged(self, job: AsyncJob) -> None:
        """See `Store`. Races with a submit that uses the expired record's idempotency key again."""
        try:
            with clients.translated("The table"):
                self._client.delete_item(
                    TableName=self._table_name,
                    Key=primary_key(job.key),
                    ConditionExpression="gen = :gen AND recordExpiresAt = :expiry",
                    ExpressionAttributeValues={":gen": {"S": job.generation}, ":expiry": seconds_value(job.record_expires_at)},
                )
        except ClientError as error:
            _current(error)

    def get(self, key: JobKey) -> AsyncJob | None:
        with clients.translated("The table"):
            answer = self._client.get_item(TableName=self._table_name, Key=primary_key(key), ConsistentRead=True)
        return from_item(answer["Item"]) if "Item" in answer else None

    def list_by_owner(
        self, owner: str, *, limit: int, after: ListPosition | None = None, deliveries: bool = False
    ) -> tuple[Sequence[AsyncJob], ListPosition | None]:
        """See `Store`. The index has only keys, so it costs one write per job; the jobs are read by these keys."""
        start: dict[str, Any] = {}
        name = list_name(owner, deliveries=deliveries)
        if after is not None:
            start = {
                **primary_key(JobKey(owner, after.async_job_id)),
                "owner": {"S": name},
                "createdAt": {"S": rfc3339(after.created_at)},
            }
        with clients.translated("The table"):
            keys, last = self._list_page(name, limit=limit, start=start)
            while last and _position(last) is None:  # a position names a job, so read on to the next one
                more, last = self._list_page(name, limit=1, start=last)
                keys += more
        items = self._batch_get(keys, is_consistent=False)
        jobs = list(_jobs(items[name] for name in map(pk, keys) if name in items))
        return jobs, _position(last) if last else None

    def get_all(self, keys: Sequence[JobKey]) -> Mapping[JobKey, AsyncJob | Unreadable]:
        """See `Store`. As consistent as `get`, and for the same price, in a hundredth of the requests."""
        items = self._batch_get(keys, is_consistent=True)
        return {key: _readable(items[name]) for key in keys if (name := pk(key)) in items}

    def due(self, shard: str, now: datetime) -> Iterator[DueEntry]:
        start: dict[str, Any] = {}
        while True:
            with clients.translated("The table"):
                page = self._client.query(
                    TableName=self._table_name,
                    IndexName="due",
                    KeyConditionExpression="dueShard = :shard AND dueAt <= :now",
                    ExpressionAttributeValues={":shard": {"S": shard}, ":now": milliseconds_value(now)},
                    Limit=_DUE_PAGE,
                    **start,
                )
            yield from (_due_entry(entry, now) for entry in page["Items"])
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def take_token_if_any(self, owner: str, rate: SubmitRate, now: datetime) -> tuple[bool, datetime]:
        """See `Store`. Races with the owner's other submits, which the condition orders.

        The first write assumes a full bucket, as it mostly is. If it fails, a second write continues from the stored value.
        So no read is needed. The SDK repeats a write whose answer was lost, which takes a second token.
        """
        taken, full_at = self._take_token(
            owner,
            update="SET fullAt = :oneOff, recordExpiresAt = :expires",
            condition="attribute_not_exists(fullAt) OR fullAt <= :now",
            values={":oneOff": milliseconds_value(now + rate.interval), ":now": milliseconds_value(now)},
            expires_at=now + rate.interval + _BUCKET_RETENTION,
        )
        if taken or full_at > rate.latest_full_at(now):
            return taken, full_at
        return self._take_token(
            owner,
            update="SET fullAt = fullAt + :interval, recordExpiresAt = :expires",
            condition="fullAt <= :latest",
            values={
                ":interval": {"N": str(rate.interval // timedelta(milliseconds=1))},
                ":latest": milliseconds_value(rate.latest_full_at(now)),
            },
            expires_at=now + rate.burst * rate.interval + _BUCKET_RETENTION,
        )

    def take_wait_slot(self, owner: str, *, slots: int, now: datetime, until: datetime) -> int | None:
        """See `Store`. Races with the owner's other requests, which the condition on the slot orders.

        The first write tries any slot, since most owners have no other request that waits. If it fails, its answer has all
        slots, and a second write tries a free one. The SDK repeats a write whose answer was lost, and then finds its own slot
        taken: it takes another one, and the first is free again when its time is up.
        """
        free: Sequence[int] = range(slots)
        for _ in range(_SLOT_TRIES):
            if not free:
                break
            slot = random.choice(free)  # nosec B311 - it spreads concurrent requests
            try:
                with clients.translated("The table"):
                    self._client.update_item(
                        TableName=self._table_name,
                        Key=wait_slots_key(owner),
                        UpdateExpression="SET #slot = :until, recordExpiresAt = :expires",
                        ConditionExpression="attribute_not_exists(#slot) OR #slot <= :now",
                        ExpressionAttributeNames={"#slot": _slot_name(slot)},
                        ExpressionAttributeValues={
                            ":until": milliseconds_value(until),
                            ":now": milliseconds_value(now),
                            ":expires": seconds_value(to_whole_seconds(until + _BUCKET_RETENTION)),
                        },
                        ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    )
            except ClientError as error:
                taken = clients.conflicting_item(error) or {}
                free = [each for each in range(slots) if _taken_until(taken, each) <= epoch_milliseconds(now)]
            else:
                return slot
        return None

    def free_wait_slot(self, owner: str, slot: int, *, until: datetime) -> None:
        """See `Store`. Races with a request that takes the slot when its time is up."""
        try:
            with clients.translated("The table"):
                self._client.update_item(
                    TableName=self._table_name,
                    Key=wait_slots_key(owner),
                    UpdateExpression="REMOVE #slot",
                    ConditionExpression="#slot = :until",
                    ExpressionAttributeNames={"#slot": _slot_name(slot)},
                    ExpressionAttributeValues={":until": milliseconds_value(until)},
                )
        except ClientError as error:
            clients.conflicting_item(error)

    def count_live(self, owner: str, *, at_most: int) -> int:
        """See `Store`. The index is sparse: the write that ends a job removes it, so there is no counter."""
        count, start = 0, dict[str, Any]()
        while count < at_most:
            with clients.translated("The table"):
                page = self._client.query(
                    TableName=self._table_name,
                    IndexName="live",
                    KeyConditionExpression="liveOwner = :owner",
                    ExpressionAttributeValues={":owner": {"S": owner}},
                    Select="COUNT",
                    Limit=at_most - count,
                    **start,
                )
            count += page["Count"]
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        return count

    def lock_owner(self, name: str) -> LockOwner | None:
        with clients.translated("The table"):
            answer = self._client.get_item(TableName=self._table_name, Key=lock_key(name), ConsistentRead=True)
        return parse_lock_owner(answer["Item"]["holder"]["S"]) if "Item" in answer else None

    def lock_if_unchanged(self, name: str, lock_owner: LockOwner, *, seen: LockOwner | None, until: datetime) -> bool:
        """See `Store`. Races with every other job that needs the lock; after a loss, the caller reads the lock again."""
        try:
            with clients.translated("The table"):
                self._client.update_item(
                    TableName=self._table_name,
                    Key=lock_key(name),
                    UpdateExpression="SET holder = :holder, recordExpiresAt = :until",
                    # An own first try whose answer was lost has written this owner already.
                    ConditionExpression="attribute_not_exists(pk) OR holder = :seen OR holder = :holder",
                    ExpressionAttributeValues={
                        ":holder": lock_owner_value(lock_owner),
                        ":seen": lock_owner_value(seen or lock_owner),
                        ":until": seconds_value(to_whole_seconds(until)),
                    },
                )
        except ClientError as error:
            clients.conflicting_item(error)
            return False
        return True

    def waiting(self, exclusive_key: str, now: datetime, *, at_most: int) -> Sequence[JobKey]:
        """See `Store`. The index is sparse: the claim that begins a job removes it, or the write that ends it."""
        keys, start = list[JobKey](), dict[str, Any]()
        while len(keys) < at_most:
            with clients.translated("The table"):
                page = self._client.query(
                    TableName=self._table_name,
                    IndexName="waiting",
                    KeyConditionExpression="exclusiveKey = :key AND waitsSince <= :now",
                    ExpressionAttributeValues={":key": {"S": exclusive_key}, ":now": milliseconds_value(now)},
                    Limit=at_most - len(keys),
                    **start,
                )
            keys += _keys(page["Items"])
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        return keys

    def _take_token(
        self, owner: str, *, update: str, condition: str, values: dict[str, Any], expires_at: datetime
    ) -> tuple[bool, datetime]:
        try:
            with clients.translated("The table"):
                answer = self._client.update_item(
                    TableName=self._table_name,
                    Key=bucket_key(owner),
                    UpdateExpression=update,
                    ConditionExpression=condition,
                    ExpressionAttributeValues={**values, ":expires": seconds_value(to_whole_seconds(expires_at))},
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except ClientError as error:
            stored = clients.conflicting_item(error)
            if stored is None:
                # The item existed, and expires a day after it is full: a clock is skewed, or the item was deleted by hand.
                raise Unavailable("The owner's bucket has just been removed.") from error
            return False, _full_at(stored)
        return True, _full_at(answer["Attributes"])

    def _claim(
        self, message: JobMessage, *, by: str, now: datetime, lease_until: datetime, due_at: datetime | None = None
    ) -> AsyncJob | Lost:
        """Claim the job by one write. With `due_at`, the more expensive write also moves the job's entry in the due index.

        Only jobs that a sweep has moved need that. With `dueAt` long after the lease, or among the jobs that wait, a lost
        worker would be noticed late.
        """
        update, condition = _CLAIM, _IS_OF_MESSAGE
        values: dict[str, Any] = {
            ":inProgress": {"S": Status.IN_PROGRESS},
            ":pending": {"S": Status.PENDING},
            **_ONE_AND_ZERO,
            ":by": {"S": by},
            ":gen": {"S": message.generation},
            ":lease": milliseconds_value(lease_until),
            ":type": {"S": message.job_type},
            ":now": milliseconds_value(now),
            ":nowSeconds": seconds_value(now),
            ":nowText": {"S": rfc3339(now)},
        }
        if message.exclusive_key is None:
            condition += _HAS_NO_LOCK
        else:
            condition += _HAS_LOCK
            values[":lock"] = {"S": message.exclusive_key}
        condition += _IS_CLAIMABLE
        if due_at is None:
            condition += _IS_DUE_IN_TIME
            values[":shard"] = {"S": DuePart.WAITING}
        else:
            update += _MOVE_DUE_ENTRY
            values[":due"] = milliseconds_value(due_at)
            values[":shard"] = {"S": due_shard(message.key.async_job_id, DuePart.RUNNING)}
        try:
            with clients.translated("The table"):
                answer = self._client.update_item(
                    TableName=self._table_name,
                    Key=primary_key(message.key),
                    UpdateExpression=update + _END_WAIT,
                    ConditionExpression=condition,
                    ExpressionAttributeNames={"#status": "status"},
                    ExpressionAttributeValues=values,
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
        except ClientError as error:
            return Lost(_current(error))
        return from_item(answer["Attributes"])

    def _list_page(self, name: str, *, limit: int, start: dict[str, Any]) -> tuple[list[JobKey], dict[str, Any]]:
        """Return the keys of a page, and the last entry if there are more."""
        page = self._client.query(
            TableName=self._table_name,
            IndexName="byOwner",
            KeyConditionExpression="#owner = :owner",
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues={":owner": {"S": name}},
            ScanIndexForward=False,
            Limit=limit,
            **({"ExclusiveStartKey": start} if start else {}),  # type: ignore[arg-type]  # the stubs know no optional arguments
        )
        return _keys(page["Items"]), dict(page.get("LastEvaluatedKey", {}))

    def _batch_get(self, keys: Sequence[JobKey], *, is_consistent: bool) -> Mapping[str, Item]:
        """Return the items that exist, by their keys' text."""
        wanted = [primary_key(key) for key in dict.fromkeys(keys)]
        items = read_batch(
            self._client.batch_get_item, self._table_name, wanted, is_consistent=is_consistent, pause=self._pause
        )
        return {item["pk"]["S"]: item for item in items}


def _changes(before: Item, after: Item) -> tuple[list[str], list[str]]:
    """Return the attributes to write and those to remove. With the status or the due time, they are those of the whole due entry.

    A sweep may have moved that entry since the job was read, so what does not differ from `before` may differ from the record.
    """
    changed = [name for name in after if before.get(name) != after[name] and name != "seq"]
    removed = [name for name in before if name not in after]
    if "dueAt" in after and ("dueAt" in changed or "status" in changed):
        changed += [name for name in _DUE_ENTRY if name in after and name not in changed]
        removed += [name for name in _DUE_ENTRY if name not in after and name not in removed]
    return changed, removed


def _readable(item: Item) -> AsyncJob | Unreadable:
    """Return the job, or why it cannot be read: another one must not hide the jobs that are read with it."""
    try:
        return from_item(item)
    except Unreadable as error:
        return error


def _jobs(items: Iterable[Item]) -> Iterator[AsyncJob]:
    """Yield the jobs that can be read."""
    for item in items:
        job = _readable(item)
        if isinstance(job, AsyncJob):
            yield job
        else:
            log_event("RECORD_UNREADABLE", asyncJobId=parse_pk(item["pk"]["S"]).async_job_id, exception=job)


def _keys(entries: Iterable[Any]) -> list[JobKey]:
    """Return the keys of an index's entries that are jobs: another item must not hide them."""
    keys = []
    for entry in entries:
        try:
            keys.append(parse_pk(entry["pk"]["S"]))
        except Unreadable as error:
            log_event("RECORD_UNREADABLE", exception=error)
    return keys


def _position(last: Any) -> ListPosition | None:
    """Return the position of an entry of the list; None if it is not a job."""
    try:
        return ListPosition(from_rfc3339(last["createdAt"]["S"]), parse_pk(last["pk"]["S"]).async_job_id)
    except (Unreadable, ValueError):
        return None


def _due_entry(entry: Any, now: datetime) -> DueEntry:
    try:
        key = parse_pk(entry["pk"]["S"])
    except Unreadable:
        key = None
    try:
        return DueEntry(key, from_epoch_milliseconds(int(entry["dueAt"]["N"])))
    except (ValueError, OverflowError):
        return DueEntry(key, now)


def _slot_name(slot: int) -> str:
    return f"s{slot}"


def _taken_until(slots: Any, slot: int) -> int:
    return int(slots[_slot_name(slot)]["N"]) if _slot_name(slot) in slots else 0


def _full_at(bucket: Any) -> datetime:
    return from_epoch_milliseconds(int(bucket["fullAt"]["N"]))


def _same(one: Item, other: Item, attributes: Iterable[str]) -> bool:
    return all(one.get(attribute) == other.get(attribute) for attribute in attributes)


def _is_only_due_late(current: AsyncJob, message: JobMessage, *, now: datetime, lease_until: datetime) -> bool:
    return message.describes(current) and current.is_claimable(now) and current.is_due_late(lease_until)


def _current(error: ClientError) -> AsyncJob | None:
    """Return the stored job when a condition failed. Any other error is raised again."""
    item = clients.conflicting_item(error)
    return None if item is None else from_item(item)
