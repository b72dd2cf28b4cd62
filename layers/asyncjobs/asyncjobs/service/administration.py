"""What administrators do with the jobs of all owners. Each action is recorded before it is done.

No index serves every question, so a page of a list costs some reads, and no more, however many jobs there are.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any, NamedTuple

from asyncjobs.core.administration import (
    DEAD_LETTERS,
    MAX_PAUSED_TYPES,
    AuditLog,
    AuditPosition,
    AuditRecord,
    FailedEntry,
    FailedPosition,
    JobIndexes,
    LivePosition,
    Pollers,
    PollersState,
    QueueDepth,
    QueueDepths,
    TypeHistories,
    TypeHistory,
)
from asyncjobs.core.clock import Clock
from asyncjobs.core.durations import Durations
from asyncjobs.core.errors import JobNotFound, JobTypeNotFound, TooManyPausedTypes
from asyncjobs.core.job import (
    AsyncJob,
    DuePart,
    JobKey,
    Priority,
    Status,
    due_shard,
    due_shards,
    present_job,
)
from asyncjobs.core.message import DELIVERIES, JobMessage
from asyncjobs.core.ports import DueEntry, Store
from asyncjobs.jobtypes.built_in import BUILT_IN
from asyncjobs.jobtypes.catalog import Catalog
from asyncjobs.jobtypes.decorator import JobType
from asyncjobs.log import log_event
from asyncjobs.service.commands import Commands
from asyncjobs.service.dead_letters import DeadLetterRedrive, Redriven

_OF_A_SHARD = 10
"""Entries that a page reads of each partition of the index of live jobs, which has 24."""
_MOST_JOBS = 100
"""Jobs that a page reads: one call."""
_MOST_GROUPS = 40
_MOST_COUNTED = 100
_ALL_COUNTED = 400
"""Groups of failed jobs that are listed, jobs that are counted of one group, and of all groups together."""
_MOST_LETTERS = 50
"""Dead letters that a request handles."""
_MOST_SEARCHED = 100
"""Entries of a partition in which a job is searched whose owner is not known."""


@dataclass(frozen=True, slots=True)
class Actor:
    """The administrator who acts, and the id of the request."""

    subject: str
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveQuery:
    """Which live jobs to list."""

    priority: Priority | None = None
    job_type: str | None = None
    status: Status | None = None
    owner: str | None = None
    limit: int = 20
    after: LivePosition | None = None

    def matches(self, job: AsyncJob) -> bool:
        """Return whether the job belongs to the list."""
        wanted = (
            (self.priority, job.priority),
            (self.job_type, job.job_type),
            (self.status, job.status),
            (self.owner, job.owner),
        )
        return not job.is_finished and all(value in (None, found) for value, found in wanted)


class LivePage(NamedTuple):
    """A part of the list, and where the next one begins; None at the end."""

    jobs: Sequence[AsyncJob]
    next: LivePosition | None


@dataclass(frozen=True, slots=True)
class FailedGroup:
    """The failed jobs of a type and code."""

    job_type: str
    code: str
    count: int
    is_more: bool
    """Whether there are more than `count`: counting stops somewhere."""
    newest_at: datetime


class FailedGroups(NamedTuple):
    """The groups, and whether there are more."""

    groups: Sequence[FailedGroup]
    is_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedQuery:
    """Which failed jobs to list."""

    job_type: str
    code: str
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 20
    after: FailedPosition | None = None


class FailedPage(NamedTuple):
    """A part of the list, and where the next one begins; None at the end."""

    jobs: Sequence[AsyncJob]
    next: FailedPosition | None


class QueueState(NamedTuple):
    """What a queue holds, and since when the oldest of the jobs that were read waits for it."""

    name: str
    depth: QueueDepth
    oldest_waiting_since: datetime | None
    pollers: PollersState


class QueuesState(NamedTuple):
    """All queues, the messages that none of them could deliver, and how late the sweeper is."""

    queues: Sequence[QueueState]
    dead_letters: QueueDepth
    sweeper_lag: timedelta


class Administration:
    """Everything that only administrators do. The caller has checked their rights."""

    def __init__(
        self,
        *,
        store: Store,
        indexes: JobIndexes,
        queues: QueueDepths,
        pollers: Pollers,
        dead_letters: DeadLetterRedrive,
        histories: TypeHistories,
        catalog: Catalog,
        commands: Commands,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._queues = queues
        self._pollers = pollers
        self._dead_letters = dead_letters
        self._histories = histories
        self._catalog = catalog
        self._store = store
        self._indexes = indexes
        self._commands = commands
        self._audit = audit
        self._clock = clock

    # ── Read ───────────────────────────────────────────────────────────────────────────────────────

    def live(self, query: LiveQuery) -> LivePage:
        """Return unfinished jobs in the order of their due times: those that are overdue, or silent, come first.

        A page reads a few entries of each partition, and the jobs of those up to which all partitions were read. So it may be
        short, even empty, with more behind it. Raises `Unavailable`.
        """
        entries, is_end = self._first_due(query.after)
        is_end = is_end and len(entries) <= _MOST_JOBS
        entries = entries[:_MOST_JOBS]
        jobs = self._store.get_all([entry.key for entry in entries if entry.key is not None])
        found: list[AsyncJob] = []
        for number, entry in enumerate(entries):
            job = None if entry.key is None else jobs.get(entry.key)
            if isinstance(job, AsyncJob) and query.matches(job):
                found.append(job)
            if len(found) == query.limit and not (is_end and number == len(entries) - 1):
                return LivePage(found, _position(entry))
        return LivePage(found, None if is_end else _position(entries[-1]))

    def _job(self, key: JobKey) -> AsyncJob:
        return present_job(self._store.get(key), self._clock())

    def find_live(self, async_job_id: str) -> AsyncJob:
        """Return an unfinished job whose owner is not known.

        The owner is a part of a job's key. But the id says in which partitions of the due index an unfinished job can be, and
        the first hundred entries of each are searched. Raises `JobNotFound`, `Unavailable`.
        """
        for part in DuePart:
            entries = self._indexes.live(due_shard(async_job_id, part), page=_MOST_SEARCHED)
            for entry in islice(entries, _MOST_SEARCHED):
                if entry.key is not None and entry.key.async_job_id == async_job_id:
                    return self._job(entry.key)
        raise JobNotFound

    def failed_groups(self, job_type: str | None = None) -> FailedGroups:
        """Return the failed jobs of one type, or of all, grouped by type and code, the most recent first.

        The index finds the codes of a type one by one. The most that is counted is shared between the groups, so that
        all of them together cost a few hundred entries. Raises `Unavailable`.
        """
        newest: list[tuple[str, FailedEntry]] = []
        is_more = False
        for name in self._type_names() if job_type is None else [job_type]:
            before: str | None = None
            while (entry := self._indexes.last_failed(name, before=before)) is not None:
                if len(newest) == _MOST_GROUPS:
                    is_more = True
                    break
                newest.append((name, entry))
                before = entry.code
        at_most = min(_MOST_COUNTED, _ALL_COUNTED // max(len(newest), 1))
        groups = []
        for name, entry in newest:
            count = self._indexes.count_failed(name, entry.code, at_most=at_most + 1)
            groups.append(FailedGroup(name, entry.code, min(count, at_most), count > at_most, entry.ended_at))
        return FailedGroups(sorted(groups, key=lambda group: group.newest_at, reverse=True), is_more)

    def failed(self, query: FailedQuery) -> FailedPage:
        """Return failed jobs of a type and code, newest first. Raises `Unavailable`."""
        entries, position = self._indexes.failed(
            query.job_type, query.code, since=query.since, until=query.until, limit=query.limit, after=query.after
        )
        jobs = self._store.get_all([entry.key for entry in entries])
        now = self._clock()
        found = [job for entry in entries if isinstance(job := jobs.get(entry.key), AsyncJob) and _has_failed(job, now)]
        return FailedPage(found, position)

    def queues(self) -> QueuesState:
        """Return what the queues hold, and how late the sweeper is. Raises `Unavailable`.

        How long jobs wait is read of the first hundred live jobs, which the sweeper reads next.
        """
        entries, _ = self._first_due(None)
        now = self._clock()
        lag = max(now - entries[0].due_at, timedelta(0)) if entries else timedelta(0)
        jobs = self._store.get_all([entry.key for entry in entries[:_MOST_JOBS] if entry.key is not None])
        oldest: dict[str, datetime] = {}
        for job in jobs.values():
            if isinstance(job, AsyncJob) and job.is_claimable(now) and job.status is Status.PENDING:
                queue = JobMessage.of(job).queue
                oldest[queue] = min(oldest.get(queue, now), job.not_before or job.created_at)
        states = [
            QueueState(name, self._queues.depth(name), oldest.get(name), self._pollers_of(name))
            for name in (*Priority, DELIVERIES)
        ]
        return QueuesState(states, self._queues.depth(DEAD_LETTERS), lag)

    def _pollers_of(self, name: str) -> PollersState:
        return PollersState(is_paused=False, paused_types=frozenset()) if name == DELIVERIES else self._pollers.state(name)

    def types(self) -> Sequence[tuple[JobType, TypeHistory]]:
        """Return each job type, with how long its jobs took and how they ended. Raises `Unavailable`."""
        types = [self._catalog.of_stored(name) for name in self._type_names()]
        found = self._histories.of_all([job_type.name for job_type in types])
        return [(job_type, found.get(job_type.name, TypeHistory(Durations(), {}))) for job_type in types]

    def _type_names(self) -> Sequence[str]:
        return [*(job_type.name for job_type in self._catalog), *BUILT_IN]

    def audit(self, *, limit: int, after: AuditPosition | None) -> tuple[Sequence[AuditRecord], AuditPosition | None]:
        """Return what administrators did, newest first, and the next position. Raises `Unavailable`."""
        return self._audit.newest(limit=limit, after=after)

    # ── Act ────────────────────────────────────────────────────────────────────────────────────────

    def cancel(self, actor: Actor, key: JobKey) -> AsyncJob:
        """End the job now. Raises as `Commands.cancel`."""
        self._note_job(actor, "job.cancel", key)
        return self._commands.cancel(key.owner, key.async_job_id)

    def retry(self, actor: Actor, key: JobKey) -> AsyncJob:
        """Start the job again. Its owner's limits do not count. Raises as `Commands.retry`.

        The new token of a tracked job's worker is for its owner alone, who can issue another one.
        """
        self._note_job(actor, "job.retry", key)
        return self._commands.retry(key.owner, key.async_job_id)[0]

    def delete(self, actor: Actor, key: JobKey) -> None:
        """Delete the finished job. Raises as `Commands.delete`."""
        self._note_job(actor, "job.delete", key)
        self._commands.delete(key.owner, key.async_job_id)

    def pause(self, actor: Actor, priority: Priority) -> None:
        """Let no further job of this priority begin from its queue. Jobs that run go on, and accepted ones stay accepted.

        Raises `Unavailable`.
        """
        self.note(actor, "queue.pause", filter={"queue": priority.value}, count=0)
        self._pollers.switch(priority, on=False)

    def resume(self, actor: Actor, priority: Priority) -> None:
        """Let jobs of this priority begin again. Raises `Unavailable`."""
        self.note(actor, "queue.resume", filter={"queue": priority.value}, count=0)
        self._pollers.switch(priority, on=True)

    def pause_type(self, actor: Actor, job_type: str) -> None:
        """Let no further job of this type begin from a queue. Jobs that run go on, and accepted ones stay accepted.

        The pollers drop its messages, which are only hints. The sweeper sends them again while the jobs wait, and ends the jobs
        at their deadlines. Raises `JobTypeNotFound`, `TooManyPausedTypes`, `Unavailable`: then some priorities may be
        changed already, and the same action can be repeated.
        """
        if not any(each.name == job_type and not each.tracked for each in self._catalog):
            raise JobTypeNotFound
        before = self._paused_types()
        if any(len(types | {job_type}) > MAX_PAUSED_TYPES for types in before.values()):
            raise TooManyPausedTypes
        self.note(actor, "type.pause", job_type=job_type, count=0)
        for priority in Priority:
            # Read again: another administrator may have paused another type meanwhile.
            if job_type not in (types := self._pollers.state(priority).paused_types):
                self._pollers.drop(priority, types | {job_type})

    def resume_type(self, actor: Actor, job_type: str) -> None:
        """Let jobs of this type begin again, also of one that is not in the catalog any more. Raises as `pause_type`."""
        before = self._paused_types()
        if job_type not in {*(each.name for each in self._catalog), *chain.from_iterable(before.values())}:
            raise JobTypeNotFound
        self.note(actor, "type.resume", job_type=job_type, count=0)
        for priority in Priority:
            if job_type in (types := self._pollers.state(priority).paused_types):
                self._pollers.drop(priority, types - {job_type})

    def _paused_types(self) -> Mapping[Priority, frozenset[str]]:
        return {priority: self._pollers.state(priority).paused_types for priority in Priority}

    def redrive(self, actor: Actor, *, discards_malformed: bool) -> tuple[Sequence[Redriven], bool]:
        """Redrive dead letters by the records of their jobs. Returns what became of each, and whether to go on.

        Not with letters that all stay: they return, so there would be no end. Raises `Unavailable`.
        """
        letters = self._dead_letters.receive(at_most=_MOST_LETTERS)
        if letters:
            chosen = {"discardMalformed": True} if discards_malformed else None
            self.note(actor, "dead-letters.redrive", filter=chosen, count=len(letters))
        redriven = self._dead_letters.redrive(letters, discards_malformed=discards_malformed)
        return redriven, len(letters) == _MOST_LETTERS and not all(each.outcome.stays for each in redriven)

    def note_reading(self, actor: Actor, action: str, key: JobKey) -> AsyncJob:
        """Record that somebody reads a payload of the job, and return it. Raises `JobNotFound`, `Unavailable`."""
        return self._note_job(actor, action, key)

    def note(self, actor: Actor, action: str, *, audit_id: str | None = None, **about: Any) -> None:
        """Record an action before it is done: one that cannot be recorded is not done. Raises `Unavailable`.

        With an `audit_id` of its own, it is recorded once, however often this is called.
        """
        record = AuditRecord(
            audit_id=audit_id or str(uuid.uuid4()),
            at=self._clock(),
            actor=actor.subject,
            action=action,
            request_id=actor.request_id,
            **about,
        )
        self._audit.add(record)
        # No owner's name, as on every other line.
        log_event(
            "ADMIN_ACTION",
            action=action,
            auditId=record.audit_id,
            asyncJobId=record.async_job_id,
            jobType=record.job_type,
            count=record.count,
        )

    def _note_job(self, actor: Actor, action: str, key: JobKey) -> AsyncJob:
        job = self._job(key)
        self.note(actor, action, owner=job.owner, async_job_id=job.async_job_id, job_type=job.job_type)
        return job

    def _first_due(self, after: LivePosition | None) -> tuple[list[DueEntry], bool]:
        """Return the next entries of all partitions together, and whether they are the last ones.

        Of a partition with more entries than were read, nothing is known beyond the last one: there the page ends.
        """
        found: list[DueEntry] = []
        horizon: tuple[datetime, str] | None = None
        for part in DuePart:
            for shard in due_shards(part):
                own = list(islice(self._unseen(shard, after), _OF_A_SHARD + 1))
                if len(own) > _OF_A_SHARD:
                    own.pop()
                    last = _place(own[-1])
                    horizon = last if horizon is None else min(horizon, last)
                found += own
        ordered = sorted(found, key=_place)
        if horizon is None:
            return ordered, True
        return [entry for entry in ordered if _place(entry) <= horizon], False

    def _unseen(self, shard: str, after: LivePosition | None) -> Iterator[DueEntry]:
        since = None if after is None else after.due_at
        for entry in self._indexes.live(shard, since=since, page=_OF_A_SHARD + 1):
            if after is None or _place(entry) > (after.due_at, after.async_job_id):
                yield entry


def _has_failed(job: AsyncJob, now: datetime) -> bool:
    """Return whether the job is still what its entry says: it may have been retried or deleted since."""
    return job.status is Status.FAILED and not job.is_expired(now)


def _place(entry: DueEntry) -> tuple[datetime, str]:
    return entry.due_at, "" if entry.key is None else entry.key.async_job_id


def _position(entry: DueEntry) -> LivePosition:
    return LivePosition(*_place(entry))
