"""In-memory adapters for tests. tests/adapters runs them through the same suite as the real ones."""

from __future__ import annotations

import io
import json
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from operator import attrgetter
from typing import Any, BinaryIO

from asyncjobs.core.administration import (
    AuditPosition,
    AuditRecord,
    BulkPart,
    BulkTask,
    DeadLetter,
    FailedEntry,
    FailedPosition,
    PollersState,
    QueueDepth,
    TypeHistory,
)
from asyncjobs.core.clock import to_whole_seconds
from asyncjobs.core.durations import Durations
from asyncjobs.core.errors import InputMissing, Unavailable, Unreadable
from asyncjobs.core.events import Event
from asyncjobs.core.job import FENCE, AsyncJob, JobKey, LockOwner, Priority, Result, Status, due_shard
from asyncjobs.core.message import JobMessage
from asyncjobs.core.placement import (
    INLINE_RESULT_LIMIT,
    JSON,
    UPLOADS,
    artifact_location,
    checked_json,
    file_location,
    input_location,
    inputs_area,
    is_input_of,
    is_result_of,
    locations_of_attempts,
    result_location,
)
from asyncjobs.core.ports import BusEvent, DueEntry, ListPosition, Lost, ResultWriter, StoredUpload, UploadLink
from asyncjobs.core.rate import SubmitRate
from asyncjobs.core.records import replace
from asyncjobs.core.ticket import Ticket
from asyncjobs.core.watch import MAX_WATCHERS, Connection, Posted, Topic
from asyncjobs.core.webhook import OwnerWebhooks

UPLOADED_AT = datetime(2026, 1, 1, tzinfo=UTC)
_fields = attrgetter(*AsyncJob.__slots__)


