"""The locks of exclusive jobs. A lock is an item beside the jobs that names its owner: a job and its generation.

No job gives its lock back. A job that needs the lock reads the owner's job. If that is over, the job writes its own name, if
the lock still names the owner that was read. So a job whose worker died keeps its lock until the sweeper ends the job; no
clock decides. Two rules make this correct. A lock only names a job whose record is stored, so an owner without a record has
ended, and is not one whose record comes later. And every claim takes the lock, whatever the submit did. tests/proof/model/lock.py checks this.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import Unavailable, Unreadable
from asyncjobs.core.job import MAX_DEADLINE, UNFINISHED_RETENTION, AsyncJob, LockOwner, owner_part
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import Queue, Store
from asyncjobs.log import log_event

if TYPE_CHECKING:
    from asyncjobs.jobtypes.decorator import Exclusive

_KEPT = MAX_DEADLINE + UNFINISHED_RETENTION + timedelta(days=1)
"""How long after it was taken a lock expires: later than its owner's record."""
_STALE = 3
"""How many more index entries are read than jobs needed: the index still has some that have just begun."""


class Locks:
    """Takes locks, and wakes jobs that wait for one."""

    def __init__(self, *, store: Store, queue: Queue, clock: Clock) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock

    @staticmethod
    def exclusive_key(exclusive: Exclusive, owner: str, input_json: bytes) -> str:
        """Return the text by which a job's record and messages name its lock: how many may hold it, and which lock it is.

        Jobs share a lock when they have the same text. No part contains a `#`, so two locks never share one.
        """
        parts = [str(exclusive.limit), exclusive.name]
        if exclusive.scope != "GLOBAL":
            parts.append(owner_part(owner))
        if exclusive.scope == "INPUT":
            parts.append(hashlib.sha256(input_json).hexdigest())
        return "#".join(parts)

    def in_the_way(self, job: AsyncJob) -> AsyncJob | None:
        """Return a job that holds the lock, one of the same owner if possible; None if the lock is free.

        This only reads, and does not need the job's record. Raises `Unavailable`.
        """
        slot, running = self._look(self._lock_owners(job.exclusive_key or ""))
        return None if slot is not None else _own_first(running, job.owner)

    def take(self, exclusive_key: str, lock_owner: LockOwner) -> AsyncJob | None:
        """Take the lock for a job whose record is stored. Return None, or a job that holds the lock. Raises `Unavailable`.

        Repeated calls return the same until the job is over. Two simultaneous deliveries of one job may take two of several
        slots; other jobs cannot use the second one until then.
        """
        while True:
            lock_owners = self._lock_owners(exclusive_key)
            if lock_owner in lock_owners.values():
                return None
            slot, running = self._look(lock_owners)
            if slot is None:
                return _own_first(running, lock_owner.key.owner)
            if self._store.lock_if_unchanged(slot, lock_owner, seen=lock_owners[slot], until=self._clock() + _KEPT):
                return None
            # Another job took the slot first and begins, so this loop ends.

    def wake(self, ended: AsyncJob) -> None:
        """Send the jobs that have waited longest for the lock of an ended job, if it had one: as many as may hold it.

        Best effort: the sweeper sends any job that is missed here, because this process dies or the index is late.
        """
        if ended.exclusive_key is None:
            return
        try:
            messages = list(islice(self._claimable(ended.exclusive_key), _limit(ended.exclusive_key)))
            refused = self._queue.send_all(messages) if messages else ()
        except (Unavailable, Unreadable):
            # The end is recorded: whatever the waiting jobs look like, it must not fail for them.
            log_event("WAKE_DEFERRED", ended)
            return
        if refused:
            log_event("WAKE_DEFERRED", ended)

    def _claimable(self, exclusive_key: str) -> Iterator[JobMessage]:
        now = self._clock()
        for key in self._store.waiting(exclusive_key, now, at_most=_limit(exclusive_key) + _STALE):
            job = self._store.get(key)
            if job is not None and job.waits_since is not None and job.is_claimable(now):
                yield JobMessage.of(job)

    def _lock_owners(self, exclusive_key: str) -> Mapping[str, LockOwner | None]:
        lock_owners: dict[str, LockOwner | None] = {}
        for slot in _slots(exclusive_key):
            lock_owners[slot] = self._store.lock_owner(slot)
        return lock_owners

    def _look(self, lock_owners: Mapping[str, LockOwner | None]) -> tuple[str | None, Sequence[AsyncJob]]:
        """Return the first free slot, or the jobs that hold all of them."""
        running: list[AsyncJob] = []
        for slot, lock_owner in lock_owners.items():
            job = None if lock_owner is None else self._store.get(lock_owner.key)
            if job is None or lock_owner is None or lock_owner.is_over(job, self._clock()) or not _is_under(job, slot):
                return slot, ()
            running.append(job)
        return None, running


def _limit(exclusive_key: str) -> int:
    return int(exclusive_key.partition("#")[0])


def _slots(exclusive_key: str) -> Sequence[str]:
    """Return the names of the lock's items: one for each job that may hold it, the same before and after a change of the limit."""
    limit, _, name = exclusive_key.partition("#")
    return [f"{name}#{number}" for number in range(int(limit))]


def _is_under(job: AsyncJob, slot: str) -> bool:
    """Return whether the job's own record names this lock. A message may have said so of any job."""
    return (job.exclusive_key or "").partition("#")[2] == slot.rpartition("#")[0]


def _own_first(running: Sequence[AsyncJob], owner: str) -> AsyncJob:
    return next((job for job in running if job.owner == owner), running[0])
