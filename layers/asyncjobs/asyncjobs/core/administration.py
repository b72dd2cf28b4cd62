"""What administrators may do, the record of what they did, and the ports that only they use. Pure: no clock, no AWS, no HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from asyncjobs.core.durations import Durations
from asyncjobs.core.job import JobKey
from asyncjobs.core.ports import DueEntry


class Right(StrEnum):
    """What a group may do with the jobs of all owners."""

    VIEW = "view"
    """Read jobs without their inputs, results and metadata."""
    PAYLOADS = "payloads"
    """Read inputs, results and metadata, too."""
    OPERATE = "operate"
    """Change jobs."""
    AUDIT = "audit"
    """Read what administrators did."""


GROUPS: Mapping[str, frozenset[Right]] = {
    "viewer": frozenset({Right.VIEW}),
    "payload-viewer": frozenset({Right.VIEW, Right.PAYLOADS}),
    "operator": frozenset({Right.VIEW, Right.OPERATE, Right.AUDIT}),
    "admin": frozenset(Right),
}
"""The rights of each group. A deployment may give the groups other names, in this order."""


def rights_of(groups: Iterable[str]) -> frozenset[Right]:
    """Return the rights of somebody who is in these groups: those of all of them."""
    return frozenset[Right]().union(*(GROUPS[group] for group in groups))


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """An action of an administrator. It is stored before the action, so none is missing; the action may have failed."""

    audit_id: str
    at: datetime
    actor: str
    """The `sub` of the administrator's token."""
    action: str
    request_id: str
    owner: str | None = None
    """The owner of the one job that it was about."""
    async_job_id: str | None = None
    job_type: str | None = None
    filter: Mapping[str, Any] | None = None
    """Which jobs it was about, if not a single one."""
    count: int = 1
    outcomes: Mapping[str, int] | None = None
    """What became of so many jobs, at the end of an action on many in the background."""


class AuditPosition(NamedTuple):
    """A place in the list of audit records: after this record."""

    at: datetime
    audit_id: str


class AuditLog(Protocol):
    """Storage of audit records. `DynamoAuditLog` is the real adapter; the tests have a fake, and one suite runs over both.

    Every method raises `Unavailable` when the table does not answer.
    """

    def add(self, record: AuditRecord) -> None:
        """Store a new record. One that has its id already stays as it is."""
        ...

    def newest(self, *, limit: int, after: AuditPosition | None = None) -> tuple[Sequence[AuditRecord], AuditPosition | None]:
        """Return up to `limit` records, newest first, and the next position. Eventually consistent."""
        ...


class FailedEntry(NamedTuple):
    """An entry of the index of failed jobs."""

    key: JobKey
    code: str
    ended_at: datetime


class FailedPosition(NamedTuple):
    """A place in the list of the failed jobs of a type and code: after this job."""

    ended_at: datetime
    owner: str
    async_job_id: str


class LivePosition(NamedTuple):
    """A place in the list of live jobs: after this job."""

    due_at: datetime
    async_job_id: str


class JobIndexes(Protocol):
    """The indexes of all owners' jobs. `DynamoIndexes` is the real adapter; the tests have a fake, and one suite runs over both.

    Every method raises `Unavailable` when the table does not answer.
    """

    def live(self, shard: str, *, since: datetime | None = None, page: int) -> Iterator[DueEntry]:
        """Yield the unfinished jobs of a partition of the due index, in the order of their due times, from `since` on.

        Each read takes no more than `page` entries. Eventually consistent.
        """
        ...

    def last_failed(self, job_type: str, *, before: str | None = None) -> FailedEntry | None:
        """Return the newest failed job of the type, of the last code in the alphabet, or of the last one before `before`.

        So the codes of a type are found one by one, each by reading one entry. Eventually consistent.
        """
        ...

    def count_failed(self, job_type: str, code: str, *, at_most: int) -> int:
        """Count the failed jobs of the type and code, no further than `at_most`. Eventually consistent."""
        ...

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
        """Return up to `limit` failed jobs of the type and code that ended from `since` to before `until`, newest first.

        And the next position. Eventually consistent; some may be expired.
        """
        ...


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """About how many messages a queue has."""

    waiting: int
    delayed: int
    in_flight: int


MAX_PAUSED_TYPES = 30
"""Job types that are paused at the same time: a filter of Lambda has 4,096 characters at most, and a name 100."""

DEAD_LETTERS = "dead letters"
"""The name of the queue of messages that could not be delivered."""


