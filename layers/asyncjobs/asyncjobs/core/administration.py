"""What administrators may do, the record of what they did, and the ports that only they use. Pure: no clock, no AWS, no HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

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


class AuditPosition(NamedTuple):
    """A place in the list of audit records: after this record."""

    at: datetime
    audit_id: str


class AuditLog(Protocol):
    """Storage of audit records. `DynamoAuditLog` is the real adapter; the tests have a fake, and one suite runs over both.

    Every method raises `Unavailable` when the table does not answer.
    """

    def add(self, record: AuditRecord) -> None:
        """Store a new record."""
        ...

    def newest(
        self, *, limit: int, after: AuditPosition | None = None
    ) -> tuple[Sequence[AuditRecord], AuditPosition | None]:
        """Return up to `limit` records, newest first, and the next position. Eventually consistent."""
        ...


class JobIndexes(Protocol):
    """The indexes of all owners' jobs. `DynamoIndexes` is the real adapter; the tests have a fake, and one suite runs over both.

    Every method raises `Unavailable` when the table does not answer.
    """

    def live(self, shard: str, *, since: datetime | None = None, page: int) -> Iterator[DueEntry]:
        """Yield the unfinished jobs of a partition of the due index, in the order of their due times, from `since` on.

        Each read takes no more than `page` entries. Eventually consistent.
        """
        ...
