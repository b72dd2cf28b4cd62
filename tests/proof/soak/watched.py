"""A store that records each change of each job and its violations of the protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from asyncjobs.core.job import AsyncJob, JobKey, Status, due_shard
from asyncjobs.core.ports import DueEntry
from asyncjobs.core.records import replace
from tests.support.fakes import FakeStore


class Watched(dict[JobKey, AsyncJob]):
    """The jobs, their endings, and violations."""

    def __init__(self) -> None:
        super().__init__()
        self.unfinished: set[JobKey] = set()
        self.finals: Counter[str] = Counter()
        self.broken: list[str] = []
        self._running: dict[str, set[JobKey]] = {}
        """The running jobs of each lock."""

    def __setitem__(self, key: JobKey, new: AsyncJob) -> None:
        old = self.get(key)
        super().__setitem__(key, new)
        if old is not None and old.generation != new.generation:
            # The earlier job has been retried, or was deleted, and its id is free again.
            if not old.is_finished:
                self.broken.append(f"{key.async_job_id}: I5: {old.status} gave way to another generation")
            old = None
        if new.is_finished:
            self.unfinished.discard(key)
        else:
            self.unfinished.add(key)
        if new.is_finished and (old is None or old.status is not new.status):
            self.finals[new.effect_key] += 1
        self.broken += [f"{key.async_job_id}: {fault}" for fault in _faults(old, new)]
        if new.exclusive_key is not None:
            running = self._running.setdefault(new.exclusive_key, set())
            (running.add if new.status is Status.IN_PROGRESS else running.discard)(key)
            if len(running) > 1:
                self.broken.append(f"{key.async_job_id}: not alone under its lock")

    def __delitem__(self, key: JobKey) -> None:
        if not self[key].is_finished:
            self.broken.append(f"{key.async_job_id}: I5: removed while {self[key].status}")
        super().__delitem__(key)


class WatchedStore(FakeStore):
    """The fake store with watched `jobs`. It finds the few unfinished jobs quickly among the many ended ones."""

    def __init__(self) -> None:
        self.watched = Watched()
        super().__init__(jobs=self.watched)

    def due(self, shard: str, now: datetime) -> Iterator[DueEntry]:
        jobs = [self.jobs[key] for key in self.watched.unfinished]
        due = [
            (job.due_at, job.async_job_id, job.key)
            for job in jobs
            if job.due_at is not None and job.due_at <= now and due_shard(job.async_job_id, job.due_part) == shard
        ]
        yield from (DueEntry(key, due_at) for due_at, _, key in sorted(due, key=lambda entry: entry[:2]))

    def count_live(self, owner: str, *, at_most: int) -> int:
        return min(at_most, sum(self.jobs[key].live_owner == owner for key in self.watched.unfinished))

    def waiting(self, exclusive_key: str, now: datetime, *, at_most: int) -> Sequence[JobKey]:
        jobs = [self.jobs[key] for key in self.watched.unfinished]
        waiting = [
            (job.waits_since, job.key) for job in jobs if job.exclusive_key == exclusive_key and job.waits_since is not None
        ]
        first = sorted(waiting, key=lambda entry: (entry[0], entry[1].async_job_id))
        return [key for since, key in first if since <= now][:at_most]


def _faults(old: AsyncJob | None, new: AsyncJob) -> Iterator[str]:
    if new.is_finished is not (new.due_at is None):
        yield "I11: due exactly while it is not finished"
    if new.attempt > new.max_attempts:
        yield "I12: more attempts than it has"
    if old is None:
        return
    is_claim = new.claimed_by is not None and new.claimed_by != old.claimed_by
    if old.is_finished and replace(old, record_expires_at=new.record_expires_at) != new:
        yield f"I1: {old.status} changed into {new.status}"
    if new.attempt != old.attempt + is_claim:
        yield f"I3: attempt {old.attempt} became {new.attempt}"
    if not is_claim and new.progress < old.progress:
        yield f"I10: progress {old.progress} became {new.progress}"
    if new.generation == old.generation and new.seq != old.seq + new.is_news_after(old):
        yield f"I16: number {old.seq} became {new.seq}"
