"""One at a time: the locks that exclusive jobs run under. A lock is an item beside the jobs and names who holds it.

A holder is never asked to give its lock back. Whoever wants the lock reads the holder, and takes it from one that is over,
if the lock still names that one. So a holder that died keeps it no longer than until the sweeper has ended its job; no clock
decides, and there is nothing to forget. Two rules make that enough. A lock only names a job whose record stands: so one without
a record is over, never yet to come. And every claim asks for the lock, whatever the submit did. tests/proof/model/lock.py checks it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

from asyncjobs.core.clock import Clock
from asyncjobs.core.errors import Unavailable
from asyncjobs.core.job import MAX_DEADLINE, UNFINISHED_RETENTION, AsyncJob, LockOwner
from asyncjobs.core.message import JobMessage
from asyncjobs.core.ports import Queue, Store
from asyncjobs.log import log_event

if TYPE_CHECKING:
    from asyncjobs.jobtypes.decorator import Exclusive

_KEPT = MAX_DEADLINE + UNFINISHED_RETENTION + timedelta(days=1)
"""How long after it was taken a lock may be forgotten: its holder's record has expired by then, whatever became of it."""
_STALE = 3
"""How many entries of the index are looked at beyond those wanted: it still shows some that have just begun."""


class Locks:
    """Takes locks, and wakes those who wait for one."""

    def __init__(self, *, store: Store, queue: Queue | None, clock: Clock) -> None:
        """Without a queue nobody is woken: the sweeper sends those who wait, some minutes later."""
        self._store = store
        self._queue = queue
        self._clock = clock

    @staticmethod
    def exclusive_key(exclusive: Exclusive, owner: str, input_json: bytes) -> str:
        """Return the text by which a job's record and messages name its lock: how many may hold it, and which lock it is.

        Jobs share a lock when they have the same text. No owner contains a `#`, so two locks never share one.
        """
        parts = [str(exclusive.limit), exclusive.name]
        if exclusive.scope != "GLOBAL":
            parts.append(owner)
        if exclusive.scope == "INPUT":
            parts.append(hashlib.sha256(input_json).hexdigest())
        return "#".join(parts)

    def in_the_way(self, job: AsyncJob) -> AsyncJob | None:
        """A job that holds the lock while this one wants it, its own owner's if possible; None if the lock could be had now.

        Only a look: it neither needs the job's record nor takes anything. Raises `Unavailable`.
        """
        slot, running = self._look(self._lock_owners(job.exclusive_key or ""))
        return None if slot is not None else _own_first(running, job.owner)

    def take(self, exclusive_key: str, holder: LockOwner) -> AsyncJob | None:
        """Take the lock for a job whose record stands. None: it has it; otherwise a job that holds it. Raises `Unavailable`.

        Asked again it says the same, until the job is over. Two deliveries of one job at once may take two of several slots;
        the second one is lost to others until then.
        """
        while True:
            holders = self._lock_owners(exclusive_key)
            if holder in holders.values():
                return None
            slot, running = self._look(holders)
            if slot is None:
                return _own_first(running, holder.key.owner)
            if self._store.lock_if_unchanged(slot, holder, seen=holders[slot], until=self._clock() + _KEPT):
                return None
            # Somebody was quicker, and begins a job by that: this ends.

    def wake(self, ended: AsyncJob) -> None:
        """Send the jobs that have waited longest for the lock of one that has ended: as many as may hold it.

        It only makes it quick. Whoever is not sent now, because this dies or the index lags, is due for the sweeper.
        """
        if ended.exclusive_key is None or self._queue is None:
            return
        try:
            messages = list(islice(self._claimable(ended.exclusive_key), _limit(ended.exclusive_key)))
            refused = self._queue.send_all(messages) if messages else ()
        except Unavailable:
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
        holders: dict[str, LockOwner | None] = {}
        for slot in _slots(exclusive_key):
            holders[slot] = self._store.lock_owner(slot)
        return holders

    def _look(self, holders: Mapping[str, LockOwner | None]) -> tuple[str | None, Sequence[AsyncJob]]:
        """The first slot to be had, or who holds them all."""
        running: list[AsyncJob] = []
        for slot, holder in holders.items():
            job = None if holder is None else self._store.get(holder.key)
            if job is None or holder is None or holder.is_over(job, self._clock()):
                return slot, ()
            running.append(job)
        return None, running


def _limit(exclusive_key: str) -> int:
    return int(exclusive_key.partition("#")[0])


def _slots(exclusive_key: str) -> Sequence[str]:
    """The locks' names: one for each that may hold it, and the same after its limit was changed."""
    limit, _, name = exclusive_key.partition("#")
    return [f"{name}#{number}" for number in range(int(limit))]


def _own_first(running: Sequence[AsyncJob], owner: str) -> AsyncJob:
    return next((job for job in running if job.owner == owner), running[0])