class QueueDepths(Protocol):
    """What the queues hold. `SqsQueueDepths` is the real adapter; the tests have a fake, and one suite runs over both.

    Every method raises `Unavailable` when the queue does not answer.
    """

    def depth(self, name: str) -> QueueDepth:
        """Return about how many messages the queue of this name has."""
        ...


class DeadLetter(NamedTuple):
    """A message that could not be delivered, and its receipt handle."""

    handle: str
    body: str


class DeadLetters(Protocol):
    """The queue of messages that could not be delivered. `SqsDeadLetters` is the real adapter; the tests have a fake.

    Every method raises `Unavailable` when the queue does not answer.
    """

    def receive(self, *, at_most: int) -> Sequence[DeadLetter]:
        """Return messages, and hide them for 30 seconds. Fewer than `at_most` are all that are not hidden."""
        ...

    def delete(self, letters: Sequence[DeadLetter]) -> None:
        """Delete these messages. One that the queue does not delete returns."""
        ...


class PollersState(NamedTuple):
    """What the pollers of a queue take from it, or soon will."""

    is_paused: bool
    """They take nothing."""
    paused_types: frozenset[str]
    """They drop the messages of these job types."""


class Pollers(Protocol):
    """The pollers that take jobs from the queue of a priority. `LambdaPollers` is the real adapter; the tests have a fake.

    Every method raises `Unavailable` when Lambda does not answer, or has not done an earlier change. A change takes some
    seconds; jobs that run go on.
    """

    def state(self, name: str) -> PollersState:
        """Return what is taken from the queue of this name."""
        ...

    def switch(self, name: str, *, on: bool) -> None:
        """Let the pollers of the queue begin or stop."""
        ...

    def drop(self, name: str, job_types: frozenset[str]) -> None:
        """Let the pollers drop the messages of these job types, and of no other. A dropped message is deleted."""
        ...


Hours = Mapping[str, tuple[int, int]]
"""How many jobs completed and failed in each hour, by its beginning: `2026-11-26T16`."""


class TypeHistory(NamedTuple):
    """How long the jobs of a type took, and how they ended."""

    durations: Durations
    hours: Hours


class TypeHistories(Protocol):
    """The histories of several types. `DynamoTypeHistories` is the real adapter; the tests have a fake.

    Raises `Unavailable` when the table does not answer.
    """

    def of_all(self, job_types: Sequence[str]) -> Mapping[str, TypeHistory]:
        """Return the histories of those types that have one. Eventually consistent."""
        ...


class BulkEntry(NamedTuple):
    """A job of an action on many, and its generation when its part began; None if there was no such job."""

    key: JobKey
    generation: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkPart:
    """A part of an action on many jobs in the background. It is stored before it acts, and again with what became of each job."""

    entries: Sequence[BulkEntry]
    next: FailedPosition | LivePosition | None
    """Where the next part begins in the list; None if this is the last one."""
    counts: Mapping[str, int]
    """How many jobs had each outcome, of this part, if it has ended, and of all before it."""
    outcomes: Sequence[str] | None = None
    """What became of each job, in the order of the entries. None until the part has ended."""


class BulkParts(Protocol):
    """Storage of parts, by the action's job and their numbers from 0. `DynamoBulkParts` is the real adapter; the tests have a fake.

    Every method raises `Unavailable` when the table does not answer.
    """

    def get(self, async_job_id: str, number: int) -> BulkPart | None:
        """Return the part by a consistent read."""
        ...

    def begin(self, async_job_id: str, number: int, part: BulkPart, now: datetime) -> bool:
        """Store a part that has not acted yet. Returns False if there is one of this number: another invocation came first."""
        ...

    def end(self, async_job_id: str, number: int, part: BulkPart, now: datetime) -> None:
        """Store the part with its outcomes, in place of the one that began."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkTask:
    """What an invocation needs to go on with an action on many jobs: the action's job, the request, and the part to begin with."""

    owner: str
    async_job_id: str
    request_id: str
    request: Mapping[str, Any]
    """The body of the request, which was checked."""
    part: int = 0

    @property
    def key(self) -> JobKey:
        """The key of the action's job."""
        return JobKey(self.owner, self.async_job_id)


class Continuations(Protocol):
    """Invocations of the administrators' function by itself. `LambdaContinuations` is the real adapter; the tests have a fake."""

    def go_on(self, task: BulkTask) -> None:
        """Have another invocation go on with the task; it may come twice. Raises `Unavailable`."""
        ...