class FakeClock:
    """A clock that moves only by `advance`."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, *, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class FakeStore:
    """A `Store` in a dictionary. Each call first raises the next of `failures`; `writes` counts requests that cost a write."""

    jobs: dict[JobKey, AsyncJob] = field(default_factory=dict)
    names: dict[tuple[str, str], tuple[str, datetime]] = field(default_factory=dict)
    buckets: dict[str, datetime] = field(default_factory=dict)
    wait_slots: dict[tuple[str, int], datetime] = field(default_factory=dict)
    locks: dict[str, LockOwner] = field(default_factory=dict)
    failures: deque[Exception] = field(default_factory=deque)
    writes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add_if_absent(self, job: AsyncJob, now: datetime) -> AsyncJob | None:
        with self._write():
            current = self.jobs.get(job.key)
            if current is not None and not current.is_expired(now):
                return None if current.is_put_of(job) else current
            self.jobs[job.key] = job
            return None

    def reserve_dedupe_key(
        self, owner: str, name: str, async_job_id: str, *, now: datetime, until: datetime, instead_of: str | None = None
    ) -> str:
        with self._write():
            found = self.names.get((owner, name))
            if found is None or found[1] <= now or found[0] == instead_of:
                found = self.names[owner, name] = (async_job_id, to_whole_seconds(until))
            return found[0]

    def claim_if_claimable(self, message: JobMessage, *, by: str, now: datetime, lease_until: datetime) -> AsyncJob | Lost:
        with self._write():
            current = self.jobs.get(message.key)
            if current is None or not message.describes(current) or not current.is_claimable(now):
                is_mine = current is not None and current.is_claimed_by(by)
                return current if current is not None and is_mine else Lost(current)
            claimed = current.claimed(by=by, now=now, lease_until=lease_until)
            self.jobs[message.key] = replace(claimed, seq=current.seq + 1)
            return self.jobs[message.key]

    def swap_if_unchanged(self, old: AsyncJob, new: AsyncJob, unchanged: Sequence[str] = FENCE) -> AsyncJob | Lost:
        with self._write():
            current = self.jobs.get(old.key)
            fields = zip(AsyncJob.__slots__, _fields(old), _fields(new), strict=True)
            written: dict[str, Any] = {name: after for name, before, after in fields if before != after and name != "seq"}
            if new.due_at is not None and ("due_at" in written or "status" in written):
                written |= {"due_at": new.due_at, "due_part": new.due_part, "sweeps": new.sweeps}
            if current is None or any(getattr(current, name) != getattr(old, name) for name in unchanged):
                compared = {*written, *unchanged} - {"seq"}
                if current is None or any(getattr(current, name) != getattr(new, name) for name in compared):
                    return Lost(current)
                return current
            self.jobs[old.key] = replace(current, **written, seq=current.seq + new.is_news_after(old))
            return self.jobs[old.key]

    def remove_if_unchanged(self, job: AsyncJob) -> None:
        with self._write():
            current = self.jobs.get(job.key)
            if current is not None and (current.generation, current.record_expires_at) == (
                job.generation,
                job.record_expires_at,
            ):
                del self.jobs[job.key]

    def get(self, key: JobKey) -> AsyncJob | None:
        self._fail()
        return self.jobs.get(key)

    def list_by_owner(
        self, owner: str, *, limit: int, after: ListPosition | None = None, deliveries: bool = False
    ) -> tuple[Sequence[AsyncJob], ListPosition | None]:
        self._fail()

        def place(job: AsyncJob) -> tuple[datetime, str]:
            return job.created_at, job.async_job_id

        listed = (job for job in self.jobs.values() if job.owner == owner and job.is_delivery is deliveries)
        own = sorted(listed, key=place, reverse=True)
        if after is not None:
            own = [job for job in own if place(job) < (after.created_at, after.async_job_id)]
        page = own[:limit]
        return page, ListPosition(*place(page[-1])) if len(own) > limit else None

    def due(self, shard: str, now: datetime) -> Iterator[DueEntry]:
        self._fail()
        due = [
            DueEntry(job.key, job.due_at)
            for job in self.jobs.values()
            if job.due_at is not None and job.due_at <= now and _due_shard(job.async_job_id, job.due_part) == shard
        ]
        yield from sorted(due, key=lambda entry: entry.due_at)

    def get_all(self, keys: Sequence[JobKey]) -> Mapping[JobKey, AsyncJob | Unreadable]:
        self._fail()
        return {key: self.jobs[key] for key in keys if key in self.jobs}

    def take_token_if_any(self, owner: str, rate: SubmitRate, now: datetime) -> tuple[bool, datetime]:
        with self._write():
            taken, self.buckets[owner] = rate.draw(self.buckets.get(owner), now)
            return taken, self.buckets[owner]

    def take_wait_slot(self, owner: str, *, slots: int, now: datetime, until: datetime) -> int | None:
        with self._write():
            free = (slot for slot in range(slots) if self.wait_slots.get((owner, slot), now) <= now)
            if (slot := next(free, None)) is not None:
                self.wait_slots[owner, slot] = until
            return slot

    def free_wait_slot(self, owner: str, slot: int, *, until: datetime) -> None:
        with self._write():
            if self.wait_slots.get((owner, slot)) == until:
                del self.wait_slots[owner, slot]

    def count_live(self, owner: str, *, at_most: int) -> int:
        self._fail()
        return min(at_most, sum(job.live_owner == owner for job in self.jobs.values()))

    def lock_owner(self, name: str) -> LockOwner | None:
        self._fail()
        return self.locks.get(name)

    def lock_if_unchanged(self, name: str, lock_owner: LockOwner, *, seen: LockOwner | None, until: datetime) -> bool:
        with self._write():
            if self.locks.get(name) in {None, seen}:
                self.locks[name] = lock_owner
            return self.locks[name] == lock_owner

    def waiting(self, exclusive_key: str, now: datetime, *, at_most: int) -> Sequence[JobKey]:
        self._fail()
        waiting = [
            (job.waits_since, job.key)
            for job in self.jobs.values()
            if job.exclusive_key == exclusive_key and job.waits_since is not None and job.waits_since <= now
        ]
        return [key for _, key in sorted(waiting, key=lambda entry: entry[0])][:at_most]

    def _write(self) -> threading.Lock:
        self._fail()
        self.writes += 1
        return self._lock

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.popleft()


@dataclass
class RacingStore(FakeStore):
    """A store in which another writer comes first: before each swap, the next of `rivals` runs."""

    rivals: list[Callable[[FakeStore], object]] = field(default_factory=list)

    def swap_if_unchanged(self, old: AsyncJob, new: AsyncJob, unchanged: Sequence[str] = FENCE) -> AsyncJob | Lost:
        if self.rivals:
            self.rivals.pop(0)(self)
        return super().swap_if_unchanged(old, new, unchanged)


@dataclass
class FakeEventLog:
    """An `EventLog` in dictionaries. The next `failures` calls fail; `writes` counts calls that cost a write."""

    stored: dict[tuple[JobKey, datetime], dict[int, Event]] = field(default_factory=dict)
    writes: int = 0
    failures: int = 0

    def append(self, job: AsyncJob, events: Sequence[Event]) -> None:
        self._check()
        self.writes += 1
        self.stored.setdefault((job.key, job.created_at), {}).update({event.seq: event for event in events})

    def read(self, job: AsyncJob, *, first: int, last: int) -> Sequence[Event]:
        self._check()
        stored = self.stored.get((job.key, job.created_at), {})
        return [stored[seq] for seq in range(first, last + 1) if seq in stored]

    def delete(self, job: AsyncJob) -> None:
        self._check()
        self.writes += 1
        self.stored.pop((job.key, job.created_at), None)

    def _check(self) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("The table is down.")


@dataclass
class FakeIndexes:
    """`JobIndexes` over a fake store. `entries` counts what was read; the next `failures` reads fail."""

    store: FakeStore
    entries: int = 0
    failures: int = 0

    def live(self, shard: str, *, since: datetime | None = None, page: int) -> Iterator[DueEntry]:
        found = [
            DueEntry(job.key, job.due_at)
            for job in self.store.jobs.values()
            if job.due_at is not None and _due_shard(job.async_job_id, job.due_part) == shard
        ]
        yield from self._paged(
            [entry for entry in sorted(found, key=_due_place) if since is None or entry.due_at >= since], page
        )

    def last_failed(self, job_type: str, *, before: str | None = None) -> FailedEntry | None:
        found = sorted((each for each in self._failed(job_type) if before is None or each.code < before), key=_failed_place)
        return next(self._paged(found[-1:], 1), None)

    def count_failed(self, job_type: str, code: str, *, at_most: int) -> int:
        found = [each for each in self._failed(job_type) if each.code == code][:at_most]
        return len(list(self._paged(found, at_most)))

    def failed(
        self,
        job_type: str,
        code: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int,
        after: FailedPosition | None = None,
    ) -> tuple[Sequence[FailedEntry], FailedPosition | None]:
        found = [
            each
            for each in sorted(self._failed(job_type), key=_failed_place, reverse=True)
            if each.code == code
            and (since is None or each.ended_at >= since)
            and (until is None or each.ended_at < until)
            and (after is None or _failed_position(each) < after)
        ]
        page = list(self._paged(found[:limit], limit))
        return page, _failed_position(page[-1]) if len(found) > limit else None

    def _failed(self, job_type: str) -> Iterator[FailedEntry]:
        for job in self.store.jobs.values():
            if job.status is Status.FAILED and job.job_type == job_type and job.error and job.ended_at:
                yield FailedEntry(job.key, job.error.code, job.ended_at)

    def _paged(self, found: Sequence[Any], page: int) -> Iterator[Any]:
        for start in range(0, len(found) or 1, page):
            if self.failures:
                self.failures -= 1
                raise Unavailable("The table is down.")
            self.entries += len(found[start : start + page])
            yield from found[start : start + page]


def _failed_position(entry: FailedEntry) -> FailedPosition:
    return FailedPosition(entry.ended_at, entry.key.owner, entry.key.async_job_id)


def _failed_place(entry: FailedEntry) -> tuple[str, FailedPosition]:
    return entry.code, _failed_position(entry)


_due_shard = cache(due_shard)
"""Each read of a partition compares the partitions of all jobs."""


def _due_place(entry: DueEntry) -> tuple[datetime, str]:
    return entry.due_at, "" if entry.key is None else entry.key.async_job_id


@dataclass
class FakeQueueDepths:
    """`QueueDepths` with the given depths. Every call fails while `is_down`."""

    depths: dict[str, QueueDepth] = field(default_factory=dict)
    is_down: bool = False

    def depth(self, name: str) -> QueueDepth:
        if self.is_down:
            raise Unavailable("The queue is down.")
        return self.depths.get(name, QueueDepth(0, 0, 0))


@dataclass
class FakePollers:
    """`Pollers` of which some are paused, and some drop messages. Every call fails while `is_down`."""

    paused: set[str] = field(default_factory=set)
    dropped: dict[str, frozenset[str]] = field(default_factory=dict)
    is_down: bool = False

    def state(self, name: str) -> PollersState:
        self._check()
        return PollersState(name in self.paused, self.dropped.get(name, frozenset()))

    def switch(self, name: str, *, on: bool) -> None:
        self._check()
        if on:
            self.paused.discard(name)
        else:
            self.paused.add(name)

    def drop(self, name: str, job_types: frozenset[str]) -> None:
        self._check()
        self.dropped[name] = job_types

    def _check(self) -> None:
        if self.is_down:
            raise Unavailable("Lambda is down.")


@dataclass
class FakeDeadLetters:
    """`DeadLetters` in a dictionary, by their handles. Every call fails while `is_down`."""

    bodies: dict[str, str] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    is_down: bool = False

    def receive(self, *, at_most: int) -> Sequence[DeadLetter]:
        self._check()
        found = [DeadLetter(*each) for each in self.bodies.items() if each[0] not in self.hidden][:at_most]
        self.hidden |= {letter.handle for letter in found}
        return found

    def delete(self, letters: Sequence[DeadLetter]) -> None:
        self._check()
        for letter in letters:
            self.bodies.pop(letter.handle, None)

    def _check(self) -> None:
        if self.is_down:
            raise Unavailable("The queue is down.")


@dataclass
class FakeAuditLog:
    """An `AuditLog` in a list. Every call fails while `is_down`."""

    stored: list[AuditRecord] = field(default_factory=list)
    is_down: bool = False

    def add(self, record: AuditRecord) -> None:
        self._check()
        if record.audit_id not in {each.audit_id for each in self.stored}:
            self.stored.append(record)

    def newest(self, *, limit: int, after: AuditPosition | None = None) -> tuple[Sequence[AuditRecord], AuditPosition | None]:
        self._check()

        def place(record: AuditRecord) -> AuditPosition:
            return AuditPosition(record.at, record.audit_id)

        found = sorted((each for each in self.stored if after is None or place(each) < after), key=place, reverse=True)
        return found[:limit], place(found[limit - 1]) if len(found) > limit else None

    def _check(self) -> None:
        if self.is_down:
            raise Unavailable("The table is down.")


@dataclass
class FakeBulkParts:
    """`BulkParts` in a dictionary. Each call first raises the next of `failures`; `before_begin` runs before the next part begins."""

    stored: dict[tuple[str, int], BulkPart] = field(default_factory=dict)
    failures: deque[Exception] = field(default_factory=deque)
    before_begin: Callable[[], object] | None = None

    def get(self, async_job_id: str, number: int) -> BulkPart | None:
        self._fail()
        return self.stored.get((async_job_id, number))

    def begin(self, async_job_id: str, number: int, part: BulkPart, now: datetime) -> bool:
        self._fail()
        rival, self.before_begin = self.before_begin, None
        if rival is not None:
            rival()
        return self.stored.setdefault((async_job_id, number), part) is part

    def end(self, async_job_id: str, number: int, part: BulkPart, now: datetime) -> None:
        self._fail()
        self.stored[async_job_id, number] = part

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.popleft()


@dataclass
class FakeContinuations:
    """`Continuations` in a list: a test makes the invocations. Every call fails while `is_down`."""

    tasks: deque[BulkTask] = field(default_factory=deque)
    is_down: bool = False

    def go_on(self, task: BulkTask) -> None:
        if self.is_down:
            raise Unavailable("Lambda is down.")
        self.tasks.append(task)


@dataclass
class FakeHistory:
    """A `History` in a dictionary. Every call fails while `is_down`; `reads` counts requests that cost a read."""

    known: dict[str, Durations] = field(default_factory=dict)
    hours: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    reads: int = 0
    is_down: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, durations_name: str) -> Durations:
        self.reads += 1
        self._check()
        return self.known.get(durations_name, Durations())

    def add(
        self, durations_name: str, durations: Durations, now: datetime, hours: Mapping[str, tuple[int, int]] | None = None
    ) -> None:
        self._check()
        with self._lock:
            if durations.total:
                self.known[durations_name] = self.known.get(durations_name, Durations()).merged(durations).faded()
            own = self.hours.setdefault(durations_name, {})
            for hour, (completed, failed) in (hours or {}).items():
                before = own.get(hour, (0, 0))
                own[hour] = before[0] + completed, before[1] + failed
            self.hours[durations_name] = {hour: own[hour] for hour in sorted(own)[-24:]}

    def of_all(self, job_types: Sequence[str]) -> Mapping[str, TypeHistory]:
        self.reads += 1
        self._check()
        found = {*self.known, *self.hours}
        return {
            name: TypeHistory(self.known.get(name, Durations()), self.hours.get(name, {}))
            for name in job_types
            if name in found
        }

    def _check(self) -> None:
        if self.is_down:
            raise Unavailable("The table is down.")


@dataclass
class FakeTickets:
    """`Tickets` in a dictionary. Every call fails while `is_down`."""

    stored: dict[str, Ticket] = field(default_factory=dict)
    reads: int = 0
    is_down: bool = False

    def put(self, ticket_hash: str, ticket: Ticket) -> None:
        self._check()
        self.stored[ticket_hash] = ticket

    def get(self, ticket_hash: str) -> Ticket | None:
        self.reads += 1
        self._check()
        return self.stored.get(ticket_hash)

    def take(self, ticket_hash: str) -> Ticket | None:
        self._check()
        found = self.stored.get(ticket_hash)
        return None if found is None or found.connection_ends_at is None else self.stored.pop(ticket_hash)

    def _check(self) -> None:
        if self.is_down:
            raise Unavailable("The table is down.")


@dataclass
class FakeWebhooks:
    """A `Webhooks` in a dictionary. Each call first raises the next of `failures`; `calls` counts them."""

    stored: dict[str, OwnerWebhooks] = field(default_factory=dict)
    failures: deque[Exception] = field(default_factory=deque)
    calls: int = 0

    def of(self, owner: str) -> OwnerWebhooks:
        self._called()
        return self.stored.get(owner, OwnerWebhooks(owner))

    def of_all(self, owners: Sequence[str]) -> Mapping[str, OwnerWebhooks]:
        self._called()
        return {owner: own for owner in owners if (own := self.stored.get(owner)) is not None and own.webhooks}

    def swap_if_unchanged(self, old: OwnerWebhooks, new: OwnerWebhooks, now: datetime) -> bool:
        self._called()
        current = self.stored.get(old.owner, OwnerWebhooks(old.owner))
        if current.revision != old.revision:
            return current == new
        self.stored[old.owner] = new
        return True

    def _called(self) -> None:
        self.calls += 1
        if self.failures:
            raise self.failures.popleft()


@dataclass
class FakeWatchers:
    """`Watchers` in dictionaries. Every call fails while `is_down`."""

    connections: dict[str, Connection] = field(default_factory=dict)
    entries: dict[Topic, dict[str, datetime]] = field(default_factory=dict)
    is_down: bool = False

    def open(self, connection: Connection) -> None:
        self._check()
        self.connections[connection.connection_id] = connection

    def connection(self, connection_id: str) -> Connection | None:
        self._check()
        return self.connections.get(connection_id)

    def close(self, connection_id: str) -> None:
        self._check()
        if (connection := self.connections.pop(connection_id, None)) is not None:
            for text in connection.watches:
                self.forget(connection_id, Topic.parse(text))

    def watch(self, connection: Connection, topic: Topic, now: datetime) -> bool:
        self._check()
        if (known := self.connections.get(connection.connection_id)) is None:
            return True
        entries = self.entries.setdefault(topic, {})
        others = [each for each, until in entries.items() if until > now and each != connection.connection_id]
        if len(others) >= MAX_WATCHERS:
            return False
        entries[connection.connection_id] = connection.ends_at
        self.connections[connection.connection_id] = replace(known, watches=known.watches | {topic.text})
        return True

    def unwatch(self, connection: Connection, topic: Topic) -> None:
        self.forget(connection.connection_id, topic)
        if (known := self.connections.get(connection.connection_id)) is not None:
            self.connections[connection.connection_id] = replace(known, watches=known.watches - {topic.text})

    def of(self, topics: Collection[Topic], now: datetime) -> Mapping[Topic, Collection[str]]:
        self._check()
        found = {topic: [each for each, until in self.entries.get(topic, {}).items() if until > now] for topic in topics}
        return {topic: connections for topic, connections in found.items() if connections}

    def forget(self, connection_id: str, topic: Topic) -> None:
        self._check()
        self.entries.get(topic, {}).pop(connection_id, None)

    def _check(self) -> None:
        if self.is_down:
            raise Unavailable("The table is down.")


@dataclass
class FakeConnections:
    """`Connections` that keep what they are sent, by connection. Those in `gone` and `throttled` get nothing."""

    sent: dict[str, list[Any]] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    throttled: set[str] = field(default_factory=set)

    def post(self, connection_id: str, text: str) -> Posted:
        self.order.append(connection_id)
        if connection_id in self.gone:
            return Posted.GONE
        if connection_id in self.throttled:
            return Posted.DROPPED
        self.sent.setdefault(connection_id, []).append(json.loads(text))
        return Posted.SENT


@dataclass
class FakeQueue:
    """A `Queue` that keeps every message. Every call fails while `is_down`."""

    sent: list[JobMessage] = field(default_factory=list)
    delays: list[timedelta] = field(default_factory=list)
    returned: list[tuple[str, timedelta]] = field(default_factory=list)
    returned_to: list[str] = field(default_factory=list)
    backlog_reads: int = 0
    is_down: bool = False

    def send(self, message: JobMessage, *, delay: timedelta = timedelta(0)) -> None:
        self._check()
        self.sent.append(message)
        self.delays.append(delay)

    def send_all(self, messages: Sequence[JobMessage]) -> Sequence[JobMessage]:
        self._check()
        self.sent += messages
        self.delays += [timedelta(0)] * len(messages)
        return []

    def add_waiting(self, count: int, priority: Priority = Priority.STANDARD) -> None:
        """Add messages of another owner."""
        for number in range(count):
            self.send(JobMessage(JobKey("bob", str(number)), "gen", "sample.returns", priority=priority))

    def backlog(self, priority: Priority) -> int:
        self.backlog_reads += 1
        self._check()
        sent = zip(self.sent, self.delays, strict=True)
        return sum(message.queue == priority and delay == timedelta(0) for message, delay in sent)

    def return_after(self, receipt_handle: str, delay: timedelta, *, source: str) -> None:
        self._check()
        self.returned.append((receipt_handle, delay))
        self.returned_to.append(source)

    def _check(self) -> None:
        if self.is_down:
            raise Unavailable("The queue is down.")


@dataclass
class FakeEventBus:
    """An `EventBus` that keeps every event but those whose detail has `refused`. Every call fails while `is_down`."""

    published: list[BusEvent] = field(default_factory=list)
    refused: str | None = None
    is_down: bool = False

    def publish(self, events: Sequence[BusEvent]) -> Sequence[BusEvent]:
        if self.is_down:
            raise Unavailable("The event bus is down.")
        refused = [event for event in events if self.refused is not None and self.refused in event.detail]
        self.published += [event for event in events if event not in refused]
        return refused


class FakeResultWriter(ResultWriter):
    """A `ResultWriter` that keeps the bytes."""

    def __init__(self, objects: FakeObjects, location: str, content_type: str, inline_limit: int) -> None:
        self._objects = objects
        self._inline_limit = inline_limit
        self._location = location
        self._content_type = content_type
        self._buffer = bytearray()
        self._result: Result | None = None

    def write(self, data: bytes, /) -> int:
        if self._result is not None:
            raise ValueError("This result is closed.")
        self._buffer += data
        return len(data)

    def close(self) -> Result:
        if self._result is None:
            data = bytes(self._buffer)
            if len(data) <= self._inline_limit:
                self._result = Result(text=checked_json(data))
            else:
                self._objects.check()
                self._objects.stored[self._location] = data
                self._objects.types[self._location] = self._content_type
                self._result = Result(location=self._location)
        return self._result

    def discard(self) -> None:
        self._buffer.clear()


@dataclass
class FakeObjects:
    """`Objects` in a dictionary. Every call fails while `is_down`."""

    stored: dict[str, bytes] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    """The content types of results."""
    kept_for: dict[str, datetime] = field(default_factory=dict)
    is_down: bool = False

    def put_input(self, job: AsyncJob, data: bytes) -> str:
        self.check()
        location = input_location(job)
        self.stored[location] = data
        return location

    def get_input(self, job: AsyncJob) -> bytes:
        location = job.input_location or ""
        return self.read(location if is_input_of(job, location) else "")

    def open_upload(self, owner: str, key: str) -> BinaryIO:
        return io.BytesIO(self.read(inputs_area(owner) + key))

    def read(self, location: str) -> bytes:
        self.check()
        if location not in self.stored:
            raise InputMissing(location)
        return self.stored[location]

    def upload_link(self, owner: str, key: str, *, content_type: str, size: int) -> UploadLink:
        url = f"https://bucket.example/{inputs_area(owner)}{key}?type={content_type}&size={size}&signature=x"
        return UploadLink(url, {"content-type": content_type, "content-length": str(size), "if-none-match": "*"})

    def put_upload(self, owner: str, key: str, data: bytes, *, content_type: str) -> None:
        self.check()
        self.stored.setdefault(inputs_area(owner) + key, data)

    def keep_uploads(self, job: AsyncJob, keys: Sequence[str]) -> None:
        self.check()
        locations = [inputs_area(job.owner) + key for key in keys]
        self.kept_for |= {location: job.created_at for location in locations if location in self.stored}

    def delete_upload(self, owner: str, key: str) -> None:
        self.check()
        self.stored.pop(inputs_area(owner) + key, None)

    def uploads(self, owner: str) -> Iterator[StoredUpload]:
        self.check()
        area = inputs_area(owner)
        for location in sorted(self.stored):
            if location.startswith(area + UPLOADS):
                yield StoredUpload(location.removeprefix(area), len(self.stored[location]), UPLOADED_AT)

    def open_file(self, owner: str, name: str) -> BinaryIO:
        return io.BytesIO(self.read(file_location(owner, name)))

    def save_file(self, owner: str, name: str, data: BinaryIO) -> None:
        self.check()
        self.stored[file_location(owner, name)] = data.read()

    def open_result(self, job: AsyncJob, content_type: str = JSON) -> FakeResultWriter:
        inline_limit = INLINE_RESULT_LIMIT if content_type == JSON else -1
        return FakeResultWriter(self, result_location(job, job.attempt), content_type, inline_limit)

    def open_artifact(self, job: AsyncJob, number: int, *, name: str, content_type: str) -> FakeResultWriter:
        return FakeResultWriter(self, artifact_location(job, job.attempt, number), content_type, -1)

    def artifact_link(self, job: AsyncJob, number: int) -> str:
        return f"https://bucket.example/{artifact_location(job, job.attempt, number)}?signature=x"

    def get_result(self, job: AsyncJob, *, at_most: int) -> bytes | None:
        self.check()
        location = self._location_of_result(job)
        data = self.stored.get(location)
        is_shown = data is not None and len(data) <= at_most and self.types.get(location, JSON) == JSON
        return data if is_shown else None

    def delete_all(self, job: AsyncJob, uploads: Sequence[str] = ()) -> None:
        self.check()
        own = [location for key in uploads if self.kept_for.get(location := inputs_area(job.owner) + key) == job.created_at]
        results = locations_of_attempts(job)
        inputs = [job.input_location] if is_input_of(job, job.input_location or "") else []
        for each in (*inputs, *results, *own):
            self.stored.pop(each or "", None)

    def link(self, job: AsyncJob) -> str:
        return f"https://bucket.example/{self._location_of_result(job)}?signature=x"

    @staticmethod
    def _location_of_result(job: AsyncJob) -> str:
        location = (job.result and job.result.location) or ""
        if not is_result_of(job, location):
            raise Unreadable("The record names an object that is not a result of its job.")
        return location

    def check(self) -> None:
        if self.is_down:
            raise Unavailable("The bucket is down.")
